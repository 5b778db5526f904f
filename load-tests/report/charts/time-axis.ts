import { formatDate, formatTimeOfDay, formatWeekday } from '../format.ts';
import { type Markup, markup } from '../markup.ts';
import type { Report } from '../report.ts';
import { box, line, text } from './drawing.ts';
import { linearScale, type Scale } from './scale.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a time axis shows; `demandEndMs` is where the scenario's last day ends. */
export type Span = { startMs: number; endMs: number; demandEndMs: number };

/** The time that latency, utilisation and queues were measured in. */
export function loadSpan(report: Report): Span {
  const { bucketSeconds, onDemand } = report.series;
  const lengths = report.networks.map((network) => network.utilisation.length * network.bucketSeconds * 1000);
  return spanOf(report, Math.max(onDemand.length * bucketSeconds * 1000, ...lengths));
}

/** The time that deadlines fell in: it goes on past the last day until the last TRT has run out. */
export function breachSpan(report: Report): Span {
  const hours = report.networks.map((network) => network.breachesByHour.length);
  return spanOf(report, Math.max(0, ...hours) * HOUR_MS);
}

function spanOf({ series, scenario }: Report, lengthMs: number): Span {
  const { startMs } = series;
  return { startMs, endMs: startMs + Math.max(HOUR_MS, lengthMs), demandEndMs: startMs + scenario.days * DAY_MS };
}

/** Buckets that a row of a chart's data table sums up: an hour's, or one where buckets are longer. */
export function bucketsPerRow(bucketSeconds: number): number {
  return Math.max(1, Math.floor(3600 / bucketSeconds));
}

/** Rows of that table which the span takes, for the page's readout. */
export function rowsIn(span: Span, bucketSeconds: number): number {
  return (span.endMs - span.startMs) / (bucketsPerRow(bucketSeconds) * bucketSeconds * 1000);
}

export function timeScale(span: Span, left: number, right: number): Scale {
  return linearScale(span.startMs, span.endMs, left, right);
}

export const TIME_AXIS_HEIGHT = 36;

/**
 * Hours and days below a plot between `top` and `bottom`: day marks through the plot, and the time after the
 * scenario's last day, in which what was asked runs out, set off from the days themselves.
 */
export function timeAxis(span: Span, left: number, right: number, top: number, bottom: number): Markup {
  const x = timeScale(span, left, right);
  const marks: Markup[] = [];
  if (span.demandEndMs < span.endMs) {
    const from = x(span.demandEndMs);
    marks.push(box('run-out', from, top, right - from, bottom - top));
    if (right - from > 50) marks.push(text('run-out-label', right - 4, top + 12, 'run-out'));
  }
  const hours = hourStep(span, right - left);
  if (hours !== null) {
    for (let atMs = firstMultiple(span.startMs, hours * HOUR_MS); atMs <= span.endMs; atMs += hours * HOUR_MS) {
      marks.push(line('tick', x(atMs), bottom, x(atMs), bottom + 4));
      marks.push(text('tick-label middle', x(atMs), bottom + 16, formatTimeOfDay(atMs)));
    }
  }
  marks.push(dayMarks(span, x, top, bottom, hours === null ? bottom + 16 : bottom + 32));
  marks.push(line('axis', left, bottom, right, bottom));
  return markup`<g class="time-axis">${marks}</g>`;
}

function dayMarks(span: Span, x: Scale, top: number, bottom: number, labelAt: number): Markup {
  const dayWidth = x(span.startMs + DAY_MS) - x(span.startMs);
  const labelEvery = dayWidth >= 74 ? 1 : Math.ceil(48 / dayWidth);
  const marks: Markup[] = [];
  let day = 0;
  for (let atMs = firstMultiple(span.startMs - DAY_MS + 1, DAY_MS); atMs < span.endMs; atMs += DAY_MS, day++) {
    const from = Math.max(atMs, span.startMs);
    const until = Math.min(atMs + DAY_MS, span.endMs);
    if (atMs > span.startMs) marks.push(line('day-mark', x(atMs), top, x(atMs), bottom + 4));
    if (day % labelEvery !== 0 || x(until) - x(from) < Math.min(40, dayWidth * 0.9)) continue;
    const label = dayWidth >= 74 ? formatWeekday(atMs) : formatDate(atMs);
    if (dayWidth >= 40) marks.push(text('day-label middle', (x(from) + x(until)) / 2, labelAt, label));
    else if (x(from) + 48 < x(span.endMs)) marks.push(text('day-label', x(from), labelAt, label));
  }
  return markup`${marks}`;
}

/** Hours between labels so that they stand at least 42 apart; null where only days have room. */
function hourStep(span: Span, width: number): number | null {
  const hourWidth = (width * HOUR_MS) / (span.endMs - span.startMs);
  return [1, 2, 3, 6, 12].find((hours) => hours * hourWidth >= 42) ?? null;
}

function firstMultiple(fromMs: number, stepMs: number): number {
  return Math.ceil(fromMs / stepMs) * stepMs;
}

/** A level held over each bucket, as the `d` of a path: one `H` a bucket, a gap where there is no figure. */
export function steps(values: readonly (number | null)[], xStart: number, bucketWidth: number, y: Scale): string {
  let d = '';
  let at: number | null = null;
  for (let bucket = 0; bucket < values.length; bucket++) {
    const value = values[bucket];
    if (value === null) {
      at = null;
      continue;
    }
    const place = Math.round(y(value) * 10) / 10;
    if (at === null) d += `M${round(xStart + bucket * bucketWidth)} ${place}`;
    else if (place !== at) d += `V${place}`;
    d += `H${round(xStart + (bucket + 1) * bucketWidth)}`;
    at = place;
  }
  return d;
}

function round(value: number): number {
  if (!Number.isFinite(value)) throw new Error(`not a coordinate: ${value}`);
  return Math.round(value * 10) / 10;
}
