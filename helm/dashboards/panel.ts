import type { METRICS, MetricName, NODE_METRICS } from '#services/platform/metrics/catalogue.ts';

/** One query of a panel. `isInstant`: its value at the end of the range, else over the range. */
export type Query = { expr: string; legend: string; isInstant?: boolean };

/** Units as Grafana names them. */
export type Unit = 'short' | 'percentunit' | 's' | 'bytes' | 'reqps' | 'none' | 'dateTimeAsIso';

type Common = {
  title: string;
  /** What a person sees in it, and when to act. */
  description: string;
  queries: readonly Query[];
  unit: Unit;
  /** In 24ths of the width. */
  width: number;
  height?: number;
  /** Values from which on it is shown amber and red; falling ones the other way round. */
  bounds?: { amber: number; red: number; isFalling?: boolean };
  /** The alert whose runbook the panel links to. */
  runbook?: string;
};
export type Panel = Common & { kind: 'timeseries' | 'stat' | 'table' | 'heatmap' };

export type Variable = { name: string; label: string; metric: MetricName; of: string };

export type Dashboard = {
  uid: string;
  title: string;
  description: string;
  /** Range that it opens with, in Grafana's terms. */
  from: string;
  variables: readonly Variable[];
  rows: readonly { title: string; panels: readonly Panel[] }[];
};

type LabelOf<Name extends MetricName> = (keyof (typeof METRICS)[Name]['labels'] & string) | 'component';
type Matchers<Label extends string> = Readonly<Partial<Record<Label, string>>>;

/** A selector of the catalogue: `{ srv: '=~"$srv"' }` adds the matcher to the label; others are a type error. */
export function of<Name extends MetricName>(name: Name, matchers?: Matchers<LabelOf<Name>>): string {
  return selector(name, matchers);
}

/** The same of one series of a histogram. */
export function ofHistogram<Name extends HistogramName>(
  name: Name,
  part: 'bucket' | 'sum' | 'count',
  matchers?: Matchers<LabelOf<Name>>,
): string {
  return selector(`${name}_${part}`, matchers);
}

type HistogramName = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends 'histogram' ? Name : never;
}[MetricName];

/** The same of what Node says of its process. */
export function ofNode(name: keyof typeof NODE_METRICS, matchers?: Matchers<'component'>): string {
  return selector(name, matchers);
}

function selector(name: string, matchers: Readonly<Record<string, string | undefined>> = {}): string {
  const parts = Object.entries(matchers).map(([label, matcher]) => `${label}${matcher}`);
  return parts.length === 0 ? name : `${name}{${parts.join(', ')}}`;
}

/**
 * How much a counter has grown over the range, by some labels, as a whole number: `increase` reaches beyond the scrapes to
 * the ends of the range, and so gives fractions of things that can only be counted.
 */
export function countBy(by: string, counter: string): string {
  return `round(sum by (${by}) (increase(${counter}[$__range])))`;
}

/** A quantile of a histogram over the rate interval, by some labels. */
export function quantile(share: number, buckets: string, by: readonly string[] = []): string {
  return `histogram_quantile(${share}, sum by (${['le', ...by].join(', ')}) (rate(${buckets}[$__rate_interval])))`;
}

/** What a query is with Grafana's variables put in: the range, the rate interval, and each variable's values as a regular expression. */
export function filledIn(
  expr: string,
  {
    rangeSeconds,
    rateSeconds,
    values = {},
  }: { rangeSeconds: number; rateSeconds: number; values?: Record<string, string> },
): string {
  return expr
    .replaceAll('$__range', `${rangeSeconds}s`)
    .replaceAll('$__rate_interval', `${rateSeconds}s`)
    .replaceAll(/\$([a-z]+)/g, (_, name: string) => values[name] ?? '.*');
}
