import type { Mode } from '#core/matrix.ts';
import { modeOfRow, ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { HISTOGRAM_BUCKETS, percentilesMs } from '#load-tests/plan/histogram.ts';
import type { Tally } from '#load-tests/plan/tally.ts';
import type {
  PlatformLatencyRow,
  PlatformPoint,
  PlatformReport,
  PlatformServiceRow,
  Report,
} from '#load-tests/report/report.ts';
import type { Kafka } from '#services/platform/kafka/client.ts';
import type { LoadResult } from './run.ts';
import type { Sample } from './sample.ts';
import { type PlatformLatency, platformPercentileMs, tallyTopics } from './tally.ts';

export type LoadContext = {
  speed: number;
  provider: string;
  runId: string;
  workers: number;
  version: string;
  command: string;
};

/** The report of a load run: what a plan of the scenario reports, from the topics, and how the platform kept up. */
export async function reportLoad(kafka: Kafka, result: LoadResult, context: LoadContext): Promise<Report> {
  const { model, prefix, partitions, occupancy, samples } = result;
  const presentMs = result.complete ? Number.POSITIVE_INFINITY : (samples.at(-1)?.simulatedMs ?? 0);
  const { tally, records, platform, all } = await tallyTopics(kafka, prefix, partitions, model, occupancy, presentMs);
  const wallSeconds = (result.endedWallMs - result.startedWallMs) / 1000;
  const services = serviceRows(samples, wallSeconds);
  const report = buildReport(
    {
      model,
      tally,
      records,
      cellsSelected: model.fleet.cells,
      complete: result.complete,
      passes: 1,
      settled: true,
      wallSeconds,
      cpuSeconds: services.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    },
    { workers: context.workers, sampleOneIn: 1, version: context.version, command: context.command },
  );
  const { speed, provider, runId } = context;
  const last = samples.at(-1);
  const made = (last?.executions ?? 0) + (last?.asked ?? 0);
  const done = (last?.answered ?? 0) + (last?.refused ?? 0);
  // The services ended after the last look: what they made and did meanwhile is in the topics, and in no rate.
  const rateOf = (requests: number, done: number) => ({ requests, perSecond: Math.round(done / wallSeconds) });
  return {
    ...report,
    platform: {
      runId,
      speed,
      provider,
      partitions,
      preparedSeconds: result.preparedMs / 1000,
      offered: rateOf(all.received, made),
      achieved: rateOf(all.answeredOrRefused, done),
      chargedSeconds: { scheduled: chargedSeconds(tally, SCHEDULED), 'on-demand': chargedSeconds(tally, ON_DEMAND) },
      latency: { scheduled: latencyRow(platform[SCHEDULED]), 'on-demand': latencyRow(platform[ON_DEMAND]) },
      lag: lagOf(samples),
      behindSecondsMax:
        speed > 0 ? behindMax(samples, speed, model.warmUpStartMs + result.model.originDay * 86_400_000) : null,
      late: last?.late ?? 0,
      duplicates: last?.duplicates ?? 0,
      services,
      series: pointsOf(samples),
    },
  };
}

function latencyRow(latency: PlatformLatency): PlatformLatencyRow {
  const { count, sumMs, maxMs } = latency;
  const at = (share: number) => Math.min(maxMs, platformPercentileMs(latency, share));
  return {
    count,
    meanMs: count === 0 ? 0 : sumMs / count,
    p50Ms: at(0.5),
    p95Ms: at(0.95),
    p99Ms: at(0.99),
    maxMs,
  };
}

/** What TRTs are charged, over all requests of a mode. */
function chargedSeconds({ networks }: Tally, mode: number): PlatformReport['chargedSeconds'][Mode] {
  const sums = new Float64Array(HISTOGRAM_BUCKETS);
  let maxMs = 0;
  for (const { latency, latencyMsMax } of networks) {
    latencyMsMax.forEach((rowMaxMs, row) => {
      if (modeOfRow(row) !== mode) return;
      maxMs = Math.max(maxMs, rowMaxMs);
      for (let k = 0; k < HISTOGRAM_BUCKETS; k++) sums[k] += latency[row * HISTOGRAM_BUCKETS + k];
    });
  }
  const [p50, p95, p99] = percentilesMs(sums, 0, [0.5, 0.95, 0.99]).map((ms) => Math.min(ms, maxMs) / 1000);
  return { p50, p95, p99, max: maxMs / 1000 };
}

function lagRecords({ lag }: Sample): number {
  return lag.reduce((sum, { records }) => sum + records, 0);
}

function lagOf(samples: readonly Sample[]): PlatformReport['lag'] {
  const lags = samples.map(lagRecords);
  const peakRecords = Math.max(0, ...lags);
  const peakAt = lags.indexOf(peakRecords);
  const drained = samples.findIndex((_, k) => k >= peakAt && lags[k] === 0);
  return {
    peakRecords,
    endRecords: lags.at(-1) ?? 0,
    slopePerSecond: slope(
      samples.map(({ atMs }) => atMs / 1000),
      lags,
    ),
    drainSeconds: drained < 0 || peakAt < 0 ? null : (samples[drained].atMs - samples[peakAt].atMs) / 1000,
  };
}

/** By least squares; 0 where there is nothing to fit. */
function slope(xs: readonly number[], ys: readonly number[]): number {
  const n = xs.length;
  if (n < 2) return 0;
  const [meanX, meanY] = [xs, ys].map((values) => values.reduce((sum, value) => sum + value, 0) / n);
  const covariance = xs.reduce((sum, x, k) => sum + (x - meanX) * (ys[k] - meanY), 0);
  const variance = xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
  return variance === 0 ? 0 : covariance / variance;
}

/** How far the answers' present was behind the clock, in wall seconds, at most. */
function behindMax(samples: readonly Sample[], speed: number, startMs: number): number {
  const behind = samples.map(({ atMs, simulatedMs }) => {
    const clockMs = startMs + Math.max(0, atMs) * speed;
    return Number.isFinite(simulatedMs) ? (clockMs - simulatedMs) / speed / 1000 : 0;
  });
  return Math.max(0, ...behind);
}

function serviceRows(samples: readonly Sample[], wallSeconds: number): PlatformServiceRow[] {
  const first = samples[0];
  const names = [...new Set(samples.flatMap(({ services }) => services.map(({ name }) => name)))];
  return names.map((name) => {
    const pids = [
      ...new Set(samples.flatMap(({ services }) => services.filter((s) => s.name === name).map(({ pid }) => pid))),
    ];
    let cpuSeconds = 0;
    for (const pid of pids) {
      const seen = samples.flatMap(({ services }) => services.filter((one) => one.pid === pid));
      const before = first.services.find((one) => one.pid === pid)?.cpuSeconds ?? 0;
      cpuSeconds += seen[seen.length - 1].cpuSeconds - before;
    }
    const rssBytesMax = Math.max(
      ...samples.map(({ services }) =>
        services.filter((one) => one.name === name).reduce((sum, one) => sum + one.rssBytes, 0),
      ),
    );
    return { name, processes: pids.length, cpuSeconds, cores: cpuSeconds / wallSeconds, rssBytesMax };
  });
}

/** Charts need no more points than they have pixels. */
const POINTS_MAX = 600;
/** A rate over less time than this says more about the clock than about the services. */
const FIRST_POINT_MS_MIN = 500;

function pointsOf(samples: readonly Sample[]): PlatformPoint[] {
  const every = Math.max(1, Math.ceil(samples.length / POINTS_MAX));
  const started = samples.filter(({ atMs }) => atMs >= FIRST_POINT_MS_MIN);
  const ends = started.flatMap((_, k) => (k % every === every - 1 || k === started.length - 1 ? [k] : []));
  return ends.map((end, k) => {
    const sample = started[end];
    const before = k === 0 ? undefined : started[ends[k - 1]];
    const since = started.slice(k === 0 ? 0 : ends[k - 1] + 1, end + 1);
    const seconds = (sample.atMs - (before?.atMs ?? 0)) / 1000;
    const rate = (of: (one: Sample) => number) =>
      Math.max(0, Math.round((of(sample) - (before === undefined ? 0 : of(before))) / seconds));
    return {
      atSeconds: sample.atMs / 1000,
      simulatedMs: Number.isFinite(sample.simulatedMs) ? sample.simulatedMs : 0,
      offeredPerSecond: rate(({ executions, asked }) => executions + asked),
      achievedPerSecond: rate(({ answered, refused }) => answered + refused),
      lagRecords: Math.max(...since.map(lagRecords)),
      breaches: sample.breaches,
    };
  });
}
