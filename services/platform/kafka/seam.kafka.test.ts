import { CompressionTypes, type Consumer, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWithKafka } from '../test/with-kafka.ts';
import { createRawProducer, type RawProducer } from './raw-producer.ts';
import { BatchBuilder, BatchCursor } from './record-batch.ts';
import { createRawConsumer, fetchedOffset } from './seam.ts';

type Seen = [offset: number, value: string];

const WAIT = { timeout: 20_000, interval: 50 };
const run = `seam-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

describeWithKafka('a raw consumer', ({ brokers }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  const ordinary = kafka.producer({ allowAutoTopicCreation: false });
  let raw: RawProducer;
  let topics = 0;
  beforeAll(async () => {
    raw = await createRawProducer(kafka);
    await Promise.all([admin.connect(), ordinary.connect()]);
  });
  afterAll(() => Promise.all([raw.disconnect(), ordinary.disconnect(), admin.disconnect()]));

  async function newTopic(): Promise<string> {
    const topic = `${run}-${topics++}`;
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
    return topic;
  }

  async function sendRaw(topic: string, values: string[]): Promise<number> {
    const [{ baseOffset }] = await raw.send([{ topic, partition: 0, batch: batchOf(values), records: values.length }]);
    return baseOffset;
  }

  test('gets whole batches, those of a compressing client too, while an ordinary one gets messages', async () => {
    const topic = await newTopic();
    expect(await sendRaw(topic, ['a', 'b', 'c'])).toBe(0);
    const messages = ['d', 'e'].map((value) => ({ key: 'k', value, headers: { of: value } }));
    await ordinary.send({ topic, messages, compression: CompressionTypes.GZIP });
    await ordinary.send({ topic, messages: [{ key: 'k', value: null }] });
    expect(await sendRaw(topic, ['f'])).toBe(6);

    const expected: Seen[] = [...'abcde'].map((value, k) => [k, value]);
    expected.push([5, '(tombstone)'], [6, 'f']);
    const rawConsumer = createRawConsumer(kafka, { groupId: `${topic}-raw`, maxWaitTimeInMs: 50 });
    const consumer = kafka.consumer({ groupId: `${topic}-ordinary`, maxWaitTimeInMs: 50 });
    const [bySeam, byKafkajs] = await Promise.all([readRaw(rawConsumer, topic, 7), readOrdinary(consumer, topic, 7)]);
    expect(bySeam.seen).toEqual(expected);
    expect(bySeam.lastOffsets).toEqual([2, 4, 5, 6]);
    expect(byKafkajs).toEqual(expected);
  });

  test('is told from which offset on records count, after a seek into the middle of a batch', async () => {
    const topic = await newTopic();
    await sendRaw(topic, [...'abcdef']);
    await sendRaw(topic, ['g']);
    const consumer = createRawConsumer(kafka, { groupId: `${topic}-seek`, maxWaitTimeInMs: 50 });
    const { seen, lastOffsets } = await readRaw(consumer, topic, 3, () =>
      consumer.seek({ topic, partition: 0, offset: '4' }),
    );
    expect(seen).toEqual([
      [4, 'e'],
      [5, 'f'],
      [6, 'g'],
    ]);
    expect(lastOffsets).toEqual([5, 6]);
  });

  test('goes on in the middle of a batch where another member committed', async () => {
    const topic = await newTopic();
    const groupId = `${topic}-commit`;
    await sendRaw(topic, [...'abcdef']);
    const first = createRawConsumer(kafka, { groupId, maxWaitTimeInMs: 50 });
    await readRaw(
      first,
      topic,
      6,
      () => {},
      () => first.commitOffsets([{ topic, partition: 0, offset: '3', metadata: 'm' }]),
    );
    const second = createRawConsumer(kafka, { groupId, maxWaitTimeInMs: 50 });
    expect((await readRaw(second, topic, 3)).seen.map(([offset]) => offset)).toEqual([3, 4, 5]);
  });

  test('gets what was committed in transactions and not what was aborted, and moves past both', async () => {
    const topic = await newTopic();
    const producer = kafka.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (const [value, isCommitted] of [
      ['a', true],
      ['b', false],
      ['c', true],
      ['d', false],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value }], compression: CompressionTypes.GZIP });
      await (isCommitted ? transaction.commit() : transaction.abort());
    }
    await producer.disconnect();
    // A transaction's end is answered before its marker is in the partition.
    await vi.waitFor(async () => expect((await admin.fetchTopicOffsets(topic))[0]?.high).toBe('8'), WAIT);
    await sendRaw(topic, ['e']);
    const consumer = createRawConsumer(kafka, { groupId: `${topic}-raw`, maxWaitTimeInMs: 50 });
    expect((await readRaw(consumer, topic, 3)).seen).toEqual([
      [0, 'a'],
      [4, 'c'],
      [8, 'e'],
    ]);
  });
});

function batchOf(values: readonly string[]): Uint8Array {
  const builder = new BatchBuilder(1 << 16);
  const key = Buffer.from('key');
  for (const value of values) {
    const at = builder.begin(1_772_409_600_000, key, 0, key.length);
    builder.end(at + builder.buffer.write(value, at));
  }
  return builder.finish();
}

/** Reads so many records. `joined` is called once partitions are fetched, `read` when all are there. */
async function readRaw(
  consumer: Consumer,
  topic: string,
  count: number,
  joined: () => void = () => {},
  read: () => Promise<void> = async () => {},
): Promise<{ seen: Seen[]; lastOffsets: number[] }> {
  const seen: Seen[] = [];
  const lastOffsets: number[] = [];
  const cursor = new BatchCursor();
  const done = Promise.withResolvers<void>();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      for (const { value, offset } of batch.messages) {
        cursor.open(value as Buffer, fetchedOffset(batch));
        expect(Number(offset)).toBe(cursor.lastOffset);
        lastOffsets.push(cursor.lastOffset);
        while (cursor.next()) {
          const { valueAt, valueLength } = cursor;
          seen.push([
            cursor.offset,
            valueLength === -1 ? '(tombstone)' : cursor.buffer.toString('utf8', valueAt, valueAt + valueLength),
          ]);
        }
      }
      if (seen.length >= count) done.resolve();
    },
  });
  joined();
  await done.promise;
  await read();
  await consumer.disconnect();
  return { seen, lastOffsets };
}

async function readOrdinary(consumer: Consumer, topic: string, count: number): Promise<Seen[]> {
  const seen: Seen[] = [];
  const done = Promise.withResolvers<void>();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      seen.push([Number(message.offset), message.value === null ? '(tombstone)' : String(message.value)]);
      if (seen.length >= count) done.resolve();
    },
  });
  await done.promise;
  await consumer.disconnect();
  return seen;
}
