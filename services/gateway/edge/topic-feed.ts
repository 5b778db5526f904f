import type { TopicName } from '#schemas/topics.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { endOffsets, type Reading, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';

export type FeedOptions = {
  /** Where to begin, by partition; 0 where it says nothing. */
  from?: ReadonlyMap<number, number>;
  maxWaitMs?: number;
};

/**
 * Walks all partitions of a topic: resolves when everything that was there has been taken, and goes on with what comes
 * from then on until it is stopped.
 */
export async function followTopic(
  { kafka, settings, fail }: ServiceContext,
  name: TopicName,
  take: (walk: BatchWalk, partition: number) => void,
  { from = new Map(), maxWaitMs }: FeedOptions = {},
): Promise<Reading['stop']> {
  const topic = settings.prefix + name;
  const ends = await endOffsets(kafka, topic);
  const startOf = (partition: number) => from.get(partition) ?? 0;
  const left = new Set(ends.flatMap((end, partition) => (end > startOf(partition) ? [partition] : [])));
  const restored = Promise.withResolvers<void>();
  if (left.size === 0) restored.resolve();
  const walk = new BatchWalk('gateway');
  const reading = readPartitions(kafka, {
    partitions: ends.map((_, partition) => ({ topic, partition, fromOffset: startOf(partition) })),
    ...(maxWaitMs === undefined ? {} : { maxWaitMs }),
    onBatch(batch, { partition, fromOffset }) {
      walk.begin({ topic: name, partition, batches: [batch], fromOffset });
      while (walk.next()) take(walk, partition);
    },
    onAnswerEnd(reached) {
      for (const { range, nextOffset } of reached)
        if (nextOffset >= ends[range.partition] && left.delete(range.partition) && left.size === 0) restored.resolve();
    },
  });
  reading.done.catch(fail);
  await restored.promise;
  return reading.stop;
}
