import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { DCC_ACCESS_CONTROL_BROKER, type DeviceId } from '#core/identifiers.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import {
  type CertificateUse,
  caCertificate,
  deviceCertificate,
  type Issuer,
  type Party,
  partyCertificate,
  serverCertificate,
  type Validity,
} from './certificate.ts';
import { type Pki, readPki } from './pki-file.ts';
import { deviceKeys, type KeyPair, keyPair, userKeys } from './seed-keys.ts';

/*
 * pki.json                       the seed, from which every key can be made
 * ca.pem, ca.key
 * server.pem, server.key         of https://localhost
 * parties/EUI/USE.pem, USE.key   of every User, and of the DCC under its access control broker's EUI
 * devices/EUI.pem, EUI.key       of the devices asked for
 */

/** Certificates begin a day early, for machines whose clocks are behind, and last ten years, as those of GBCS do. */
const EARLY_MS = DAY_MS;
const VALID_MS = 3_650 * DAY_MS;
const HOSTS = { dns: ['localhost'], ip: ['127.0.0.1', '::1'] } as const;

/**
 * Makes a CA, a server's and the parties' keys and certificates in a folder that is not there yet; `overwrite` replaces
 * one that was made by this. It is there as a whole or not at all. Throws INPUT_INVALID, COULD_NOT_RUN.
 */
export async function createKeyFolder(
  directory: string,
  { seed, users }: Pki,
  nowMs: number,
  overwrite: boolean,
): Promise<void> {
  const target = resolve(directory);
  const isThere = existsSync(target);
  if (isThere) refuseUnless(overwrite && existsSync(join(target, 'pki.json')), target);
  await onDisk(target, async () => {
    await mkdir(dirname(target), { recursive: true });
    const made = await mkdtemp(`${target}.new-`);
    try {
      await writeKeys(made, { seed, users }, nowMs);
      const old = `${made}.old`;
      if (isThere) await rename(target, old);
      await rename(made, target);
      if (isThere) await rm(old, { recursive: true });
    } finally {
      await rm(made, { recursive: true, force: true });
    }
  });
}

/** Adds a device's key and certificate to a folder; returns the certificate's path. */
export async function addDevice(directory: string, device: DeviceId, nowMs: number): Promise<string> {
  const { seed } = readPki(directory);
  return await onDisk(directory, async () => {
    const issuer: Issuer = {
      certificate: await readFile(join(directory, 'ca.pem'), 'utf8'),
      privateKey: keyPair(seed, 'ca', '').privateKey,
    };
    const keys = deviceKeys(seed, device).keyAgreement;
    const certificate = await deviceCertificate(device, keys.publicKey, issuer, validityFrom(nowMs));
    await writePair(join(directory, 'devices', device), keys, certificate);
    return join(directory, 'devices', `${device}.pem`);
  });
}

function refuseUnless(isAllowed: boolean, directory: string): void {
  if (isAllowed) return;
  throw new MdrError('INPUT_INVALID', `${directory} is there already`, [
    { path: 'the folder', value: directory, expected: 'one that is not there, or --overwrite for one that this made' },
  ]);
}

async function writeKeys(directory: string, { seed, users }: Pki, nowMs: number): Promise<void> {
  const validity = validityFrom(nowMs);
  const ca = keyPair(seed, 'ca', '');
  const certificate = await caCertificate(`mdr-stream test CA seed ${seed}`, ca.privateKey, validity);
  const issuer = { certificate, privateKey: ca.privateKey };
  await writePair(join(directory, 'ca'), ca, certificate);
  const server = keyPair(seed, 'server', HOSTS.dns[0]);
  await writePair(
    join(directory, 'server'),
    server,
    await serverCertificate(HOSTS, server.publicKey, issuer, validity),
  );
  await mkdir(join(directory, 'devices'));
  for (const party of [DCC, ...users]) await writeParty(directory, party, seed, issuer, validity);
  await writeFile(join(directory, 'pki.json'), `${JSON.stringify({ seed, users }, null, 2)}\n`, SECRET);
}

const DCC: Party = { name: 'DCC', eui: DCC_ACCESS_CONTROL_BROKER, roles: ['DCC'] };

async function writeParty(
  directory: string,
  party: Party,
  seed: number,
  issuer: Issuer,
  validity: Validity,
): Promise<void> {
  const { tls, signing, keyAgreement } = userKeys(seed, party.eui);
  const pairs: [CertificateUse, KeyPair][] = [
    ['client', tls],
    ['signing', signing],
    ['key-agreement', keyAgreement],
  ];
  for (const [use, keys] of pairs) {
    const certificate = await partyCertificate(party, use, keys.publicKey, issuer, validity);
    await writePair(join(directory, 'parties', party.eui, use), keys, certificate);
  }
}

const SECRET = { mode: 0o600 } as const;

async function writePair(path: string, { privateKey }: { privateKey: KeyObject }, certificate: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.key`, privateKey.export({ format: 'pem', type: 'pkcs8' }), SECRET);
  await writeFile(`${path}.pem`, certificate);
}

function validityFrom(nowMs: number): Validity {
  return { notBeforeMs: nowMs - EARLY_MS, notAfterMs: nowMs - EARLY_MS + VALID_MS };
}

async function onDisk<T>(directory: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof MdrError || code === undefined) throw error;
    throw new MdrError('COULD_NOT_RUN', `Keys cannot be written to ${directory}: ${message}`);
  }
}
