import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithKafka } from '../test/with-kafka.ts';
import { beginningOffsets, endOffsets, type PartitionRange, type Reading, readPartitions } from './partition-reader.ts';
import { createRawProducer, type RawProducer } from './raw-producer.ts';
import { BatchBuilder, BatchCursor } from './record-batch.ts';

type Seen = { topic: string; partition: number; offset: number; value: number };

const run = `partition-reader-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

describeWithKafka('a partition reader', ({ brokers }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  let producer: RawProducer;
  let topics = 0;
  beforeAll(async () => {
    producer = await createRawProducer(kafka);
    await admin.connect();
  });
  afterAll(() => Promise.all([producer.disconnect(), admin.disconnect()]));

  async function newTopic(numPartitions: number, settings: Record<string, string> = {}): Promise<string> {
    const topic = `${run}-${topics++}`;
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: true });
    return topic;
  }

  test('reads ranges of several topics and partitions exactly, whatever the size of a fetch', async () => {
    const [one, other] = [await newTopic(3), await newTopic(1)];
    for (let from = 0; from < 600; from += 20) {
      await send(producer, one, 0, from, 20);
      await send(producer, one, 2, from, 20);
      await send(producer, other, 0, from, 20);
    }
    for (const maxBytes of [1, 3_000, 1 << 20]) {
      const seen: Seen[] = [];
      const partitions = [
        { topic: one, partition: 0, fromOffset: 5, untilOffset: 597 },
        { topic: one, partition: 1, fromOffset: 0, untilOffset: 0 },
        { topic: one, partition: 2, fromOffset: 101, untilOffset: 102 },
        { topic: other, partition: 0, fromOffset: 0, untilOffset: 600 },
      ];
      await read(kafka, partitions, seen, { maxBytes }).done;
      for (const { topic, partition, fromOffset, untilOffset } of partitions) {
        const offsets = seen.filter((row) => row.topic === topic && row.partition === partition);
        expect(offsets).toEqual(
          Array.from({ length: untilOffset - fromOffset }, (_, k) => ({
            topic,
            partition,
            offset: fromOffset + k,
            value: fromOffset + k,
          })),
        );
      }
    }
  });

  test('follows the end of a topic until it is stopped', async () => {
    const topic = await newTopic(1);
    const seen: Seen[] = [];
    const reading = read(kafka, [{ topic, partition: 0, fromOffset: 0 }], seen);
    for (const from of [0, 3, 6]) {
      await send(producer, topic, 0, from, 3);
      await until(() => seen.length === from + 3);
    }
    await reading.stop();
    await send(producer, topic, 0, 9, 3);
    await delay(300);
    expect(seen.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    await reading.done;
  });

  test('waits for what a batch returns before it hands over the next', async () => {
    const topic = await newTopic(1);
    for (let from = 0; from < 10; from++) await send(producer, topic, 0, from, 1);
    let isBusy = false;
    let batches = 0;
    await readPartitions(kafka, {
      partitions: [{ topic, partition: 0, fromOffset: 0, untilOffset: 10 }],
      async onBatch() {
        expect(isBusy).toBe(false);
        isBusy = true;
        await delay(2);
        isBusy = false;
        batches++;
      },
    }).done;
    expect(batches).toBe(10);
  });

  test('ends with the error of whoever takes the batches', async () => {
    const topic = await newTopic(1);
    await send(producer, topic, 0, 0, 1);
    const onBatch = () => {
      throw new Error('the table is full');
    };
    const { done } = readPartitions(kafka, { partitions: [{ topic, partition: 0, fromOffset: 0 }], onBatch });
    await expect(done).rejects.toThrow('the table is full');
  });

  test('reads what compaction left, gaps and all', async () => {
    const settings = {
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.001',
      'max.compaction.lag.ms': '100',
      'message.timestamp.type': 'LogAppendTime',
    };
    const topic = await newTopic(1, settings);
    for (let from = 0; from < 200; from += 50) await send(producer, topic, 0, from, 50, 10);
    let seen: Seen[] = [];
    // The last segment is not compacted: another record begins a new one, once the former's time is over.
    await until(async () => {
      const [end] = await endOffsets(kafka, topic);
      await send(producer, topic, 0, end, 1, 10);
      seen = [];
      await read(kafka, [{ topic, partition: 0, fromOffset: 0, untilOffset: end }], seen).done;
      return seen.length < 150;
    });
    const offsets = seen.map(({ offset }) => offset);
    expect(offsets).toEqual(offsets.toSorted((one, other) => one - other));
    expect(seen.every(({ offset, value }) => offset === value)).toBe(true);
    // Of each of the ten keys there is the last record at least.
    expect(new Set(offsets.map((offset) => offset % 10)).size).toBe(10);
  });

  test('tells where topics begin and end', async () => {
    const topic = await newTopic(2);
    await send(producer, topic, 1, 0, 5);
    // kafkajs looks for the leaders in the metadata that it has, which this loads.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '2' }] });
    expect(await beginningOffsets(kafka, topic)).toEqual([0, 2]);
    expect(await endOffsets(kafka, topic)).toEqual([0, 5]);
    for (const fromOffset of [0, 6])
      await expect(read(kafka, [{ topic, partition: 1, fromOffset, untilOffset: 9 }], []).done).rejects.toMatchObject({
        code: 'OFFSET_OUT_OF_RANGE',
        message: expect.stringContaining(`${topic}/1`),
      });
  });

  test('fails at once for a topic or partition that is not there', async () => {
    const topic = await newTopic(1);
    const unknown = { code: 'TOPIC_UNKNOWN' };
    await expect(endOffsets(kafka, `${run}-none`)).rejects.toMatchObject(unknown);
    await expect(read(kafka, [{ topic: `${run}-none`, partition: 0, fromOffset: 0 }], []).done).rejects.toMatchObject(
      unknown,
    );
    await expect(read(kafka, [{ topic, partition: 1, fromOffset: 0 }], []).done).rejects.toMatchObject(unknown);
  });
});

function read(kafka: Kafka, partitions: PartitionRange[], seen: Seen[], options: { maxBytes?: number } = {}): Reading {
  const cursor = new BatchCursor();
  return readPartitions(kafka, {
    ...options,
    partitions,
    maxWaitMs: 50,
    onBatch(batch, { topic, partition, fromOffset, untilOffset }) {
      cursor.open(batch, fromOffset, untilOffset);
      while (cursor.next())
        seen.push({ topic, partition, offset: cursor.offset, value: batch.readInt32BE(cursor.valueAt) });
    },
  });
}

/** One batch of records whose values are their numbers, with so many different keys. */
async function send(
  producer: RawProducer,
  topic: string,
  partition: number,
  from: number,
  records: number,
  keys = 1,
): Promise<void> {
  const builder = new BatchBuilder(100_000);
  const key = Buffer.alloc(4);
  for (let number = from; number < from + records; number++) {
    key.writeInt32BE(number % keys);
    const at = builder.begin(1_772_409_600_000, key, 0, 4);
    builder.end(builder.buffer.writeInt32BE(number, at));
  }
  await producer.send([{ topic, partition, batch: builder.finish(), records }]);
}

const WAIT_MS_MAX = 60_000;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`did not come true within ${WAIT_MS_MAX / 1_000} s: ${holds}`);
    await delay(20);
  }
}
