import type { LatencyPoint, Ledger, NetworkRow } from '../report.ts';
import { type Draw, type Making, START_MS, total } from './made-report.ts';

const HOUR_MS = 3_600_000;
const RUN_OUT_DAYS = 1;
export const LATENCY_BUCKET_SECONDS = 600;

export const NETWORKS = [
  ['CSP North', 'SMETS2', 0.22, 1.16],
  ['CSP Central', 'SMETS2', 0.26, 0.82],
  ['CSP South', 'SMETS2', 0.22, 0.78],
  ['S1SP', 'SMETS1', 0.3, 0.7],
] as const;

export function networkRows(making: Making, meters: number, days: number, ledger: Ledger, draw: Draw): NetworkRow[] {
  const bucketSeconds = days > 60 ? 21_600 : 900;
  const buckets = (days * 86_400) / bucketSeconds;
  const perHour = 3600 / bucketSeconds;
  let breachesLeft = ledger.breaches;
  return NETWORKS.map(([name, generation, share, strain], index) => {
    const outage = index === 0 ? making.outage : undefined;
    const utilisation: number[] = [];
    const queueOnDemand: number[] = [];
    const queueScheduled: number[] = [];
    const lateWeight: number[] = [];
    let backlog = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      const hour = bucket / perHour;
      const demand =
        making.empty === true || hour >= days * 24 ? 0 : strain * demandAt(hour % 24) * (0.96 + 0.08 * draw());
      const out = outage !== undefined && hour >= outage.startHour && hour < outage.endHour;
      const capacity = out ? 0.25 : 1;
      const served = Math.min(capacity, demand + backlog);
      backlog = Math.max(0, backlog + demand - served);
      utilisation.push(served);
      queueScheduled.push((backlog * meters * share) / 40);
      queueOnDemand.push(backlog > 0 ? 3 + backlog * 20 * draw() : demand * 0.4 * draw());
      lateWeight.push(backlog > 1 ? backlog : 0);
    }
    const hours = (days + RUN_OUT_DAYS) * 24;
    const weights = Array.from({ length: hours }, (_, hour) =>
      Math.max(0, ...lateWeight.slice(Math.floor(hour * perHour), Math.ceil((hour + 1) * perHour))),
    );
    const breaches =
      index === NETWORKS.length - 1 ? breachesLeft : Math.round(ledger.breaches * (index === 0 ? 0.86 : 0.06));
    breachesLeft -= breaches;
    const requests = Array.from({ length: hours }, (_, hour) => (hour < days * 24 ? demandAt(hour % 24) : 0));
    return {
      name: index === 0 && making.names !== undefined ? making.names.network : name,
      generation,
      meters: Math.round(meters * share),
      cells: Math.max(1, Math.round((meters * share) / 2000)),
      exchangesMax: Math.max(1, Math.round((meters * share) / 250)),
      utilisationMean: total(utilisation, (value) => value) / buckets,
      utilisationPeak: Math.max(...utilisation),
      queuePeak: Math.max(...queueScheduled) + Math.max(...queueOnDemand),
      bucketSeconds,
      utilisation,
      queueOnDemand,
      queueScheduled,
      breachesByHour: spread(breaches, weights.some((weight) => weight > 0) ? weights : requests),
      requestsByHour: spread(Math.round(ledger.received * share), requests),
      outages:
        outage === undefined
          ? []
          : [
              {
                startMs: START_MS + outage.startHour * HOUR_MS,
                endMs: START_MS + outage.endHour * HOUR_MS,
                cellsShare: 0.75,
              },
            ],
      seconds: { p50: 14 + 5 * index, p95: 900, p99: 4200, max: 91_000 },
    };
  });
}

/** Demand over capacity by hour of the day: reads scheduled for the night, on demand in the evening. */
function demandAt(hour: number): number {
  const night = 0.86 * Math.exp(-(((hour - 3) / 2.6) ** 2));
  const evening = 0.34 * Math.exp(-(((hour - 18) / 3) ** 2));
  return 0.07 + night + evening;
}

/** `count` over the weights, whole numbers that sum to `count`. */
function spread(count: number, weights: readonly number[]): number[] {
  const sum = total(weights, (weight) => weight);
  let soFar = 0;
  let given = 0;
  return weights.map((weight) => {
    soFar += sum === 0 ? 0 : (count * weight) / sum;
    const next = Math.round(soFar);
    const share = next - given;
    given = next;
    return share;
  });
}

export function latencyPoints(making: Making, days: number, meters: number, draw: Draw): LatencyPoint[] {
  const points: LatencyPoint[] = [];
  for (let second = 0; second < days * 86_400; second += LATENCY_BUCKET_SECONDS) {
    const hour = second / 3600;
    const none = making.empty === true || hour >= days * 24 || (hour % 24 > 2 && hour % 24 < 2.6);
    const busy = demandAt(hour % 24);
    const outage = making.outage;
    const held = outage !== undefined && hour >= outage.startHour && hour < outage.endHour + 2;
    const p50 = 3.5 * (1 + busy) * (0.9 + 0.2 * draw()) * (held ? 2.6 : 1);
    const p95 = p50 * (2.4 + draw()) * (held ? 90 : 1);
    const max = p95 * (1.6 + 6 * draw() ** 3);
    const count = Math.round(meters * 0.0009 * busy * (0.8 + 0.4 * draw()));
    points.push(none || count === 0 ? { count: 0, p50: 0, p95: 0, max: 0 } : { count, p50, p95, max });
  }
  return points;
}
