import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KafkaError } from './errors.ts';
import {
  BATCH_HEADER_BYTES,
  BatchBuilder,
  BatchCursor,
  joinBatches,
  RECORD_OVERHEAD_BYTES_MAX,
  splitBatches,
} from './record-batch.ts';

const require = createRequire(import.meta.url);
const KafkajsDecoder = require('kafkajs/src/protocol/decoder.js');
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder.js');
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js');
const { RecordBatch: encodeBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js');

type Row = { timestampMs: number; key: Buffer | null; value: Buffer | null };
type RowOfKafkajs = { timestamp: string; offset: string; key: Buffer | null; value: Buffer | null };

const EPOCH_MS = 1_772_409_600_000;
const BYTES_MAX = 1 << 17;

/** Lengths on both sides of where a length takes another digit: 63/64 and 8191/8192 bytes. */
const lengths = fc.oneof(
  fc.nat(8),
  fc.integer({ min: 40, max: 70 }),
  fc.integer({ min: 100, max: 300 }),
  fc.integer({ min: 8_160, max: 8_200 }),
);
const bytes: fc.Arbitrary<Buffer> = fc
  .tuple(lengths, fc.nat(255))
  .map(([length, first]) => Buffer.from(Array.from({ length }, (_, k) => first + k)));
const keys: fc.Arbitrary<Buffer> = fc.oneof(fc.constant(Buffer.from('1900000000011')), bytes);
const timestamps = fc.oneof(
  fc.integer({ min: 0, max: 5_000 }).map((ms) => EPOCH_MS + ms),
  fc.integer({ min: -5_000_000_000, max: 5_000_000_000 }).map((ms) => EPOCH_MS + ms),
);
const rows = rowsOf(keys, bytes);
const short: fc.Arbitrary<Buffer> = fc.uint8Array({ maxLength: 70 }).map((content) => Buffer.from(content));
const shortRows = rowsOf(short, short);

describe('a batch builder', () => {
  const builder = new BatchBuilder(BYTES_MAX);

  test('writes what the cursor and kafkajs read back, keys, values and tombstones of any length', async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (written) => {
        const batch = build(builder, written);
        expect(walk(batch)).toEqual(written.map((row, k) => ({ ...row, offset: k })));
        expect(await readByKafkajs(batch)).toEqual(written.map((row, k) => ({ ...row, offset: k })));
      }),
      { numRuns: 300 },
    );
  });

  test('writes byte for byte what kafkajs writes', async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (written) => {
        const theirs = await encodeByKafkajs(written, { producerEpoch: -1, firstSequence: -1 });
        expect(build(builder, written).equals(theirs)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('takes a value of a megabyte between short ones', () => {
    const large = new BatchBuilder((1 << 20) + 1_000);
    const written = [10, 1 << 20, 10].map((length, k) => ({
      timestampMs: EPOCH_MS,
      key: Buffer.from([k]),
      value: Buffer.alloc(length, k + 1),
    }));
    expect(walk(build(large, written))).toEqual(written.map((row, k) => ({ ...row, offset: k })));
  });

  test('fits exactly what it says it fits', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 200, max: 20_000 }), (written, size) => {
        const small = new BatchBuilder(size);
        const kept = [];
        for (const row of written) {
          const length = (row.key?.length ?? 0) + (row.value?.length ?? 0);
          expect(small.fits(length)).toBe(small.bytes + RECORD_OVERHEAD_BYTES_MAX + length <= size);
          if (!small.fits(length)) continue;
          add(small, row);
          kept.push({ ...row, offset: kept.length });
        }
        if (kept.length > 0) expect(walk(Buffer.from(small.finish()))).toEqual(kept);
      }),
    );
  });

  test('forgets a record that was begun and not ended', () => {
    builder.reset();
    add(builder, { timestampMs: EPOCH_MS, key: null, value: Buffer.from('one') });
    builder.buffer.fill(7, builder.begin(EPOCH_MS + 9_999_999, Buffer.from('gone'), 0, 4), 1_000);
    add(builder, { timestampMs: EPOCH_MS + 1, key: null, value: Buffer.from('two') });
    const batch = Buffer.from(builder.finish());
    expect(walk(batch).map(({ value }) => String(value))).toEqual(['one', 'two']);
    expect(batch.readBigInt64BE(35)).toBe(BigInt(EPOCH_MS + 1));
  });

  test('refuses a value beyond its buffer, a key beyond it, and an empty batch', () => {
    const small = new BatchBuilder(BATCH_HEADER_BYTES + 60);
    expect(() => small.finish()).toThrow('without records');
    expect(() => small.end(small.beginWithoutKey(0) + 90)).toThrow('does not fit');
    expect(() => small.begin(0, Buffer.alloc(90), 0, 90)).toThrow('does not fit');
    expect(() => small.tombstone(0, Buffer.alloc(90), 0, 90)).toThrow('does not fit');
    expect(small.count).toBe(0);
  });

  test('gives away a batch that can be moved to another thread, and keeps its own memory', () => {
    const batch = build(builder, [{ timestampMs: EPOCH_MS, key: null, value: Buffer.from('moved') }]);
    const moved = builder.take();
    const taken = builder.take();
    expect(taken.byteLength).toBe(batch.length);
    structuredClone(taken, { transfer: [taken] });
    expect(taken.byteLength).toBe(0);
    expect(walk(Buffer.from(moved)).map(({ value }) => String(value))).toEqual(['moved']);
    expect(walk(build(builder, again()))).toHaveLength(3);
  });
});

