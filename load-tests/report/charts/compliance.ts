import { type Levels, levelsFor, type Standing, shareWithin, standingOf } from '../findings.ts';
import {
  formatCount,
  formatSeconds,
  formatShare,
  formatShareInterval,
  modeName,
  nameOfRow,
  serviceName,
} from '../format.ts';
import { type Markup, markup, NOTHING } from '../markup.ts';
import type { Report, TrtRow } from '../report.ts';
import { box, type Caption, drawing, line, type Room, text } from './drawing.ts';
import { linearScale, type Scale } from './scale.ts';

/** The close-up covers the shares that service levels lie in. */
const CLOSE_UP_LOW = 0.9;
const ROW_HEIGHT = 26;
const NARROW_ROW_HEIGHT = 58;
const BAR_HEIGHT = 16;

const STANDING_SIGNS: Record<Standing, string> = {
  'on-target': '',
  'below-target': '▲',
  'below-minimum': '✕',
  'no-level': '',
};

/** One bar a TRT row, lowest share first: in time with data, in time without, late; and a close-up of 90 to 100 %. */
export function drawCompliance(report: Report, room: Room): Markup {
  const rows = [...report.trt].sort((a, b) => (shareWithin(a) ?? 1) - (shareWithin(b) ?? 1));
  const caption: Caption = {
    id: 'compliance',
    title: 'Share of accepted requests answered within their TRT',
    description: describe(report, rows),
  };
  const top = room.narrow ? 4 : 30;
  const rowHeight = room.narrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
  const height = top + rows.length * rowHeight + 4;
  const columns = columnsOf(room);
  const bars = rows.map((row, index) => {
    const levels = levelsFor(report, row.mode);
    return markup`<g class="trt-bar">${drawRow(row, levels, top + index * rowHeight, columns, room)}</g>`;
  });
  return drawing(caption, room, height, markup`${drawHead(columns, height, room)}${bars}`);
}

type Columns = { bar: Scale; closeUp: Scale | null; trtRight: number; shareRight: number };

function columnsOf({ width, narrow }: Room): Columns {
  if (narrow) return { bar: linearScale(0, 1, 0, width), closeUp: null, trtRight: 0, shareRight: width };
  return {
    bar: linearScale(0, 1, 340, 590),
    closeUp: linearScale(CLOSE_UP_LOW, 1, 656, 896),
    trtRight: 308,
    shareRight: width,
  };
}

function drawHead({ bar, closeUp, trtRight, shareRight }: Columns, height: number, room: Room): Markup {
  if (room.narrow || closeUp === null) return NOTHING;
  const ticks = [0.9, 0.92, 0.94, 0.96, 0.98, 1].map(
    (share) =>
      markup`${line('grid', closeUp(share), 22, closeUp(share), height - 4)}${text('tick-label middle', closeUp(share), 14, `${Math.round(share * 100)}\u00a0%`)}`,
  );
  const ends = [0, 0.5, 1].map((share) => text('tick-label middle', bar(share), 14, `${share * 100}\u00a0%`));
  return markup`${text('tick-label end', trtRight, 14, 'TRT')}${ends}${ticks}${text('tick-label end', shareRight, 14, 'share in time')}`;
}

function drawRow(row: TrtRow, levels: Levels | null, top: number, columns: Columns, room: Room): Markup {
  const share = shareWithin(row);
  const standing = standingOf(share, levels);
  const sign = STANDING_SIGNS[standing];
  const told = `${nameOfRow(row)}: ${formatCount(row.withinTrt)} of ${formatCount(row.requests)} within ${formatSeconds(row.trtSeconds)}`;
  const barTop = room.narrow ? top + 36 : top + (ROW_HEIGHT - BAR_HEIGHT) / 2;
  const baseline = room.narrow ? top + 14 : top + 18;
  const value = `${sign === '' ? '' : `${sign} `}${formatShare(share)}`;
  const interval = row.interval === undefined ? '' : formatShareInterval(row.interval);
  return markup`${drawLabel(row, baseline, columns, room)}${drawBar(row, levels, barTop, columns.bar, room, told)}${drawCloseUp(row, levels, barTop, columns.closeUp, told)}${text(`row-value end ${standing}`, columns.shareRight, baseline, value, interval)}`;
}

