import { formatCount, formatSeconds } from '../format.ts';
import { type Markup, markup } from '../markup.ts';
import type { Report } from '../report.ts';
import { type Caption, drawing, line, type Room, text } from './drawing.ts';
import { logScale, secondTicks, spreadApart } from './scale.ts';
import { loadSpan, rowsIn, steps, TIME_AXIS_HEIGHT, timeAxis, timeScale } from './time-axis.ts';

const PLOT_HEIGHT = 250;

/** Median, 95th percentile and maximum of on-demand answers in each bucket of the run, on a logarithmic scale. */
export function drawLatency(report: Report, room: Room): Markup {
  const { startMs, bucketSeconds, onDemand } = report.series;
  const taken = onDemand.filter((point) => point.count > 0);
  const trts = onDemandTrts(report);
  const [low, high] = domain(taken, trts);
  const left = room.narrow ? 42 : 52;
  const right = room.width - (room.narrow ? 54 : 84);
  const [top, bottom] = [8, 8 + PLOT_HEIGHT];
  const y = logScale(low, high, bottom, top);
  const span = loadSpan(report);
  const x = timeScale(span, left, right);
  const bucketWidth = x(startMs + bucketSeconds * 1000) - x(startMs);
  const path = (name: string, figure: 'p50' | 'p95' | 'max'): Markup => {
    const levels = onDemand.map((point) => (point.count > 0 ? point[figure] : null));
    return markup`<path class="${name}" d="${steps(levels, x(startMs), bucketWidth, y)}"/>`;
  };
  const ticks = secondTicks(low, high).map(
    ({ value, label }) =>
      markup`${line('grid', left, y(value), right, y(value))}${text('tick-label end', left - 6, y(value) + 4, label)}`,
  );
  const shown = trts.filter((seconds) => seconds >= low && seconds <= high);
  const places = spreadApart(shown.map(y), 13, top, bottom);
  const limits = shown.map(
    (seconds, index) =>
      markup`${line('trt-line', left, y(seconds), right, y(seconds))}${line('trt-leader', right, y(seconds), right + 6, places[index])}${text('trt-label', right + 8, places[index] + 4, `${room.narrow ? '' : 'TRT '}${formatSeconds(seconds)}`)}`,
  );
  const caption: Caption = {
    id: 'latency',
    title: 'On-demand latency over the run',
    description: describe(report),
  };
  const body = markup`${ticks}${timeAxis(span, left, right, top, bottom)}${limits}${path('latency-max', 'max')}${path('latency-p95', 'p95')}${path('latency-p50', 'p50')}`;
  return drawing(caption, room, bottom + TIME_AXIS_HEIGHT, body, { left, right, rows: rowsIn(span, bucketSeconds) });
}

/** The different TRTs that on-demand requests of the run were held to, shortest first. */
export function onDemandTrts(report: Report): number[] {
  const seconds = report.trt.filter((row) => row.mode === 'on-demand').map((row) => row.trtSeconds);
  return [...new Set(seconds)].sort((a, b) => a - b);
}

const LOW_SECONDS = 0.05;

function domain(taken: readonly { p50: number; max: number }[], trts: readonly number[]): [number, number] {
  let [least, most] = [Number.POSITIVE_INFINITY, trts[0] ?? 1];
  for (const point of taken) {
    least = Math.min(least, point.p50);
    most = Math.max(most, point.max);
  }
  const low = Math.max(LOW_SECONDS, Math.min(least, most / 10) / 1.4);
  return [low, Math.max(most, low * 10) * 1.4];
}

function describe(report: Report): string {
  const taken = report.series.onDemand.filter((point) => point.count > 0);
  if (taken.length === 0) return 'No on-demand request was answered.';
  let [answers, p95, max] = [0, 0, 0];
  for (const point of taken) {
    answers += point.count;
    p95 = Math.max(p95, point.p95);
    max = Math.max(max, point.max);
  }
  return `${formatCount(answers)} answers. The highest 95th percentile of a bucket is ${formatSeconds(p95)}, the longest answer ${formatSeconds(max)}.`;
}
