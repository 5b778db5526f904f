import { isResponseCode, RESPONSE_CODES } from '#core/response-codes.ts';
import {
  cautions,
  levelsFor,
  shareWithin,
  standingOf,
  sumOf,
  totalsOf,
  verdictSentence,
  worstNetwork,
} from './findings.ts';
import {
  formatCount,
  formatSeconds,
  formatShare,
  formatShareInterval,
  formatWallTime,
  MISSING,
  modeName,
  serviceName,
} from './format.ts';
import { printable } from './markup.ts';
import { platformFindings, speedFigure } from './platform-findings.ts';
import type { Report, TrtRow, Verdict } from './report.ts';
import { measuredText } from './thresholds.ts';

export type Terminal = { colour: boolean; columns: number };

type Ink = 'good' | 'bad' | 'open' | 'faint' | 'strong';
const INKS: Record<Ink, number> = { good: 36, bad: 31, open: 33, faint: 2, strong: 1 };
const VERDICTS: Record<Verdict, { sign: string; ink: Ink }> = {
  held: { sign: '✓', ink: 'good' },
  broken: { sign: '✕', ink: 'bad' },
  undecided: { sign: '?', ink: 'open' },
};

/** What the terminal shows after a run: the verdict first, then what it rests on. Ends with a newline. */
export function renderSummary(report: Report, terminal: Terminal): string {
  const parts = [
    verdictPart(report, terminal),
    thresholdPart(report, terminal),
    trtPart(report, terminal),
    ledgerPart(report, terminal),
    platformPart(report, terminal),
    runPart(report, terminal),
  ];
  const summary = parts.filter((part) => part !== '').join('\n\n');
  return `${summary.replaceAll('\u00a0', ' ')}\n`;
}

function verdictPart(report: Report, terminal: Terminal): string {
  const { sign, ink } = VERDICTS[report.verdict];
  const sentence = inked(wrapped(`${sign} ${verdictSentence(report)}`, terminal.columns, 2), ink, terminal);
  const notes = cautions(report).map((note) => inked(wrapped(`! ${note}`, terminal.columns, 2), 'open', terminal));
  return [sentence, ...notes].join('\n');
}

function thresholdPart(report: Report, terminal: Terminal): string {
  if (report.thresholds.length === 0) return '';
  const width = Math.max(...report.thresholds.map(({ expression }) => lengthOf(clean(expression))));
  const rows = report.thresholds.map((row) => {
    const { sign, ink } = VERDICTS[row.verdict];
    const mark = inked(`${sign} ${row.verdict.padEnd(9)}`, ink, terminal);
    const measured = clean(measuredText(row));
    const fits = 15 + width + 2 + lengthOf(measured) <= terminal.columns;
    return `  ${mark}  ${fits ? `${padded(clean(row.expression), width)}  ` : `${clean(row.expression)}\n${' '.repeat(15)}`}${measured}`;
  });
  return [inked('Thresholds', 'strong', terminal), ...rows].join('\n');
}

type Column = { head: string; cell: (row: TrtRow) => string; figures: boolean; dropAt: number };

function trtPart(report: Report, terminal: Terminal): string {
  if (report.trt.length === 0) return '';
  const columns = fittingColumns(report, trtColumns(report), terminal.columns);
  const widths = columns.map((column) => widthOf(column, report.trt));
  const write = (cells: readonly string[]): string =>
    `  ${cells.map((cell, index) => padded(cell, widths[index], columns[index].figures)).join('  ')}`.trimEnd();
  const head = inked(write(columns.map((column) => column.head)), 'faint', terminal);
  const rows = report.trt.map((row) => {
    const standing = standingOf(shareWithin(row), levelsFor(report, row.mode));
    const text = write(columns.map((column) => column.cell(row)));
    if (standing === 'below-minimum') return inked(text, 'bad', terminal);
    return standing === 'below-target' ? inked(text, 'open', terminal) : text;
  });
  return [inked('Target Response Times', 'strong', terminal), head, ...rows].join('\n');
}

/** `dropAt` orders the columns that give way on a narrow terminal, the highest first; 0 stays. */
function trtColumns(report: Report): Column[] {
  const latency = (head: 'p50' | 'p95' | 'p99' | 'max', dropAt: number): Column => ({
    head,
    cell: (row) => (row.requests === row.open ? MISSING : formatSeconds(row.seconds[head])),
    figures: true,
    dropAt,
  });
  const interval: Column = {
    head: '95 % interval',
    cell: (row) => (row.interval === undefined ? MISSING : formatShareInterval(row.interval)),
    figures: true,
    dropAt: 3,
  };
  const sampled = report.trt.some((row) => row.interval !== undefined);
  return [
    { head: 'SRV', cell: ({ srv }) => clean(srv), figures: false, dropAt: 0 },
    { head: 'meter', cell: ({ generation }) => generation, figures: false, dropAt: 0 },
    { head: 'mode', cell: ({ mode }) => modeName(mode), figures: false, dropAt: 0 },
    { head: 'service', cell: ({ service }) => serviceName(service), figures: false, dropAt: 0 },
    { head: 'TRT', cell: ({ trtSeconds }) => formatSeconds(trtSeconds), figures: true, dropAt: 0 },
    { head: 'requests', cell: ({ requests }) => formatCount(requests), figures: true, dropAt: 1 },
    { head: 'in time', cell: (row) => shareText(report, row), figures: true, dropAt: 0 },
    ...(sampled ? [interval] : []),
    { head: 'late', cell: ({ breaches }) => formatCount(breaches), figures: true, dropAt: 2 },
    { head: 'open', cell: ({ open }) => formatCount(open), figures: true, dropAt: 4 },
    latency('p50', 5),
    latency('p95', 3),
    latency('p99', 6),
    latency('max', 4),
  ];
}

