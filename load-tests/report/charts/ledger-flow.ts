import { isResponseCode, RESPONSE_CODES } from '#core/response-codes.ts';
import { sumOf } from '../findings.ts';
import { formatCount, formatShare } from '../format.ts';
import { type Markup, markup, NOTHING } from '../markup.ts';
import type { Ledger, Report } from '../report.ts';
import { box, type Caption, drawing, type Room, text } from './drawing.ts';

/** One way in which a received request ended. */
export type Outcome = {
  kind: 'answered' | 'refused' | 'quarantined' | 'open';
  label: string;
  meaning: string;
  count: number;
};

/** All outcomes of the ledger, none left out: their counts sum to what was received. */
export function outcomesOf(ledger: Ledger): Outcome[] {
  const answered = byCode('answered', 'Answered', ledger.answeredBy);
  const unnamed = ledger.answered - sumOf(Object.values(ledger.answeredBy));
  if (unnamed > 0) answered.push({ kind: 'answered', label: 'Answered', meaning: '', count: unnamed });
  return [
    ...answered,
    ...byCode('refused', 'Refused', ledger.refused),
    {
      kind: 'quarantined',
      label: 'Quarantined',
      meaning: 'beyond the anomaly detection threshold',
      count: ledger.quarantined,
    },
    { kind: 'open', label: 'Open', meaning: 'neither answered nor refused at the end', count: ledger.open },
  ];
}

function byCode(kind: Outcome['kind'], word: string, counts: Record<string, number>): Outcome[] {
  return Object.entries(counts)
    .map(([code, count]) => ({
      kind,
      label: `${word} ${code}`,
      meaning: isResponseCode(code) ? RESPONSE_CODES[code] : '',
      count,
    }))
    .sort((a, b) => b.count - a.count);
}

const ROW_HEIGHT = 22;
const FLOW_HEIGHT = 150;
const BAR_WIDTH = 14;

/** What became of the received requests, as bands as wide as their share from the left to their outcome. */
export function drawLedger(report: Report, room: Room): Markup {
  const { ledger } = report;
  const outcomes = outcomesOf(ledger).filter((outcome) => outcome.count > 0);
  const left = room.narrow ? 0 : 90;
  const right = room.narrow ? 84 : 330;
  const top = room.narrow ? 26 : 8;
  const scale = FLOW_HEIGHT / Math.max(1, ledger.received);
  let fromTop = top;
  let slotTop = top;
  const bands = outcomes.map((outcome) => {
    const share = outcome.count * scale;
    const size = Math.max(1, share);
    const slot = Math.max(ROW_HEIGHT, size + 2);
    const middle = slotTop + slot / 2;
    const band = drawBand(outcome, { left: left + BAR_WIDTH, right, fromTop, toTop: middle - size / 2, size });
    fromTop += share;
    slotTop += slot;
    return markup`<g class="outcome">${band}${drawOutcome(outcome, ledger.received, right, middle, size, room)}</g>`;
  });
  const source = box('flow-source', left, top, BAR_WIDTH, FLOW_HEIGHT);
  const caption: Caption = {
    id: 'ledger',
    title: 'What became of the requests received',
    description: describe(ledger),
  };
  return drawing(caption, room, slotTop + 6, markup`${bands}${source}${drawReceived(ledger, left, top, room)}`);
}

function drawReceived(ledger: Ledger, left: number, top: number, room: Room): Markup {
  const count = formatCount(ledger.received);
  if (room.narrow) return text('row-label', 0, top - 10, `Received ${count}`);
  const middle = top + FLOW_HEIGHT / 2;
  return markup`${text('row-label end', left - 10, middle - 3, 'Received')}${text('row-value end', left - 10, middle + 14, count)}`;
}

type BandPlace = { left: number; right: number; fromTop: number; toTop: number; size: number };

function drawBand(outcome: Outcome, { left, right, fromTop, toTop, size }: BandPlace): Markup {
  const middle = (left + right) / 2;
  return markup`<path class="band ${outcome.kind}" d="M${left} ${fromTop}C${middle} ${fromTop} ${middle} ${toTop} ${right} ${toTop}V${toTop + size}C${middle} ${toTop + size} ${middle} ${fromTop + size} ${left} ${fromTop + size}Z"><title>${outcome.label}: ${formatCount(outcome.count)}</title></path>`;
}

function drawOutcome(outcome: Outcome, total: number, x: number, middle: number, size: number, room: Room): Markup {
  const at = x + BAR_WIDTH + 8;
  const [countAt, shareAt] = room.narrow ? [room.width - 62, room.width] : [at + 220, at + 300];
  const meaning = room.narrow ? NOTHING : text('row-share', shareAt + 20, middle + 4, outcome.meaning);
  return markup`${box(`flow-end ${outcome.kind}`, x, middle - size / 2, BAR_WIDTH, size)}${text('row-label', at, middle + 4, outcome.label, outcome.meaning)}${text('row-value end', countAt, middle + 4, formatCount(outcome.count))}${text('row-share end', shareAt, middle + 4, briefShare(outcome.count / total))}${meaning}`;
}

/** The count stands beside it: a share below 0.01 % needs no more digits. */
function briefShare(share: number): string {
  return share < 0.0001 ? '<0.01\u00a0%' : formatShare(share);
}

function describe(ledger: Ledger): string {
  const parts = outcomesOf(ledger).map((outcome) => `${outcome.label} ${formatCount(outcome.count)}`);
  return `Received ${formatCount(ledger.received)}. ${parts.join(', ')}.`;
}
