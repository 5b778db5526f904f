import { describe, expect, test } from 'vitest';
import { kafkajsModule } from './kafkajs-insides.ts';
import { toRawMessages } from './raw-fetch.ts';
import { BatchBuilder, BatchCursor, lastOffsetOf } from './record-batch.ts';
import { assertSeam } from './seam.ts';

type KafkajsEncoder = { buffer: Buffer };
const encodeRecord = kafkajsModule<(record: object) => unknown>('protocol/recordBatch/record/v0/index.js');
const { RecordBatch: encodeBatch } = kafkajsModule<{ RecordBatch(batch: object): Promise<KafkajsEncoder> }>(
  'protocol/recordBatch/v0/index.js',
);
const encodeOldFormat = kafkajsModule<(set: object) => KafkajsEncoder>('protocol/messageSet/index.js');

const GZIP = 1;
const SNAPPY_BITS = 2;
const CONTROL_BITS = 0x30;
const COMMIT = Buffer.from([0, 0, 0, 1]);
const ABORT = Buffer.from([0, 0, 0, 0]);

describe('a fetched partition as raw messages', () => {
  test('has each plain batch as it came, without the one cut off', async () => {
    const first = plain(100, 'a', 'b');
    const second = plain(102, 'c');
    const messages = await toRawMessages(Buffer.concat([first, second, plain(103, 'd').subarray(0, 65)]), []);
    expect(messages.map(({ offset, value }) => [offset, value?.equals(offset === '101' ? first : second)])).toEqual([
      ['101', true],
      ['102', true],
    ]);
  });

  test('has a compressed batch as a plain one, with headers, gaps and offsets as they were', async () => {
    const batch = await encode(
      { compression: GZIP, firstOffset: 7_000_000_000, lastOffsetDelta: 90 },
      ['a', 'b'],
      [3, 80],
    );
    const [message] = await toRawMessages(batch, []);
    expect(message.offset).toBe('7000000090');
    expect(recordsIn(message.value)).toEqual([
      [7_000_000_003, 'a'],
      [7_000_000_080, 'b'],
    ]);
    expect(message.value?.includes('header of b')).toBe(true);
    expect(batch.includes('header of b')).toBe(false);
  });

  test('shows committed transactions, compressed or not, hides aborted ones, and moves past their markers', async () => {
    const fetched = Buffer.concat([
      await encode({ ...transaction(1), firstOffset: 10 }, ['committed']),
      await encode({ ...transaction(2), firstOffset: 11 }, ['aborted']),
      plain(12, 'of none'),
      await encode({ ...transaction(2), firstOffset: 13, compression: GZIP }, ['aborted too']),
      await encode({ ...transaction(1), firstOffset: 14, compression: GZIP }, ['committed too']),
      await control(15, 1, COMMIT),
      await control(16, 2, ABORT),
      await encode({ ...transaction(2), firstOffset: 17 }, ['committed later']),
      await control(18, 2, COMMIT),
    ]);
    const messages = await toRawMessages(fetched, [{ producerId: 2, firstOffset: 11 }]);
    expect(messages.map(({ offset }) => Number(offset))).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18]);
    expect(messages.filter(({ isControlRecord }) => isControlRecord).map(({ offset }) => Number(offset))).toEqual([
      11, 13, 15, 16, 18,
    ]);
    expect(messages.flatMap(({ value }) => recordsIn(value))).toEqual([
      [10, 'committed'],
      [12, 'of none'],
      [14, 'committed too'],
      [17, 'committed later'],
    ]);
  });

  test('hides what two producers aborted whose transactions both began before the fetch', async () => {
    const aborted = [
      { producerId: 1, firstOffset: 3 },
      { producerId: 2, firstOffset: 4 },
    ];
    const fetched = await encode({ ...transaction(2), firstOffset: 10 }, ['aborted']);
    expect((await toRawMessages(fetched, aborted))[0].value).toBe(null);
  });

  test('leaves what it cannot unpack as it is, for the cursor to refuse with its reason', async () => {
    const damaged = await encode({ compression: GZIP }, ['a']);
    damaged[damaged.length - 9] ^= 1;
    const snappy = await encode({ compression: GZIP }, ['a']);
    snappy.writeInt16BE(SNAPPY_BITS, 21);
    const aborted = await encode(transaction(1), ['a']);
    aborted[aborted.length - 1] ^= 1;
    for (const [batch, kind] of [
      [damaged, 'compressed'],
      [snappy, 'compressed'],
      [aborted, 'transactional'],
    ] as const) {
      const [{ value }] = await toRawMessages(batch, []);
      expect(() => new BatchCursor().open(value as Buffer)).toThrow(kind);
    }
  });

  test('has messages of the formats before record batches as one plain batch', async () => {
    for (const messageVersion of [0, 1]) {
      const { buffer } = encodeOldFormat({
        messageVersion,
        compression: 0,
        entries: [
          { key: 'k', value: 'a', timestamp: 1_000 },
          { key: null, value: 'b', timestamp: 2_000 },
        ],
      });
      const set = Buffer.from(buffer);
      set.writeBigInt64BE(500n, 0);
      set.writeBigInt64BE(507n, 12 + set.readInt32BE(8));
      const [message] = await toRawMessages(set, []);
      expect(message.offset).toBe('507');
      expect(recordsIn(message.value)).toEqual([
        [500, 'a'],
        [507, 'b'],
      ]);
    }
  });
});

describe('the seam', () => {
  test('is as it must be in the kafkajs installed, and refuses another version with a sentence', () => {
    expect(() => assertSeam()).not.toThrow();
    expect(() => assertSeam('2.3.0')).toThrow('kafkajs is 2.3.0');
  });
});

function plain(baseOffset: number, ...values: string[]): Buffer {
  const builder = new BatchBuilder(10_000);
  for (const value of values) {
    const at = builder.beginWithoutKey(1_000);
    builder.end(at + builder.buffer.write(value, at));
  }
  const batch = Buffer.from(builder.finish());
  batch.writeBigInt64BE(BigInt(baseOffset), 0);
  return batch;
}

function transaction(producerId: number): object {
  return { transactional: true, producerId, producerEpoch: 0 };
}

async function encode(options: object, values: (string | Buffer)[], deltas = values.map((_, k) => k)): Promise<Buffer> {
  const records = values.map((value, k) =>
    encodeRecord({ offsetDelta: deltas[k], key: null, value, headers: { note: `header of ${value}` } }),
  );
  const encoder = await encodeBatch({ lastOffsetDelta: values.length - 1, records, ...options });
  return Buffer.from(encoder.buffer);
}

async function control(firstOffset: number, producerId: number, marker: Buffer): Promise<Buffer> {
  const records = [encodeRecord({ key: marker, value: Buffer.alloc(6) })];
  const encoder = await encodeBatch({ ...transaction(producerId), firstOffset, records });
  const batch = Buffer.from(encoder.buffer);
  batch.writeInt16BE(CONTROL_BITS, 21);
  return batch;
}

function recordsIn(batch: Buffer | null): [number, string][] {
  if (batch === null) return [];
  const cursor = new BatchCursor().open(batch);
  const records: [number, string][] = [];
  while (cursor.next())
    records.push([cursor.offset, batch.toString('utf8', cursor.valueAt, cursor.valueAt + cursor.valueLength)]);
  expect(lastOffsetOf(batch)).toBe(cursor.lastOffset);
  return records;
}
