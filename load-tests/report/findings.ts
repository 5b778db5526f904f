import { formatCount, formatPeriod, formatSeconds, formatShare, nameOfRow } from './format.ts';
import { reachedText } from './platform-findings.ts';
import type { MeasureRow, NetworkRow, Report, TrtRow } from './report.ts';
import { measuredText, rowsJudgedBy } from './thresholds.ts';

const HOUR_MS = 3_600_000;

/** The verdict as the sentence that a planner takes away, with the finding that decided it. Ends with a full stop. */
export function verdictSentence(report: Report): string {
  const scope = scopeOf(report);
  if (report.verdict === 'held') return heldSentence(report, scope);
  if (report.verdict === 'broken') return brokenSentence(report, scope);
  return undecidedSentence(report, scope);
}

function scopeOf({ run, platform }: Report): string {
  if (platform === undefined)
    return run.complete ? 'on this demand and these networks' : 'in the part that was simulated';
  return run.complete ? 'on this demand, these networks and this platform' : 'in the part that was driven';
}

/** What the reader must know before trusting a figure: a partial run, a sample. Whole sentences, often none. */
export function cautions(report: Report): string[] {
  const { complete, sample } = report.run;
  const notes: string[] = [];
  if (!report.run.settled && complete) {
    notes.push('The instants at which Anomaly Detection Thresholds are exceeded still moved in the last pass.');
  }
  if (!complete) {
    const where = report.platform === undefined ? 'before its end' : reachedText(report);
    notes.push(`Partial report: the run was stopped ${where}.`);
    if (report.platform !== undefined && report.ledger.open > 0) notes.push(openNote(report.ledger.open));
  }
  if (sample !== null) {
    const cells = `${formatCount(sample.cells)} of ${formatCount(sample.cellsAll)}`;
    const from = sample.oneIn > 1 ? `1 in ${formatCount(sample.oneIn)} cells (${cells})` : `${cells} cells`;
    const ranges = report.trt.some((row) => row.interval !== undefined) ? '; ranges are 95 % confidence intervals' : '';
    notes.push(`Estimated from ${from}: counts are scaled to the fleet${ranges}.`);
    const missing = report.networks.filter(({ requestsByHour }) => sumOf(requestsByHour) === 0);
    if (missing.length > 0) {
      const names = missing.map(({ name }) => name).join(', ');
      notes.push(`No cell of ${names} was simulated: the zeros there are missing figures.`);
    }
  }
  return notes;
}

/** A load run that is stopped has no time left in which what is open could still be answered. */
function openNote(open: number): string {
  const requests = open === 1 ? '1 request' : `${formatCount(open)} requests`;
  return `${requests} had no answer by then: what had run out of its Target Response Time counts as late, what was still in time is judged by nothing.`;
}

/** The breaches of one network in one hour. */
export type Breaches = { startMs: number; endMs: number; network: string; count: number };

/** The first hour with a breach and the network that had most breaches in it. */
export function firstBreaches(report: Report): Breaches | null {
  const hours = hoursWithBreaches(report);
  return hours.sort((a, b) => a.startMs - b.startMs || b.count - a.count)[0] ?? null;
}

/** The hour and network with most breaches, the earliest of equals. */
export function mostBreaches(report: Report): Breaches | null {
  const hours = hoursWithBreaches(report);
  return hours.sort((a, b) => b.count - a.count || a.startMs - b.startMs)[0] ?? null;
}

function hoursWithBreaches({ networks, series }: Report): Breaches[] {
  return networks.flatMap((network) =>
    network.breachesByHour.flatMap((count, hour) => {
      const startMs = series.startMs + hour * HOUR_MS;
      return count > 0 ? [{ startMs, endMs: startMs + HOUR_MS, network: network.name, count }] : [];
    }),
  );
}

/** The network to look at first: most breaches, then the highest utilisation. */
export function worstNetwork(report: Report): NetworkRow | null {
  const byTrouble = [...report.networks].sort(
    (a, b) => sumOf(b.breachesByHour) - sumOf(a.breachesByHour) || b.utilisationPeak - a.utilisationPeak,
  );
  return byTrouble[0] ?? null;
}

export type Levels = { target: number; minimum: number };

/** Target and minimum service level that a row answers to; null where its measure was not taken. */
export function levelsFor(report: Report, mode: MeasureRow['measure']): Levels | null {
  return report.measures.find((row) => row.measure === mode) ?? null;
}

export type Standing = 'on-target' | 'below-target' | 'below-minimum' | 'no-level';

export function standingOf(share: number | null, levels: Levels | null): Standing {
  if (levels === null || share === null) return 'no-level';
  if (share < levels.minimum) return 'below-minimum';
  return share < levels.target ? 'below-target' : 'on-target';
}