describe('a batch cursor', () => {
  test('reads what kafkajs writes, headers passed over', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.nat(3), async (written, headers) => {
        const batch = await encodeByKafkajs(written, { firstOffset: 5_000_000_000 }, headers);
        expect(walk(batch)).toEqual(written.map((row, k) => ({ ...row, offset: 5_000_000_000 + k })));
      }),
      { numRuns: 200 },
    );
  });

  test('passes over a header without value', async () => {
    const batch = await encodeByKafkajs(again(), {}, 1);
    expect(batch.at(-1)).toBe(0);
    batch[batch.length - 1] = 1;
    expect(walk(reseal(batch))).toHaveLength(3);
  });

  test('reads a batch with gaps that compaction left, and one that it left empty', async () => {
    const written = [1, 2, 3].map((n) => ({ timestampMs: EPOCH_MS, key: Buffer.from([n]), value: Buffer.from([n]) }));
    const batch = await encodeByKafkajs(written, { firstOffset: 100, lastOffsetDelta: 70 }, 0, [3, 40, 69]);
    expect(walk(batch).map(({ offset }) => offset)).toEqual([103, 140, 169]);
    const cursor = new BatchCursor().open(batch);
    expect([cursor.baseOffset, cursor.lastOffset, cursor.count]).toEqual([100, 170, 3]);

    const empty = await encodeByKafkajs([], { firstOffset: 100, lastOffsetDelta: 70 });
    cursor.open(empty);
    expect([cursor.next(), cursor.lastOffset, cursor.count]).toEqual([false, 170, 0]);
  });

  test('shows only the records from one offset to before another', () => {
    const written = Array.from({ length: 10 }, (_, n) => ({ timestampMs: n, key: null, value: Buffer.from([n]) }));
    const batch = build(new BatchBuilder(1_000), written);
    batch.writeBigInt64BE(50n, 0);
    for (const [from, until, expected] of [
      [0, 1_000, [50, 51, 52, 53, 54, 55, 56, 57, 58, 59]],
      [53, 56, [53, 54, 55]],
      [59, 1_000, [59]],
      [60, 1_000, []],
      [0, 50, []],
    ] as const) {
      const cursor = new BatchCursor().open(batch, from, until);
      const offsets = [];
      while (cursor.next()) offsets.push(cursor.offset);
      expect(offsets).toEqual(expected);
    }
  });

  test('gives every record the time of the append, on a topic that keeps that', async () => {
    const written = [1, 2].map((n) => ({ timestampMs: EPOCH_MS + n, key: null, value: Buffer.from([n]) }));
    const batch = await encodeByKafkajs(written);
    batch.writeInt16BE(8, 21);
    batch.writeBigInt64BE(777n, 35);
    expect(walk(reseal(batch)).map(({ timestampMs }) => timestampMs)).toEqual([777, 777]);
  });

  test.each([
    ['compressed', (batch: Buffer) => batch.writeInt16BE(1, 21)],
    ['transactional', (batch: Buffer) => batch.writeInt16BE(0x10, 21)],
    ['control', (batch: Buffer) => batch.writeInt16BE(0x30, 21)],
    ['old-format', (batch: Buffer) => batch.writeInt8(1, 16)],
  ])('refuses a %s batch by its name', (kind, change) => {
    const batch = build(new BatchBuilder(1_000), again());
    change(batch);
    expectRefusal(() => walk(reseal(batch)), 'BATCH_UNSUPPORTED', kind);
  });

  test('refuses a batch in which any bit under the checksum was changed', () => {
    const batch = build(new BatchBuilder(1_000), again());
    for (let bit = 17 * 8; bit < batch.length * 8; bit++) {
      const changed = Buffer.from(batch);
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect(() => walk(changed), `bit ${bit}`).toThrow(KafkaError);
    }
  });

  test('ends with an error, or with the records there are, on any bytes under a right checksum', () => {
    const builder = new BatchBuilder(BYTES_MAX);
    fc.assert(
      fc.property(
        shortRows,
        fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (written, changes) => {
          const batch = build(builder, written);
          for (const [place, byte] of changes) batch[21 + Math.floor(place * (batch.length - 22))] = byte;
          reseal(batch);
          // Whatever a wrong read would find behind the batch is in the same memory.
          const guarded = Buffer.alloc(batch.length + 300, 0x81);
          batch.copy(guarded);
          expectWalkWithin(guarded.subarray(0, batch.length));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('ends with an error, or with the records there are, on any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (random, isHeaded) => {
        const batch = Buffer.from(random);
        if (isHeaded && batch.length >= BATCH_HEADER_BYTES) {
          batch.writeInt32BE(batch.length - 12, 8);
          batch.writeInt8(2, 16);
          batch.writeInt16BE(0, 21);
          batch.writeInt32BE(0x7fffffff, 23);
          batch.writeInt32BE(0x7fffffff, 57);
          batch.writeBigInt64BE(0n, 0);
          batch.writeBigInt64BE(0n, 27);
          reseal(batch);
        }
        expectWalkWithin(batch);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('batches one after another', () => {
  test('are split where they were joined', () => {
    const builder = new BatchBuilder(BYTES_MAX);
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 4 }), (several) => {
        const batches = several.map((written) => build(builder, written));
        const split = splitBatches(Buffer.from(joinBatches(batches)));
        expect(split.map((batch) => walk(batch))).toEqual(batches.map((batch) => walk(batch)));
      }),
      { numRuns: 50 },
    );
  });

  test('with the last one cut off, or a length that leads nowhere, are refused', () => {
    const batch = build(new BatchBuilder(1_000), again());
    expectRefusal(() => splitBatches(Buffer.concat([batch, batch.subarray(0, 30)])), 'BATCH_MALFORMED', 'cut off');
    expectRefusal(() => splitBatches(batch.subarray(0, batch.length - 1)), 'BATCH_MALFORMED', 'cut off');
    for (const length of [-12, 0, 48]) {
      batch.writeInt32BE(length, 8);
      expectRefusal(() => splitBatches(batch), 'BATCH_MALFORMED', 'bytes');
    }
  });
});

function rowsOf(keys: fc.Arbitrary<Buffer>, values: fc.Arbitrary<Buffer>): fc.Arbitrary<Row[]> {
  return fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ timestampMs: timestamps, key: fc.option(keys), value: values }) },
      { weight: 1, arbitrary: fc.record({ timestampMs: timestamps, key: keys, value: fc.constant(null) }) },
    ),
    { minLength: 1, maxLength: 12 },
  );
}