function shareText(report: Report, row: TrtRow): string {
  const standing = standingOf(shareWithin(row), levelsFor(report, row.mode));
  const sign = standing === 'below-minimum' ? '✕ ' : standing === 'below-target' ? '▲ ' : '';
  return `${sign}${formatShare(shareWithin(row))}`;
}

function fittingColumns(report: Report, columns: readonly Column[], room: number): Column[] {
  let kept = [...columns];
  for (let drop = 6; drop > 0; drop--) {
    const width = 2 + sumOf(kept.map((column) => widthOf(column, report.trt) + 2)) - 2;
    if (width <= room) break;
    kept = kept.filter((column) => column.dropAt < drop);
  }
  return kept;
}

function widthOf(column: Column, rows: readonly TrtRow[]): number {
  return Math.max(column.head.length, ...rows.map((row) => lengthOf(column.cell(row))));
}

function ledgerPart(report: Report, terminal: Terminal): string {
  const { ledger } = report;
  const refused = Object.entries(ledger.refused).filter(([, count]) => count > 0);
  const refusedAll = sumOf(refused.map(([, count]) => count));
  const sum = `${formatCount(ledger.received)} received = ${formatCount(ledger.answered)} answered + ${formatCount(refusedAll)} refused + ${formatCount(ledger.quarantined)} quarantined + ${formatCount(ledger.open)} open`;
  const countWidth = Math.max(0, ...refused.map(([, count]) => formatCount(count).length));
  const codes = refused
    .sort(([, a], [, b]) => b - a)
    .map(([code, count]) => {
      const meaning = isResponseCode(code) ? RESPONSE_CODES[code] : '';
      return `  refused ${padded(clean(code), 3)}  ${formatCount(count).padStart(countWidth)}  ${meaning}`.trimEnd();
    });
  return [inked('Requests', 'strong', terminal), wrapped(`  ${sum}`, terminal.columns, 2), ...codes].join('\n');
}

function platformPart({ platform, ...report }: Report, terminal: Terminal): string {
  if (platform === undefined) return '';
  const findings = platformFindings({ ...report, platform }).map(({ isGood, sentence }) => {
    const sign = isGood === null ? '' : isGood ? '✓ ' : '▲ ';
    const text = wrapped(`  ${sign}${sentence}`, terminal.columns, 4);
    return isGood === false ? inked(text, 'open', terminal) : text;
  });
  const { offered, achieved, services } = platform;
  const { value, note } = speedFigure(platform);
  const cores = sumOf(services.map((service) => service.cores)).toFixed(2);
  const rates = `Offered ${rateText(offered)}, achieved ${rateText(achieved)}, warm-up and what came after the counted days included: that is what an audit counts. Speed ${value}, ${note}. The services used ${cores} cores.`;
  return [inked('Platform', 'strong', terminal), ...findings, wrapped(`  ${rates}`, terminal.columns, 4)].join('\n');
}

function rateText({ requests, perSecond }: { requests: number; perSecond: number }): string {
  return `${formatCount(requests)} requests (${formatCount(perSecond)} a second)`;
}

function runPart(report: Report, terminal: Terminal): string {
  const { run } = report;
  const worst = worstNetwork(report);
  const totals = totalsOf(report.trt);
  const lines: string[] = [];
  if (worst !== null) {
    const late = sumOf(worst.breachesByHour);
    const share = totals.breaches === 0 ? '' : ` of ${formatCount(totals.breaches)}`;
    lines.push(
      `${late > 0 ? 'Worst' : 'Busiest'} network: ${clean(worst.name)}, ${formatCount(late)}${share} breaches, utilisation ${formatShare(worst.utilisationMean, 1)} mean and ${formatShare(worst.utilisationPeak, 1)} peak, at most ${formatCount(worst.queuePeak)} waiting.`,
    );
  }
  if (report.platform !== undefined) {
    const { runId, preparedSeconds } = report.platform;
    lines.push(
      `Seed ${run.seed}, run ${clean(runId)}, ${formatWallTime(run.wallSeconds)} after ${formatWallTime(preparedSeconds)} of filling topics and tables.`,
    );
  } else
    lines.push(
      `Seed ${run.seed}, digest ${run.digest.slice(0, 12)}, ${formatCount(run.events)} events in ${formatWallTime(run.wallSeconds)} on ${run.workers} ${run.workers === 1 ? 'worker' : 'workers'}.`,
    );
  return lines.map((line) => wrapped(line, terminal.columns, 2)).join('\n');
}

/** Names come from users: on a terminal a control character could move the cursor or change the colours. */
function clean(text: string): string {
  return printable(text).replace(/[\t\n\r ]+/g, ' ');
}

function lengthOf(text: string): number {
  return [...text].length;
}

function padded(text: string, width: number, right = false): string {
  const padding = ' '.repeat(Math.max(0, width - lengthOf(text)));
  return right ? padding + text : text + padding;
}

/** Broken at spaces (not at no-break spaces) so that no line is longer than `columns`, later lines indented. */
function wrapped(text: string, columns: number, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of clean(text).replace(/^ +/, '').split(' ')) {
    if (line !== '' && lengthOf(line) + 1 + lengthOf(word) > columns) {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    } else {
      line = line === '' ? (text.startsWith('  ') ? '  ' : '') + word : `${line} ${word}`;
    }
  }
  return [...lines, line].join('\n');
}

function inked(text: string, ink: Ink, { colour }: Terminal): string {
  return colour ? `\u001b[${INKS[ink]}m${text}\u001b[0m` : text;
}
