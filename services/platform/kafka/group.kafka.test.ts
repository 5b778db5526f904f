import { Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { TopicName } from '#schemas/topics.ts';
import { createLog } from '../log.ts';
import type { ServiceContext } from '../service.ts';
import { describeWithKafka } from '../test/with-kafka.ts';
import { createKafka } from './client.ts';
import { type Group, joinGroup } from './group.ts';
import type { Committed, Taken } from './intake.ts';
import { createRawProducer, type RawProducer } from './raw-producer.ts';
import { BatchBuilder } from './record-batch.ts';

const TOPICS = ['device-requests.on-demand', 'device-requests.scheduled', 'service-responses'] as const;
const PARTITIONS = 4;
const ALL = [0, 1, 2, 3];
const run = `group-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

type Event =
  | { kind: 'assigned'; partition: number; committed: ReadonlyMap<TopicName, Committed> }
  | { kind: 'lost'; partition: number }
  | ({ kind: 'taken' } & Omit<Taken, 'batches'>);

/** A member that takes everything, remembers what it took, and commits it. */
class Member {
  readonly events: Event[] = [];
  readonly refused = new Set<string>();
  readonly failures: Error[] = [];
  readonly group: Group;
  readonly #positions = new Map<number, Map<TopicName, number>>();
  readonly #kafka: Kafka;
  readonly #admin;

  constructor(brokers: string[], prefix: string, restoreMs: number) {
    const log = createLog('test', 'silent');
    this.#kafka = createKafka(brokers, 'test', log);
    this.#admin = this.#kafka.admin();
    const context = {
      name: 'test',
      kafka: this.#kafka,
      admin: this.#admin,
      log,
      settings: { prefix, sessionTimeoutMs: 6000 },
      fail: (error: Error) => this.failures.push(error),
    } as unknown as ServiceContext;
    this.group = joinGroup(context, {
      topics: TOPICS,
      assigned: async (partition, committed) => {
        await new Promise((resolve) => setTimeout(resolve, restoreMs));
        this.events.push({ kind: 'assigned', partition, committed });
        this.#positions.set(partition, new Map());
      },
      lost: (partition) => {
        this.events.push({ kind: 'lost', partition });
        this.#positions.delete(partition);
      },
      take: ({ batches, ...taken }) => {
        if (this.refused.has(`${taken.topic}/${taken.partition}`)) return false;
        expect(batches.length).toBeGreaterThan(0);
        this.events.push({ kind: 'taken', ...taken });
        this.#positions.get(taken.partition)?.set(taken.topic, taken.nextOffset);
        return true;
      },
      committable: () =>
        [...this.#positions].flatMap(([partition, topics]) =>
          [...topics].map(([topic, offset]) => ({ topic, partition, offset, metadata: `up to ${offset}` })),
        ),
    });
  }

  async start(): Promise<this> {
    await this.#admin.connect();
    await this.group.start();
    return this;
  }

  async leave(): Promise<void> {
    await this.group.leave(async () => {});
    await this.#admin.disconnect();
  }

  get partitions(): number[] {
    return [...this.group.partitions].sort();
  }

  takenOf(topic: TopicName, partition: number) {
    return this.events.flatMap((event) =>
      event.kind === 'taken' && event.topic === topic && event.partition === partition ? [event] : [],
    );
  }
}

describeWithKafka('members of a group', ({ brokers }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  let producer: RawProducer;
  let groups = 0;
  let members: Member[] = [];
  const written = new Map<string, number>();
  let writing: Promise<void> = Promise.resolve();
  let isWriting = false;
  beforeAll(async () => {
    producer = await createRawProducer(kafka);
    await admin.connect();
  });
  afterAll(() => Promise.all([producer.disconnect(), admin.disconnect()]));
  afterEach(async () => {
    isWriting = false;
    await writing;
    await Promise.all(members.map((member) => member.leave().catch(() => {})));
  });

  async function begin(): Promise<string> {
    const prefix = `${run}-${groups++}.`;
    members = [];
    written.clear();
    const topics = TOPICS.map((topic) => ({ topic: prefix + topic, numPartitions: PARTITIONS }));
    await admin.createTopics({ topics, waitForLeaders: true });
    isWriting = true;
    writing = (async () => {
      for (let round = 0; isWriting; round++) {
        const entries = TOPICS.flatMap((topic) =>
          ALL.map((partition) => ({
            topic: prefix + topic,
            partition,
            batch: batchOf(1 + (round % 3)),
            records: 1 + (round % 3),
          })),
        );
        for (const { topic, partition, baseOffset } of await producer.send(entries))
          written.set(`${topic}/${partition}`, baseOffset + 1 + (round % 3));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    return prefix;
  }

  async function join(prefix: string, restoreMs = 20): Promise<Member> {
    const member = new Member(brokers, prefix, restoreMs);
    members.push(member);
    return await member.start();
  }

  async function until(isSo: () => boolean, what: string): Promise<void> {
    const endMs = performance.now() + 60_000;
    while (!isSo()) {
      if (performance.now() > endMs) throw new Error(`${what}: ${members.map(({ partitions }) => partitions.join())}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Until the members have all partitions between them, each some. */
  async function settled(...sizes: number[]): Promise<void> {
    await until(() => {
      const held = members.map(({ partitions }) => partitions);
      const areAll = held.flat().sort().join() === ALL.join();
      return (
        areAll &&
        held
          .map(({ length }) => length)
          .sort()
          .join() === sizes.join()
      );
    }, `shares of ${sizes}`);
  }

  async function stopWriting(): Promise<void> {
    isWriting = false;
    await writing;
    const ends = [...written.values()];
    await until(() => {
      const nexts = TOPICS.flatMap((topic) =>
        ALL.map((partition) =>
          Math.max(0, ...members.flatMap((one) => one.takenOf(topic, partition).map(({ nextOffset }) => nextOffset))),
        ),
      );
      return nexts.reduce((sum, next) => sum + next, 0) === ends.reduce((sum, end) => sum + end, 0);
    }, 'everything is taken');
  }

  /** Between two losses of a partition its member took each offset once, in order; behind a loss nothing. */
  function expectTenuresWhole(member: Member): void {
    const nexts = new Map<string, number>();
    const held = new Set<number>();
    for (const event of member.events) {
      if (event.kind === 'assigned') {
        expect(held.has(event.partition)).toBe(false);
        held.add(event.partition);
        for (const topic of TOPICS) nexts.set(`${topic}/${event.partition}`, event.committed.get(topic)?.offset ?? 0);
        for (const [, { offset, metadata }] of event.committed) expect(metadata).toBe(`up to ${offset}`);
      } else if (event.kind === 'lost') expect(held.delete(event.partition)).toBe(true);
      else {
        expect(held.has(event.partition)).toBe(true);
        const key = `${event.topic}/${event.partition}`;
        expect([key, event.fromOffset]).toEqual([key, nexts.get(key)]);
        nexts.set(key, event.nextOffset);
      }
    }
    expect(member.failures).toEqual([]);
  }

  /** Every offset was taken by somebody. */
  function expectNothingSkipped(prefix: string): void {
    for (const topic of TOPICS) {
      for (const partition of ALL) {
        const ranges = members
          .flatMap((one) => one.takenOf(topic, partition))
          .sort((a, b) => a.fromOffset - b.fromOffset || a.nextOffset - b.nextOffset);
        let next = 0;
        for (const { fromOffset, nextOffset } of ranges) {
          expect(fromOffset).toBeLessThanOrEqual(next);
          next = Math.max(next, nextOffset);
        }
        expect(next).toBe(written.get(`${prefix}${topic}/${partition}`));
      }
    }
  }

  test('share whole partitions; who stays goes on where it was, who comes begins where was committed', async () => {
    const prefix = await begin();
    const first = await join(prefix);
    await settled(4);
    const second = await join(prefix);
    await settled(2, 2);
    const third = await join(prefix);
    await settled(1, 1, 2);
    expect(members.flatMap(({ partitions }) => partitions).sort()).toEqual(ALL);
    await stopWriting();
    for (const member of members) expectTenuresWhole(member);
    expectNothingSkipped(prefix);
    const resumed = [second, third].flatMap(({ events }) => events).filter((event) => event.kind === 'assigned');
    expect(resumed.every(({ committed }) => committed.size === TOPICS.length)).toBe(true);
    expect(first.events.filter(({ kind }) => kind === 'lost').length).toBeGreaterThan(0);
  });

  test('a member that leaves in order hands over to the offset: nothing is taken twice', async () => {
    const prefix = await begin();
    const leaving = await join(prefix);
    await settled(4);
    await until(() => leaving.events.filter(({ kind }) => kind === 'taken').length > 100, 'batches');
    await leaving.leave();
    const before = leaving.events.length;
    const next = await join(prefix);
    await until(() => next.partitions.length === PARTITIONS, 'the next has all');
    await stopWriting();
    expect(leaving.events.slice(before)).toEqual([]);
    expectTenuresWhole(next);
    expectNothingSkipped(prefix);
    for (const topic of TOPICS) {
      for (const partition of ALL) {
        const last = leaving.takenOf(topic, partition).at(-1);
        expect(next.takenOf(topic, partition)[0].fromOffset).toBe(last?.nextOffset);
      }
    }
  });

  test('a partition that goes while its state is being made is dropped when it is made, and not before', async () => {
    const prefix = await begin();
    const slow = await join(prefix, 6000);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await join(prefix);
    await settled(2, 2);
    await stopWriting();
    for (const member of members) expectTenuresWhole(member);
    expectNothingSkipped(prefix);
    expect(slow.partitions).toHaveLength(2);
  });

  test('a topic that a member does not take is paused for that partition alone, and goes on where it was', async () => {
    const prefix = await begin();
    const member = await join(prefix);
    await settled(4);
    await until(() => member.takenOf('service-responses', 1).length > 10, 'batches');
    member.refused.add('service-responses/1');
    const before = member.takenOf('service-responses', 1).length;
    const others =
      member.takenOf('service-responses', 2).length + member.takenOf('device-requests.scheduled', 1).length;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(member.takenOf('service-responses', 1)).toHaveLength(before);
    const now = member.takenOf('service-responses', 2).length + member.takenOf('device-requests.scheduled', 1).length;
    expect(now).toBeGreaterThan(others + 10);
    member.refused.clear();
    member.group.resume('service-responses', 1);
    await stopWriting();
    expectTenuresWhole(member);
    expectNothingSkipped(prefix);
    expect(member.group.lag().every(({ records }) => records >= 0)).toBe(true);
  });
});

function batchOf(records: number): Uint8Array {
  const builder = new BatchBuilder(1000);
  for (let k = 0; k < records; k++) {
    const at = builder.beginWithoutKey(1_772_409_600_000);
    builder.end(builder.buffer.writeInt32BE(k, at));
  }
  return builder.finish();
}
