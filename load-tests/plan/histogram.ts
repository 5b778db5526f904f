/**
 * Latencies in milliseconds on a logarithmic scale: exact below 64 ms, then 32 buckets to each doubling (3 % wide).
 * For charts and percentiles only; whether a request is within its TRT is counted exactly.
 */
const EXACT_BITS = 6;
const SUB_BITS = 5;
const EXACT = 1 << EXACT_BITS;
const SUB = 1 << SUB_BITS;
/** 24 days. */
const LATENCY_MS_MAX = 2 ** 31 - 1;

export const HISTOGRAM_BUCKETS = EXACT + (31 - EXACT_BITS) * SUB;

export function bucketOf(latencyMs: number): number {
  const ms = latencyMs > LATENCY_MS_MAX ? LATENCY_MS_MAX : latencyMs | 0;
  if (ms < EXACT) return ms;
  const exponent = 31 - Math.clz32(ms);
  return EXACT + ((exponent - EXACT_BITS) << SUB_BITS) + ((ms >>> (exponent - SUB_BITS)) & (SUB - 1));
}

/** Largest latency in the bucket, ms. */
export function bucketUpperMs(bucket: number): number {
  if (bucket < EXACT) return bucket;
  const exponent = EXACT_BITS + ((bucket - EXACT) >>> SUB_BITS);
  const sub = (bucket - EXACT) & (SUB - 1);
  return (SUB + sub + 1) * 2 ** (exponent - SUB_BITS) - 1;
}

/**
 * The bucket's upper edge at each share of the counts from `offset`; zeros when nothing was counted. The counts of a
 * sample are weighted, and so not whole.
 */
export function percentilesMs(counts: ArrayLike<number>, offset: number, shares: readonly number[]): number[] {
  let total = 0;
  for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) total += counts[offset + bucket];
  return shares.map((share) => {
    if (total === 0) return 0;
    const wanted = total * share;
    let seen = 0;
    for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
      seen += counts[offset + bucket];
      if (seen > 0 && seen >= wanted) return bucketUpperMs(bucket);
    }
    throw new Error('a histogram does not add up');
  });
}
