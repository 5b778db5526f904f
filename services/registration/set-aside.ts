import { DEAD_VALUE_BYTES_MAX, type DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import type { RowFault } from './change-parser.ts';

/** A row that was not taken, as it came. Lines are counted from 1; of an array they are its elements. */
export type SetAsideRow = { line: number; reason: string; row: string };

const NEW_LINE = 10;
const ROW_BYTES_MAX = 16 * 1024;

/** An entry for each line that something is wrong with, with all that is. */
export function linesSetAside(bytes: ArrayBuffer, faults: readonly RowFault[], linesBefore: number): SetAsideRow[] {
  if (faults.length === 0) return [];
  const reasons = reasonsByLine(faults);
  const text = Buffer.from(bytes);
  const rows: SetAsideRow[] = [];
  for (let at = 0, line = 1; at < text.length; line++) {
    const newLine = text.indexOf(NEW_LINE, at);
    const end = newLine < 0 ? text.length : newLine;
    const reason = reasons.get(line);
    if (reason !== undefined) {
      const row = text.toString('utf8', at, Math.min(end, at + ROW_BYTES_MAX)).replace(/\r$/, '');
      rows.push({ line: linesBefore + line, reason, row });
    }
    at = end + 1;
  }
  return rows;
}

/** The same of the elements of a JSON array, or of what was to be one. */
export function elementsSetAside(bytes: ArrayBuffer, faults: readonly RowFault[]): SetAsideRow[] {
  if (faults.length === 0) return [];
  const text = Buffer.from(bytes).toString('utf8');
  return [...reasonsByLine(faults)].map(([line, reason]) => ({ line, reason, row: elementOf(text, line) }));
}

/** Rows as dead letters; `source` is where they came in. */
export function lettersOf(source: string, rows: readonly SetAsideRow[]): DeadLetter[] {
  return rows.map(({ line, reason, row }) => {
    const value = Buffer.from(row);
    return {
      service: 'registration',
      topic: source,
      partition: 0,
      offset: line,
      reason: 'IMPOSSIBLE_VALUE',
      detail: `${source}:${line}: ${reason}`,
      key: null,
      value: value.subarray(0, DEAD_VALUE_BYTES_MAX),
      valueBytes: value.length,
    };
  });
}

function reasonsByLine(faults: readonly RowFault[]): Map<number, string> {
  const reasons = new Map<number, string>();
  for (const { line, reason } of faults) {
    const before = reasons.get(line);
    reasons.set(line, before === undefined ? reason : `${before}; ${reason}`);
  }
  return reasons;
}

function elementOf(text: string, line: number): string {
  try {
    return JSON.stringify((JSON.parse(text) as unknown[])[line - 1]).slice(0, ROW_BYTES_MAX);
  } catch {
    return text.slice(0, ROW_BYTES_MAX);
  }
}
