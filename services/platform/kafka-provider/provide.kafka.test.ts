import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithKafka } from '../test/with-kafka.ts';

const run = `provide-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

describeWithKafka('the broker provided', ({ brokers, provider }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  const producer = kafka.producer();
  const consumer = kafka.consumer({ groupId: run, sessionTimeout: 6_000 });
  beforeAll(() => Promise.all([admin.connect(), producer.connect(), consumer.connect()]));
  afterAll(() => Promise.all([admin.disconnect(), producer.disconnect(), consumer.disconnect()]));

  if (process.env.MDR_KAFKA_PROVIDER !== undefined) {
    test('comes from the provider asked for', () => {
      expect(provider).toBe(process.env.MDR_KAFKA_PROVIDER);
    });
  }

  test('takes records and gives them back', async () => {
    await admin.createTopics({ topics: [{ topic: run, numPartitions: 3 }], waitForLeaders: true });
    const values = ['1', '2', '3'].map((text) => text.repeat(1_000));
    await producer.send({ topic: run, messages: values.map((value, partition) => ({ value, partition })) });
    const read = Promise.withResolvers<string[]>();
    const seen: string[] = [];
    await consumer.subscribe({ topic: run, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message }) => {
        seen.push(String(message.value));
        if (seen.length === values.length) read.resolve(seen.sort());
      },
    });
    expect(await read.promise).toEqual(values);
  });

  test('takes a record of 2 MB, and one with a timestamp far ahead of the wall clock', async () => {
    const value = Buffer.alloc(2 * 1024 * 1024, 7);
    const timestamp = String(Date.UTC(2040, 0, 1));
    const [{ errorCode }] = await producer.send({ topic: run, messages: [{ value, timestamp, partition: 0 }] });
    expect(errorCode).toBe(0);
  });

  test('keeps as much metadata with an offset as kafkajs can send, a string of 32,767 bytes', async () => {
    const metadata = 'm'.repeat(32_767);
    await consumer.commitOffsets([{ topic: run, partition: 0, offset: '1', metadata }]);
    const [{ partitions }] = await admin.fetchOffsets({ groupId: run, topics: [run] });
    expect(partitions.find(({ partition }) => partition === 0)).toMatchObject({ offset: '1', metadata });
  });

  test('makes no topic because somebody asked for it', async () => {
    await expect(admin.fetchTopicMetadata({ topics: [`${run}-nosuch`] })).rejects.toThrow();
  });
});

describeWithKafka('the registry provided', ({ registryUrl }) => {
  const registry = new SchemaRegistry({ host: registryUrl, retry: { retries: 0 } });
  const subject = `${run}-value`;
  const schemaWith = (fields: object[]) => ({
    type: SchemaType.AVRO as const,
    schema: JSON.stringify({ type: 'record', name: 'Reading', namespace: 'mdr.test', fields }),
  });
  const mpan = { name: 'mpan', type: 'string' };

  test('registers a schema, and encodes and decodes by it', async () => {
    const { id } = await registry.register(schemaWith([mpan]), { subject });
    const encoded = await registry.encode(id, { mpan: '1200012345678' });
    expect(encoded.readUInt32BE(1)).toBe(id);
    expect(await registry.decode(encoded)).toEqual({ mpan: '1200012345678' });
  });

  test('takes a compatible schema as a new version', async () => {
    const day = { name: 'day', type: 'int', default: 0 };
    const { id } = await registry.register(schemaWith([mpan, day]), { subject });
    expect(await registry.getLatestSchemaId(subject)).toBe(id);
  });

  test('refuses an incompatible one', async () => {
    const required = { name: 'required', type: 'string' };
    await expect(registry.register(schemaWith([mpan, required]), { subject })).rejects.toThrow();
    const changed = { name: 'mpan', type: 'int' };
    await expect(registry.register(schemaWith([changed]), { subject })).rejects.toThrow();
  });
});
