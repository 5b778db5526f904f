import avsc from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AvroReader,
  bytesOfLength,
  LONG_BYTES_MAX,
  MalformedBinary,
  writeBoolean,
  writeBytes,
  writeFixed,
  writeLong,
  writeString,
} from '#schemas/avro-binary.ts';

const edges = [0, 6, 7, 13, 14, 20, 21, 27, 28, 30, 31, 32, 34, 35, 41, 42, 48, 49, 52]
  .flatMap((bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1])
  .concat(Number.MAX_SAFE_INTEGER, 1_772_409_600_000)
  .flatMap((value) => [value, -value])
  .map((value) => value + 0)
  .filter(Number.isSafeInteger);
const longs = fc.oneof(fc.constantFrom(...edges), fc.maxSafeInteger(), fc.integer(), fc.integer({ min: -70, max: 70 }));
const long = avsc.Type.forSchema('long');

describe('a long', () => {
  test.each(edges)('%d is written and read as avsc does', expectAsAvsc);

  test('is written and read as avsc does, whatever its size', () => {
    fc.assert(fc.property(longs, expectAsAvsc), { numRuns: 20_000 });
  });

  test('beyond 53 bits, or of more than ten bytes, is refused', () => {
    const reader = new AvroReader();
    for (const bytes of [
      // 2^53 and -2^53 - 1, zigzag; the largest and smallest long; eleven bytes.
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20],
      [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20],
      [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ])
      expect(() => reader.open(Buffer.from(bytes)).long(), String(bytes)).toThrow(MalformedBinary);
    expect(() => reader.open(Buffer.from(new Array(11).fill(128))).skipLong()).toThrow(MalformedBinary);
  });

  test('padded with empty bytes reads as the number it is', () => {
    expect(new AvroReader().open(Buffer.from([0x82, 0x80, 0x80, 0x80, 0x80, 0x00])).long()).toBe(1);
    expect(
      new AvroReader().open(Buffer.from([0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])).long(),
    ).toBe(-2);
  });

  test('that ends early is refused, and so is an int beyond 32 bits', () => {
    const buffer = Buffer.alloc(LONG_BYTES_MAX);
    fc.assert(
      fc.property(longs, (value) => {
        const length = writeLong(buffer, 0, value);
        const reader = new AvroReader();
        for (let end = 0; end < length; end++) {
          expect(() => reader.open(buffer, 0, end).long()).toThrow(MalformedBinary);
          expect(() => reader.open(buffer, 0, end).skipLong()).toThrow(MalformedBinary);
          expect(() => reader.open(buffer.subarray(0, end)).long()).toThrow(MalformedBinary);
        }
        reader.open(buffer);
        if (value === (value | 0)) expect(reader.int()).toBe(value);
        else expect(() => reader.int()).toThrow(MalformedBinary);
      }),
      { numRuns: 2_000 },
    );
  });

  test('tells beforehand how many bytes a length takes', () => {
    const buffer = Buffer.alloc(LONG_BYTES_MAX);
    const lengths = fc.oneof(
      fc.nat(2 ** 30 - 1),
      fc.constantFrom(...edges.filter((edge) => edge >= 0 && edge < 2 ** 30)),
    );
    fc.assert(fc.property(lengths, (length) => bytesOfLength(length) === writeLong(buffer, 0, length)));
  });
});

describe('a record of several values', () => {
  const type = avsc.Type.forSchema({
    type: 'record',
    name: 'Sample',
    fields: [
      { name: 'count', type: 'int' },
      { name: 'open', type: 'boolean' },
      { name: 'key', type: 'bytes' },
      { name: 'digest', type: { type: 'fixed', name: 'Digest', size: 16 } },
      { name: 'reason', type: 'string' },
      { name: 'atMs', type: 'long' },
    ],
  });
  const samples = fc.record({
    count: fc.integer(),
    open: fc.boolean(),
    key: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    digest: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
    reason: fc.string({ unit: 'grapheme', maxLength: 40 }),
    atMs: longs.filter(isExactInAvsc),
  });

  test('is byte for byte what avsc writes, and reads back', () => {
    const buffer = Buffer.alloc(4_096);
    fc.assert(
      fc.property(samples, (sample) => {
        let at = writeLong(buffer, 0, sample.count);
        at = writeBoolean(buffer, at, sample.open);
        at = writeBytes(buffer, at, sample.key, 0, sample.key.length);
        at = writeFixed(buffer, at, sample.digest, 0, 16);
        at = writeString(buffer, at, sample.reason);
        at = writeLong(buffer, at, sample.atMs);
        expect(buffer.subarray(0, at).equals(type.toBuffer(sample))).toBe(true);

        const reader = new AvroReader().open(buffer, 0, at);
        expect(reader.int()).toBe(sample.count);
        expect(reader.boolean()).toBe(sample.open);
        const keyLength = reader.length();
        const key = reader.skip(keyLength);
        expect(buffer.subarray(key, key + keyLength).equals(sample.key)).toBe(true);
        reader.skip(16);
        expect(reader.string()).toBe(sample.reason);
        reader.skipLong();
        expect(reader.at).toBe(at);

        reader.open(buffer, 0, at).skipLong();
        reader.skip(1);
        reader.skipBytes();
        reader.skip(16);
        reader.skipBytes();
        expect(reader.long()).toBe(sample.atMs);
      }),
    );
  });

  test('made of random bytes is read or refused, never read past its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, end) => {
        const reader = new AvroReader().open(Buffer.from(bytes), 0, end);
        try {
          reader.int();
          reader.boolean();
          reader.skipBytes();
          reader.string();
          reader.long();
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBinary);
        }
        expect(reader.at).toBeLessThanOrEqual(Math.min(end, bytes.length));
      }),
      { numRuns: 5_000 },
    );
  });

  test('a string that does not fit is told by -1', () => {
    expect(writeString(Buffer.alloc(6), 0, 'hello')).toBe(6);
    expect(writeString(Buffer.alloc(5), 0, 'hello')).toBe(-1);
  });
});

function expectAsAvsc(value: number): void {
  const buffer = Buffer.alloc(LONG_BYTES_MAX + 2);
  const end = writeLong(buffer, 1, value);
  const written = buffer.subarray(1, end);
  if (end - 1 > LONG_BYTES_MAX || !written.equals(zigzag(value)))
    throw new Error(`${value} is written as ${written.toString('hex')}, not ${zigzag(value).toString('hex')}`);
  if (isExactInAvsc(value) && !written.equals(long.toBuffer(value))) throw new Error(`avsc writes ${value} otherwise`);
  const reader = new AvroReader().open(buffer, 1, end);
  if (!Object.is(reader.long(), value) || reader.at !== end) throw new Error(`${value} is not read back`);
  reader.at = 1;
  reader.skipLong();
  if (reader.at !== end) throw new Error(`${value} is not skipped`);
}

/** avsc doubles in floating point: beyond 2^52 it loses the last bit of negative numbers, or refuses. */
function isExactInAvsc(value: number): boolean {
  return Math.abs(value) <= 2 ** 52;
}

/** The definition, in whole numbers of any size. */
function zigzag(value: number): Buffer {
  let rest = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value);
  const bytes = [];
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
