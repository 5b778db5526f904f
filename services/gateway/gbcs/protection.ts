import { createCipheriv, createDecipheriv, createSecretKey, hash, type KeyObject } from 'node:crypto';
import type { DeviceId } from '#core/identifiers.ts';
import { writeEui } from './byte-writer.ts';

/** What a key is for: the byte of the key derivation that keeps keys of one shared secret apart. */
export const KEY_FLAG = { commandMac: 1, responseMac: 2, encryption: 4 } as const;
export type KeyFlag = (typeof KEY_FLAG)[keyof typeof KEY_FLAG];

/** Of a MAC and of an encryption alike: AES-128-GCM with a tag of 12 bytes. */
export const TAG_BYTES = 12;

/**
 * The AES-128 key for one message, by the single-step key derivation of NIST SP 800-56A with SHA-256. `secret` is the
 * 32 bytes of a shared secret Z. A counter never comes twice for the same two parties: the nonce does not change.
 */
export function messageKey(
  secret: Uint8Array,
  flag: KeyFlag,
  originator: DeviceId,
  counter: bigint,
  recipient: DeviceId,
): KeyObject {
  derivation.set(secret, SECRET_AT);
  writeEui(derivation, ORIGINATOR_AT, originator);
  derivation[FLAG_AT] = flag;
  derivation.writeBigUInt64BE(counter, COUNTER_AT);
  writeEui(derivation, RECIPIENT_AT, recipient);
  // Ciphers take bytes as well, at 25 us more a call: they try them as a key object first, and catch the error.
  return createSecretKey(hash('sha256', derivation, 'buffer').subarray(0, KEY_BYTES));
}

/** MAC over a message from its 0xDF to its signature length. */
export function macOf(key: KeyObject, originator: DeviceId, message: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-128-gcm', key, nonceOf(originator), { authTagLength: TAG_BYTES });
  cipher.setAAD(MAC_HEADER);
  cipher.setAAD(message);
  cipher.final();
  return cipher.getAuthTag();
}

export function encrypt(key: KeyObject, originator: DeviceId, plain: Uint8Array): { cipherText: Buffer; tag: Buffer } {
  const cipher = createCipheriv('aes-128-gcm', key, nonceOf(originator), { authTagLength: TAG_BYTES });
  cipher.setAAD(ENCRYPTION_HEADER);
  const cipherText = cipher.update(plain);
  cipher.final();
  return { cipherText, tag: cipher.getAuthTag() };
}

/** Undefined where the tag does not match: another key, or altered bytes. */
export function decrypt(
  key: KeyObject,
  originator: DeviceId,
  cipherText: Uint8Array,
  tag: Uint8Array,
): Buffer | undefined {
  const decipher = createDecipheriv('aes-128-gcm', key, nonceOf(originator), { authTagLength: TAG_BYTES });
  decipher.setAAD(ENCRYPTION_HEADER);
  decipher.setAuthTag(tag);
  const plain = decipher.update(cipherText);
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

//  0          4            36               43          51  52    53         61         69
//  | 00000001 | Z          | 60857406080300 | originator | 09 | flag | counter | recipient |
const SECRET_AT = 4;
const ALGORITHM_AT = 36;
const ORIGINATOR_AT = 43;
const FLAG_AT = 52;
const COUNTER_AT = 53;
const RECIPIENT_AT = 61;
const KEY_BYTES = 16;
const derivation = Buffer.alloc(RECIPIENT_AT + 8);
derivation[3] = 1;
derivation.set([0x60, 0x85, 0x74, 0x06, 0x08, 0x03, 0x00], ALGORITHM_AT);
derivation[FLAG_AT - 1] = 9;

const MAC_HEADER = Uint8Array.of(0x11, 0, 0, 0, 0, 0);
const ENCRYPTION_HEADER = Uint8Array.of(0x31);

const nonce = Buffer.alloc(12);
function nonceOf(originator: DeviceId): Buffer {
  writeEui(nonce, 0, originator);
  return nonce;
}
