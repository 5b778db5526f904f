import type { Kafka } from 'kafkajs';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import {
  newServiceRequest,
  POSITIONS_A_TENURE,
  REQUEST_KIND,
  readServiceRequest,
  SERVICE_REQUEST_BYTES_MAX,
  type ServiceRequestFields,
  writeMarker,
} from '#schemas/service-request.ts';
import { WIRE_HEADER_BYTES, wireSchemaId, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from './clock.ts';
import { KafkaError } from './kafka/errors.ts';
import { beginningOffsets, endOffsets, readPartitions } from './kafka/partition-reader.ts';
import { BATCH_HEADER_BYTES, BatchBuilder, BatchCursor, RECORD_OVERHEAD_BYTES_MAX } from './kafka/record-batch.ts';
import type { ServiceContext } from './service.ts';

/** Where a source of Service Requests stands in one partition of a lane, by what it wrote there last. */
export type OwnTail = {
  /** Its last position, 0 where it has written nothing. */
  position: number;
  /** What its last MARKER says; undefined where there is none. */
  untilMs: number | undefined;
  /** Requests of later instants that it has written all the same: they must not be written again. */
  sent: Set<string>;
  /** The latest instant of these; before them all where there are none. */
  sentUntilMs: number;
};

/** Looked at from the end backwards, in steps of so many records at first. */
const STEP_AT_FIRST = 4096;

/** What else whoever takes over wants to know of the requests that were written. */
export type Recollection = {
  /** How far back from the last marker, at least. */
  spanMs: number;
  /** Called for each request that was written, in the order of the log; maybe for more than were asked for. */
  add(request: ServiceRequestFields, buffer: Buffer): void;
  /** Those told so far do not count. */
  clear(): void;
};

export type Lane = 'service-requests.scheduled' | 'service-requests.on-demand';

/**
 * Takes a lane's partition over from whoever wrote there for the same source, and tells where that one stood. It may
 * write still: it was not heard of for too long and has not noticed, or its last batch is under way. So a fence is put
 * into the log first, a MARKER of a tenure of its own. What the other wrote before the fence is read back; what it
 * writes behind it has a lower position, and is dropped by all who read.
 *
 *   1 2 3 M3 4 | fence 2^32 | 5' M4' 2^32+1 2^32+2 M ...
 *
 * `firstMs`: everything up to then counts as written where nothing is.
 */
export async function takeOverLane(
  { kafka, settings, schemaIds, outbox }: Pick<ServiceContext, 'kafka' | 'settings' | 'schemaIds' | 'outbox'>,
  topic: Lane,
  partition: number,
  source: number,
  firstMs: number,
  recollection?: Recollection,
): Promise<OwnTail & { untilMs: number }> {
  const read = (untilOffset?: number) =>
    readOwnTail(kafka, settings.prefix + topic, partition, source, schemaIds[topic], untilOffset, recollection);
  for (let tail = await read(); ; ) {
    const position = (tenureOf(tail.position) + 1) * POSITIONS_A_TENURE;
    const fence = encodeFence(topic, source, position, tail.untilMs ?? firstMs, schemaIds[topic]);
    const offset = await outbox.send(topic, partition, fence, 1);
    tail = await read(offset);
    // Unless another has taken it over at the same time, and stands before.
    if (tail.position < position) return { ...tail, untilMs: tail.untilMs ?? firstMs, position };
  }
}

function encodeFence(topic: Lane, source: number, position: number, untilMs: number, schemaId: number): Uint8Array {
  const wallMs = nowMs();
  const mode = topic === 'service-requests.scheduled' ? SCHEDULED : ON_DEMAND;
  const builder = new BatchBuilder(
    BATCH_HEADER_BYTES + RECORD_OVERHEAD_BYTES_MAX + WIRE_HEADER_BYTES + SERVICE_REQUEST_BYTES_MAX,
  );
  const at = writeWireHeader(builder.buffer, builder.beginWithoutKey(Math.floor(wallMs)), schemaId);
  builder.end(writeMarker(builder.buffer, at, source, position, mode, untilMs, wallMs));
  return builder.finish();
}

/** Names a request among those of one partition. */
export function tailKey(receivedMs: number, mpan: number, counter: number): string {
  return `${receivedMs} ${mpan} ${counter}`;
}

/**
 * Reads back what a source wrote last, up to an offset, so that whoever takes the partition over goes on behind it. The
 * log itself is the state: nothing else is kept, so nothing can disagree with it.
 */
export async function readOwnTail(
  kafka: Kafka,
  topic: string,
  partition: number,
  source: number,
  schemaId: number,
  until?: number,
  recollection?: Recollection,
): Promise<OwnTail> {
  const [ends, beginnings] = await Promise.all([endOffsets(kafka, topic), beginningOffsets(kafka, topic)]);
  const [untilOffset, beginning] = [until ?? ends[partition], beginnings[partition]];
  for (let step = STEP_AT_FIRST; ; step *= 8) {
    const fromOffset = Math.max(beginning, untilOffset - step);
    recollection?.clear();
    const fold = new OwnTailFold(source, schemaId, recollection);
    if (fromOffset < untilOffset) {
      await readPartitions(kafka, {
        partitions: [{ topic, partition, fromOffset, untilOffset }],
        onBatch: (batch) => fold.take(batch, fromOffset, untilOffset),
      }).done;
    }
    if (fold.isComplete || fromOffset === beginning) return fold.tail();
  }
}

/** What a source wrote, record by record in the order of the log, of which the beginning may be missing. */
export class OwnTailFold {
  readonly #source: number;
  readonly #schemaId: number;
  readonly #cursor = new BatchCursor();
  readonly #reader = new AvroReader();
  readonly #request = newServiceRequest();
  /** Requests later than the last marker says, by key, in the order of their instants. */
  readonly #sent = new Map<string, number>();
  #position = 0;
  #untilMs: number | undefined;
  /** Everything written before the first record that was looked at lies before this instant, or at it. */
  #missedUntilMs = Number.POSITIVE_INFINITY;
  readonly #recollection: Recollection | undefined;

  constructor(source: number, schemaId: number, recollection?: Recollection) {
    this.#source = source;
    this.#schemaId = schemaId;
    this.#recollection = recollection;
  }

  /** Whether nothing that is missing could be later than the last marker says, less what is to be recollected. */
  get isComplete(): boolean {
    const spanMs = this.#recollection?.spanMs ?? 0;
    return this.#untilMs !== undefined && this.#missedUntilMs <= this.#untilMs - spanMs;
  }

  take(batch: Buffer, fromOffset = 0, untilOffset = Number.POSITIVE_INFINITY): void {
    const cursor = this.#cursor;
    try {
      cursor.open(batch, fromOffset, untilOffset);
      while (cursor.next()) this.#takeRecord();
    } catch (error) {
      // Of another source: those who read the lane set it aside.
      if (!(error instanceof KafkaError)) throw error;
    }
  }

  tail(): OwnTail {
    return {
      position: this.#position,
      untilMs: this.#untilMs,
      sent: new Set(this.#sent.keys()),
      sentUntilMs: Math.max(Number.NEGATIVE_INFINITY, ...new Set(this.#sent.values())),
    };
  }

  #takeRecord(): void {
    const { buffer, valueAt, valueLength } = this.#cursor;
    const request = this.#request;
    if (wireSchemaId(buffer, valueAt, valueLength) !== this.#schemaId) return;
    try {
      readServiceRequest(this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength), request);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      return;
    }
    const { source, position, kind, receivedMs, mpan, counter } = request;
    if (source !== this.#source || position < this.#position) return;
    // Markers behind it, until the first request, have the same position.
    const isFence = position % POSITIONS_A_TENURE === 0 && position > this.#position;
    if (!isFence && tenureOf(position) > tenureOf(this.#position)) this.#forgetStale();
    this.#position = position;
    if (kind !== REQUEST_KIND.marker) {
      this.#missedUntilMs = Math.min(this.#missedUntilMs, receivedMs);
      this.#sent.set(tailKey(receivedMs, mpan, counter), receivedMs);
      this.#recollection?.add(request, buffer);
      return;
    }
    // In the middle of an instant a marker speaks of the one before: requests of this instant stand before it, and
    // before it only. A fence says no more than was known when it was written.
    if (!isFence) this.#missedUntilMs = Math.min(this.#missedUntilMs, receivedMs + 1);
    const untilMs = Math.max(this.#untilMs ?? receivedMs, receivedMs);
    this.#untilMs = untilMs;
    for (const [key, atMs] of this.#sent) {
      if (atMs > untilMs) break;
      this.#sent.delete(key);
    }
  }

  // A later tenure than what was seen, and its fence was not: so that stands before the first record looked at, and
  // what was seen was written behind it by whom it ended.
  #forgetStale(): void {
    this.#sent.clear();
    this.#recollection?.clear();
    this.#untilMs = undefined;
    this.#missedUntilMs = Number.POSITIVE_INFINITY;
  }
}

function tenureOf(position: number): number {
  return Math.floor(position / POSITIONS_A_TENURE);
}
