import { METRICS, type Metric, parseThreshold } from '#load-tests/plan/threshold.ts';
import { formatCount, formatNumber, formatShare } from './format.ts';
import type { ThresholdRow, TrtRow } from './report.ts';

/** What the expression judges; undefined for one that this version does not know. */
export function metricOf(expression: string): (typeof METRICS)[Metric] | undefined {
  const parsed = parseThreshold(expression);
  return 'expected' in parsed ? undefined : METRICS[parsed.metric];
}

/** A measured value in the unit of its expression: a share or a count. */
export function formatMeasured(value: number, expression: string): string {
  const metric = metricOf(expression);
  if (metric === undefined) return formatNumber(value);
  return metric.total ? formatCount(value) : formatShare(value);
}

/** `97.20 % (96.80 % to 97.90 %)`. */
export function measuredText({ value, interval, expression }: ThresholdRow): string {
  if (value === null) return 'not measured';
  const measured = formatMeasured(value, expression);
  return interval === undefined ? measured : `${measured} (${intervalText(interval, expression)})`;
}

export function intervalText(interval: readonly [number, number], expression: string): string {
  return interval.map((bound) => formatMeasured(bound, expression)).join(' to ');
}

const METRICS_OF_LATENESS: readonly Metric[] = ['withinTrt', 'withData', 'withinSeconds', 'breaches', 'open'];

/** Rows whose late answers the threshold judges: none where it judges something else than lateness. */
export function rowsJudgedBy(expression: string, rows: readonly TrtRow[]): TrtRow[] {
  const parsed = parseThreshold(expression);
  if ('expected' in parsed || !METRICS_OF_LATENESS.includes(parsed.metric)) return [];
  const { srv, generation, mode, service } = parsed.filters;
  return rows.filter(
    (row) =>
      (srv ?? row.srv) === row.srv &&
      (generation ?? row.generation) === row.generation &&
      (mode ?? row.mode) === row.mode &&
      (service ?? row.service) === row.service,
  );
}
