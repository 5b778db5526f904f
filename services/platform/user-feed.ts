import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { Kafka } from 'kafkajs';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { endOffsets, readPartitions } from './kafka/partition-reader.ts';
import { BatchCursor, lastOffsetOf } from './kafka/record-batch.ts';

const USER = avsc.Type.forSchema(JSON.parse(readFileSync(new URL('../../schemas/user.avsc', import.meta.url), 'utf8')));

export type UserFeed = {
  /** Resolves when everything that was in the topic at the start is known. */
  restored: Promise<void>;
  stop(): Promise<void>;
};

/**
 * Follows the topic users, all its partitions: calls back with all Users, each as avsc decodes it, whenever some have
 * changed. They are few, so every process knows all of them.
 */
export async function followUsers<T>(
  kafka: Kafka,
  prefix: string,
  onUsers: (users: T[]) => void,
  fail: (error: Error) => void,
): Promise<UserFeed> {
  const topic = `${prefix}users`;
  const ends = await endOffsets(kafka, topic);
  const left = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
  const users = new Map<string, T>();
  const cursor = new BatchCursor();
  let resolveRestored: () => void = () => {};
  const restored = new Promise<void>((resolve) => {
    resolveRestored = resolve;
  });
  let hasChanged = left.size === 0;
  const publish = () => {
    if (!hasChanged || left.size > 0) return;
    hasChanged = false;
    onUsers([...users.values()]);
    resolveRestored();
  };
  const reading = readPartitions(kafka, {
    partitions: ends.map((_, partition) => ({ topic, partition, fromOffset: 0 })),
    onBatch(batch, { partition }) {
      cursor.open(batch);
      while (cursor.next()) {
        const key = cursor.buffer.toString('latin1', cursor.keyAt, cursor.keyAt + Math.max(0, cursor.keyLength));
        const value = cursor.buffer.subarray(cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
        if (cursor.valueLength < WIRE_HEADER_BYTES) users.delete(key);
        else users.set(key, USER.fromBuffer(Buffer.from(value)) as T);
        hasChanged = true;
      }
      if (lastOffsetOf(batch) + 1 >= ends[partition]) left.delete(partition);
    },
    onAnswerEnd: publish,
  });
  reading.done.catch(fail);
  publish();
  return { restored, stop: reading.stop };
}