/**
 * Share of a row's requests answered within the TRT, of those whose outcome is known: in a complete run all of them.
 * Null where no outcome is known.
 */
export function shareWithin(row: { withinTrt: number; breaches: number }): number | null {
  const settled = row.withinTrt + row.breaches;
  return settled === 0 ? null : row.withinTrt / settled;
}

/** Accepted requests of the run and how many of them were answered within their TRT. */
export function totalsOf(rows: readonly TrtRow[]): {
  requests: number;
  withinTrt: number;
  breaches: number;
  open: number;
} {
  return {
    requests: sumOf(rows.map((row) => row.requests)),
    withinTrt: sumOf(rows.map((row) => row.withinTrt)),
    breaches: sumOf(rows.map((row) => row.breaches)),
    open: sumOf(rows.map((row) => row.open)),
  };
}

export function sumOf(numbers: readonly number[]): number {
  let sum = 0;
  for (const value of numbers) sum += value;
  return sum;
}

function heldSentence(report: Report, scope: string): string {
  const totals = totalsOf(report.trt);
  const sentence = `The Target Response Times hold ${scope}`;
  if (totals.requests === 0) return `${sentence}: no request was accepted, so none was late.`;
  const requests = `${formatCount(totals.requests)} accepted requests`;
  if (totals.breaches === 0) return `${sentence}: not one of ${requests} was late.`;
  const share = formatShare(shareWithin(totals));
  const [worst, ...others] = latestRows(report, report.trt).filter((row) => isBelowTarget(report, row));
  if (worst !== undefined) {
    const late = rowsBelowTarget(worst, others.length);
    return `Every threshold is kept ${scope}, but not every Target Response Time: ${late}.${breachSentence(report)}`;
  }
  return `${sentence}: ${share} of ${requests} in time, every threshold kept.${breachSentence(report)}`;
}

/** The row to name, and how many others there are. */
function rowsBelowTarget(worst: TrtRow, others: number): string {
  const reached = `${formatShare(shareWithin(worst))} within ${formatSeconds(worst.trtSeconds)}`;
  const more = others === 0 ? '' : `; ${others} more ${others === 1 ? 'row is' : 'rows are'} below target`;
  return `${nameOfRow(worst)} reaches ${reached}${more}`;
}

function brokenSentence(report: Report, scope: string): string {
  const broken = report.thresholds.filter((threshold) => threshold.verdict === 'broken');
  const judged = new Set(broken.flatMap(({ expression }) => rowsJudgedBy(expression, report.trt)));
  const [worst, ...others] = latestRows(report, [...judged]);
  if (worst === undefined) {
    const what = broken.map((threshold) => `${threshold.expression} was measured as ${measuredText(threshold)}`);
    const which = broken.length === 1 ? 'A threshold is' : 'Thresholds are';
    return `${which} broken ${scope}: ${what.join('; ')}.${breachSentence(report)}`;
  }
  const below = others.filter((row) => isBelowTarget(report, row)).length;
  return `The Target Response Times break ${scope}: ${rowsBelowTarget(worst, below)}.${breachSentence(report)}`;
}

/** Rows with breaches: those below their target first, then most breaches first. */
function latestRows(report: Report, rows: readonly TrtRow[]): TrtRow[] {
  return rows
    .filter((row) => row.breaches > 0)
    .sort((a, b) => Number(isBelowTarget(report, b)) - Number(isBelowTarget(report, a)) || b.breaches - a.breaches);
}

function isBelowTarget(report: Report, row: TrtRow): boolean {
  const standing = standingOf(shareWithin(row), levelsFor(report, row.mode));
  return standing === 'below-target' || standing === 'below-minimum';
}

function undecidedSentence(report: Report, scope: string): string {
  const open = report.thresholds.find((threshold) => threshold.verdict === 'undecided');
  const sentence = `Whether the Target Response Times hold ${scope} is undecided`;
  if (open === undefined) return `${sentence}.`;
  if (open.value === null) return `${sentence}: nothing was measured to judge ${open.expression} on.`;
  return `${sentence}: ${open.expression} was measured as ${measuredText(open)}. Simulating more cells narrows it.`;
}

/** Where and when it starts, and where and when it is worst. */
function breachSentence(report: Report): string {
  const first = firstBreaches(report);
  const most = mostBreaches(report);
  if (first === null || most === null) return '';
  const when = (hour: Breaches): string => `${formatPeriod(hour.startMs, hour.endMs)} UTC in ${hour.network}`;
  if (first.startMs === most.startMs) return ` First breach, and most breaches: ${when(most)}.`;
  return ` First breach: ${when(first)}. Most breaches: ${when(most)}.`;
}
