import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ProvidedKafka, provideKafka } from '../kafka-provider/provide.ts';
import { describeWithKafka } from '../test/with-kafka.ts';
import { endOffsets, readPartitions } from './partition-reader.ts';
import { createRawProducer } from './raw-producer.ts';
import { BatchBuilder, BatchCursor } from './record-batch.ts';

describeWithKafka('raw producer and partition reader', () => {
  let own: ProvidedKafka;
  beforeAll(async () => {
    own = await provideKafka({ isOwn: true });
  });
  afterAll(() => own.stop());

  const faults = {
    'restarts in order': () => own.restartBroker(),
    async crashes() {
      await own.killBroker();
      await own.startBroker();
    },
  };

  test.each(Object.entries(faults))('lose nothing while their broker %s', async (name, fault) => {
    const topic = name.replaceAll(' ', '-');
    const kafka = new Kafka({
      brokers: own.brokers,
      logLevel: logLevel.NOTHING,
      retry: { retries: 60, maxRetryTime: 500 },
    });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
    await admin.disconnect();

    const offsets: number[] = [];
    const values: number[] = [];
    const cursor = new BatchCursor();
    const reading = readPartitions(kafka, {
      partitions: [{ topic, partition: 0, fromOffset: 0 }],
      onBatch(batch, { fromOffset }) {
        cursor.open(batch, fromOffset);
        while (cursor.next()) {
          offsets.push(cursor.offset);
          values.push(batch.readInt32BE(cursor.valueAt));
        }
      },
    });
    const producer = await createRawProducer(kafka);
    let isOver = false;
    const over = delay(200)
      .then(fault)
      .finally(() => {
        isOver = true;
      });
    let sent = 0;
    for (; !isOver || sent < 10; sent++) {
      await producer.send([{ topic, partition: 0, batch: batchOf(sent), records: 1 }]);
      await delay(5);
    }
    await over;
    await producer.disconnect();
    const [end] = await endOffsets(kafka, topic);
    while (offsets.length < end) await Promise.race([delay(20), reading.done]);
    await reading.stop();

    expect(offsets).toEqual(Array.from({ length: end }, (_, k) => k));
    // A retry may have written a batch twice; but for those, all are there and in their order.
    const distinct = values.filter((value, k) => value !== values[k - 1]);
    expect(distinct).toEqual(Array.from({ length: sent }, (_, k) => k));
  });
});

function batchOf(number: number): Uint8Array {
  const builder = new BatchBuilder(200);
  const at = builder.beginWithoutKey(1_772_409_600_000);
  builder.end(builder.buffer.writeInt32BE(number, at));
  return builder.finish();
}