function add(builder: BatchBuilder, { timestampMs, key, value }: Row): void {
  // The key comes from the middle of something larger, as it does from a batch.
  const around = key === null ? null : Buffer.concat([Buffer.from('<<'), key, Buffer.from('>>')]);
  if (value === null) builder.tombstone(timestampMs, around!, 2, key!.length);
  else {
    const at =
      around === null ? builder.beginWithoutKey(timestampMs) : builder.begin(timestampMs, around, 2, key!.length);
    value.copy(builder.buffer, at);
    builder.end(at + value.length);
  }
}

function again(): Row[] {
  return [
    { timestampMs: EPOCH_MS, key: Buffer.from('1900000000011'), value: Buffer.from('first') },
    { timestampMs: EPOCH_MS + 60_000, key: null, value: Buffer.alloc(100, 1) },
    { timestampMs: EPOCH_MS, key: Buffer.from('k'), value: null },
  ];
}

function build(builder: BatchBuilder, written: readonly Row[]): Buffer {
  builder.reset();
  for (const row of written) add(builder, row);
  expect(builder.count).toBe(written.length);
  return Buffer.from(builder.finish());
}

function walk(batch: Buffer): (Row & { offset: number })[] {
  const cursor = new BatchCursor().open(batch);
  const found = [];
  while (cursor.next()) {
    const { offset, timestampMs, keyAt, keyLength, valueAt, valueLength } = cursor;
    found.push({
      timestampMs,
      key: keyLength === -1 ? null : Buffer.from(batch.subarray(keyAt, keyAt + keyLength)),
      value: valueLength === -1 ? null : Buffer.from(batch.subarray(valueAt, valueAt + valueLength)),
      offset,
    });
  }
  return found;
}

