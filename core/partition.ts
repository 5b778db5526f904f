import type { Mpan } from '#core/identifiers.ts';

/**
 * Kafka's default partitioner (murmur2 of the key, its sign bit dropped, modulo partitions) for one kind of key: the
 * 13 ASCII digits of an MPAN. Murmur2 takes the key in words of four bytes, so an MPAN is three words of four digits
 * and its check digit; each word is mixed alone before it joins the hash, and there are only 10,000 of them:
 *
 *     DDSS SSSS SSSS C      joined: h = (h * M) ^ MIXED[four digits]; the last digit and the end are stirred in
 */
const M = 0x5bd1e995 | 0;
const SEED = 0x9747b28c | 0;
const DIGITS = 13;
const ZERO = 48;
const MIXED = Int32Array.from({ length: 10_000 }, (_, four) => mix(wordOf(four)));

/** The partition of an MPAN's records among so many. */
export function partitionOfMpan(mpan: Mpan, partitions: number): number {
  return mpanHash(mpan) % partitions;
}

/** Where Kafka's default partitioner puts a key: murmur2 of its bytes without the sign, modulo the partitions. */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  let h = SEED ^ key.length;
  const whole = key.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    const k = Math.imul(key[at] | (key[at + 1] << 8) | (key[at + 2] << 16) | (key[at + 3] << 24), M);
    h = Math.imul(h, M) ^ Math.imul(k ^ (k >>> 24), M);
  }
  const left = key.length & 3;
  if (left === 3) h ^= key[whole + 2] << 16;
  if (left >= 2) h ^= key[whole + 1] << 8;
  if (left >= 1) h = Math.imul(h ^ key[whole], M);
  h = Math.imul(h ^ (h >>> 13), M);
  return ((h ^ (h >>> 15)) & 0x7fffffff) % partitions;
}

/** What is taken modulo the partitions: 0..2^31 - 1. */
export function mpanHash(mpan: Mpan): number {
  if (!(mpan >= 1e12 && mpan < 1e13)) throw new Error(`an MPAN of 13 digits, not ${mpan}`);
  const first8 = Math.floor(mpan / 1e5);
  const last5 = mpan - first8 * 1e5;
  const four = (last5 / 10) | 0;
  return endHash(startHash(first8), four, last5 - four * 10);
}

/** Murmur2's state behind an MPAN's first eight digits, for those who try several endings. */
export function startHash(first8: number): number {
  const first4 = (first8 / 10_000) | 0;
  const h = Math.imul(SEED ^ DIGITS, M) ^ MIXED[first4];
  return Math.imul(h, M) ^ MIXED[first8 - first4 * 10_000];
}

/** The hash of the MPAN that goes on with these four digits and this check digit. */
export function endHash(start: number, four: number, checkDigit: number): number {
  let h = Math.imul(start, M) ^ MIXED[four];
  h = Math.imul(h ^ (ZERO + checkDigit), M);
  h = Math.imul(h ^ (h >>> 13), M);
  return (h ^ (h >>> 15)) & 0x7fffffff;
}

/** Four ASCII digits as a little-endian word. */
function wordOf(four: number): number {
  const digit = (place: number) => ZERO + (Math.floor(four / 10 ** (3 - place)) % 10);
  return digit(0) | (digit(1) << 8) | (digit(2) << 16) | (digit(3) << 24);
}

function mix(word: number): number {
  const k = Math.imul(word, M);
  return Math.imul(k ^ (k >>> 24), M);
}
