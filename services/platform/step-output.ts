import { MESSAGE_BYTES_MAX, type TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { BatchBuilder } from './kafka/record-batch.ts';

/** A batch as it is to be sent, in memory of its own. Batches of one partition of a topic keep the list's order. */
export type FinishedBatch = { topic: TopicName; partition: number; batch: ArrayBuffer; records: number };

/**
 * A batch is what its reader takes in one go, whatever less it asks the broker for, and what is urgent waits behind it:
 * so many requests are some milliseconds of the fleet.
 */
export const RECORDS_PER_BATCH_MAX = 2_000;
/** Well below what the broker takes; a batch of requests reaches the number of records before. */
export const BYTES_PER_BATCH_MAX = 786_432;

if (BYTES_PER_BATCH_MAX >= MESSAGE_BYTES_MAX) throw new Error('a batch would be larger than the broker takes');

/**
 * What a step writes: a batch under construction for each topic and partition, finished ones in a list. A step asks
 * for its lanes once and keeps them; their memory serves one task after another.
 */
export class StepOutput {
  readonly #lanes: Lane[] = [];
  #finished: FinishedBatch[] = [];

  /** The lane of one partition; one for all tasks. `schemaId`: of the values written. */
  lane(topic: TopicName, partition: number, schemaId: number): Lane {
    const known = this.#lanes.find((lane) => lane.topic === topic && lane.partition === partition);
    if (known !== undefined) return known;
    const lane = new Lane(topic, partition, schemaId, (batch) => this.#finished.push(batch));
    this.#lanes.push(lane);
    return lane;
  }

  /** All batches since the last call. */
  take(): FinishedBatch[] {
    for (const lane of this.#lanes) lane.finish();
    const finished = this.#finished;
    this.#finished = [];
    return finished;
  }
}

/** The records for one partition of a topic, in the order in which they are written. */
export class Lane {
  readonly topic: TopicName;
  readonly partition: number;
  readonly #schemaId: number;
  readonly #emit: (batch: FinishedBatch) => void;
  // Made with the first record: a task writes to few of the partitions that it could.
  #builder: BatchBuilder | undefined;

  constructor(topic: TopicName, partition: number, schemaId: number, emit: (batch: FinishedBatch) => void) {
    this.topic = topic;
    this.partition = partition;
    this.#schemaId = schemaId;
    this.#emit = emit;
  }

  /**
   * Begins a record whose value takes at most so many bytes and returns where the value goes, in `buffer`. Without a
   * key where `keyLength` is -1.
   */
  begin(timestampMs: number, key: Uint8Array, keyAt: number, keyLength: number, valueBytesMax: number): number {
    this.#builder ??= new BatchBuilder(BYTES_PER_BATCH_MAX);
    const builder = this.#builder;
    const bytesMax = keyLength + valueBytesMax + WIRE_HEADER_BYTES;
    if (builder.count === RECORDS_PER_BATCH_MAX || !builder.fits(bytesMax)) this.finish();
    const at = keyLength < 0 ? builder.beginWithoutKey(timestampMs) : builder.begin(timestampMs, key, keyAt, keyLength);
    return writeWireHeader(builder.buffer, at, this.#schemaId);
  }

  /** A record without a value: of its key nothing is left. */
  tombstone(timestampMs: number, key: Uint8Array, keyAt: number, keyLength: number): void {
    this.#builder ??= new BatchBuilder(BYTES_PER_BATCH_MAX);
    if (this.#builder.count === RECORDS_PER_BATCH_MAX || !this.#builder.fits(keyLength)) this.finish();
    this.#builder.tombstone(timestampMs, key, keyAt, keyLength);
  }

  /** Where values are written, between `begin` and `end`. */
  get buffer(): Buffer {
    return this.#builder!.buffer;
  }

  end(valueEnd: number): void {
    this.#builder!.end(valueEnd);
  }

  finish(): void {
    const builder = this.#builder;
    if (builder === undefined || builder.count === 0) return;
    const { count } = builder;
    this.#emit({ topic: this.topic, partition: this.partition, batch: builder.take(), records: count });
    builder.reset();
  }
}
