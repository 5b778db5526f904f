/**
 * Open requests by the instant at which their time runs out: buckets of a second on a ring, the requests of a bucket
 * in a list linked both ways, so that one that is answered is taken out without a search.
 *
 *   head      [ 7, -, -, 3, ... ]    by second of the deadline, modulo the ring
 *   next, previous, bucket           by request
 *
 * A deadline further ahead than the ring is long is looked at once a turn. Naive model: a list (test).
 */
export class DeadlineWheel {
  readonly #head: Int32Array;
  #next = new Int32Array(0) as Int32Array;
  #previous = new Int32Array(0) as Int32Array;
  #bucket = new Int32Array(0) as Int32Array;
  /** The earliest second in which something may not have run out yet. */
  #second: number;

  /** `startMs`: the present. */
  constructor(startMs: number, ringSeconds = RING_SECONDS) {
    this.#head = new Int32Array(ringSeconds).fill(NONE);
    this.#second = Math.floor(startMs / 1000);
  }

  /** Room for requests numbered below `requests`. */
  reserve(requests: number): void {
    if (this.#next.length >= requests) return;
    this.#next = longer(this.#next, requests);
    this.#previous = longer(this.#previous, requests);
    this.#bucket = longer(this.#bucket, requests);
  }

  add(request: number, deadlineMs: number): void {
    const bucket = Math.max(Math.floor(deadlineMs / 1000), this.#second) % this.#head.length;
    const first = this.#head[bucket];
    this.#bucket[request] = bucket;
    this.#next[request] = first;
    this.#previous[request] = NONE;
    if (first !== NONE) this.#previous[first] = request;
    this.#head[bucket] = request;
  }

  remove(request: number): void {
    const [previous, next] = [this.#previous[request], this.#next[request]];
    if (next !== NONE) this.#previous[next] = previous;
    if (previous === NONE) this.#head[this.#bucket[request]] = next;
    else this.#next[previous] = next;
  }

  /** Calls back with each request whose deadline lies before `nowMs`, taken out. The present never goes back. */
  expire(nowMs: number, deadlineMsOf: (request: number) => number, onExpired: (request: number) => void): void {
    const last = Math.floor(nowMs / 1000);
    if (last < this.#second) return;
    const seconds = Math.min(last - this.#second + 1, this.#head.length);
    for (let second = last - seconds + 1; second <= last; second++) {
      for (let request = this.#head[second % this.#head.length]; request !== NONE; ) {
        const next = this.#next[request];
        if (deadlineMsOf(request) < nowMs) {
          this.remove(request);
          onExpired(request);
        }
        request = next;
      }
    }
    this.#second = last;
  }
}

const NONE = -1;
/** Longer than the longest Target Response Time, 24 hours, and a quarantine of some more. */
const RING_SECONDS = 1 << 17;

function longer(from: Int32Array, length: number): Int32Array {
  const to = new Int32Array(Math.max(length, 2 * from.length));
  to.set(from);
  return to;
}
