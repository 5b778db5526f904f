import type { Admin } from 'kafkajs';
import type { TopicName } from '#schemas/topics.ts';

/**
 * How far a group has taken a topic, by partition. Every service commits `{"next": offset}` among its metadata: the
 * offset up to which it has taken records, while the committed offset is where a restart would begin.
 */
export async function takenOffsets(
  admin: Admin,
  prefix: string,
  group: string,
  topic: TopicName,
  partitions: number,
): Promise<number[]> {
  const taken = Array<number>(partitions).fill(0);
  const answers = await admin.fetchOffsets({ groupId: prefix + group, topics: [prefix + topic] });
  for (const { partitions: offsets } of answers) {
    for (const { partition, offset, metadata } of offsets) {
      if (partition < partitions) taken[partition] = nextOf(metadata) ?? Math.max(0, Number(offset));
    }
  }
  return taken;
}

/** Records that are in a topic and not taken by a group yet, by partition. */
export async function lagOf(
  admin: Admin,
  prefix: string,
  group: string,
  topic: TopicName,
  partitions: number,
): Promise<number[]> {
  const [taken, ends] = await Promise.all([
    takenOffsets(admin, prefix, group, topic, partitions),
    admin.fetchTopicOffsets(prefix + topic),
  ]);
  return taken.map((offset, partition) => {
    const end = ends.find((one) => one.partition === partition);
    return Math.max(0, Number(end?.high ?? 0) - offset);
  });
}

function nextOf(metadata: string | null): number | undefined {
  if (metadata === null || metadata === '') return undefined;
  const { next } = JSON.parse(metadata) as { next?: number };
  return next;
}
