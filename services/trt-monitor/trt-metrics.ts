import { MODES } from '#core/matrix.ts';
import { codeOf } from '#schemas/service-response.ts';
import { nowMs } from '#services/platform/clock.ts';
import { DUE_EDGES_SECONDS } from '#services/platform/metrics/bounds.ts';
import { expose, exposeHistogram, exposeValue } from '#services/platform/metrics/exposition.ts';
import { type AnswerRate, DeadlineSlack } from './deadline-slack.ts';
import type { PartitionMonitor } from './partition-monitor.ts';
import { endedOf, labelsOf, type SeriesLabels, TrtCounts, type TrtTable } from './trt-counts.ts';

export type TrtSources = {
  counts: TrtCounts;
  trts: TrtTable;
  rate: AnswerRate;
  monitors: () => Iterable<PartitionMonitor>;
  /** Shares within TRT, by month: what is aimed at, and what must be. */
  objectives: { target: number; minimum: number };
};

/** Exposes the metrics of Target Response Times: read off the counts when they are scraped, and at no other time. */
export function exposeTrts({ counts, trts, rate, monitors, objectives }: TrtSources): void {
  const { received, within, withinWithoutData, missedWithoutData, breaches, open } = counts;
  const isExpected = trts.seriesWithTrt();
  // A series is there with 0 before its first request: what has not been is not seen to grow.
  const bySeries = (values: Float64Array): { labels: SeriesLabels; value: number }[] =>
    Array.from(values, (value, series) => ({ labels: labelsOf(series), value })).filter(
      (_, series) => isExpected[series] !== 0 || received[series] > 0 || values[series] > 0,
    );
  expose('mdr_requests_total', () => endedOf(counts));
  expose('mdr_trt_requests_total', () => bySeries(received));
  expose('mdr_trt_judged_total', () =>
    bySeries(within.map((count, series) => count + breaches[series] + missedWithoutData[series])),
  );
  expose('mdr_trt_within_total', () => bySeries(within));
  expose('mdr_trt_within_without_data_total', () => bySeries(withinWithoutData));
  expose('mdr_trt_breaches_total', () => bySeries(breaches));
  expose('mdr_trt_open_requests', () => bySeries(open));
  const slackOf = slackReader(monitors);
  expose('mdr_trt_open_due_requests', () =>
    slackOf((slack, mode) =>
      slack
        .dueWithin(mode)
        .map((value, edge) => ({ labels: { slack_seconds: String(DUE_EDGES_SECONDS[edge]) }, value })),
    ),
  );
  expose('mdr_trt_oldest_open_ratio', () =>
    slackOf((slack, mode) =>
      slack
        .oldest(mode)
        .map(({ trtSeconds, share }) => ({ labels: { trt_seconds: String(trtSeconds) }, value: share })),
    ),
  );
  expose('mdr_trt_projected_drain_ratio', () =>
    slackOf((slack, mode) => {
      const perSecond = rate.perSecond(mode);
      return perSecond === undefined ? [] : [{ labels: {}, value: slack.projectedDrain(mode, perSecond) }];
    }),
  );
  expose('mdr_trt_objective_ratio', () =>
    Object.entries(objectives).map(([objective, value]) => ({ labels: { objective }, value })),
  );
  expose('mdr_trt_simulated_seconds', () =>
    Array.from(monitors(), ({ partition, nowMs }) => ({
      labels: { partition: String(partition) },
      value: nowMs / 1000,
    })),
  );
  expose('mdr_refusals_total', () =>
    Array.from(counts.refused, (value, code) => ({ labels: { code: codeOf(code) ?? 'unknown' }, value })).filter(
      ({ value }) => value > 0,
    ),
  );
  exposeValue('mdr_trt_duplicates_total', () => counts.duplicates);
  exposeLatencies(counts);
}

function exposeLatencies({ latency, latencySumSeconds, platform, platformSumSeconds }: TrtCounts): void {
  exposeHistogram('mdr_trt_latency_seconds', () =>
    Array.from(latencySumSeconds, (sum, series) => ({
      labels: labelsOf(series),
      buckets: TrtCounts.buckets(latency, series),
      sum,
    })).filter(({ buckets }) => buckets.some((count) => count > 0)),
  );
  exposeHistogram('mdr_platform_latency_seconds', () =>
    MODES.map((mode, k) => ({
      labels: { mode },
      buckets: TrtCounts.buckets(platform, k),
      sum: platformSumSeconds[k],
    })),
  );
}

/** One walk over the open requests serves all that one scrape asks about the time they have left. */
const SLACK_AGE_MS_MAX = 100;

type PerMode = <Own extends Record<string, string>>(
  of: (slack: DeadlineSlack, mode: number) => { labels: Own; value: number }[],
) => { labels: Own & { mode: string }; value: number }[];

/** Asks the same of each mode, over all partitions. */
function slackReader(monitors: TrtSources['monitors']): PerMode {
  let slack = new DeadlineSlack();
  let walkedMs = Number.NEGATIVE_INFINITY;
  return (of) => {
    if (nowMs() - walkedMs > SLACK_AGE_MS_MAX) {
      slack = new DeadlineSlack();
      for (const monitor of monitors()) monitor.addSlack(slack);
      walkedMs = nowMs();
    }
    return MODES.flatMap((mode, k) =>
      of(slack, k).map(({ labels, value }) => ({ labels: { mode, ...labels }, value })),
    );
  };
}
