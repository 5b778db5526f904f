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
  /** Number of the group's generation that the consumer has joined last. */
  generation(): number;
  /**
   * A partition is ours from now on: makes its state, from what was committed. Nothing of it is taken before, and it
   * is not called for a partition again before `lost` was.
   */
  assigned(partition: number, committed: ReadonlyMap<TopicName, Committed>): Promise<void>;
  /** A partition is another's, or was in between: its state is to be dropped. Called after `assigned` has resolved. */
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
  /** Nothing of this topic's partition comes until `resume`. What `take` refuses has been fetched for nothing. */
  pause(topic: TopicName, partition: number): void;
  commit(offsets: { topic: TopicName; partition: number; offset: number; metadata: string }[]): Promise<void>;
  /** Where a topic's partition ends by now, as a broker says. Of one that is paused nothing else would tell. */
  noteEnd(topic: TopicName, partition: number, endOffset: number): void;
  /** Records behind the position, by topic's partition, as of the last batch or the last end noted. */
  lag(): { topic: TopicName; partition: number; records: number }[];
  /** Records taken so far, by topic and offsets. */
  readonly taken: ReadonlyMap<TopicName, number>;
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
 * are. They stay ours only if the member was in the group all the time, which is to say in each of its generations:
 * one that was not heard of for too long, or missed a generation while it joined, may find the partition that it had
 * assigned to it again when another has worked on it meanwhile.
 */
export function createIntake(options: IntakeOptions): Intake {
  const { consumer, admin, groupId, prefix, topics, fail } = options;
  const assignedPartitions = new Map<number, Assigned>();
  /** By partition: resolves when what became of its last assignment is over, be it ready or dropped. */
  const restoring = new Map<number, Promise<void>>();
  const nameOf = new Map<string, TopicName>(topics.map((topic) => [prefix + topic, topic]));
  const taken = new Map<TopicName, number>();
  let joined: { memberId: string; generation: number } | undefined;
  let isHeld = false;

  function drop(partition: number): void {
    const wasReady = assignedPartitions.get(partition)?.isReady === true;
    assignedPartitions.delete(partition);
    // One that is being restored is dropped when it is.
    if (wasReady) options.lost(partition);
  }

  function onJoin(memberId: string, assignment: Record<string, number[]>): void {
    const ours = new Set(Object.values(assignment).flat());
    const generation = options.generation();
    const wasThere = joined?.memberId === memberId && joined.generation + 1 === generation;
    joined = { memberId, generation };
    for (const partition of [...assignedPartitions.keys()]) if (!wasThere || !ours.has(partition)) drop(partition);
    const fresh = [...ours].filter((partition) => !assignedPartitions.has(partition));
    for (const [partition, { isReady, positions }] of assignedPartitions) {
      for (const [topic, { next }] of positions) {
        if (next >= 0) consumer.seek({ topic: prefix + topic, partition, offset: String(next) });
      }
      if (isReady) resumeAll(partition);
    }
    for (const partition of fresh) {
      const entry: Assigned = {
        isReady: false,
        positions: new Map(topics.map((topic) => [topic, { next: -1, highWatermark: 0 }])),
      };
      assignedPartitions.set(partition, entry);
      const before = restoring.get(partition) ?? Promise.resolve();
      const restored = before.then(() => restore(partition, entry));
      restoring.set(partition, restored);
      restored.catch((error: Error) => {
        // Who lets go of everything does not wait for what would only be dropped.
        if (!isHeld) fail(error);
      });
    }
  }

  async function restore(partition: number, entry: Assigned): Promise<void> {
    const isGone = () => assignedPartitions.get(partition) !== entry;
    if (isGone()) return;
    const committed = await fetchCommitted(partition);
    if (isGone()) return;
    await options.assigned(partition, committed);
    // Meanwhile the partition may have gone, or gone and come back, or the member is about to leave.
    if (isGone() || isHeld) return options.lost(partition);
    // What the state was made from is where it goes on, whatever the group has read of its offsets since.
    for (const [topic, { offset }] of committed) {
      (entry.positions.get(topic) as Position).next = offset;
      consumer.seek({ topic: prefix + topic, partition, offset: String(offset) });
    }
    entry.isReady = true;
    resumeAll(partition);
  }

  async function fetchCommitted(partition: number): Promise<Map<TopicName, Committed>> {
    const found = new Map<TopicName, Committed>();
    const answers = await admin.fetchOffsets({ groupId, topics: topics.map((topic) => prefix + topic) });
    for (const { topic, partitions } of answers) {
      const { offset, metadata } = partitions.find((one) => one.partition === partition) ?? { offset: '-1' };
      if (Number(offset) >= 0)
        found.set(nameOf.get(topic) as TopicName, { offset: Number(offset), metadata: metadata ?? '' });
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
      if (!take({ topic, partition, batches, fromOffset, nextOffset, highWatermark })) return pause();
      position.next = nextOffset;
      taken.set(topic, (taken.get(topic) ?? 0) + nextOffset - fromOffset);
    }
    position.highWatermark = highWatermark;
    resolveOffset(String(nextOffset - 1));
    await heartbeat();
  }

  // kafkajs would give the same batch again, and again.
  function take(batches: Taken): boolean {
    try {
      return options.take(batches);
    } catch (error) {
      fail(error as Error);
      return false;
    }
  }

  return {
    async start() {
      consumer.on('consumer.group_join', ({ payload }) => {
        onJoin(payload.memberId, payload.memberAssignment as Record<string, number[]>);
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
      return joined !== undefined && [...assignedPartitions.values()].every(({ isReady }) => isReady);
    },
    resume(topic, partition) {
      if (!isHeld && assignedPartitions.get(partition)?.isReady === true)
        consumer.resume([{ topic: prefix + topic, partitions: [partition] }]);
    },
    pause(topic, partition) {
      consumer.pause([{ topic: prefix + topic, partitions: [partition] }]);
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
    noteEnd(topic, partition, endOffset) {
      const position = assignedPartitions.get(partition)?.positions.get(topic);
      if (position !== undefined && endOffset > position.highWatermark) position.highWatermark = endOffset;
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
    taken,
    hold() {
      isHeld = true;
    },
    async stop() {
      await consumer.disconnect();
    },
  };
}
