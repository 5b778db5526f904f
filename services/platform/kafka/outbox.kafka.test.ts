import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithKafka } from '../test/with-kafka.ts';
import { createOutbox } from './outbox.ts';
import { endOffsets, readPartitions } from './partition-reader.ts';
import { createRawProducer, type RawEntry, type RawProducer } from './raw-producer.ts';
import { BatchBuilder, BatchCursor } from './record-batch.ts';

const PARTITIONS = 4;
const TOPICS = ['service-responses', 'quarantine'] as const;
const run = `outbox-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;

describeWithKafka('an outbox', ({ brokers }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { retries: 1, initialRetryTime: 10 } });
  const admin = kafka.admin();
  let producer: RawProducer;
  beforeAll(async () => {
    producer = await createRawProducer(kafka);
    await admin.connect();
    const topics = TOPICS.map((topic) => ({ topic: run + topic, numPartitions: PARTITIONS }));
    await admin.createTopics({ topics, waitForLeaders: true });
  });
  afterAll(() => Promise.all([producer.disconnect(), admin.disconnect()]));

  const failures: Error[] = [];
  const fail = (error: Error) => void failures.push(error);

  test('keeps the order of each partition with one batch of it in flight, and answers where each batch stands', async () => {
    const inFlight = new Set<string>();
    let requestsAtOnce = 0;
    let requestsAtOnceMax = 0;
    const watched: RawProducer = {
      ...producer,
      async send(entries: readonly RawEntry[]) {
        requestsAtOnceMax = Math.max(requestsAtOnceMax, ++requestsAtOnce);
        const names = entries.map(({ topic, partition }) => `${topic}/${partition}`);
        for (const name of names) {
          expect(inFlight.has(name)).toBe(false);
          inFlight.add(name);
        }
        const results = await producer.send(entries);
        for (const name of names) inFlight.delete(name);
        requestsAtOnce--;
        return results;
      },
    };
    const outbox = createOutbox(watched, run, fail);
    const sent: { topic: string; partition: number; number: number; offset: Promise<number>; records: number }[] = [];
    let bytes = 0;
    for (let number = 0; number < 600; number++) {
      const topic = TOPICS[(number * 7) % 2];
      const partition = (number * number) % PARTITIONS;
      const records = 1 + (number % 3);
      const batch = batchOf(number, records);
      const before = outbox.pendingBytes;
      sent.push({ topic, partition, number, records, offset: outbox.send(topic, partition, batch, records) });
      expect(outbox.pendingBytes).toBe(before + batch.byteLength);
      bytes += batch.byteLength;
      if (number % 50 === 49) await new Promise((resolve) => setTimeout(resolve, number % 4));
    }
    expect(bytes).toBeGreaterThan(0);
    await outbox.idle();
    expect(outbox.pendingBytes).toBe(0);
    expect(outbox.recordsSent).toBe(sent.reduce((sum, { records }) => sum + records, 0));
    expect(requestsAtOnceMax).toBeLessThanOrEqual(3);
    for (const topic of TOPICS) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const ours = sent.filter((one) => one.topic === topic && one.partition === partition);
        const expected: [number, number][] = [];
        for (const { number, records, offset } of ours) {
          const first = await offset;
          for (let k = 0; k < records; k++) expected.push([first + k, number]);
        }
        expect(await contentsOf(run + topic, partition)).toEqual(expected);
      }
    }
    expect(failures).toEqual([]);
  });

  test('is idle at once where nothing waits, and everybody who asks is told when nothing does any more', async () => {
    const outbox = createOutbox(producer, run, fail);
    await outbox.idle();
    const sent = [0, 1, 2].map((partition) => outbox.send('quarantine', partition, batchOf(1, 1), 1));
    const settled: string[] = [];
    const asked = ['a', 'b'].map((name) => outbox.idle().then(() => settled.push(name)));
    await Promise.all(sent).then(() => settled.push('sent'));
    await Promise.all(asked);
    expect(settled.sort()).toEqual(['a', 'b', 'sent']);
  });

  test('tells of an error, and neither answers nor is idle after it: what it holds was not acknowledged', async () => {
    const outbox = createOutbox(producer, run, fail);
    let isAnswered = false;
    const answer = () => {
      isAnswered = true;
    };
    void outbox.send('quarantine', PARTITIONS, batchOf(1, 1), 1).then(answer);
    void outbox.idle().then(answer);
    while (failures.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(failures).toHaveLength(1);
    expect(isAnswered).toBe(false);
    expect(outbox.pendingBytes).toBeGreaterThan(0);
  });

  async function contentsOf(topic: string, partition: number): Promise<[number, number][]> {
    const found: [number, number][] = [];
    const untilOffset = (await endOffsets(kafka, topic))[partition];
    const cursor = new BatchCursor();
    await readPartitions(kafka, {
      partitions: [{ topic, partition, fromOffset: 0, untilOffset }],
      onBatch(batch) {
        cursor.open(batch);
        while (cursor.next()) found.push([cursor.offset, cursor.buffer.readInt32BE(cursor.valueAt)]);
      },
    }).done;
    return found;
  }
});

function batchOf(number: number, records: number): Uint8Array {
  const builder = new BatchBuilder(2000);
  for (let k = 0; k < records; k++) {
    const at = builder.beginWithoutKey(1_772_409_600_000);
    builder.end(builder.buffer.writeInt32BE(number, at));
  }
  return builder.finish();
}
