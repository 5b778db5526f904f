import { type AvroReader, MalformedBinary, writeLong } from './avro-binary.ts';

/**
 * The unsigned 64 bits of a RequestID's counter as two numbers, without a BigInt: Avro has them as a signed long, zigzag
 * in 7 bits a byte.
 *
 *   bit   63..49        48..0
 *         counterTop    counter       all counters of simulated Users have a top of 0
 */
export type Counter = { counter: number; counterTop: number };

/** Most bytes that {@link writeCounter} takes. */
export const COUNTER_BYTES_MAX = 10;

const LOW_VALUES = 2 ** 49;
const TOP_VALUES = 2 ** 15;
/** From this top on the signed long is negative. */
const TOP_NEGATIVE = TOP_VALUES / 2;
const GROUPS_MAX = 9;

/** Reads one; throws MalformedBinary where the bytes are no long. */
export function readCounter(reader: AvroReader, into: Counter): void {
  const { buffer } = reader;
  const from = reader.at;
  reader.skipLong();
  const first = buffer[from];
  let low = (first & 127) >> 1;
  let top = 0;
  // The first byte has six bits and the sign, the next six 42 bits; bit 48 and those of the top follow.
  for (let k = 1, unit = 64; k < reader.at - from; k++, unit *= 128) {
    const bits = buffer[from + k] & 127;
    if (k <= 6) low += bits * unit;
    else if (k <= GROUPS_MAX) top += bits * 2 ** (7 * (k - 7));
  }
  low += (top & 1) * 2 ** 48;
  top = Math.floor(top / 2);
  if (top >= TOP_NEGATIVE) throw new MalformedBinary('a number beyond 64 bits');
  const isNegative = (first & 1) === 1;
  into.counter = isNegative ? LOW_VALUES - 1 - low : low;
  into.counterTop = isNegative ? TOP_VALUES - 1 - top : top;
}

/** Writes one and returns the position behind it. */
export function writeCounter(buffer: Uint8Array, at: number, counter: number, counterTop: number): number {
  if (counterTop === 0) return writeLong(buffer, at, counter);
  const isNegative = counterTop >= TOP_NEGATIVE;
  const low = isNegative ? LOW_VALUES - 1 - counter : counter;
  let top = (isNegative ? TOP_VALUES - 1 - counterTop : counterTop) * 2 + Math.floor(low / 2 ** 48);
  let rest = Math.floor((low % 2 ** 48) / 64);
  let byte = (low % 64) * 2 + (isNegative ? 1 : 0);
  let to = at;
  for (let k = 1; k <= GROUPS_MAX && (rest > 0 || top > 0); k++) {
    buffer[to++] = byte | 128;
    if (k <= 6) {
      byte = rest % 128;
      rest = Math.floor(rest / 128);
    } else {
      byte = top & 127;
      top >>>= 7;
    }
  }
  buffer[to++] = byte;
  return to;
}

export function counterOf(value: bigint): Counter {
  return { counter: Number(value & 0x1_ffff_ffff_ffffn), counterTop: Number(value >> 49n) };
}

export function bigCounterOf({ counter, counterTop }: Counter): bigint {
  return (BigInt(counterTop) << 49n) | BigInt(counter);
}
