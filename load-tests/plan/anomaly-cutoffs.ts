import { DAY_MS } from '#core/settlement-day.ts';
import { anomalyThresholds } from '#fleet-sim/anomaly-thresholds.ts';
import type { Cutoffs, Watched } from './cell-simulation.ts';
import type { Model } from './model.ts';
import { anomalyPeriodsOf, type Tally } from './tally.ts';

/**
 * Anomaly Detection Thresholds count over the whole fleet, while cells are simulated apart. So a run that exceeds one
 * is repeated: first with the requests of the periods concerned counted by time, which gives the instant from which
 * each is excess; then with these cutoffs, until they no longer move.
 */

/** Buckets of time in one period: a millisecond each for periods up to an hour. */
const BUCKETS_MAX = 3_600_000;
/** Over all watched periods: 256 MB. */
const BUCKETS_IN_ALL_MAX = 64_000_000;

/** Keys (User, SRV, period) of which more was requested than the threshold allows. */
export function exceeded(model: Model, tally: Tally, weights: readonly number[]): number[] {
  const thresholds = anomalyThresholds(model);
  const aUser = model.matrix.services.length * anomalyPeriodsOf(model);
  const keys = thresholds.length * aUser;
  const found: number[] = [];
  for (let key = 0; key < keys; key++) {
    const count = tally.networks.reduce((sum, network, n) => sum + network.anomalyCounts[key] * weights[n], 0);
    if (count > thresholds[Math.floor(key / aUser)]) found.push(key);
  }
  return found;
}

/** Fresh counters, shared with the workers, for the keys to watch. */
export function watch(model: Model, keys: readonly number[]): Watched {
  const periodMs = model.scenario.anomaly.periodSeconds * 1000;
  const bucketsMax = Math.min(BUCKETS_MAX, Math.floor(BUCKETS_IN_ALL_MAX / Math.max(1, keys.length)));
  const bucketMs = Math.ceil(periodMs / bucketsMax);
  const buckets = Math.ceil(periodMs / bucketMs);
  const counts = keys.map((key) => [key, new Int32Array(new SharedArrayBuffer(4 * buckets))] as const);
  return { bucketMs, counts: new Map(counts) };
}

/** For each watched key the last instant of the simulation that is not excess. `weight`: cells one stands for. */
export function cutoffsOf(model: Model, watched: Watched, weight: number): Map<number, number> {
  const thresholds = anomalyThresholds(model);
  const periods = anomalyPeriodsOf(model);
  const periodMs = model.scenario.anomaly.periodSeconds * 1000;
  const firstPeriod = Math.floor((model.originDay * DAY_MS) / periodMs);
  const cutoffs = new Map<number, number>();
  for (const [key, counts] of watched.counts) {
    const threshold = thresholds[Math.floor(key / periods / model.matrix.services.length)];
    const periodStartMs = (firstPeriod + (key % periods)) * periodMs - model.originDay * DAY_MS;
    let seen = 0;
    const bucket = counts.findIndex((count) => {
      seen += count * weight;
      return seen >= threshold;
    });
    if (bucket >= 0) cutoffs.set(key, periodStartMs + (bucket + 1) * watched.bucketMs - 1);
  }
  return cutoffs;
}

export function sameCutoffs(a: Cutoffs, b: Cutoffs): boolean {
  return a.size === b.size && [...a].every(([key, atMs]) => b.get(key) === atMs);
}
