import type { Admin, Consumer, EachBatchPayload } from 'kafkajs';
import type { TopicName } from '#schemas/topics.ts';
import { fetchedOffset } from './seam.ts';

/** What is committed of one topic's partition: where a restart reads from, and what must be known there. */
export type Committed = { offset: number; metadata: string };

/** Raw record batches of one partition as they came, oldest first. Records below `fromOffset` were seen before. */
export type Taken = {
  topic: TopicName;
  partition: number;
  batches: Buffer[];
  fromOffset: number;
  nextOffset: number;
  highWatermark: number;
};

export type IntakeOptions = {
  consumer: Consumer;
  admin: Admin;
  groupId: string;
  prefix: string;
  topics: readonly TopicName[];
  /** A partition is ours from now on: makes its state, from what was committed. Nothing of it is taken before. */
  assigned(partition: number, committed: ReadonlyMap<TopicName, Committed>): Promise<void>;
  /** A partition is another's: its state is to be dropped. */
  lost(partition: number): void;
  /** Takes the batches, or answers false: then nothing of this topic's partition comes until `resume`. */
  take(taken: Taken): boolean;
  fail(error: Error): void;
};

export type Intake = {
  start(): Promise<void>;
  /** Partitions whose state is there. */
  readonly partitions: readonly number[];
  /** Whether the group has answered and every partition assigned is restored. */
  readonly isSettled: boolean;
  resume(topic: TopicName, partition: number): void;
  commit(offsets: { topic: TopicName; partition: number; offset: number; metadata: string }[]): Promise<void>;
  /** Records behind the position, by topic's partition, as of the last batch. */
  lag(): { topic: TopicName; partition: number; records: number }[];
  /** Takes nothing more; what was taken may still be finished and committed. */
  hold(): void;
  stop(): Promise<void>;
};

type Position = { next: number; highWatermark: number };
type Assigned = { isReady: boolean; positions: Map<TopicName, Position> };

/** Batches handled at a time: handing them over is quick, so this only bounds what one fetch sets off. */
const PARTITIONS_CONCURRENTLY = 16;

/**
 * A member of a consumer group that takes raw batches. Partitions that stay ours over a rebalance go on where they
 * are; the group's own start offsets are for partitions that are new.
 */
export function createIntake(options: IntakeOptions): Intake {
  const { consumer, admin, groupId, prefix, topics, fail } = options;
  const assignedPartitions = new Map<number, Assigned>();
  const nameOf = new Map<string, TopicName>(topics.map((topic) => [prefix + topic, topic]));
  let hasJoined = false;
  let isHeld = false;

  async function onJoin(assignment: Record<string, number[]>): Promise<void> {
    const ours = new Set(Object.values(assignment).flat());
    for (const partition of assignedPartitions.keys()) {
      if (ours.has(partition)) continue;
      assignedPartitions.delete(partition);
      options.lost(partition);
    }
    const fresh = [...ours].filter((partition) => !assignedPartitions.has(partition));
    for (const [partition, { isReady, positions }] of assignedPartitions) {
      for (const [topic, { next }] of positions) {
        if (next >= 0) consumer.seek({ topic: prefix + topic, partition, offset: String(next) });
      }
      if (isReady) resumeAll(partition);
    }
    for (const partition of fresh) {
      assignedPartitions.set(partition, {
        isReady: false,
        positions: new Map(topics.map((topic) => [topic, { next: -1, highWatermark: 0 }])),
      });
    }
    hasJoined = true;
    if (fresh.length === 0) return;
    const committed = await fetchCommitted(fresh);
    await Promise.all(
      fresh.map(async (partition) => {
        const entry = assignedPartitions.get(partition);
        await options.assigned(partition, committed.get(partition) as Map<TopicName, Committed>);
        // Meanwhile the partition may have gone, or gone and come back.
        if (entry === undefined || assignedPartitions.get(partition) !== entry) return;
        entry.isReady = true;
        resumeAll(partition);
      }),
    );
  }

  async function fetchCommitted(partitions: number[]): Promise<Map<number, Map<TopicName, Committed>>> {
    const found = new Map(partitions.map((partition) => [partition, new Map<TopicName, Committed>()]));
    const answers = await admin.fetchOffsets({ groupId, topics: topics.map((topic) => prefix + topic) });
    for (const { topic, partitions: offsets } of answers) {
      for (const { partition, offset, metadata } of offsets) {
        const name = nameOf.get(topic) as TopicName;
        if (Number(offset) >= 0) found.get(partition)?.set(name, { offset: Number(offset), metadata: metadata ?? '' });
      }
    }
    return found;
  }

  function resumeAll(partition: number): void {
    if (isHeld) return;
    consumer.resume(topics.map((topic) => ({ topic: prefix + topic, partitions: [partition] })));
  }

  async function onBatch({ batch, resolveOffset, heartbeat }: EachBatchPayload): Promise<void> {
    const { topic: name, partition, messages } = batch;
    const topic = nameOf.get(name) as TopicName;
    const entry = assignedPartitions.get(partition);
    const position = entry?.positions.get(topic);
    const pause = () => consumer.pause([{ topic: name, partitions: [partition] }]);
    if (isHeld || position === undefined || entry?.isReady !== true) return pause();
    const fromOffset = Math.max(position.next, fetchedOffset(batch));
    const nextOffset = Number(messages[messages.length - 1].offset) + 1;
    const highWatermark = Number(batch.highWatermark);
    if (nextOffset > fromOffset) {
      const batches = messages.map(({ value }) => value as Buffer);
      if (!options.take({ topic, partition, batches, fromOffset, nextOffset, highWatermark })) return pause();
      position.next = nextOffset;
    }
    position.highWatermark = highWatermark;
    resolveOffset(String(nextOffset - 1));
    await heartbeat();
  }

  return {
    async start() {
      consumer.on('consumer.group_join', ({ payload }) => {
        onJoin(payload.memberAssignment as Record<string, number[]>).catch(fail);
      });
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart) fail(payload.error);
      });
      await consumer.connect();
      await consumer.subscribe({ topics: topics.map((topic) => prefix + topic), fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: PARTITIONS_CONCURRENTLY,
        eachBatch: onBatch,
      });
    },
    get partitions() {
      return [...assignedPartitions].filter(([, { isReady }]) => isReady).map(([partition]) => partition);
    },
    get isSettled() {
      return hasJoined && [...assignedPartitions.values()].every(({ isReady }) => isReady);
    },
    resume(topic, partition) {
      if (!isHeld && assignedPartitions.get(partition)?.isReady === true)
        consumer.resume([{ topic: prefix + topic, partitions: [partition] }]);
    },
    async commit(offsets) {
      const ours = offsets.filter(({ partition }) => assignedPartitions.get(partition)?.isReady === true);
      if (ours.length === 0) return;
      await consumer.commitOffsets(
        ours.map(({ topic, partition, offset, metadata }) => ({
          topic: prefix + topic,
          partition,
          offset: String(offset),
          metadata,
        })),
      );
    },
    lag() {
      return [...assignedPartitions].flatMap(([partition, { positions }]) =>
        [...positions].map(([topic, { next, highWatermark }]) => ({
          topic,
          partition,
          records: next < 0 ? 0 : Math.max(0, highWatermark - next),
        })),
      );
    },
    hold() {
      isHeld = true;
    },
    async stop() {
      await consumer.disconnect();
    },
  };
}
