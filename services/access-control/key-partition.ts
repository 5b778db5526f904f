const M = 0x5bd1e995;
const SEED = 0x9747b28c;

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