function drawLabel(row: TrtRow, baseline: number, columns: Columns, room: Room): Markup {
  const kind = `${modeName(row.mode)} · ${serviceName(row.service)}`;
  const name = `${row.srv} ${row.generation}`;
  const trt = formatSeconds(row.trtSeconds);
  if (room.narrow) {
    return markup`${text('row-label', 0, baseline, name)}${text('row-trt', 0, baseline + 16, `${kind} · TRT ${trt}`)}`;
  }
  return markup`${text('row-label', 0, baseline, `${name} · ${kind}`)}${text('row-trt end', columns.trtRight, baseline, trt)}`;
}

function drawBar(row: TrtRow, levels: Levels | null, top: number, bar: Scale, room: Room, told: string): Markup {
  const whole = Math.max(1, row.requests);
  const withData = (row.withinTrt - row.withinTrtWithoutData) / whole;
  const within = row.withinTrt / whole;
  const settled = Math.min(1, within + row.breaches / whole);
  const piece = (name: string, from: number, to: number): Markup =>
    to > from ? box(name, bar(from), top, bar(to) - bar(from), BAR_HEIGHT, told) : NOTHING;
  const marks = room.narrow && levels !== null ? drawLevels(levels, bar, top, 2) : NOTHING;
  const range = room.narrow && row.interval !== undefined ? drawRange(row.interval, bar, top) : NOTHING;
  return markup`${box('bar-ground', bar(0), top, bar(1) - bar(0), BAR_HEIGHT)}${piece('bar-within', 0, withData)}${piece(
    'bar-without-data',
    withData,
    within,
  )}${piece('bar-late', within, settled)}${marks}${range}`;
}

function drawLevels(levels: Levels, x: Scale, top: number, beyond: number): Markup {
  const [from, to] = [top - beyond, top + BAR_HEIGHT + beyond];
  return markup`${line('minimum-mark', x(levels.minimum), from, x(levels.minimum), to)}${line('target-mark', x(levels.target), from, x(levels.target), to)}`;
}

function drawRange([low, high]: readonly [number, number], x: Scale, top: number): Markup {
  const middle = top + BAR_HEIGHT / 2;
  return markup`${line('range', x(low), middle, x(high), middle)}${line('range', x(low), middle - 4, x(low), middle + 4)}${line('range', x(high), middle - 4, x(high), middle + 4)}`;
}

function drawCloseUp(row: TrtRow, levels: Levels | null, top: number, x: Scale | null, told: string): Markup {
  if (x === null) return NOTHING;
  const share = shareWithin(row);
  if (share === null) return NOTHING;
  const middle = top + BAR_HEIGHT / 2;
  const standing = standingOf(share, levels);
  const inView = levels !== null && levels.minimum >= CLOSE_UP_LOW;
  const marks = inView ? drawLevels(levels, x, top, (ROW_HEIGHT - BAR_HEIGHT) / 2) : NOTHING;
  if (share < CLOSE_UP_LOW)
    return markup`${marks}${text(`off-scale ${standing}`, x(CLOSE_UP_LOW), middle + 4, '◀', told)}`;
  const range = row.interval === undefined ? NOTHING : drawCloseUpRange(row.interval, x, top);
  return markup`${marks}${range}<circle class="dot ${standing}" cx="${x(share)}" cy="${middle}" r="4.5"><title>${told}</title></circle>`;
}

/** The range, with an arrow in place of the end that lies outside the close-up. */
function drawCloseUpRange([low, high]: readonly [number, number], x: Scale, top: number): Markup {
  if (low >= CLOSE_UP_LOW) return drawRange([low, high], x, top);
  const middle = top + BAR_HEIGHT / 2;
  const [from, to] = [x(CLOSE_UP_LOW), x(high)];
  return markup`${text('range-beyond', from, middle + 4, '◀')}${line('range', from + 8, middle, to, middle)}${line('range', to, middle - 4, to, middle + 4)}`;
}

function describe(report: Report, rows: readonly TrtRow[]): string {
  if (rows.length === 0) return 'No request was accepted.';
  const below = rows.filter((row) => {
    const standing = standingOf(shareWithin(row), levelsFor(report, row.mode));
    return standing === 'below-target' || standing === 'below-minimum';
  });
  const worst = `The lowest is ${nameOfRow(rows[0])} with ${formatShare(shareWithin(rows[0]))}.`;
  return `${rows.length} rows, ${below.length} of them below target. ${worst} All figures are in the table below.`;
}
