import type { Kafka } from 'kafkajs';
import type { TopicName } from '#schemas/topics.ts';
import { endOffsets, readPartitions } from './kafka/partition-reader.ts';
import { noteTable, TABLES, type TableProgress } from './table-progress.ts';

/** Batches of a compacted topic's partition that belong together: as many as came at once, oldest first. */
export type TableUpdate = { topic: TopicName; partition: number; batches: Buffer[] };

export type TableFeed = {
  /** Resolves when everything that was in the topics at the start has been applied. */
  restored: Promise<void>;
  stop(): Promise<void>;
};

/** Bytes handed over in one update: some ten thousand registrations, a few milliseconds of a worker. */
const UPDATE_BYTES = 1024 * 1024;
/** A fetch answers when there is something new; without, it is repeated so often. Each costs a third of a ms. */
const FETCH_WAIT_MS_MAX = 500;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Feeds one partition of compacted topics into tables: everything there is, then every change as it comes. `apply` is
 * waited for before more is read, which bounds what waits.
 */
export async function feedTables(
  kafka: Kafka,
  prefix: string,
  topics: readonly TopicName[],
  partition: number,
  apply: (update: TableUpdate) => Promise<void>,
  fail: (error: Error) => void,
): Promise<TableFeed> {
  const ends = await Promise.all(topics.map(async (topic) => (await endOffsets(kafka, prefix + topic))[partition]));
  const left = new Set(topics.filter((_, k) => ends[k] > 0));
  const progress = topics.map((topic, k): TableProgress => {
    const one = {
      topic,
      restoreRecords: ends[k],
      restoredRecords: 0,
      lagRecords: ends[k],
      reached: { [partition]: 0 },
    };
    TABLES.add(one);
    return one;
  });
  const applied = topics.map(() => 0);
  let resolveRestored: () => void = () => {};
  const restored = new Promise<void>((resolve) => {
    resolveRestored = resolve;
  });
  if (left.size === 0) resolveRestored();
  const waiting = new Map<TopicName, { batches: Buffer[]; bytes: number }>(
    topics.map((topic) => [topic, { batches: [], bytes: 0 }]),
  );
  const flush = async (topic: TopicName) => {
    const of = waiting.get(topic) as { batches: Buffer[]; bytes: number };
    if (of.batches.length === 0) return;
    const { batches } = of;
    of.batches = [];
    of.bytes = 0;
    await apply({ topic, partition, batches });
  };
  // One fetch for all topics: it answers when any of them has something new.
  const reading = readPartitions(kafka, {
    partitions: topics.map((topic) => ({ topic: prefix + topic, partition, fromOffset: 0 })),
    maxBytes: FETCH_BYTES_MAX,
    maxWaitMs: FETCH_WAIT_MS_MAX,
    onBatch(batch, range) {
      const topic = range.topic.slice(prefix.length) as TopicName;
      const of = waiting.get(topic) as { batches: Buffer[]; bytes: number };
      of.batches.push(batch);
      of.bytes += batch.length;
      return of.bytes >= UPDATE_BYTES ? flush(topic) : undefined;
    },
    async onAnswerEnd(reached) {
      for (const topic of topics) await flush(topic);
      for (const [k, { nextOffset, endOffset }] of reached.entries()) {
        noteTable(progress[k], nextOffset - applied[k], Math.max(0, endOffset - nextOffset));
        applied[k] = nextOffset;
        progress[k].reached[partition] = nextOffset;
        if (nextOffset >= ends[k] && left.delete(topics[k]) && left.size === 0) resolveRestored();
      }
    },
  });
  reading.done.catch(fail);
  return {
    restored,
    async stop() {
      for (const one of progress) TABLES.delete(one);
      await reading.stop();
    },
  };
}