function expectWalkWithin(batch: Buffer): void {
  try {
    const cursor = new BatchCursor().open(batch);
    for (let records = 0; cursor.next(); records++) {
      expect(records).toBeLessThan(batch.length);
      expect(cursor.keyAt + Math.max(0, cursor.keyLength)).toBeLessThanOrEqual(batch.length);
      expect(cursor.valueAt + Math.max(0, cursor.valueLength)).toBeLessThanOrEqual(batch.length);
      expect(Math.min(cursor.keyAt, cursor.valueAt)).toBeGreaterThan(BATCH_HEADER_BYTES);
    }
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
  }
}

function expectRefusal(act: () => unknown, code: string, words: string): void {
  expect(act).toThrow(expect.objectContaining({ code, message: expect.stringContaining(words) }));
}

function reseal(batch: Buffer): Buffer {
  const { crc32c } = require('@node-rs/crc32');
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

async function readByKafkajs(batch: Buffer): Promise<(Row & { offset: number })[]> {
  const { records } = (await decodeBatch(new KafkajsDecoder(batch))) as { records: RowOfKafkajs[] };
  return records.map(({ timestamp, offset, key, value }) => ({
    timestampMs: Number(timestamp),
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    offset: Number(offset),
  }));
}

async function encodeByKafkajs(written: readonly Row[], options = {}, headers = 0, deltas?: number[]): Promise<Buffer> {
  const firstTimestamp = written[0]?.timestampMs ?? EPOCH_MS;
  const records = written.map(({ timestampMs, key, value }, k) =>
    encodeRecord({
      offsetDelta: deltas?.[k] ?? k,
      timestampDelta: timestampMs - firstTimestamp,
      key,
      value,
      headers: Object.fromEntries(Array.from({ length: headers }, (_, n) => [`h${n}`, 'x'.repeat(n)])),
    }),
  );
  const encoder = await encodeBatch({
    firstTimestamp,
    maxTimestamp: Math.max(firstTimestamp, ...written.map(({ timestampMs }) => timestampMs)),
    lastOffsetDelta: written.length - 1,
    records,
    ...options,
  });
  return Buffer.from(encoder.buffer);
}
