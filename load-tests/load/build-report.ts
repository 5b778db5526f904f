import type { Kafka } from 'kafkajs';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { buildReport } from '#load-tests/plan/build-report.ts';
import type {
  PlatformLatencyRow,
  PlatformPoint,
  PlatformReport,
  PlatformServiceRow,
  Report,
} from '#load-tests/report/report.ts';
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
  const { tally, records, platform } = await tallyTopics(kafka, prefix, partitions, model, occupancy);
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
  const perSecond = (requests: number) => ({ requests, perSecond: Math.round(requests / wallSeconds) });
  return {
    ...report,
    platform: {
      runId,
      speed,
      provider,
      partitions,
      preparedSeconds: result.preparedMs / 1000,
      offered: perSecond(made),
      achieved: perSecond(done),
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

function pointsOf(samples: readonly Sample[]): PlatformPoint[] {
  const every = Math.max(1, Math.ceil(samples.length / POINTS_MAX));
  const kept = samples.filter((_, k) => k % every === 0 || k === samples.length - 1);
  return kept.map((sample, k) => {
    const before = kept[k - 1];
    const seconds = before === undefined ? Math.max(0.001, sample.atMs / 1000) : (sample.atMs - before.atMs) / 1000;
    const rate = (of: (one: Sample) => number) =>
      Math.max(0, Math.round((of(sample) - (before === undefined ? 0 : of(before))) / seconds));
    return {
      atSeconds: sample.atMs / 1000,
      simulatedMs: Number.isFinite(sample.simulatedMs) ? sample.simulatedMs : 0,
      offeredPerSecond: rate(({ executions, asked }) => executions + asked),
      achievedPerSecond: rate(({ answered, refused }) => answered + refused),
      lagRecords: lagRecords(sample),
      breaches: sample.breaches,
    };
  });
}
