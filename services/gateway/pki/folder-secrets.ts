import { createPrivateKey, diffieHellman, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { type DeviceId, parseDeviceId } from '#core/identifiers.ts';
import { refuseGbcs } from '../gbcs/byte-reader.ts';
import type { SharedSecrets } from '../gbcs/shared-secrets.ts';
import { readPki } from './pki-file.ts';
import { deviceKeys } from './seed-keys.ts';

/**
 * Shared secrets from what is on disk: a folder of `mdr pki`, or a JSON file `{"Z": {"EUI of a party": "64 hex digits"}}`
 * with the secrets that one device has with parties. Of a folder, the party's private key is read from it, the device's
 * public key from its certificate there or else made from the folder's seed. Throws INPUT_UNREADABLE, INPUT_INVALID.
 */
export function openSecrets(path: string): SharedSecrets {
  const kind = statSync(path, { throwIfNoEntry: false });
  return kind?.isFile() ? fileSecrets(path) : folderSecrets(path);
}

function folderSecrets(directory: string): SharedSecrets {
  const { seed } = readPki(directory);
  return (device, party) => {
    const publicKey = devicePublicKey(directory, device) ?? deviceKeys(seed, device).keyAgreement.publicKey;
    return diffieHellman({ privateKey: partyPrivateKey(directory, party), publicKey });
  };
}

function partyPrivateKey(directory: string, party: DeviceId): KeyObject {
  const file = join(directory, 'parties', party, 'key-agreement.key');
  const pem = readIfThere(file);
  if (pem === undefined) {
    throw refuseGbcs('There is no key to read this with', `the key of ${party} in ${file}`, 'the party', party);
  }
  return parsed(file, () => createPrivateKey(pem));
}

function devicePublicKey(directory: string, device: DeviceId): KeyObject | undefined {
  const file = join(directory, 'devices', `${device}.pem`);
  const pem = readIfThere(file);
  return pem === undefined ? undefined : parsed(file, () => new X509Certificate(pem).publicKey);
}

function fileSecrets(file: string): SharedSecrets {
  const secrets = parsed(file, () => secretsOf(readFileSync(file, 'utf8')));
  return (_, party) => {
    const secret = secrets.get(party);
    if (secret !== undefined) return secret;
    throw refuseGbcs('There is no key to read this with', `the secret with ${party} in ${file}`, 'the party', party);
  };
}

function secretsOf(text: string): Map<DeviceId, Buffer> {
  const { Z } = JSON.parse(text) as { Z: Record<string, unknown> };
  return new Map(
    Object.entries(Z).map(([eui, secret]) => {
      const party = parseDeviceId(eui);
      const isSecret = typeof secret === 'string' && /^[0-9A-Fa-f]{64}$/.test(secret);
      if (party === undefined || !isSecret) throw new TypeError(`${eui}: not an EUI-64 with 64 hex digits`);
      return [party, Buffer.from(secret, 'hex')];
    }),
  );
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read`, [{ file, expected: `a file (${code})` }]);
  }
}

function parsed<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new MdrError('INPUT_INVALID', `${file} holds no key`, [
      { file, expected: `a P-256 key, certificate or shared secrets (${(error as Error).message})` },
    ]);
  }
}
