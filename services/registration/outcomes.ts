import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import { WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import type { FinishedBatch } from '#services/platform/step-output.ts';

/** What becomes of a change. */
export const OUTCOME = { applied: 0, stale: 1, duplicate: 2, setAside: 3 } as const;
const SYMBOLS = ['', 'STALE', 'DUPLICATE', 'SET_ASIDE'];

export type NotApplied = { offset: number; outcome: number; detail: string };
/** What became of `count` changes from `offset` on: those not listed were applied. */
export type Outcomes = { offset: number; count: number; notApplied: NotApplied[] };

const TYPE = avsc.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../schemas/registration-outcome.avsc', import.meta.url), 'utf8')),
);
/** A load that is repeated has as many duplicates as changes: a record of 60 kB, well below what a broker takes. */
const LISTED_MAX = 4096;
const DETAIL_CHARACTERS_MAX = 200;

/** Collects the outcomes of one task and makes a batch of them. */
export class OutcomeWriter {
  readonly #schemaId: number;
  #finished: Outcomes[] = [];
  #open: Outcomes = { offset: 0, count: 0, notApplied: [] };
  #partition = 0;
  #stampMs = 0;

  constructor(schemaId: number) {
    this.#schemaId = schemaId;
  }

  begin(partition: number, stampMs: number, fromOffset: number): void {
    this.#partition = partition;
    this.#stampMs = stampMs;
    this.#finished = [];
    this.#open = { offset: fromOffset, count: 0, notApplied: [] };
  }

  /** Offsets come in order; those passed over are of a batch that could not be read. */
  add(offset: number, outcome: number, detail: string): void {
    this.#pass(offset);
    this.#open.count++;
    if (outcome !== OUTCOME.applied) this.#list({ offset, outcome, detail: detail.slice(0, DETAIL_CHARACTERS_MAX) });
  }

  /** `nextOffset`: behind everything that the task has seen. */
  take(nextOffset: number): FinishedBatch[] {
    this.#pass(nextOffset);
    if (this.#open.count > 0) this.#finished.push(this.#open);
    const values = this.#finished.map(({ offset, count, notApplied }) =>
      TYPE.toBuffer({
        offset,
        count,
        notApplied: notApplied.map((one) => ({ ...one, outcome: SYMBOLS[one.outcome] })),
      }),
    );
    return values.map((value) => {
      const builder = new BatchBuilder(value.length + 256);
      const at = writeWireHeader(builder.buffer, builder.beginWithoutKey(this.#stampMs), this.#schemaId);
      builder.end(at + value.copy(builder.buffer, at));
      return { topic: 'registration-outcomes', partition: this.#partition, batch: builder.take(), records: 1 };
    });
  }

  #pass(offset: number): void {
    while (this.#open.offset + this.#open.count < offset) {
      const passed = this.#open.offset + this.#open.count++;
      this.#list({ offset: passed, outcome: OUTCOME.setAside, detail: 'its batch could not be read' });
    }
  }

  #list(one: NotApplied): void {
    const { offset, count, notApplied } = this.#open;
    if (notApplied.push(one) < LISTED_MAX) return;
    this.#finished.push(this.#open);
    this.#open = { offset: offset + count, count: 0, notApplied: [] };
  }
}

/** A value of registration-outcomes, its schema id before it. Throws what avsc does. */
export function decodeOutcomes(value: Buffer): Outcomes {
  const { offset, count, notApplied } = TYPE.fromBuffer(Buffer.from(value.subarray(WIRE_HEADER_BYTES))) as {
    offset: number;
    count: number;
    notApplied: { offset: number; outcome: string; detail: string }[];
  };
  return { offset, count, notApplied: notApplied.map((one) => ({ ...one, outcome: SYMBOLS.indexOf(one.outcome) })) };
}
