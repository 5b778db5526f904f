import { createSign, createVerify, diffieHellman } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { dccKeys, deviceKeys, keyPair, userKeys } from './seed-keys.ts';
import { SECRETS_MAX, seedSecrets } from './seed-secrets.ts';

const DEVICE = '00-DB-12-34-56-78-90-A0';
const USER = '90-B3-D5-1F-30-01-00-00';
const scalarOf = (seed: number, owner: string) =>
  keyPair(seed, 'signing', owner).privateKey.export({ format: 'jwk' }).d;

test('a seed gives the keys that it gave: certificates that were handed out stay good', () => {
  expect(deviceKeys(1, DEVICE).keyAgreement.publicKey.export({ format: 'jwk' })).toEqual({
    kty: 'EC',
    crv: 'P-256',
    x: 'sKWWDLJEdOEGTZ0_JFjcU0783dlkWDX3LDq5LqZfHFs',
    y: '0sPlbmUTfZ83J0eWFYx9bEnBgCPqjvJryCR0Pu4mr70',
  });
});

test('keys of other seeds, owners and purposes are others; the same are the same', () => {
  const { tls, signing, keyAgreement } = userKeys(1, USER);
  const dcc = dccKeys(1);
  const privateKeys = [
    ...[tls, signing, keyAgreement, dcc.signing, dcc.keyAgreement, deviceKeys(1, DEVICE).keyAgreement],
    ...[userKeys(2, USER).signing, keyPair(1, 'ca', ''), keyPair(1, 'server', 'localhost')],
  ].map(({ privateKey }) => privateKey.export({ format: 'jwk' }).d);
  expect(new Set(privateKeys).size).toBe(privateKeys.length);
  expect(scalarOf(1, USER)).toBe(signing.privateKey.export({ format: 'jwk' }).d);
});

test('each is a whole pair: what its private key signs, its public key verifies', () => {
  fc.assert(
    fc.property(fc.nat(), fc.string(), (seed, owner) => {
      const { privateKey, publicKey } = keyPair(seed, 'signing', owner);
      const signature = createSign('sha256').update(owner).sign(privateKey);
      expect(createVerify('sha256').update(owner).verify(publicKey, signature)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test("a device's secret with a party is the party's with the device, however often and in whatever order they are asked", () => {
  const eui = fc.constantFrom(DEVICE, '00-DB-12-34-56-78-90-A1', '02-4D-44-52-00-00-00-07');
  const party = fc.constantFrom(USER, DCC_ACCESS_CONTROL_BROKER, '90-B3-D5-1F-30-02-00-00');
  const secrets = seedSecrets(1);
  fc.assert(
    fc.property(fc.array(fc.tuple(eui, party), { minLength: 1 }), (asked) => {
      for (const [device, other] of asked) {
        const { privateKey } = userKeys(1, other).keyAgreement;
        const theirs = diffieHellman({ privateKey, publicKey: deviceKeys(1, device).keyAgreement.publicKey });
        expect(Buffer.from(secrets(device, other)).equals(theirs)).toBe(true);
      }
    }),
    { numRuns: 20 },
  );
});

test('no more secrets are kept than the limit, the newest of them', () => {
  const kept = 4;
  expect(SECRETS_MAX).toBeGreaterThan(kept);
  const secrets = seedSecrets(1, kept);
  const device = (k: number) => `02-4D-44-52-00-00-00-0${k}`;
  const first = Array.from({ length: kept + 1 }, (_, k) => secrets(device(k), USER));
  expect(secrets(device(kept), USER)).toBe(first[kept]);
  expect(secrets(device(1), USER)).toBe(first[1]);
  // The oldest has gone and is made again: another array, the same secret.
  expect(secrets(device(0), USER)).not.toBe(first[0]);
  expect(secrets(device(0), USER)).toEqual(first[0]);
});
