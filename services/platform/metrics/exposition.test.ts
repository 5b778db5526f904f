import { execFileSync } from 'node:child_process';
import { register } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { isInstalled } from '#services/platform/test/installed.ts';
import { METRICS } from './catalogue.ts';
import { seriesMaxOf } from './declaration.ts';
import {
  expose,
  exposeHistogram,
  exposeProcess,
  exposeTotals,
  exposeValue,
  exposition,
  type ValueName,
} from './exposition.ts';
import { LatencyCounts, latencyBucketOf } from './latency-counts.ts';

const OPEN = 'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75';

describe('what a service exposes', () => {
  let scrapes = 0;
  const parts = [3, 4];
  exposeProcess('test');
  for (const part of parts) {
    expose('mdr_consumer_records_total', () => {
      scrapes++;
      return [{ labels: { topic: 'users' }, value: part }];
    });
  }
  exposeValue('mdr_trt_duplicates_total', () => 5);
  const states = new Set([{ counted: 10 }, { counted: 20 }]);
  exposeTotals(() => states, { mdr_executions_total: ({ counted }) => counted });
  const latency = new LatencyCounts();
  for (const seconds of [16, 16.5, 100_000]) latency.add(seconds);
  exposeHistogram('mdr_platform_latency_seconds', () => [{ labels: { mode: 'scheduled' }, ...latency }]);

  async function lines(accept?: string): Promise<string[]> {
    return (await exposition(accept)).text.split('\n');
  }

  test('is asked for when it is scraped, and what parts of a process count adds up', async () => {
    scrapes = 0;
    expect(await lines()).toContain('mdr_consumer_records_total{topic="users",component="test"} 7');
    expect(scrapes).toBe(parts.length);
  });

  test('counts on when a partition goes and another comes', async () => {
    expect(await lines()).toContain('mdr_executions_total{component="test"} 30');
    states.clear();
    const came = { counted: 1 };
    states.add(came);
    expect(await lines()).toContain('mdr_executions_total{component="test"} 31');
    came.counted = 5;
    expect(await lines()).toContain('mdr_executions_total{component="test"} 35');
  });

  test('has the buckets of a histogram one in the other, the edge in the lower one', async () => {
    const text = await lines();
    for (const [le, value] of [
      ['10', 0],
      ['16', 1],
      ['30', 2],
      ['86400', 2],
      ['+Inf', 3],
    ])
      expect(text).toContain(
        `mdr_platform_latency_seconds_bucket{le="${le}",mode="scheduled",component="test"} ${value}`,
      );
    expect(text).toContain('mdr_platform_latency_seconds_count{mode="scheduled",component="test"} 3');
  });

  test.each([
    [undefined, false],
    ['*/*', false],
    ['text/plain', false],
    [OPEN, true],
    [`${OPEN},text/plain;version=0.0.4;q=0.5,*/*;q=0.1`, true],
    ['application/openmetrics-text;q=0.2, text/plain;q=0.8', false],
    ['application/openmetrics-text;q=0', false],
  ])('a scraper that accepts %s gets OpenMetrics: %s', async (accept, isOpen) => {
    const { text, contentType } = await exposition(accept);
    expect(contentType.startsWith('application/openmetrics-text')).toBe(isOpen);
    expect(text.endsWith('# EOF\n')).toBe(isOpen);
    expect(text).toContain(
      isOpen ? '# TYPE mdr_trt_duplicates counter\n' : '# TYPE mdr_trt_duplicates_total counter\n',
    );
    expect(text).toContain('mdr_trt_duplicates_total{component="test"} 5\n');
    expect(text).toContain('process_cpu_seconds_total{component="test"}');
  });

  test('is the same after it was scraped in the other form, at the same time too', async () => {
    const before = names((await exposition(undefined)).text);
    await Promise.all([exposition(OPEN), exposition(undefined), exposition(OPEN)]);
    expect(names((await exposition(undefined)).text)).toEqual(before);
  });

  test('cannot be what is not in the catalogue', () => {
    expect(() => exposeValue('mdr_anything_total' as never, () => 1)).toThrow('not in the catalogue');
    expect(() => expose('process_cpu_seconds_total' as ValueName, () => [])).toThrow('not in the catalogue');
  });

  test.skipIf(!isInstalled('promtool', 'what promtool says of the metrics'))(
    'has nothing that promtool would change',
    async () => {
      const own = register.getMetricsAsArray().filter(({ name }) => name.startsWith('mdr_'));
      const input = (await Promise.all(own.map(({ name }) => register.getSingleMetricAsString(name)))).join('\n');
      expect(execFileSync('promtool', ['check', 'metrics'], { input: `${input}\n`, encoding: 'utf8' })).toBe('');
    },
  );
});

describe('the catalogue', () => {
  /** Ends that Prometheus' conventions keep for types, and for units. */
  test.each(Object.entries(METRICS))('%s is named after its type and unit', (name, { type, unit, labels }) => {
    expect(name).toMatch(/^mdr_[a-z]+(_[a-z]+)*$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    expect(name).not.toMatch(/_(sum|count|bucket)$/);
    for (const suffix of ['seconds', 'bytes', 'ratio'] as const)
      expect(new RegExp(`_${suffix}(_total)?$`).test(name), `${name} in ${unit}`).toBe(unit === suffix);
    // What Prometheus and its operator give every series themselves.
    const given = ['le', 'quantile', 'job', 'instance', 'service', 'namespace', 'pod', 'container', 'endpoint'];
    expect(Object.keys(labels).filter((label) => given.includes(label))).toEqual([]);
    expect(Object.keys(labels).filter((label) => /mpan|device|request_?id/i.test(label))).toEqual([]);
  });

  test('a process has a few thousand series at most, whichever service it is', () => {
    const total = Object.values(METRICS).reduce((sum, metric) => sum + seriesMaxOf(metric), 0);
    expect(total).toBeLessThan(10_000);
  });

  test('the Target Response Times are edges, and an edge ends its bucket', () => {
    for (const trtSeconds of [16, 30, 5600, 86_400])
      expect(latencyBucketOf(trtSeconds + 0.001)).toBe(latencyBucketOf(trtSeconds) + 1);
  });
});

function names(text: string): string[] {
  return text.split('\n').filter((line) => line.startsWith('# TYPE'));
}
