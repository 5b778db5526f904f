import { formatCount, formatPeriod, formatShare } from '../format.ts';
import { type Markup, markup, NOTHING } from '../markup.ts';
import type { NetworkRow, Report } from '../report.ts';
import { box, type Caption, drawing, type Room, text } from './drawing.ts';
import { drawQueues } from './queues.ts';
import type { Scale } from './scale.ts';
import { loadSpan, rowsIn, TIME_AXIS_HEIGHT, timeAxis, timeScale } from './time-axis.ts';
import { drawUtilisation } from './utilisation.ts';

const STRIP_HEIGHT = 96;
const HEADING_HEIGHT = 22;

/** One network over the run: exchanges in use above, what waits for one below, outages shaded through both. */
export function drawNetwork(report: Report, index: number, queueHighest: number, room: Room): Markup {
  const network = report.networks[index];
  const { startMs } = report.series;
  const left = 46;
  const right = room.width - 20;
  const used = { left, right, top: HEADING_HEIGHT, bottom: HEADING_HEIGHT + STRIP_HEIGHT };
  const waiting = {
    left,
    right,
    top: used.bottom + HEADING_HEIGHT + 6,
    bottom: used.bottom + HEADING_HEIGHT + 6 + STRIP_HEIGHT,
  };
  const span = loadSpan(report);
  const x = timeScale(span, left, right);
  const caption: Caption = {
    id: `network-${index}`,
    title: `${network.name}: utilisation and queues`,
    description: describe(network),
  };
  const body = markup`${timeAxis(span, left, right, used.top, waiting.bottom)}${drawOutages(network, x, left, right, used.top, waiting.bottom)}${text('strip-label', left, used.top - 8, 'Exchanges in use')}${drawUtilisation(network, startMs, x, used)}${text('strip-label', left, waiting.top - 8, 'Waiting, log scale')}${drawQueues(network, startMs, queueHighest, x, waiting)}`;
  return drawing(caption, room, waiting.bottom + TIME_AXIS_HEIGHT, body, {
    left,
    right,
    rows: rowsIn(span, network.bucketSeconds),
  });
}

const LABEL_WIDTH = 44;
const STRIP_LABEL_WIDTH = 118;

function drawOutages(network: NetworkRow, x: Scale, left: number, right: number, top: number, bottom: number): Markup {
  let labelFree = left + STRIP_LABEL_WIDTH;
  const marks = network.outages.map((outage) => {
    const from = Math.max(left, x(outage.startMs));
    const until = Math.min(right, x(outage.endMs));
    const told = `Outage ${formatPeriod(outage.startMs, outage.endMs)} UTC, ${formatShare(outage.cellsShare, 0)} of cells`;
    const labelAt = Math.min(Math.max(from, labelFree), right - LABEL_WIDTH);
    const label =
      labelAt < labelFree || labelAt > until + LABEL_WIDTH * 2
        ? NOTHING
        : text('outage-label', labelAt, top - 8, 'outage', told);
    if (label !== NOTHING) labelFree = labelAt + LABEL_WIDTH + 6;
    return markup`${box('outage', from, top, Math.max(1.5, until - from), bottom - top, told)}${label}`;
  });
  return markup`<g class="outages">${marks}</g>`;
}

function describe(network: NetworkRow): string {
  const outages = network.outages.map(
    (outage) =>
      ` Outage ${formatPeriod(outage.startMs, outage.endMs)} UTC of ${formatShare(outage.cellsShare, 0)} of its cells.`,
  );
  const use = `${formatShare(network.utilisationMean, 1)} of ${formatCount(network.exchangesMax)} exchanges in use on average, ${formatShare(network.utilisationPeak, 1)} at the peak`;
  return `${use}; at most ${formatCount(network.queuePeak)} waiting.${outages.join('')}`;
}
