import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AvroReader, writeLong } from './avro-binary.ts';
import { bigCounterOf, COUNTER_BYTES_MAX, counterOf, readCounter, writeCounter } from './counter.ts';

const EDGES = [0n, 1n, 2n ** 48n, 2n ** 49n - 1n, 2n ** 49n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
const any64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(...EDGES));

/** Avro's long as its specification has it. */
function zigzagBytes(value: bigint): number[] {
  const signed = BigInt.asIntN(64, value);
  let rest = BigInt.asUintN(64, (signed << 1n) ^ (signed >> 63n));
  const bytes: number[] = [];
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

describe('all 64 bits of a counter', () => {
  test('are written as Avro writes a long, and read back', () => {
    fc.assert(
      fc.property(any64, fc.nat(5), (value, at) => {
        const { counter, counterTop } = counterOf(value);
        const buffer = Buffer.alloc(COUNTER_BYTES_MAX + 6);
        const end = writeCounter(buffer, at, counter, counterTop);
        expect([...buffer.subarray(at, end)]).toEqual(zigzagBytes(value));
        const read = { counter: 0, counterTop: 0 };
        const reader = new AvroReader().open(buffer, at);
        readCounter(reader, read);
        expect(reader.at).toBe(end);
        expect(bigCounterOf(read)).toBe(value);
      }),
    );
  });

  test('are as any other long where they are few', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 49 - 1 }), (value) => {
        const [one, other] = [Buffer.alloc(16), Buffer.alloc(16)];
        expect(writeCounter(one, 0, value, 0)).toBe(writeLong(other, 0, value));
        expect(one).toEqual(other);
      }),
    );
  });

  test('that end early are refused', () => {
    const buffer = Buffer.from(zigzagBytes(2n ** 63n));
    for (let length = 0; length < buffer.length; length++)
      expect(() => readCounter(new AvroReader().open(buffer, 0, length), { counter: 0, counterTop: 0 })).toThrow();
  });
});
