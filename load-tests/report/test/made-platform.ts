import type { Ledger, PlatformPoint, PlatformReport } from '../report.ts';
import { type Draw, type Making, START_MS, total } from './made-report.ts';

const DAY_MS = 86_400_000;
/** As long as a run as fast as it goes takes. */
const FAST_SECONDS = 42;
const SERVICES = ['access-control', 'anomaly', 'trt-monitor', 'fleet-sim', 'users', 'scheduler'];

/** A run with a warm-up day: a night's peak each day, which the services work off, or do not. */
export function madePlatform(making: Making, ledger: Ledger, draw: Draw): PlatformReport {
  const { speed = 0, fallsBehind = false } = making.platform ?? {};
  const days = (making.days ?? 1) + 1;
  const share = making.complete === false ? 0.6 : 1;
  const wallSeconds = share * (speed > 0 ? (days * 86_400) / speed : FAST_SECONDS);
  const series = points(making, wallSeconds, ledger, fallsBehind, draw);
  const lags = series.map((point) => point.lagRecords);
  const requests = Math.round(ledger.received * 2 * share);
  const done = Math.round(requests * (fallsBehind ? 0.71 : 0.9995));
  const own = (count: number, ms: number) => {
    const p50Ms = ms * (fallsBehind ? 40 : 1);
    const [p95Ms, p99Ms] = [2.6, 4.4].map((times) => Math.min(10_000, p50Ms * times));
    return { count, meanMs: p50Ms * 1.2, p50Ms, p95Ms, p99Ms, maxMs: p50Ms * 9 };
  };
  return {
    runId: 'mwua43fr',
    speed,
    provider: 'docker',
    partitions: 4,
    preparedSeconds: 18.4,
    offered: { requests, perSecond: Math.round(requests / wallSeconds) },
    achieved: { requests: done, perSecond: Math.round(done / wallSeconds) },
    latency: {
      'on-demand': own(Math.round(ledger.answered * 0.2), 64),
      scheduled: own(Math.round(ledger.answered * 0.8), 240),
    },
    chargedSeconds: {
      'on-demand': { p50: 7.4, p95: 19, p99: 44, max: 7800 },
      scheduled: { p50: 540, p95: 3400, p99: 5200, max: 90_100 },
    },
    lag: {
      peakRecords: Math.max(0, ...lags),
      endRecords: lags.at(-1) ?? 0,
      slopePerSecond: fallsBehind ? 312.4 : -0.8,
      drainSeconds: fallsBehind ? null : 3.1,
    },
    behindSecondsMax: speed > 0 ? (fallsBehind ? 71.5 : 1.3) : null,
    late: fallsBehind ? 1204 : 0,
    duplicates: fallsBehind ? 17 : 0,
    services: SERVICES.map((name, k) => {
      const cores = (fallsBehind ? 0.3 : 0.1) * (1 + draw());
      return {
        name,
        processes: k === 0 ? 2 : 1,
        cpuSeconds: cores * wallSeconds,
        cores,
        rssBytesMax: 1.5e8 + 9e7 * draw(),
      };
    }),
    series,
  };
}

function points(
  making: Making,
  wallSeconds: number,
  ledger: Ledger,
  fallsBehind: boolean,
  draw: Draw,
): PlatformPoint[] {
  const days = (making.days ?? 1) + 1;
  const share = making.complete === false ? 0.6 : 1;
  const count = Math.min(120, Math.max(2, Math.round(wallSeconds / 0.6)));
  const night = Array.from({ length: count }, (_, k) => {
    const hour = (((k + 0.5) / count) * days * share * 24) % 24;
    return 0.06 + Math.exp(-(((hour - 3) / 2.4) ** 2));
  });
  const scale = (ledger.received * days * share) / (total(night, (weight) => weight) * (wallSeconds / count));
  const most = 0.8 * Math.max(...night) * scale;
  let lag = 0;
  return night.map((weight, k) => {
    const offered = weight * scale * (0.95 + 0.1 * draw());
    const achieved = fallsBehind ? Math.min(offered * 0.7, most) : Math.min(offered + lag * 0.6, most);
    lag = Math.max(0, lag + ((offered - achieved) * wallSeconds) / count);
    const isLast = k === count - 1;
    return {
      atSeconds: ((k + 1) * wallSeconds) / count,
      simulatedMs: START_MS - DAY_MS + ((k + 1) / count) * days * share * DAY_MS,
      offeredPerSecond: Math.round(offered),
      achievedPerSecond: Math.round(achieved),
      lagRecords: !fallsBehind && isLast ? 0 : Math.round(lag),
      breaches: Math.round(ledger.breaches * (k / count)),
    };
  });
}
