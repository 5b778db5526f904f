import { MdrError } from '#core/errors.ts';
import { mpidCodeAt } from '#core/mpid-code.ts';
import { dayFrom, daysInMonth } from '#core/settlement-day.ts';
import { APPOINTED, NO_ETD } from './appointment-list.ts';
import type { ChangeParser } from './change-parser.ts';
import { digitsAt } from './change-step.ts';

/** Columns of a file of registrations, in any order. */
export const CSV_COLUMNS = ['mpan', 'sequence', 'role', 'mpid', 'efd', 'etd'] as const;
/** In the column role: the MPAN has no registration any more; mpid, efd and etd are empty. */
export const REMOVED = 'REMOVED';

/** Where each of CSV_COLUMNS stands in a row. */
export type CsvColumns = number[];

/** Reads a file's first line. Throws INPUT_INVALID where a column is missing, unknown or there twice. */
export function readHeader(file: string, line: string): CsvColumns {
  const names = line
    .replace(/^\uFEFF/, '')
    .replace(/\r$/, '')
    .split(',')
    .map((name) => name.trim().replace(/^"(.*)"$/, '$1'));
  const columns = CSV_COLUMNS.map((name) => names.indexOf(name));
  if (columns.every((at) => at >= 0) && names.length === CSV_COLUMNS.length) return columns;
  const expected = `the columns ${CSV_COLUMNS.join(',')}, each once, in any order`;
  throw new MdrError('INPUT_INVALID', `${file} has no header that can be used`, [
    { file, line: 1, value: line.slice(0, HEADER_SHOWN_MAX), expected },
  ]);
}

/**
 * Reads rows of CSV, an appointment each; rows of one MPAN and sequence that follow on each other are one change. No
 * objects and no texts a row: 30 million of them are to be read in minutes. Returns the number of lines.
 */
export function parseCsv(bytes: Buffer, columns: CsvColumns, to: ChangeParser): number {
  const [mpanColumn, sequenceColumn, role, mpid, efd, etd] = columns;
  let line = 0;
  let isOpen = false;
  for (let at = 0; at < bytes.length; ) {
    let end = bytes.indexOf(NEW_LINE, at);
    if (end < 0) end = bytes.length;
    line++;
    const next = end + 1;
    if (end > at && bytes[end - 1] === RETURN) end--;
    if (end === at) {
      at = next;
      continue;
    }
    to.rows++;
    const isWhole = split(bytes, at, end);
    const mpan = isWhole ? mpanAt(bytes, mpanColumn) : -1;
    const sequence = isWhole ? sequenceAt(bytes, sequenceColumn) : -1;
    at = next;
    if (mpan < 0 || sequence < 0) {
      if (isOpen) to.close();
      isOpen = false;
      to.fault(line, nameFault(bytes, isWhole, mpan < 0 ? mpanColumn : sequenceColumn, mpan < 0));
      continue;
    }
    if (isOpen && mpan === to.mpan && sequence === to.sequence) to.addLine(line);
    else {
      if (isOpen) to.close();
      to.open(mpan, sequence, line);
      isOpen = true;
    }
    appoint(bytes, role, mpid, efd, etd, line, to);
  }
  if (isOpen) to.close();
  return line;
}

const HEADER_SHOWN_MAX = 80;
const COMMA = 44;
const QUOTE = 34;
const NEW_LINE = 10;
const RETURN = 13;
const HYPHEN = 45;
const COLUMNS = CSV_COLUMNS.length;
const MPAN_DIGITS = 13;
/** Of the largest that a double tells from its neighbours. */
const SEQUENCE_DIGITS_MAX = 16;
const FIELD_SHOWN_MAX = 40;

// Where the fields of the row being read begin and end.
const from = new Int32Array(COLUMNS);
const until = new Int32Array(COLUMNS);

/** False where there are not as many fields as columns. Quotes round a field are passed over; none needs them. */
function split(bytes: Buffer, at: number, end: number): boolean {
  let field = 0;
  let start = at;
  for (let k = at; k <= end; k++) {
    if (k < end && bytes[k] !== COMMA) continue;
    if (field === COLUMNS) return false;
    const isQuoted = k - start >= 2 && bytes[start] === QUOTE && bytes[k - 1] === QUOTE;
    from[field] = isQuoted ? start + 1 : start;
    until[field++] = isQuoted ? k - 1 : k;
    start = k + 1;
  }
  return field === COLUMNS;
}

