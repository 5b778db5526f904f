import { beforeAll, describe, expect, test } from 'vitest';
import { buildReport } from '#load-tests/plan/build-report.ts';
import type { Report } from '#load-tests/report/report.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { METRICS } from '#services/platform/metrics/catalogue.ts';
import type { MetricDeclaration } from '#services/platform/metrics/declaration.ts';
import { openMetricsOf } from './openmetrics.ts';
import { type PlanResult, runPlan } from './run.ts';

type Point = { name: string; labels: Record<string, string>; value: number; atSeconds: number };

/** A day with breaches, refusals, re-requests and a burst that is quarantined and let go. */
const SETTINGS = [
  'fleet.meters=3000',
  'outages=[{network: S1SP, startHour: 8, hours: 10}]',
  'bursts=[{user: CIRR, srv: 4.6.1, day: 1, window: "10:00-10:30", share: 0.4}]',
  'anomaly.answer=process',
];

describe('a planned day as metrics', () => {
  let report: Report;
  let plain: Report;
  let points: Point[];
  let text: string;
  beforeAll(async () => {
    const loaded = loadScenario('settlement-day', SETTINGS);
    const context = { workers: 1, sampleOneIn: 1, version: 'test', command: 'test' };
    const result: PlanResult = await runPlan(loaded, { workers: 1, sampleOneIn: 1, hasTimeline: true });
    report = buildReport(result, context);
    plain = buildReport(await runPlan(loaded, { workers: 1, sampleOneIn: 1 }), context);
    text = [...openMetricsOf(result)].join('');
    points = pointsOf(text);
  });

  const last = (name: string): Point[] => {
    const endSeconds = points[points.length - 1].atSeconds;
    return points.filter((point) => point.name === name && point.atSeconds === endSeconds);
  };
  const sum = (found: Point[]): number => found.reduce((total, { value }) => total + value, 0);

  test('counts by time change nothing of the run: the digest is the same', () => {
    expect(report.run.digest).toBe(plain.run.digest);
  });

  test('ends with the counts of the report, row by row', () => {
    for (const [name, of] of [
      ['mdr_trt_requests_total', ({ requests }: Report['trt'][number]) => requests],
      ['mdr_trt_judged_total', ({ requests }: Report['trt'][number]) => requests],
      ['mdr_trt_within_total', ({ withinTrt }: Report['trt'][number]) => withinTrt],
      ['mdr_trt_within_without_data_total', ({ withinTrtWithoutData }: Report['trt'][number]) => withinTrtWithoutData],
      ['mdr_trt_breaches_total', ({ breaches }: Report['trt'][number]) => breaches],
    ] as const) {
      const found = last(name).filter(({ value }) => value > 0);
      const rows = found.map(({ labels, value }) => [
        `${labels.srv} ${labels.generation} ${labels.mode} ${labels.trt_service}`,
        value,
      ]);
      const expected = report.trt
        .filter((row) => of(row) > 0)
        .map((row) => [`${row.srv} ${row.generation} ${row.mode} ${row.service}`, of(row)]);
      expect(Object.fromEntries(rows), name).toEqual(Object.fromEntries(expected));
    }
    expect(report.ledger.breaches).toBeGreaterThan(0);
  });

  test('closes the ledger: what was received was answered, refused, or is open or held', () => {
    const { ledger } = report;
    const ends = last('mdr_requests_total');
    const refused = Object.values(ledger.refused).reduce((total, count) => total + count, 0);
    expect(sum(ends.filter(({ labels }) => labels.result === 'refused'))).toBe(refused);
    expect(sum(ends.filter(({ labels }) => labels.result !== 'refused'))).toBe(ledger.answered);
    expect(sum(last('mdr_refusals_total'))).toBe(refused);
    expect(sum(last('mdr_trt_open_requests'))).toBe(ledger.open);
    expect(sum(last('mdr_trt_latency_seconds_count'))).toBe(ledger.answered);
  });

  test('has the utilisation of the report, for each network', () => {
    const offered = new Map(
      last('mdr_network_offered_seconds_total').map(({ labels, value }) => [labels.network, value]),
    );
    for (const { labels, value } of last('mdr_network_busy_seconds_total')) {
      const network = report.networks.find(({ name }) => name === labels.network);
      expect(value / (offered.get(labels.network) as number)).toBeCloseTo(network?.utilisationMean as number, 5);
    }
  });

  test('has nothing that a service does not have, and each breach where its deadline passed', () => {
    for (const [name, own] of Map.groupBy(points, (point) => point.name)) {
      const family = name.replace(/_(bucket|sum|count)$/, '') as keyof typeof METRICS;
      const metric = (METRICS[family] ?? METRICS[name as keyof typeof METRICS]) as MetricDeclaration;
      expect(metric, name).toBeDefined();
      const labels = new Set(own.flatMap((point) => Object.keys(point.labels)));
      for (const given of ['component', 'le']) labels.delete(given);
      expect([...labels].sort(), name).toEqual(Object.keys(metric.labels).sort());
    }
    const startSeconds = points[0].atSeconds;
    const breaches = points.filter((point) => point.name === 'mdr_trt_breaches_total');
    const byHour = (hour: number) => sum(breaches.filter(({ atSeconds }) => atSeconds === startSeconds + hour * 3600));
    const hours = report.networks[0].breachesByHour.length;
    for (let hour = 0; hour + 1 < hours; hour++) {
      const expected = report.networks.reduce((total, { breachesByHour }) => total + breachesByHour[hour], 0);
      expect(byHour(hour + 1) - byHour(hour)).toBe(expected);
    }
  });

  test('never goes back, but for gauges, and ends as OpenMetrics does', () => {
    expect(text.endsWith('# EOF\n')).toBe(true);
    const before = new Map<string, Point>();
    const faults: Point[] = [];
    for (const point of points) {
      const key = `${point.name} ${JSON.stringify(point.labels)}`;
      const known = before.get(key);
      before.set(key, point);
      if (known === undefined) continue;
      const isCounter = /_(total|bucket|sum|count)$/.test(point.name);
      if (point.atSeconds <= known.atSeconds || (isCounter && point.value < known.value)) faults.push(point);
    }
    expect(faults).toEqual([]);
  });
});

function pointsOf(text: string): Point[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, labels, value, at] = /^([a-z_]+)\{(.*)\} (\S+) (\S+)$/.exec(line) as RegExpExecArray;
      const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label, of]) => [label, of]);
      return { name, labels: Object.fromEntries(pairs), value: Number(value), atSeconds: Number(at) };
    });
}
