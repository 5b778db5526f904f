import { sumOf } from '../findings.ts';
import { formatCompact, formatCount, formatPeriod } from '../format.ts';
import { type Markup, markup, NOTHING } from '../markup.ts';
import type { NetworkRow, Report } from '../report.ts';
import { box, type Caption, drawing, fitted, type Room, text } from './drawing.ts';
import { breachSpan, rowsIn, type Span, TIME_AXIS_HEIGHT, timeAxis, timeScale } from './time-axis.ts';

const HOUR_MS = 3_600_000;
const ROW_HEIGHT = 34;
const CELL_WIDTH_MIN = 4;
const CELL_WIDTH_FRAMED = 10;
const CELL_WIDTH_LABELLED = 25;

/** The steps of colour: a cell takes the last whose count it reaches. No breach has no colour at all. */
export const HEAT_STEPS = [1, 10, 100, 1000, 10_000, 100_000] as const;

/** Breaches by the hour that their deadline passed in, a row a network; several hours a cell where the run is long. */
export function drawHeatMap(report: Report, room: Room): Markup {
  const span = breachSpan(report);
  const { left, right } = plotOf(room);
  const hours = hoursPerCell(report, room);
  const top = 18;
  const bottom = top + report.networks.length * ROW_HEIGHT;
  const rows = report.networks.map((network, index) =>
    drawRow(network, span, hours, { left, right, top: top + index * ROW_HEIGHT, end: room.width }),
  );
  const caption: Caption = { id: 'heat-map', title: 'Breaches by hour and network', description: describe(report) };
  const cell = hours === 1 ? NOTHING : text('tick-label', left, 12, `a cell is ${hours} hours`);
  const axis = timeAxis({ ...span, demandEndMs: span.endMs }, left, right, top, bottom);
  const body = markup`${cell}${text('tick-label end', room.width, 12, 'total')}${drawRunOut(span, left, right, top, bottom)}${axis}${rows}`;
  return drawing(caption, room, bottom + TIME_AXIS_HEIGHT, body, { left, right, rows: rowsIn(span, 3600) });
}

function plotOf({ width, narrow }: Room): { left: number; right: number } {
  return narrow ? { left: 84, right: width - 42 } : { left: 110, right: width - 64 };
}

/** Hours that one cell stands for, so that a cell can be seen. */
export function hoursPerCell(report: Report, room: Room): number {
  const { startMs, endMs } = breachSpan(report);
  const { left, right } = plotOf(room);
  const hourWidth = ((right - left) * HOUR_MS) / (endMs - startMs);
  return [1, 2, 3, 4, 6, 12, 24, 48, 168].find((hours) => hours * hourWidth >= CELL_WIDTH_MIN) ?? 168;
}

function drawRunOut(span: Span, left: number, right: number, top: number, bottom: number): Markup {
  if (span.demandEndMs >= span.endMs) return NOTHING;
  const from = timeScale(span, left, right)(span.demandEndMs);
  const label = right - from > 50 ? text('run-out-label', right, 12, 'run-out') : NOTHING;
  return markup`${box('run-out', from, top, right - from, bottom - top)}${label}`;
}

type Place = { left: number; right: number; top: number; end: number };

function drawRow(network: NetworkRow, span: Span, hours: number, place: Place): Markup {
  const x = timeScale(span, place.left, place.right);
  const cells: Markup[] = [];
  for (let hour = 0; hour < network.breachesByHour.length; hour += hours) {
    const breaches = sumOf(network.breachesByHour.slice(hour, hour + hours));
    const startMs = span.startMs + hour * HOUR_MS;
    const endMs = Math.min(span.endMs, startMs + hours * HOUR_MS);
    cells.push(drawCell(network.name, breaches, startMs, endMs, x(startMs), x(endMs), place.top));
  }
  const middle = place.top + ROW_HEIGHT / 2 + 4;
  const name = fitted(network.name, place.left - 8);
  return markup`<g class="heat-row">${text('row-label', 0, middle, name, network.name)}${box('heat-frame', place.left, place.top + 2, place.right - place.left, ROW_HEIGHT - 4)}${cells}${text('row-value end', place.end, middle, formatCompact(sumOf(network.breachesByHour)))}</g>`;
}

function drawCell(
  network: string,
  breaches: number,
  startMs: number,
  endMs: number,
  left: number,
  right: number,
  top: number,
): Markup {
  const gap = right - left > 8 ? 2 : right - left > 5 ? 1 : 0.5;
  const cell = (name: string, told: string): Markup =>
    box(`cell ${name}`, left + gap / 2, top + 2, right - left - gap, ROW_HEIGHT - 4, told);
  if (breaches <= 0) return cell(right - left > CELL_WIDTH_FRAMED ? 'none framed' : 'none', '');
  const step = heatStep(breaches);
  const told = `${network}, ${formatPeriod(startMs, endMs)} UTC: ${formatCount(Math.ceil(breaches))}`;
  const labelled = right - left >= CELL_WIDTH_LABELLED;
  const label = labelled
    ? text(
        `cell-label middle on-heat-${step}`,
        (left + right) / 2,
        top + ROW_HEIGHT / 2 + 4,
        formatCompact(breaches),
        told,
      )
    : NOTHING;
  return markup`${cell(`heat-${step}`, told)}${label}`;
}

/** 1 for the palest colour. */
export function heatStep(breaches: number): number {
  return Math.max(1, HEAT_STEPS.findLastIndex((least) => breaches >= least) + 1);
}

function describe(report: Report): string {
  const totals = report.networks.map((network) => `${network.name} ${formatCount(sumOf(network.breachesByHour))}`);
  return `Breaches of the run: ${totals.join(', ')}. By hour in the table below.`;
}