function mpanAt(bytes: Buffer, column: number): number {
  if (until[column] - from[column] !== MPAN_DIGITS) return -1;
  const mpan = digitsAt(bytes, from[column], MPAN_DIGITS);
  return mpan >= 1e12 ? mpan : -1;
}

function sequenceAt(bytes: Buffer, column: number): number {
  const length = until[column] - from[column];
  const sequence = length > SEQUENCE_DIGITS_MAX ? -1 : digitsAt(bytes, from[column], length);
  return sequence >= 1 && sequence <= Number.MAX_SAFE_INTEGER ? sequence : -1;
}

function appoint(
  bytes: Buffer,
  roleColumn: number,
  mpidColumn: number,
  efdColumn: number,
  etdColumn: number,
  line: number,
  to: ChangeParser,
) {
  const role = roleAt(bytes, from[roleColumn], until[roleColumn]);
  if (role < 0) {
    if (textOf(bytes, roleColumn) !== REMOVED)
      return wrong(bytes, roleColumn, `one of ${APPOINTED.join(', ')} and ${REMOVED}`, line, to);
    for (const column of [mpidColumn, efdColumn, etdColumn])
      if (until[column] > from[column]) return wrong(bytes, column, 'nothing beside the removal', line, to);
    return to.remove(line);
  }
  const mpid = until[mpidColumn] - from[mpidColumn] === 4 ? mpidCodeAt(bytes, from[mpidColumn]) : -1;
  if (mpid < 0) return wrong(bytes, mpidColumn, 'four capital letters', line, to);
  const efd = dayAt(bytes, from[efdColumn], until[efdColumn]);
  if (efd === NO_DAY) return wrong(bytes, efdColumn, 'a date as 2026-03-02', line, to);
  const etd = until[etdColumn] === from[etdColumn] ? NO_ETD : dayAt(bytes, from[etdColumn], until[etdColumn]);
  if (etd === NO_DAY) return wrong(bytes, etdColumn, 'a date as 2026-03-02, or nothing', line, to);
  to.appoint(role, mpid, efd, etd, line);
}

function roleAt(bytes: Buffer, at: number, end: number): number {
  const first = bytes[at];
  const second = bytes[at + 1];
  if (end - at === 2 && second === 83) return first === 73 ? 0 : first === 69 ? 1 : -1;
  return end - at === 3 && first === 77 && second === 68 && bytes[at + 2] === 82 ? 2 : -1;
}

const NO_DAY = -(2 ** 31);

/** A date as 2026-03-02 that is in the calendar, else NO_DAY. */
function dayAt(bytes: Buffer, at: number, end: number): number {
  if (end - at !== 10 || bytes[at + 4] !== HYPHEN || bytes[at + 7] !== HYPHEN) return NO_DAY;
  const year = digitsAt(bytes, at, 4);
  const month = digitsAt(bytes, at + 5, 2);
  const day = digitsAt(bytes, at + 8, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return NO_DAY;
  return dayFrom(year, month, day);
}

function wrong(bytes: Buffer, column: number, expected: string, line: number, to: ChangeParser): void {
  to.fault(line, `${nameOf(bytes, column)}, expected ${expected}`);
}

function nameFault(bytes: Buffer, isWhole: boolean, column: number, isMpan: boolean): string {
  if (!isWhole) return `expected ${COLUMNS} fields: ${CSV_COLUMNS.join(',')}`;
  const expected = isMpan ? '13 digits, the first not 0' : `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`;
  return `${isMpan ? 'mpan' : 'sequence'} is ${JSON.stringify(textOf(bytes, column))}, expected ${expected}`;
}

function nameOf(bytes: Buffer, column: number): string {
  return `field ${column + 1} is ${JSON.stringify(textOf(bytes, column))}`;
}

function textOf(bytes: Buffer, column: number): string {
  return bytes.toString('utf8', from[column], Math.min(until[column], from[column] + FIELD_SHOWN_MAX));
}

if (APPOINTED.join() !== 'IS,ES,MDR') throw new Error('roles are read in another order than the schema has them');
