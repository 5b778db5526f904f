import { BatchWalk } from '#services/platform/batch-walk.ts';
import { beginningOffsets, endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { decodeOutcomes } from './outcomes.ts';

const OUTCOMES = 'registration-outcomes';
const VALUE_BYTES_MAX = 1_048_576;

/**
 * The offset behind the last change of a partition whose outcome has been said. What follows from the changes before it
 * is in registrations: who decided them again could come to another end than was said, since one that was set aside may
 * fit what is there by now.
 */
export async function saidUntil(context: ServiceContext, partition: number): Promise<number> {
  const { kafka, name, schemaIds, settings } = context;
  const topic = settings.prefix + OUTCOMES;
  const [first, end] = await Promise.all([beginningOffsets(kafka, topic), endOffsets(kafka, topic)]);
  if (end[partition] <= first[partition]) return 0;
  let until = 0;
  const walk = new BatchWalk(name);
  const reading = readPartitions(kafka, {
    partitions: [{ topic, partition, fromOffset: end[partition] - 1, untilOffset: end[partition] }],
    onBatch(batch) {
      walk.begin({ topic: OUTCOMES, partition, batches: [batch], fromOffset: end[partition] - 1 });
      while (walk.next()) {
        if (!walk.hasValue(schemaIds[OUTCOMES], VALUE_BYTES_MAX)) continue;
        const { buffer, valueAt, valueLength } = walk.cursor;
        const { offset, count } = decodeOutcomes(buffer.subarray(valueAt, valueAt + valueLength));
        until = offset + count;
      }
    },
  });
  await reading.done;
  return until;
}
