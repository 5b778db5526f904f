import { diffieHellman, type KeyObject } from 'node:crypto';
import type { DeviceId } from '#core/identifiers.ts';
import type { SharedSecrets } from '../gbcs/shared-secrets.ts';
import { keyPair, privateKeyOf } from './seed-keys.ts';

/**
 * Secrets kept: some 250 bytes each, 16 MB in all. A device that is read again soon, or for two parties, costs one key
 * agreement (0.1 ms) less; of a fleet that is read once a day nothing is kept that matters.
 */
export const SECRETS_MAX = 65_536;
/** Public keys of parties kept: Users are hundreds at most. */
const PARTIES_MAX = 4_096;

/** Shared secrets of the test PKI's devices with anyone, made from the device's private key as they are asked for. */
export function seedSecrets(seed: number, secretsMax = SECRETS_MAX): SharedSecrets {
  const secrets = new Map<string, Uint8Array>();
  const publicKeys = new Map<DeviceId, KeyObject>();
  // The MAC and the encryption of one message ask for two parties of the same device.
  let last: { device: DeviceId; privateKey: KeyObject } | undefined;
  const agree = (device: DeviceId, party: DeviceId): Uint8Array => {
    if (last?.device !== device) last = { device, privateKey: privateKeyOf(seed, 'key-agreement', device) };
    const publicKey = keep(publicKeys, PARTIES_MAX, party, () => keyPair(seed, 'key-agreement', party).publicKey);
    return diffieHellman({ privateKey: last.privateKey, publicKey });
  };
  return (device, party) => keep(secrets, secretsMax, device + party, () => agree(device, party));
}

/** Of a full map the oldest entry goes first. */
function keep<K, V>(map: Map<K, V>, entriesMax: number, key: K, make: () => V): V {
  const kept = map.get(key);
  if (kept !== undefined) return kept;
  const made = make();
  if (map.size >= entriesMax) map.delete(map.keys().next().value as K);
  map.set(key, made);
  return made;
}
