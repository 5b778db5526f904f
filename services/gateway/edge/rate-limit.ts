/**
 * Requests a second of each User: a bucket that fills at the rate and holds one second's worth. Users are few (those of
 * the users topic), so a Map of them is bounded.
 */
export class RateLimit {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** 0 where the request may come in now; else how many seconds it had better wait, at least 1. */
  take(user: string, nowMs: number): number {
    const perSecond = this.#perSecond;
    let bucket = this.#buckets.get(user);
    if (bucket === undefined) {
      bucket = { tokens: perSecond, atMs: nowMs };
      this.#buckets.set(user, bucket);
    }
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
    bucket.tokens--;
    return 0;
  }
}
