import { formatCompact, formatCount, formatWallTime } from '../format.ts';
import { type Markup, markup } from '../markup.ts';
import type { PlatformPoint, PlatformReport } from '../report.ts';
import { stretchSeconds } from '../wall-time.ts';
import { type Caption, drawing, line, type Room, text } from './drawing.ts';
import { countScale, countTicks, linearScale, linearTicks, type Scale } from './scale.ts';

const RATE_HEIGHT = 150;
const LAG_HEIGHT = 80;
const HEADING_HEIGHT = 22;
const AXIS_HEIGHT = 36;

/** Requests offered and achieved over wall time above, what lay in topics and was not taken below. */
export function drawPlatform({ series, lag, offered, achieved }: PlatformReport, room: Room): Markup {
  const left = 46;
  const right = room.width - 20;
  const rates = { left, right, top: HEADING_HEIGHT, bottom: HEADING_HEIGHT + RATE_HEIGHT };
  const lagTop = rates.bottom + HEADING_HEIGHT + 6;
  const lags = { left, right, top: lagTop, bottom: lagTop + LAG_HEIGHT };
  const lastSeconds = series.at(-1)?.atSeconds ?? 1;
  const x = linearScale(0, lastSeconds, left, right);
  const caption: Caption = {
    id: 'platform-rates',
    title: 'Requests offered and achieved, and lag, over wall time',
    description: `${formatCount(offered.requests)} requests offered and ${formatCount(achieved.requests)} answered or refused in ${formatWallTime(lastSeconds)}; at most ${formatCount(lag.peakRecords)} records not taken.`,
  };
  const body = markup`${wallAxis(lastSeconds, x, rates.top, lags.bottom)}${text('strip-label', left, rates.top - 8, 'Requests a second')}${drawRates(series, x, rates)}${text('strip-label', left, lags.top - 8, 'Records not taken, log scale')}${drawLag(series, x, lags)}`;
  const rows = lastSeconds / stretchSeconds(lastSeconds);
  return drawing(caption, room, lags.bottom + AXIS_HEIGHT, body, { left, right, rows });
}

type Place = { left: number; right: number; top: number; bottom: number };

function drawRates(series: readonly PlatformPoint[], x: Scale, { left, right, top, bottom }: Place): Markup {
  let high = 1;
  for (const point of series) high = Math.max(high, point.offeredPerSecond, point.achievedPerSecond);
  const ticks = linearTicks(high, 4);
  const y = linearScale(0, Math.max(high, ticks.at(-1) ?? 0), bottom, top);
  const achieved = levels(series, (point) => point.achievedPerSecond, x, y);
  const area = achieved === '' ? '' : `${achieved}V${bottom}H${left}Z`;
  const offered = levels(series, (point) => point.offeredPerSecond, x, y);
  return markup`${grid(ticks, y, left, right)}<path class="achieved-area" d="${area}"/><path class="achieved" d="${achieved}"/><path class="offered" d="${offered}"/>`;
}

/** Logarithmic with a true zero: a lag is nothing, or grows over decades. */
function drawLag(series: readonly PlatformPoint[], x: Scale, { left, right, top, bottom }: Place): Markup {
  let high = 10;
  for (const point of series) high = Math.max(high, point.lagRecords);
  const y = countScale(high * 1.15, bottom, top);
  const d = levels(series, (point) => point.lagRecords, x, y);
  const area = d === '' ? '' : `${d}V${bottom}H${left}Z`;
  return markup`${grid(countTicks(high), y, left, right)}<path class="lag-area" d="${area}"/><path class="lag" d="${d}"/>`;
}

function grid(ticks: readonly number[], y: Scale, left: number, right: number): Markup {
  const lines = ticks.map(
    (count) =>
      markup`${line('grid', left, y(count), right, y(count))}${text('tick-label end', left - 6, y(count) + 4, formatCompact(count))}`,
  );
  return markup`${lines}`;
}

/** A level from the point before up to each point, as the `d` of a path: one `H` a point. */
function levels(series: readonly PlatformPoint[], of: (point: PlatformPoint) => number, x: Scale, y: Scale): string {
  const commands = series.map((point, k) => {
    const place = y(of(point)).toFixed(1);
    return `${k === 0 ? `M${x(0).toFixed(1)} ${place}` : `V${place}`}H${x(Math.max(0, point.atSeconds)).toFixed(1)}`;
  });
  return commands.join('');
}

const TICK_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];
const TICK_WIDTH_MIN = 64;

/** Wall time since the clock started, marks through both strips. */
function wallAxis(lastSeconds: number, x: Scale, top: number, bottom: number): Markup {
  const wide = TICK_SECONDS.find((seconds) => x(seconds) - x(0) >= TICK_WIDTH_MIN) ?? lastSeconds;
  const marks: Markup[] = [];
  for (let at = 0; at <= lastSeconds; at += wide) {
    if (at > 0) marks.push(line('grid', x(at), top, x(at), bottom));
    marks.push(line('tick', x(at), bottom, x(at), bottom + 4));
    marks.push(text('tick-label middle', x(at), bottom + 16, wallLabel(at)));
  }
  marks.push(line('axis', x(0), bottom, x(lastSeconds), bottom));
  marks.push(text('day-label middle', (x(0) + x(lastSeconds)) / 2, bottom + 32, 'wall time since the clock started'));
  return markup`<g class="time-axis">${marks}</g>`;
}

function wallLabel(seconds: number): string {
  if (seconds >= 3600) return `${Number((seconds / 3600).toFixed(2))}\u00a0h`;
  return seconds >= 60 ? `${Number((seconds / 60).toFixed(1))}\u00a0min` : `${Number(seconds.toFixed(1))}\u00a0s`;
}
