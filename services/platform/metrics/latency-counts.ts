import { LATENCY_EDGES_SECONDS } from './bounds.ts';

/** Latencies counted in the buckets of LATENCY_EDGES_SECONDS, the last one open, and their sum in seconds. */
export class LatencyCounts {
  readonly buckets = new Float64Array(LATENCY_EDGES_SECONDS.length + 1);
  sum = 0;

  add(seconds: number): void {
    this.buckets[latencyBucketOf(seconds)]++;
    this.sum += seconds;
  }
}

/** A latency of an edge is in the bucket that ends there. */
export function latencyBucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_EDGES_SECONDS.length && seconds > LATENCY_EDGES_SECONDS[bucket]) bucket++;
  return bucket;
}
