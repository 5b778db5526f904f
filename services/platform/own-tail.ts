import type { Kafka } from 'kafkajs';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newServiceRequest, REQUEST_KIND, readServiceRequest } from '#schemas/service-request.ts';
import { WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import { beginningOffsets, endOffsets, readPartitions } from './kafka/partition-reader.ts';
import { BatchCursor } from './kafka/record-batch.ts';

/** Where a source of Service Requests stands in one partition of a lane, by what it wrote there last. */
export type OwnTail = {
  /** Its last position, 0 where it has written nothing. */
  position: number;
  /** What its last MARKER says; undefined where there is none. */
  untilMs: number | undefined;
  /** Requests that it has written behind that marker: they must not be written again. */
  sent: Set<string>;
};

/** Looked at from the end backwards, in steps of so many records at first. */
const STEP_AT_FIRST = 4096;

/** Names a request among those of one partition. */
export function tailKey(receivedMs: number, mpan: number, counter: number): string {
  return `${receivedMs} ${mpan} ${counter}`;
}

/**
 * Reads back what a source wrote last, so that whoever takes the partition over goes on behind it. The log itself is
 * the state: nothing else is kept, so nothing can disagree with it.
 */
export async function readOwnTail(
  kafka: Kafka,
  topic: string,
  partition: number,
  source: number,
  schemaId: number,
): Promise<OwnTail> {
  const [ends, beginnings] = await Promise.all([endOffsets(kafka, topic), beginningOffsets(kafka, topic)]);
  const [end, beginning] = [ends[partition], beginnings[partition]];
  for (let step = STEP_AT_FIRST; ; step *= 8) {
    const fromOffset = Math.max(beginning, end - step);
    const tail = await readFrom(kafka, topic, partition, fromOffset, end, source, schemaId);
    if (tail.untilMs !== undefined || fromOffset === beginning) return tail;
  }
}

async function readFrom(
  kafka: Kafka,
  topic: string,
  partition: number,
  fromOffset: number,
  untilOffset: number,
  source: number,
  schemaId: number,
): Promise<OwnTail> {
  const tail: OwnTail = { position: 0, untilMs: undefined, sent: new Set() };
  if (fromOffset >= untilOffset) return tail;
  const cursor = new BatchCursor();
  const reader = new AvroReader();
  const request = newServiceRequest();
  await readPartitions(kafka, {
    partitions: [{ topic, partition, fromOffset, untilOffset }],
    onBatch(batch) {
      cursor.open(batch, fromOffset, untilOffset);
      while (cursor.next()) {
        if (wireSchemaId(cursor.buffer, cursor.valueAt, cursor.valueLength) !== schemaId) continue;
        reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
        readServiceRequest(reader, request);
        if (request.source !== source || request.position < tail.position) continue;
        tail.position = request.position;
        if (request.kind === REQUEST_KIND.marker) {
          tail.untilMs = request.receivedMs;
          tail.sent.clear();
        } else tail.sent.add(tailKey(request.receivedMs, request.mpan, request.counter));
      }
    },
  }).done;
  return tail;
}
