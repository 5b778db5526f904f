import type { TopicName } from '#schemas/topics.ts';
import { wireSchemaId } from '#schemas/wire.ts';
import { type DeadLetter, type DeadLetterReason, deadLetterOf, deadLetterOfBatch } from './kafka/dead-letter.ts';
import { BatchCursor, batchKindAt, countOf, lastOffsetOf, splitBatches } from './kafka/record-batch.ts';

/** Our keys are digits of MPANs and EUIs; a marker's is carried on, whatever it is. */
const KEY_BYTES_MAX = 64;

/** Record batches of one partition as they came off the consumer. */
export type BatchSource = {
  topic: TopicName;
  partition: number;
  /** Whole batches, one or more in each: plain ones, or control ones, which are passed over. */
  batches: readonly Uint8Array[];
  /** Records before it were done by an earlier task. */
  fromOffset: number;
};

/**
 * Walks the records of a task. What cannot be used is set aside and the walk goes on: a batch whose checksum is wrong
 * as a whole, a record when its step says so.
 */
export class BatchWalk {
  readonly cursor = new BatchCursor();
  /** Behind everything walked. */
  nextOffset = 0;
  deadLetters: DeadLetter[] = [];
  readonly #service: string;
  #source: BatchSource = { topic: 'dead-letters', partition: 0, batches: [], fromOffset: 0 };
  #batches: Buffer[] = [];
  #at = 0;
  #isOpen = false;

  constructor(service: string) {
    this.#service = service;
  }

  begin(source: BatchSource): void {
    this.#source = source;
    this.#batches = source.batches.flatMap((batch) =>
      splitBatches(Buffer.from(batch.buffer, batch.byteOffset, batch.length)),
    );
    this.#at = 0;
    this.#isOpen = false;
    this.nextOffset = source.fromOffset;
    this.deadLetters = [];
  }

  /** Puts the cursor on the next record. */
  next(): boolean {
    for (;;) {
      if (this.#isOpen && this.#step()) return true;
      if (this.#at === this.#batches.length) return false;
      this.#open(this.#batches[this.#at++]);
    }
  }

  /** Whether the record has a value of the schema, and neither it nor its key is too long; others are set aside. */
  hasValue(schemaId: number, bytesMax: number): boolean {
    const { buffer, keyLength, valueAt, valueLength } = this.cursor;
    if (valueLength < 0) return this.setAside('NULL_VALUE', 'no value, expected one');
    const found = wireSchemaId(buffer, valueAt, valueLength);
    if (found !== schemaId)
      return this.setAside('WRONG_SCHEMA', `schema id ${found === -1 ? 'missing' : found}, expected ${schemaId}`);
    if (valueLength > bytesMax)
      return this.setAside('OVERSIZED', `a value of ${valueLength} bytes, expected at most ${bytesMax}`);
    if (keyLength > KEY_BYTES_MAX)
      return this.setAside('OVERSIZED', `a key of ${keyLength} bytes, expected at most ${KEY_BYTES_MAX}`);
    return true;
  }

  /** Sets the record under the cursor aside. Returns false, for callers that go on only where nothing was wrong. */
  setAside(reason: DeadLetterReason, detail: string): false {
    const { topic, partition } = this.#source;
    this.deadLetters.push(deadLetterOf(this.#service, topic, partition, this.cursor, { reason, detail }));
    return false;
  }

  #step(): boolean {
    try {
      if (this.cursor.next()) {
        this.nextOffset = this.cursor.offset + 1;
        return true;
      }
      this.nextOffset = Math.max(this.nextOffset, this.cursor.lastOffset + 1);
    } catch (error) {
      this.#setBatchAside(error);
    }
    this.#isOpen = false;
    return false;
  }

  #open(batch: Buffer): void {
    if (batchKindAt(batch, 0) === 'control') {
      this.nextOffset = Math.max(this.nextOffset, lastOffsetOf(batch) + 1);
      return;
    }
    try {
      this.cursor.open(batch, this.#source.fromOffset);
      this.#isOpen = true;
    } catch (error) {
      this.#setBatchAside(error);
    }
  }

  // The rest of the batch, where some of its records were walked before one was malformed.
  #setBatchAside(error: unknown): void {
    const { topic, partition } = this.#source;
    const batch = this.#batches[this.#at - 1];
    this.deadLetters.push(deadLetterOfBatch(this.#service, topic, partition, batch, error as Error));
    const offset = Math.max(this.nextOffset, baseOffsetOf(batch));
    this.nextOffset = Math.max(offset + 1, this.#offsetBehind(batch));
  }

  // The header of a corrupt batch may be wrong as well. Where the next batch begins is better; otherwise its count and
  // its last offset must agree, or else the same batch is asked for again, from one offset further on.
  #offsetBehind(batch: Buffer): number {
    const next = this.#batches[this.#at];
    if (next !== undefined) return baseOffsetOf(next);
    const last = lastOffsetOf(batch);
    return last - baseOffsetOf(batch) === countOf(batch) - 1 && countOf(batch) <= batch.length ? last + 1 : 0;
  }
}

function baseOffsetOf(batch: Buffer): number {
  return Number(batch.readBigInt64BE(0));
}
