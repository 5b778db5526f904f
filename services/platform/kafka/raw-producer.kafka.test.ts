import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithKafka } from '../test/with-kafka.ts';
import { endOffsets } from './partition-reader.ts';
import { createRawProducer, type RawEntry, type RawProducer } from './raw-producer.ts';
import { BatchBuilder } from './record-batch.ts';

const run = `raw-producer-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

describeWithKafka('a raw producer', ({ brokers }) => {
  let produceRequests = 0;
  const kafka = new Kafka({
    brokers,
    retry: { retries: 2, initialRetryTime: 10 },
    logLevel: logLevel.DEBUG,
    logCreator:
      () =>
      ({ log }) => {
        if (log.message.startsWith('Request Produce')) produceRequests++;
      },
  });
  const admin = kafka.admin();
  const first = `${run}-first`;
  const second = `${run}-second`;
  let producer: RawProducer;
  beforeAll(async () => {
    producer = await createRawProducer(kafka);
    await admin.connect();
    await createTopic(admin, first, 3);
    await createTopic(admin, second, 3);
  });
  afterAll(() => Promise.all([producer.disconnect(), admin.disconnect()]));

  test('sends a batch of each partition of several topics in one request, and answers in their order', async () => {
    await producer.send([entry(first, 2, 5), entry(second, 0, 7)]);
    produceRequests = 0;
    const entries = [entry(first, 2, 2), entry(second, 1, 1), entry(first, 0, 4), entry(second, 0, 3)];
    expect(await producer.send(entries)).toEqual([
      { topic: first, partition: 2, baseOffset: 5 },
      { topic: second, partition: 1, baseOffset: 0 },
      { topic: first, partition: 0, baseOffset: 0 },
      { topic: second, partition: 0, baseOffset: 7 },
    ]);
    expect(produceRequests).toBe(1);
    expect(await endOffsets(kafka, first)).toEqual([4, 0, 7]);
    expect(await endOffsets(kafka, second)).toEqual([10, 1, 0]);
  });

  test('does not send again what was taken when another batch of the request was not', async () => {
    const before = await endOffsets(kafka, first);
    const damaged = entry(first, 1, 3);
    damaged.batch[damaged.batch.length - 1] ^= 1;
    produceRequests = 0;
    await expect(producer.send([entry(first, 0, 2), damaged])).rejects.toThrow('corrupt');
    expect(produceRequests).toBe(3);
    expect(await endOffsets(kafka, first)).toEqual([before[0] + 2, before[1], before[2]]);
  });

  test('fails with the reason where a topic or a partition is not there', async () => {
    await expect(producer.send([entry(first, 3, 1)])).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    await expect(producer.send([entry(`${run}-none`, 0, 1)])).rejects.toThrow('does not host');
  });

  test('refuses two batches for one partition, and a wrong count', async () => {
    await expect(producer.send([entry(first, 0, 1), entry(first, 0, 1)])).rejects.toThrow('two batches');
    await expect(producer.send([{ ...entry(first, 0, 1), records: 2 }])).rejects.toThrow('was said to have 2');
  });
});

async function createTopic(admin: Admin, topic: string, numPartitions: number): Promise<void> {
  await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true });
}

function entry(topic: string, partition: number, records: number): RawEntry {
  const builder = new BatchBuilder(10_000);
  for (let k = 0; k < records; k++) {
    const at = builder.beginWithoutKey(1_772_409_600_000);
    builder.end(builder.buffer.writeInt32BE(k, at));
  }
  return { topic, partition, batch: new Uint8Array(builder.take()), records };
}
