import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketOf, bucketUpperMs, HISTOGRAM_BUCKETS, percentilesMs } from './histogram.ts';

const LATENCY_MS_MAX = 2 ** 31 - 1;
/** Every order of magnitude alike: uniform draws would hardly ever be short. */
const latency = fc.oneof(
  fc.integer({ min: 0, max: 128 }),
  fc.double({ min: 0, max: 31, noNaN: true }).map((bits) => Math.min(LATENCY_MS_MAX, Math.floor(2 ** bits))),
);

test('a latency lies in its bucket: above the upper edge of the one before, at most its own', () => {
  fc.assert(
    fc.property(latency, (ms) => {
      const bucket = bucketOf(ms);
      expect(ms).toBeLessThanOrEqual(bucketUpperMs(bucket));
      if (bucket > 0) expect(ms).toBeGreaterThan(bucketUpperMs(bucket - 1));
    }),
    { numRuns: 2000 },
  );
});

test('a bucket is exact below 64 ms and at most 1/32 wide above', () => {
  for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    const lower = bucket === 0 ? 0 : bucketUpperMs(bucket - 1) + 1;
    const upper = bucketUpperMs(bucket);
    if (lower < 64) expect(upper).toBe(lower);
    else expect((upper - lower + 1) / lower).toBeLessThanOrEqual(1 / 32);
    expect([bucketOf(lower), bucketOf(upper)]).toEqual([bucket, bucket]);
  }
});

test('the last bucket ends at 24 days, and longer latencies are counted in it', () => {
  expect(bucketUpperMs(HISTOGRAM_BUCKETS - 1)).toBe(LATENCY_MS_MAX);
  for (const ms of [LATENCY_MS_MAX, LATENCY_MS_MAX + 1, 30 * 86_400_000, Number.MAX_SAFE_INTEGER]) {
    expect(bucketOf(ms)).toBe(HISTOGRAM_BUCKETS - 1);
  }
});

test('a percentile is the upper edge of the bucket of the value that a sorted list has at its rank', () => {
  const shares = [0.5, 0.95, 0.99, 1];
  fc.assert(
    fc.property(fc.array(latency, { minLength: 1, maxLength: 300 }), fc.nat(3), (values, place) => {
      const offset = place * HISTOGRAM_BUCKETS;
      const counts = new Float64Array(4 * HISTOGRAM_BUCKETS);
      for (const ms of values) counts[offset + bucketOf(ms)]++;
      const sorted = values.toSorted((a, b) => a - b);
      const naive = shares.map((share) => sorted[Math.ceil(sorted.length * share) - 1]);
      const edges = naive.map((ms) => bucketUpperMs(bucketOf(ms)));
      expect(percentilesMs(counts, offset, shares)).toEqual(edges);
    }),
  );
});

test('weighted counts have percentiles too: a sample is seldom a whole number of requests', () => {
  const counts = new Float64Array(HISTOGRAM_BUCKETS);
  counts[bucketOf(10)] = 1.3;
  counts[bucketOf(20)] = 1.3;
  counts[bucketOf(30)] = 2.5;
  expect(percentilesMs(counts, 0, [0.2, 0.5, 0.51, 0.99, 1])).toEqual([10, 20, 30, 30, 30]);
  for (let weight = 1; weight < 2; weight += 0.01) {
    expect(
      percentilesMs(
        Float64Array.from(counts, (count) => count * weight),
        0,
        [0.99, 1],
      ),
    ).toEqual([30, 30]);
  }
});

test('nothing counted has no percentile but zero', () => {
  expect(percentilesMs(new Float64Array(HISTOGRAM_BUCKETS), 0, [0.5, 0.99])).toEqual([0, 0]);
});
