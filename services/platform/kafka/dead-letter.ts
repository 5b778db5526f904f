import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import { KafkaError } from './errors.ts';
import { BatchBuilder, type BatchCursor, batchKindAt, lastOffsetOf } from './record-batch.ts';

/** In the order of dead-letter.avsc. */
export const DEAD_LETTER_REASONS = [
  'NULL_VALUE',
  'UNDECODABLE',
  'WRONG_SCHEMA',
  'OVERSIZED',
  'CORRUPT_BATCH',
  'IMPOSSIBLE_VALUE',
  'WRONG_PARTITION',
  'OTHER',
] as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

/** A record that could not be used, as dead-letter.avsc has it; the offset stands for a whole batch that was corrupt. */
export type DeadLetter = {
  service: string;
  topic: string;
  partition: number;
  offset: number;
  reason: DeadLetterReason;
  detail: string;
  key: Buffer | null;
  value: Buffer | null;
  valueBytes: number;
};

export const DEAD_VALUE_BYTES_MAX = 64 * 1024;

const TYPE = avsc.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../../schemas/dead-letter.avsc', import.meta.url), 'utf8')),
);

/** The record that a cursor stands on, set aside. */
export function deadLetterOf(
  service: string,
  topic: TopicName,
  partition: number,
  cursor: BatchCursor,
  { reason, detail }: { reason: DeadLetterReason; detail: string },
): DeadLetter {
  const { buffer, offset, keyAt, keyLength, valueAt, valueLength } = cursor;
  const slice = (at: number, length: number) =>
    length < 0 ? null : Buffer.from(buffer.subarray(at, at + Math.min(length, DEAD_VALUE_BYTES_MAX)));
  return {
    service,
    topic,
    partition,
    offset,
    reason,
    detail,
    key: slice(keyAt, keyLength),
    value: slice(valueAt, valueLength),
    valueBytes: valueLength,
  };
}

/** A batch that is no batch, or that only other software reads, set aside as a whole. Any other error is thrown on. */
export function deadLetterOfBatch(
  service: string,
  topic: TopicName,
  partition: number,
  batch: Buffer,
  error: Error,
): DeadLetter {
  if (!(error instanceof KafkaError)) throw error;
  const [first, last] = [Number(batch.readBigInt64BE(0)), lastOffsetOf(batch)];
  return {
    service,
    topic,
    partition,
    offset: first,
    reason: 'CORRUPT_BATCH',
    detail: `offsets ${first} to ${last}, a ${batchKindAt(batch, 0)} batch: ${error.message}`,
    key: null,
    value: Buffer.from(batch.subarray(0, DEAD_VALUE_BYTES_MAX)),
    valueBytes: batch.length,
  };
}

/** Dead letters as a batch of their topic. At least one. */
export function encodeDeadLetters(
  letters: readonly DeadLetter[],
  schemaId: number,
): { batch: Uint8Array; records: number } {
  const wallMs = nowMs();
  // Those of a worker thread have come as plain bytes, which avsc refuses.
  const values = letters.map(({ key, value, ...rest }) =>
    TYPE.toBuffer({ ...rest, key: bufferOf(key), value: bufferOf(value), wallMs }),
  );
  const bytes = values.reduce((sum, value, k) => sum + value.length + (letters[k].key?.length ?? 0) + 64, 128);
  const builder = new BatchBuilder(bytes);
  values.forEach((value, k) => {
    const { key } = letters[k];
    const stamp = Math.floor(wallMs);
    const at = key === null ? builder.beginWithoutKey(stamp) : builder.begin(stamp, key, 0, key.length);
    writeWireHeader(builder.buffer, at, schemaId);
    builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
  });
  return { batch: builder.finish(), records: letters.length };
}

function bufferOf(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
