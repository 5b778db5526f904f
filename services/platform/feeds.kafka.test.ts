import { readFileSync } from 'node:fs';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import avsc from 'avsc';
import { CompressionTypes, Kafka, logLevel, type Message } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import type { DeadLetter } from './kafka/dead-letter.ts';
import { endOffsets } from './kafka/partition-reader.ts';
import { BatchCursor } from './kafka/record-batch.ts';
import { NO_SECURITY } from './kafka/security.ts';
import type { ServiceContext } from './service.ts';
import { feedTables, type TableFeed } from './table-feed.ts';
import { framed } from './test/record-streams.ts';
import { describeWithKafka } from './test/with-kafka.ts';
import { followUsers } from './user-feed.ts';

const USER = avsc.Type.forSchema(JSON.parse(schemaText('users')));
const SCHEMA_ID = 5;
const TABLES: TopicName[] = ['registrations', 'inventory'];
const run = `feeds-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

describeWithKafka('feeds of compacted topics', ({ brokers, registryUrl }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  const producer = kafka.producer();
  let prefixes = 0;
  beforeAll(() => Promise.all([admin.connect(), producer.connect()]));
  afterAll(() => Promise.all([admin.disconnect(), producer.disconnect()]));

  async function newPrefix(topics: readonly TopicName[], numPartitions: number): Promise<string> {
    const prefix = `${run}-${prefixes++}.`;
    const configEntries = [{ name: 'cleanup.policy', value: 'compact' }];
    await admin.createTopics({
      topics: topics.map((topic) => ({ topic: prefix + topic, numPartitions, configEntries })),
      waitForLeaders: true,
    });
    return prefix;
  }

  async function inTransaction(topic: string, messages: Message[], isCommitted: boolean): Promise<void> {
    const transactional = kafka.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 });
    await transactional.connect();
    const transaction = await transactional.transaction();
    await transaction.send({ topic, messages, compression: CompressionTypes.GZIP });
    const before = await endsOf(topic);
    await (isCommitted ? transaction.commit() : transaction.abort());
    await transactional.disconnect();
    // The answer comes before the transaction's end is in the log: until then its records cannot be read.
    for (let after = await endsOf(topic); after === before; after = await endsOf(topic))
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async function endsOf(topic: string): Promise<number> {
    return (await endOffsets(kafka, topic)).reduce((sum, end) => sum + end, 0);
  }

  async function until(isSo: () => boolean, what: string): Promise<void> {
    const endMs = performance.now() + 20_000;
    while (!isSo()) {
      if (performance.now() > endMs) throw new Error(what);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  function fail(error: Error): void {
    throw error;
  }

  /** Feeds a table of texts by topic and key, each update some milliseconds. */
  async function feed(prefix: string): Promise<{ table: Map<string, string>; feed: TableFeed }> {
    const table = new Map<string, string>();
    const cursor = new BatchCursor();
    let isBusy = false;
    const started = await feedTables(
      kafka,
      prefix,
      TABLES,
      1,
      async ({ topic, partition, batches }) => {
        expect([partition, isBusy]).toEqual([1, false]);
        isBusy = true;
        await new Promise((resolve) => setTimeout(resolve, 5));
        for (const batch of batches) {
          cursor.open(batch);
          while (cursor.next()) {
            const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
            const key = `${topic} ${buffer.toString('latin1', keyAt, keyAt + keyLength)}`;
            if (valueLength < 0) table.delete(key);
            else table.set(key, buffer.toString('latin1', valueAt, valueAt + valueLength));
          }
        }
        isBusy = false;
      },
      fail,
    );
    return { table, feed: started };
  }

  test('a table is restored when everything that was there is in it, and changes follow, deletions too', async () => {
    const prefix = await newPrefix(TABLES, 2);
    const messages = (from: number, until: number, text: string | null) =>
      Array.from({ length: until - from }, (_, k) => ({ key: String(from + k), value: text, partition: 1 }));
    const text = 'x'.repeat(1000);
    for (let at = 0; at < 5000; at += 500)
      await producer.send({ topic: `${prefix}registrations`, messages: messages(at, at + 500, text + at) });
    await producer.send({ topic: `${prefix}registrations`, messages: messages(0, 10, null) });
    await producer.send({ topic: `${prefix}registrations`, messages: [{ key: 'other', value: 'x', partition: 0 }] });
    const { table, feed: started } = await feed(prefix);
    await started.restored;
    expect(table.size).toBe(4990);
    expect(table.get('registrations 4999')).toBe(`${text}4500`);
    await producer.send({ topic: `${prefix}inventory`, messages: messages(7, 8, 'new') });
    await producer.send({ topic: `${prefix}registrations`, messages: messages(4999, 5000, null) });
    await until(() => table.get('inventory 7') === 'new' && table.size === 4990, 'changes do not follow');
    await started.stop();
    await producer.send({ topic: `${prefix}inventory`, messages: messages(8, 9, 'late') });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(table.has('inventory 8')).toBe(false);
  });

  test('a table is restored where its topics end in a transaction, taken back or not, or are empty', async () => {
    const empty = await newPrefix(TABLES, 2);
    const nothing = await feed(empty);
    await nothing.feed.restored;
    await nothing.feed.stop();

    const prefix = await newPrefix(TABLES, 2);
    await inTransaction(`${prefix}registrations`, [{ key: 'a', value: '1', partition: 1 }], true);
    await inTransaction(`${prefix}inventory`, [{ key: 'b', value: '2', partition: 1 }], false);
    const { table, feed: started } = await feed(prefix);
    await started.restored;
    expect([...table]).toEqual([['registrations a', '1']]);
    await started.stop();
  });

  test('Users are known when all that were there are; changes follow, and what cannot be used is set aside', async () => {
    const prefix = await newPrefix(['users'], 2);
    const topic = `${prefix}users`;
    const send = (...messages: Message[]) => producer.send({ topic, messages });
    await send(user(1, 'One', 0), user(2, 'Two', 1), user(3, 'Three', 1));
    await send({ key: keyOf(3), value: null, partition: 1 }, { key: 'x', value: Buffer.from([0, 0, 0]), partition: 0 });
    await inTransaction(topic, [user(4, 'Four', 0)], true);
    await inTransaction(topic, [user(5, 'Five', 1)], false);
    const letters: DeadLetter[] = [];
    const seen: string[][] = [];
    const context = {
      name: 'test',
      kafka,
      settings: { prefix, registry: registryUrl, security: NO_SECURITY },
      schemaIds: { users: SCHEMA_ID },
      setAside: async (some: DeadLetter[]) => void letters.push(...some),
      fail,
    } as unknown as ServiceContext;
    const following = await followUsers<{ name: string }>(context, (users) => {
      seen.push(users.map(({ name }) => name).sort());
    });
    await following.restored;
    expect(seen).toEqual([['Four', 'One', 'Two']]);
    expect(letters.map(({ reason, offset }) => [reason, offset])).toEqual([['WRONG_SCHEMA', 1]]);
    await send({ key: keyOf(1), value: null, partition: 0 }, user(2, 'Second', 1), {
      key: keyOf(2),
      value: user(6, 'Six', 1).value,
      partition: 1,
    });
    await until(() => seen.at(-1)?.join() === 'Four,Second', `changes do not follow: ${seen.at(-1)}`);
    expect(letters.at(-1)?.reason).toBe('IMPOSSIBLE_VALUE');
    await following.stop();
  });

  test('a User written with the schema as it was released is read as one of today', async () => {
    const prefix = await newPrefix(['users'], 2);
    const released = readFileSync(new URL('../../schemas/released/user.avsc', import.meta.url), 'utf8');
    const registry = new SchemaRegistry({ host: registryUrl });
    const { id } = await registry.register({ type: SchemaType.AVRO, schema: released }, { subject: `${prefix}users` });
    const today = USER.fromBuffer((user(9, 'Nine', 0).value as Buffer).subarray(5)) as object;
    const value = framed(id, avsc.Type.forSchema(JSON.parse(released)).toBuffer(today));
    await producer.send({ topic: `${prefix}users`, messages: [{ key: keyOf(9), value, partition: 0 }] });
    const context = {
      name: 'test',
      kafka,
      settings: { prefix, registry: registryUrl, security: NO_SECURITY },
      schemaIds: { users: SCHEMA_ID },
      setAside: () => Promise.reject(new Error('it is set aside')),
      fail,
    } as unknown as ServiceContext;
    let known: unknown[] = [];
    const following = await followUsers(context, (users) => {
      known = users;
    });
    await following.restored;
    expect(known).toEqual([expect.objectContaining({ name: 'Nine', deliveryUrl: null })]);
    await following.stop();
  });

  test('Users are known at once where there are none', async () => {
    const prefix = await newPrefix(['users'], 2);
    const context = {
      name: 'test',
      kafka,
      settings: { prefix, registry: registryUrl, security: NO_SECURITY },
      schemaIds: { users: 5 },
      fail,
    } as unknown as ServiceContext;
    let known: unknown[] | undefined;
    const following = await followUsers(context, (users) => {
      known = users;
    });
    await following.restored;
    expect(known).toEqual([]);
    await following.stop();
  });
});

function keyOf(number: number): string {
  return number.toString(16).padStart(16, '0').toUpperCase();
}

function user(number: number, name: string, partition: number): Message {
  const value = USER.toBuffer({
    eui: Buffer.from(keyOf(number), 'hex'),
    name,
    category: 'MDR Party',
    roles: [],
    suspendedFrom: null,
    accededOn: null,
    ueptOn: [],
    securityAssessments: [],
    privacyAssessments: [],
    equivalentSecurityOn: null,
    equivalentPrivacyOn: null,
    adtDeclaredOn: null,
    anomalyThresholds: [],
  });
  return { key: keyOf(number), value: framed(SCHEMA_ID, value), partition };
}
