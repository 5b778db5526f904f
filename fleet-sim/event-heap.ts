import { MdrError } from '#core/errors.ts';
/**
 * A binary heap of (instant, value) on flat arrays, ordered by instant, then by order of insertion: equal instants
 * leave in the order they came, so a simulation has one outcome. Grows by doubling up to a stated limit.
 *
 *   atMs   Float64  instant, integer milliseconds
 *   order  Float64  insertion number
 *   value  Int32    the caller's
 */
export class EventHeap {
  size = 0;
  /** Instant of the first entry; Infinity when empty. */
  firstAtMs = Number.POSITIVE_INFINITY;
  readonly #entriesMax: number;
  #inserted = 0;
  #atMs: Float64Array;
  #order: Float64Array;
  #value: Int32Array;

  /** `entriesMax`: more than this is a model that has run away, and throws. */
  constructor(entries: number, entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#atMs = new Float64Array(entries);
    this.#order = new Float64Array(entries);
    this.#value = new Int32Array(entries);
  }

  /** The values in no particular order, 0 <= k < size. */
  valueAt(k: number): number {
    return this.#value[k];
  }

  clear(): void {
    this.size = 0;
    this.firstAtMs = Number.POSITIVE_INFINITY;
    this.#inserted = 0;
  }

  push(atMs: number, value: number): void {
    if (this.size === this.#atMs.length) this.#grow();
    const instants = this.#atMs;
    const orders = this.#order;
    const values = this.#value;
    let hole = this.size++;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      // A later insertion never overtakes an equal instant, so instants alone decide on the way up.
      if (instants[parent] <= atMs) break;
      instants[hole] = instants[parent];
      orders[hole] = orders[parent];
      values[hole] = values[parent];
      hole = parent;
    }
    instants[hole] = atMs;
    orders[hole] = this.#inserted++;
    values[hole] = value;
    if (hole === 0) this.firstAtMs = atMs;
  }

  /** Removes the first entry and returns its value. The heap must not be empty. */
  pop(): number {
    const instants = this.#atMs;
    const orders = this.#order;
    const values = this.#value;
    const first = values[0];
    const size = --this.size;
    if (size === 0) {
      this.firstAtMs = Number.POSITIVE_INFINITY;
      return first;
    }
    const atMs = instants[size];
    const order = orders[size];
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      const right = child + 1;
      if (right < size && isBefore(instants[right], orders[right], instants[child], orders[child])) child = right;
      if (!isBefore(instants[child], orders[child], atMs, order)) break;
      instants[hole] = instants[child];
      orders[hole] = orders[child];
      values[hole] = values[child];
      hole = child;
    }
    instants[hole] = atMs;
    orders[hole] = order;
    values[hole] = values[size];
    this.firstAtMs = instants[0];
    return first;
  }

  #grow(): void {
    const length = Math.min(this.#entriesMax, 2 * this.#atMs.length);
    if (length === this.#atMs.length)
      throw new MdrError('COULD_NOT_RUN', `more than ${this.#entriesMax} events are pending in one cell`);
    const atMs = new Float64Array(length);
    atMs.set(this.#atMs);
    const order = new Float64Array(length);
    order.set(this.#order);
    const value = new Int32Array(length);
    value.set(this.#value);
    this.#atMs = atMs;
    this.#order = order;
    this.#value = value;
  }
}

function isBefore(atMs: number, order: number, otherAtMs: number, otherOrder: number): boolean {
  return atMs < otherAtMs || (atMs === otherAtMs && order < otherOrder);
}
