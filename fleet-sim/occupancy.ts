/**
 * The time integral of a count (exchanges in use, requests waiting) over buckets of equal length, from intervals
 * [from, to): two adds an interval however long it is. Whole numbers throughout, so sums do not depend on order.
 *
 *   edges  ms spent in the buckets where an interval begins or ends
 *   steps  +1 at the first bucket wholly inside, -1 after the last: a running sum gives the whole buckets
 */
export class Occupancy {
  readonly edges: Float64Array;
  readonly steps: Float64Array;
  readonly #bucketMs: number;
  readonly #endMs: number;
  readonly #originMs: number;

  /** `originMs`: the instant at which the first bucket begins. */
  constructor(bucketMs: number, buckets: number, originMs = 0) {
    this.#bucketMs = bucketMs;
    this.#originMs = originMs;
    this.#endMs = bucketMs * buckets;
    this.edges = new Float64Array(buckets + 1);
    this.steps = new Float64Array(buckets + 2);
  }

  /** What lies outside the buckets is left out. */
  add(fromMs: number, toMs: number): void {
    const from = Math.max(fromMs - this.#originMs, 0);
    const to = Math.min(toMs - this.#originMs, this.#endMs);
    if (to <= from) return;
    const bucketMs = this.#bucketMs;
    const first = Math.floor(from / bucketMs);
    const last = Math.floor(to / bucketMs);
    if (first === last) {
      this.edges[first] += to - from;
      return;
    }
    this.edges[first] += (first + 1) * bucketMs - from;
    this.edges[last] += to - last * bucketMs;
    this.steps[first + 1]++;
    this.steps[last]--;
  }

  clear(): void {
    this.edges.fill(0);
    this.steps.fill(0);
  }
}

/** The integral of each bucket in count x milliseconds. */
export function integralMs(edges: Float64Array, steps: Float64Array, bucketMs: number, buckets: number): Float64Array {
  const integral = new Float64Array(buckets);
  let inside = 0;
  for (let bucket = 0; bucket < buckets; bucket++) {
    inside += steps[bucket];
    integral[bucket] = edges[bucket] + inside * bucketMs;
  }
  return integral;
}

const HOUR_MS = 3_600_000;

/** Length of a chart's bucket: a quarter of an hour for a week, longer for longer runs, so that charts stay readable. */
export function bucketMsOf(days: number): number {
  if (days <= 7) return HOUR_MS / 4;
  return days <= 60 ? HOUR_MS : 6 * HOUR_MS;
}
