import type { Kafka } from 'kafkajs';
import type { TopicName } from '#schemas/topics.ts';
import { endOffsets, readPartitions } from './kafka/partition-reader.ts';
import { lastOffsetOf } from './kafka/record-batch.ts';

/** Batches of a compacted topic's partition that belong together: as many as came at once, oldest first. */
export type TableUpdate = { topic: TopicName; partition: number; batches: Buffer[] };

export type TableFeed = {
  /** Resolves when everything that was in the topics at the start has been applied. */
  restored: Promise<void>;
  stop(): Promise<void>;
};

/** Bytes handed over in one update: some ten thousand registrations, a few milliseconds of a worker. */
const UPDATE_BYTES = 1024 * 1024;
/** How long a changed record may wait until its update is handed over. */
const FETCH_WAIT_MS_MAX = 20;
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
  let resolveRestored: () => void = () => {};
  const restored = new Promise<void>((resolve) => {
    resolveRestored = resolve;
  });
  if (left.size === 0) resolveRestored();
  const readings = topics.map((topic, k) => {
    let waiting: Buffer[] = [];
    let bytes = 0;
    let nextOffset = 0;
    const flush = async () => {
      if (waiting.length === 0) return;
      const batches = waiting;
      waiting = [];
      bytes = 0;
      await apply({ topic, partition, batches });
      if (nextOffset >= ends[k] && left.delete(topic) && left.size === 0) resolveRestored();
    };
    return readPartitions(kafka, {
      partitions: [{ topic: prefix + topic, partition, fromOffset: 0 }],
      maxBytes: FETCH_BYTES_MAX,
      maxWaitMs: FETCH_WAIT_MS_MAX,
      onBatch(batch) {
        waiting.push(batch);
        bytes += batch.length;
        nextOffset = lastOffsetOf(batch) + 1;
        return bytes >= UPDATE_BYTES ? flush() : undefined;
      },
      onAnswerEnd: flush,
    });
  });
  for (const reading of readings) reading.done.catch(fail);
  return {
    restored,
    async stop() {
      await Promise.all(readings.map((reading) => reading.stop()));
    },
  };
}
