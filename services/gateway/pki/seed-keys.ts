import { createECDH, createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto';
import { DCC_ACCESS_CONTROL_BROKER, type DeviceId } from '#core/identifiers.ts';

/**
 * Keys of the test PKI. Each is made from the seed, from what it is for and from whose it is, and from nothing else:
 * whoever knows the seed has them all, so it is no PKI for anything but tests. All are P-256.
 */
export type KeyPurpose = 'ca' | 'server' | 'tls' | 'signing' | 'key-agreement';
export type KeyPair = { privateKey: KeyObject; publicKey: KeyObject };

/** Of a device: what its messages are authenticated and encrypted with. */
export function deviceKeys(seed: number, device: DeviceId): { keyAgreement: KeyPair } {
  return { keyAgreement: keyPair(seed, 'key-agreement', device) };
}

/** Of a User: its client certificate's, the one that signs its requests, and the one that payloads are encrypted to. */
export function userKeys(seed: number, user: DeviceId): { tls: KeyPair; signing: KeyPair; keyAgreement: KeyPair } {
  return {
    tls: keyPair(seed, 'tls', user),
    signing: keyPair(seed, 'signing', user),
    keyAgreement: keyPair(seed, 'key-agreement', user),
  };
}

/** Of the DCC: the one that signs its responses, and the access control broker's. */
export function dccKeys(seed: number): { signing: KeyPair; keyAgreement: KeyPair } {
  return {
    signing: keyPair(seed, 'signing', DCC_ACCESS_CONTROL_BROKER),
    keyAgreement: keyPair(seed, 'key-agreement', DCC_ACCESS_CONTROL_BROKER),
  };
}

export function keyPair(seed: number, purpose: KeyPurpose, owner: string): KeyPair {
  const privateKey = privateKeyOf(seed, purpose, owner);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

export function privateKeyOf(seed: number, purpose: KeyPurpose, owner: string): KeyObject {
  const scalar = privateScalar(seed, purpose, owner);
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(scalar);
  const point = ecdh.getPublicKey();
  // Of the forms in which a key can be imported this is the cheapest: the others are decoded first.
  const d = scalar.toString('base64url');
  const x = point.toString('base64url', 1, 1 + SCALAR_BYTES);
  const y = point.toString('base64url', 1 + SCALAR_BYTES);
  return createPrivateKey({ key: { kty: 'EC', crv: 'P-256', d, x, y }, format: 'jwk' });
}

/**
 * The 32 bytes of a private key: HKDF with SHA-256, reduced to 1 .. n-1 with 64 bits to spare, so that no key is more
 * likely than another. [FIPS 186-5 A.2.1]
 */
function privateScalar(seed: number, purpose: KeyPurpose, owner: string): Buffer {
  const bytes = Buffer.from(
    hkdfSync('sha256', String(seed), 'mdr-stream test PKI', `${purpose} ${owner}`, SCALAR_BYTES + 8),
  );
  const scalar = (BigInt(`0x${bytes.toString('hex')}`) % (P256_ORDER - 1n)) + 1n;
  return Buffer.from(scalar.toString(16).padStart(2 * SCALAR_BYTES, '0'), 'hex');
}

const SCALAR_BYTES = 32;
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
