/**
 * Where in a partition a restart has to begin so that everything after some instant of simulated time is seen again.
 * Each entry: an offset, the simulated instant up to which everything stands before it, and what was known there.
 */
export type Checkpoint<T> = { offset: number; untilMs: number; known: T };

/** One entry stands for at least so much simulated time. */
const APART_MS_MIN = 10_000;
/** Older entries are thinned out beyond this many: a restart then reads a little more. */
const ENTRIES_MAX = 4096;

export class Checkpoints<T> {
  #entries: Checkpoint<T>[];

  constructor(first: Checkpoint<T>) {
    this.#entries = [first];
  }

  /** Notes a place; `untilMs` must not go back. */
  note(offset: number, untilMs: number, known: () => T): void {
    if (untilMs < this.#entries[this.#entries.length - 1].untilMs + APART_MS_MIN) return;
    this.#entries.push({ offset, untilMs, known: known() });
    if (this.#entries.length > ENTRIES_MAX) this.#entries = this.#entries.filter((_, k) => k % 2 === 0);
  }

  /** The latest place before which nothing later than `instantMs` stands; forgets those before it. */
  before(instantMs: number): Checkpoint<T> {
    let k = this.#entries.length - 1;
    while (k > 0 && this.#entries[k].untilMs > instantMs) k--;
    if (k > 0) this.#entries.splice(0, k);
    return this.#entries[0];
  }

  /** The latest place at or before an offset; forgets those before it. */
  atOrBefore(offset: number): Checkpoint<T> {
    let k = this.#entries.length - 1;
    while (k > 0 && this.#entries[k].offset > offset) k--;
    if (k > 0) this.#entries.splice(0, k);
    return this.#entries[0];
  }
}
