import { bucketMsOf } from '#fleet-sim/occupancy.ts';
import { HISTOGRAM_BUCKETS } from './histogram.ts';
import type { Model } from './model.ts';
import { timelineLength } from './timeline.ts';

const HOUR_MS = 3_600_000;
/** On-demand latency over the day is kept coarser than the TRT table's: 16 buckets to each doubling. */
export const SERIES_SHIFT = 1;
export const SERIES_BUCKETS = HISTOGRAM_BUCKETS >> SERIES_SHIFT;

/** What one network's cells add up to. Whole numbers: sums do not depend on the order or the number of workers. */
export type NetworkTally = {
  cells: number;
  events: number;
  counted: Float64Array;
  /** rows x HISTOGRAM_BUCKETS. */
  latency: Float64Array;
  /** Slowest answer of each row, ms: the one thing here that is a maximum, not a sum. */
  latencyMsMax: Float64Array;
  busyEdges: Float64Array;
  busySteps: Float64Array;
  queueEdges: [Float64Array, Float64Array];
  queueSteps: [Float64Array, Float64Array];
  breachesByHour: Float64Array;
  requestsByHour: Float64Array;
  /** Buckets of time x SERIES_BUCKETS. */
  onDemand: Float64Array;
  /** On-demand requests by User, SRV and period of the Anomaly Detection Thresholds. */
  anomalyCounts: Float64Array;
  /** Laid out by timeline.ts; empty where it was not asked for. No part of what a run's digest is over. */
  timeline: Float64Array;
};

export type Tally = { networks: NetworkTally[] };

/** Chart buckets of a run: those of the counted days. */
export function bucketsOf(model: Model): number {
  return (model.scenario.days * 24 * HOUR_MS) / bucketMsOf(model.scenario.days);
}

/** Hours from the first counted midnight to the horizon: deadlines fall in all of them. */
export function hoursOf(model: Model): number {
  return Math.ceil((model.horizonMs - model.countedStartMs) / HOUR_MS);
}

/** Periods of the Anomaly Detection Thresholds that the simulation touches. */
export function anomalyPeriodsOf(model: Model): number {
  return Math.ceil(model.horizonMs / (model.scenario.anomaly.periodSeconds * 1000)) + 2;
}

export function createTally(model: Model, hasTimeline = false): Tally {
  const { counters, rows } = model;
  const buckets = bucketsOf(model);
  const hours = hoursOf(model);
  const edges = () => new Float64Array(buckets + 1);
  const steps = () => new Float64Array(buckets + 2);
  const networks = model.fleet.networks.map(
    (): NetworkTally => ({
      cells: 0,
      events: 0,
      counted: new Float64Array(counters.length),
      latency: new Float64Array(rows * HISTOGRAM_BUCKETS),
      latencyMsMax: new Float64Array(rows),
      busyEdges: edges(),
      busySteps: steps(),
      queueEdges: [edges(), edges()],
      queueSteps: [steps(), steps()],
      breachesByHour: new Float64Array(hours),
      requestsByHour: new Float64Array(hours),
      onDemand: new Float64Array(buckets * SERIES_BUCKETS),
      anomalyCounts: new Float64Array(model.users.length * model.matrix.services.length * anomalyPeriodsOf(model)),
      timeline: new Float64Array(hasTimeline ? timelineLength(model) : 0),
    }),
  );
  return { networks };
}

/** Adds one tally into another. */
export function mergeTally(into: Tally, from: Tally): void {
  into.networks.forEach((total, n) => {
    const part = from.networks[n];
    total.cells += part.cells;
    total.events += part.events;
    for (let k = 0; k < total.latencyMsMax.length; k++) {
      total.latencyMsMax[k] = Math.max(total.latencyMsMax[k], part.latencyMsMax[k]);
    }
    for (let k = 0; k < total.timeline.length; k++) total.timeline[k] += part.timeline[k];
    const parts = summedArrays(part);
    summedArrays(total).forEach((array, k) => {
      const added = parts[k];
      for (let i = 0; i < array.length; i++) array[i] += added[i];
    });
  });
}

/** Every array that adds up and is always there, in a fixed order. */
export function summedArrays(tally: NetworkTally): Float64Array[] {
  return [
    tally.counted,
    tally.latency,
    tally.busyEdges,
    tally.busySteps,
    ...tally.queueEdges,
    ...tally.queueSteps,
    tally.breachesByHour,
    tally.requestsByHour,
    tally.onDemand,
    tally.anomalyCounts,
  ];
}
