import { collectDefaultMetrics, type Metric, Registry, register } from 'prom-client';
import { METRICS, type MetricName, PROCESS_LABEL } from './catalogue.ts';
import type { MetricDeclaration } from './declaration.ts';

type NameOf<Type extends MetricDeclaration['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];
export type ValueName = NameOf<'counter' | 'gauge'>;
export type HistogramName = NameOf<'histogram'>;
type WithoutLabels<Name extends MetricName> = Name extends MetricName
  ? keyof (typeof METRICS)[Name]['labels'] extends never
    ? Name
    : never
  : never;
type CounterWithoutLabels = WithoutLabels<NameOf<'counter'>>;
export type Labels<Name extends MetricName> = Readonly<Record<keyof (typeof METRICS)[Name]['labels'], string>>;

export type Sample<Name extends MetricName> = { labels: Labels<Name>; value: number };
/** `buckets`: counts by bucket, each without those below it, one more than there are edges. */
export type HistogramSample<Name extends MetricName> = {
  labels: Labels<Name>;
  buckets: ArrayLike<number>;
  sum: number;
};

/**
 * Exposes a metric of the catalogue: `samples` is asked when it is scraped, and at no other time, so that counting costs
 * a service what its own slots cost. Where several parts of a process expose the same metric, equal labels add up.
 */
export function expose<Name extends ValueName>(name: Name, samples: () => Iterable<Sample<Name>>): void {
  sourcesOf(name).push(function* () {
    for (const { labels, value } of samples()) yield { labels, value };
  });
}

/** The same for one that has no labels. */
export function exposeValue(name: WithoutLabels<ValueName>, value: () => number): void {
  sourcesOf(name).push(() => [{ labels: {}, value: value() }]);
}

/**
 * Counters of the states of partitions, which come and go: each goes on from what those before had counted. `of` is all
 * that one state has counted.
 */
export function exposeTotals<State extends object>(
  states: () => Iterable<State>,
  of: Readonly<Partial<Record<CounterWithoutLabels, (state: State) => number>>>,
): void {
  for (const [name, count] of Object.entries(of) as [CounterWithoutLabels, (state: State) => number][]) {
    const counted = new WeakMap<State, number>();
    let total = 0;
    sourcesOf(name).push(() => {
      for (const state of states()) {
        const now = count(state);
        total += now - (counted.get(state) ?? 0);
        counted.set(state, now);
      }
      return [{ labels: {}, value: total }];
    });
  }
}

/** The same for a histogram whose counts are kept elsewhere: prom-client's own takes one observation at a time. */
export function exposeHistogram<Name extends HistogramName>(
  name: Name,
  samples: () => Iterable<HistogramSample<Name>>,
): void {
  const { edges } = METRICS[name];
  const upper = [...edges.map(String), '+Inf'];
  sourcesOf(name).push(function* () {
    for (const { labels, buckets, sum } of samples()) {
      let below = 0;
      for (let k = 0; k < upper.length; k++) {
        below += buckets[k];
        yield { metricName: `${name}_bucket`, labels: { le: upper[k], ...labels }, value: below };
      }
      yield { metricName: `${name}_sum`, labels, value: sum };
      yield { metricName: `${name}_count`, labels, value: below };
    }
  });
}

/** Makes the metrics of Node itself, and says on every series which service the process is. */
export function exposeProcess(component: string): void {
  processLabels = { [PROCESS_LABEL]: component };
  collectDefaultMetrics();
  register.setDefaultLabels(processLabels);
}

/** All metrics, in the form that a scraper accepts best: `accept` is its header. */
export async function exposition(accept: string | undefined): Promise<{ text: string; contentType: string }> {
  const registry = prefersOpenMetrics(accept) ? openMetricsRegistry() : register;
  return { text: await registry.metrics(), contentType: registry.contentType };
}

type Line = { metricName?: string; labels: Readonly<Record<string, string>>; value: number };
type Source = () => Iterable<Line>;

const sources = new Map<MetricName, Source[]>();
let processLabels: Record<string, string> = {};

/** The sources of a metric, registered with the first of them. */
function sourcesOf(name: MetricName): Source[] {
  const known = sources.get(name);
  if (known !== undefined) return known;
  if (METRICS[name] === undefined) throw new Error(`${name} is not in the catalogue of metrics`);
  const { help, type } = METRICS[name];
  const own: Source[] = [];
  sources.set(name, own);
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, values: merged(own), aggregator: 'sum' }),
    reset() {},
  };
  register.registerMetric(metric as unknown as Metric);
  return own;
}

function merged(of: readonly Source[]): Line[] {
  if (of.length === 1) return [...of[0]()];
  const lines = new Map<string, Line>();
  for (const source of of) {
    for (const line of source()) {
      const key = `${line.metricName} ${JSON.stringify(line.labels)}`;
      const before = lines.get(key);
      if (before === undefined) lines.set(key, { ...line });
      else before.value += line.value;
    }
  }
  return [...lines.values()];
}

/** prom-client takes `_total` off the names of the metrics it writes as OpenMetrics, for good: off copies, then. */
function openMetricsRegistry(): Registry {
  const registry = new (Registry as unknown as new (contentType: string) => Registry)(
    Registry.OPENMETRICS_CONTENT_TYPE,
  );
  registry.setDefaultLabels(processLabels);
  for (const metric of register.getMetricsAsArray() as unknown as { name: string; type: string; get(): object }[]) {
    const copy = {
      name: metric.name,
      type: metric.type,
      async get() {
        return { ...(await metric.get()), name: this.name };
      },
    };
    registry.registerMetric(copy as unknown as Metric);
  }
  return registry;
}

/** Whether OpenMetrics is accepted, and not less than plain text. */
function prefersOpenMetrics(accept: string | undefined): boolean {
  const qualities = new Map<string, number>();
  for (const range of (accept ?? '').split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((one) => one.startsWith('q='));
    const quality = q === undefined ? 1 : Number(q.slice(2));
    if (Number.isFinite(quality)) qualities.set(type, Math.max(quality, qualities.get(type) ?? 0));
  }
  const open = qualities.get('application/openmetrics-text') ?? 0;
  return open > 0 && open >= (qualities.get('text/plain') ?? 0);
}
