import { formatInstant } from '#core/settlement-day.ts';
import type { AuditReport } from './audit.ts';
import { FAULTS, type Finding, WARNINGS } from './findings.ts';

const grouped = new Intl.NumberFormat('en-GB');
const COUNT_COLUMNS = 13;

/** The ledger for a terminal: where every request went, then what is wrong, at most `shownMax` of each kind. */
export function renderAudit(report: AuditReport, shownMax: number): string {
  return [
    headPart(report),
    ledgerPart(report),
    notePart(report),
    findingsPart('fault', FAULTS, report.faults, shownMax),
    findingsPart('warning', WARNINGS, report.warnings, shownMax),
    verdictPart(report),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function headPart({ prefix, partitions, run }: AuditReport): string {
  const ended =
    run.state === 'ENDED' ? '' : `\n! The run is ${run.state.toLowerCase()}: what is not answered yet may still be.\n`;
  return `Run ${run.id} on ${prefix}* (${partitions} partitions), counted until ${formatInstant(run.countedEndMs)}\n${ended}`;
}

function ledgerPart({ totals, byMode, codes, intervals, released }: AuditReport): string {
  const { scheduled, 'on-demand': onDemand } = byMode;
  const head = row('', ['scheduled', 'on demand', 'together']);
  const rows = (Object.keys(totals) as (keyof typeof totals)[]).map((key) =>
    row(LEDGER_NAMES[key], [scheduled[key], onDemand[key], totals[key]].map(count)),
  );
  const byCode = Object.entries(codes).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  return `${[head, ...rows].join('')}
codes        ${byCode.map(([code, answers]) => `${code} ${count(answers)}`).join(', ') || 'none'}
half-hours   ${count(intervals)} in answers of 4.8.1 and 4.8.3
released     ${count(released)} from quarantine
`;
}

const LEDGER_NAMES = {
  received: 'received',
  answered: '= answered',
  refused: '+ refused',
  quarantined: '+ quarantined',
  deleted: '+ deleted',
  open: '+ open',
  repeated: '+ repeated',
  setAside: '+ set aside',
  lost: '+ lost',
} as const;

function notePart({ breaches, late, replays, deadLetters, figures }: AuditReport): string {
  const dead = Object.entries(deadLetters.byReason).map(([reason, letters]) => `${reason} ${count(letters)}`);
  const dropped = Object.entries(replays).map(([topic, records]) => `${topic} ${count(records)}`);
  const { records, seconds, memoryMaxBytes } = figures;
  return `breaches     ${count(breaches)} counted, ${count(late)} late by this audit
replays      ${dropped.join(', ') || 'none'}
dead letters ${dead.join(', ') || 'none'}
read         ${count(records)} records in ${seconds.toFixed(1)} s, at most ${count(Math.ceil(memoryMaxBytes / 1e6))} MB
`;
}

function findingsPart<Kind extends string>(
  what: string,
  kinds: Readonly<Record<Kind, string>>,
  { counts, list }: { counts: Record<Kind, number>; list: Finding<Kind>[] },
  shownMax: number,
): string {
  const found = (Object.keys(kinds) as Kind[]).filter((kind) => counts[kind] > 0);
  return found
    .map((kind) => {
      const shown = list.filter((finding) => finding.kind === kind).slice(0, shownMax);
      const more = counts[kind] - shown.length;
      const lines = shown.map((finding) => `  ${findingText(finding)}\n`).join('');
      return `${what} ${kind}: ${count(counts[kind])} (${kinds[kind]})\n${lines}${more > 0 ? `  and ${count(more)} more\n` : ''}`;
    })
    .join('\n');
}

function findingText({ requestId, topic, partition, offset, says }: Finding<string>): string {
  const id = requestId === null ? '' : `${requestId} `;
  return `${id}${topic}/${partition}@${offset}: ${says}`;
}

function verdictPart({ clean, faults, warnings }: AuditReport): string {
  const warned = warnings.total === 0 ? '' : `, ${plural(warnings.total, 'warning')}`;
  return clean ? `The ledger is clean${warned}.\n` : `The ledger has ${plural(faults.total, 'fault')}${warned}.\n`;
}

function plural(total: number, noun: string): string {
  return `${count(total)} ${noun}${total === 1 ? '' : 's'}`;
}

function row(name: string, cells: readonly string[]): string {
  return `${name.padEnd(COUNT_COLUMNS)}${cells.map((cell) => cell.padStart(COUNT_COLUMNS)).join('')}\n`;
}

function count(value: number): string {
  return grouped.format(value);
}
