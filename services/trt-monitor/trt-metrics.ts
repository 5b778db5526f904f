import { Counter, Gauge, type Metric, register } from 'prom-client';
import { MODES } from '#core/matrix.ts';
import { codeOf } from '#schemas/service-response.ts';
import type { PartitionMonitor } from './partition-monitor.ts';
import { LATENCY_EDGES_SECONDS, labelsOf, TrtCounts } from './trt-counts.ts';

const SERIES_LABELS = ['srv', 'mode', 'service', 'generation'] as const;

/** Registers the metrics of Target Response Times: read off the counts when they are scraped, and at no other time. */
export function measureTrts(counts: TrtCounts, monitors: () => PartitionMonitor[]): void {
  counter('mdr_trt_requests_total', 'Requests accepted, by what their TRT depends on', counts.received);
  counter('mdr_trt_within_total', 'Requests answered within their TRT', counts.within);
  counter(
    'mdr_trt_within_without_data_total',
    'Of these, answers that the meter could not be reached',
    counts.withinWithoutData,
  );
  counter('mdr_trt_breaches_total', 'Requests whose TRT ran out, answered later or not', counts.breaches);
  new Gauge({
    name: 'mdr_trt_open_requests',
    help: 'Requests without an answer',
    labelNames: SERIES_LABELS,
    collect() {
      this.reset();
      counts.open.forEach((open, series) => {
        if (counts.received[series] > 0) this.set(labelsOf(series), open);
      });
    },
  });
  new Gauge({
    name: 'mdr_trt_simulated_seconds',
    help: 'The present of a partition, simulated seconds since the epoch',
    labelNames: ['partition'],
    collect() {
      this.reset();
      for (const { partition, nowMs } of monitors()) this.set({ partition: String(partition) }, nowMs / 1000);
    },
  });
  growing({
    name: 'mdr_refusals_total',
    help: 'Requests refused, by response code',
    labelNames: ['code'],
    values: () =>
      Array.from(counts.refused, (value, code) => ({ labels: { code: codeOf(code) ?? 'unknown' }, value })).filter(
        ({ value }) => value > 0,
      ),
  });
  growing({
    name: 'mdr_trt_duplicates_total',
    help: 'Answers to requests that were answered: replays, dropped',
    labelNames: [],
    values: () => [{ labels: {}, value: counts.duplicates }],
  });
  histogram(
    'mdr_trt_latency_seconds',
    'From a request to its answer, in simulated time, with the own time of the platform',
    () =>
      Array.from(counts.received.keys())
        .filter((series) => counts.latencySumSeconds[series] > 0)
        .map((series) => ({
          labels: labelsOf(series),
          cumulative: TrtCounts.cumulative(counts.latency, series),
          sum: counts.latencySumSeconds[series],
        })),
  );
  histogram('mdr_platform_latency_seconds', "The platform's own time, without the network", () =>
    MODES.map((mode, k) => ({
      labels: { mode },
      cumulative: TrtCounts.cumulative(counts.platform, k),
      sum: counts.platformSumSeconds[k],
    })),
  );
}

function counter(name: string, help: string, values: Float64Array): void {
  growing({
    name,
    help,
    labelNames: SERIES_LABELS,
    values: () =>
      Array.from(values, (value, series) => ({ labels: labelsOf(series), value })).filter(({ value }) => value > 0),
  });
}

type Sample = { labels: Record<string, string>; value: number };

function growing(metric: { name: string; help: string; labelNames: readonly string[]; values: () => Sample[] }): void {
  new Counter({
    name: metric.name,
    help: metric.help,
    labelNames: [...metric.labelNames],
    collect() {
      this.reset();
      for (const { labels, value } of metric.values()) this.inc(labels, value);
    },
  });
}

type HistogramSample = { labels: Record<string, string>; cumulative: number[]; sum: number };

/** A histogram whose counts are kept elsewhere: prom-client's own takes one observation at a time. */
function histogram(name: string, help: string, samples: () => HistogramSample[]): void {
  const edges = [...LATENCY_EDGES_SECONDS.map(String), '+Inf'];
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    async get() {
      const values = samples().flatMap(({ labels, cumulative, sum }) => [
        ...cumulative.map((value, k) => ({
          metricName: `${name}_bucket`,
          labels: { le: edges[k], ...labels },
          value,
          exemplar: null,
        })),
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: cumulative[cumulative.length - 1] },
      ]);
      return { name, help, type: 'histogram', values, aggregator: 'sum' };
    },
    reset() {},
  };
  register.registerMetric(metric as unknown as Metric);
}
