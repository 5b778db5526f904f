import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { DCC_ACCESS_CONTROL_BROKER, type DeviceId, parseDeviceId } from '#core/identifiers.ts';
import { type CertificateLookup, certificateDirectory, issuerAndSerialOf } from '../certificate-directory.ts';
import type { ResponseSigners } from '../duis-response.ts';
import type { SharedSecrets } from '../gbcs/shared-secrets.ts';
import { readPki } from '../pki/pki-file.ts';
import { seedSecrets } from '../pki/seed-secrets.ts';

export type TlsKeys = { key: string; cert: string; ca: string };

/** What the gateway speaks and listens with, from a folder of `mdr pki`. */
export type GatewayKeys = {
  /** As a server. */
  tls: TlsKeys;
  /** As a client of the Users' endpoints: the DCC's own. */
  clientTls: TlsKeys;
  /** The User that a TLS certificate was issued to, by its SHA-256 as Node writes it. */
  userOfCertificate: ReadonlyMap<string, DeviceId>;
  signingCertificates: CertificateLookup;
  signers: ResponseSigners;
  /** Of the meters with Users and broker. */
  secrets: SharedSecrets;
};

/** Reads the folder once. Throws INPUT_UNREADABLE where it is none, INPUT_INVALID where one of its files is missing. */
export function readGatewayKeys(directory: string): GatewayKeys {
  const { seed } = readPki(directory);
  const parties = join(directory, 'parties');
  const users = readdirSync(parties).flatMap((name) => {
    const eui = parseDeviceId(name);
    return eui === undefined || eui === DCC_ACCESS_CONTROL_BROKER ? [] : [eui];
  });
  const certificateOf = (eui: DeviceId, use: string) => new X509Certificate(read(join(parties, eui, `${use}.pem`)));
  const dcc = signerOf(join(parties, DCC_ACCESS_CONTROL_BROKER));
  return {
    tls: {
      key: read(join(directory, 'server.key')),
      cert: read(join(directory, 'server.pem')),
      ca: read(join(directory, 'ca.pem')),
    },
    clientTls: {
      key: read(join(parties, DCC_ACCESS_CONTROL_BROKER, 'client.key')),
      cert: read(join(parties, DCC_ACCESS_CONTROL_BROKER, 'client.pem')),
      ca: read(join(directory, 'ca.pem')),
    },
    userOfCertificate: new Map(users.map((eui) => [certificateOf(eui, 'client').fingerprint256, eui])),
    signingCertificates: certificateDirectory(
      users.map((eui) => ({ eui, certificate: certificateOf(eui, 'signing') })),
    ),
    // The test PKI has no S1SP: the DCC signs in its place.
    signers: { dcc, s1sp: dcc },
    secrets: seedSecrets(seed),
  };
}

function signerOf(folder: string): ResponseSigners['dcc'] {
  return {
    privateKey: createPrivateKey(read(join(folder, 'signing.key'))),
    ...issuerAndSerialOf(new X509Certificate(read(join(folder, 'signing.pem')))),
  };
}

function read(file: string): string {
  if (existsSync(file)) return readFileSync(file, 'utf8');
  throw new MdrError('INPUT_INVALID', 'The folder of keys is not whole', [
    { file, expected: `a file: 'mdr pki --overwrite' makes the folder anew` },
  ]);
}
