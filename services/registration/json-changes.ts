import { parseMpan } from '#core/identifiers.ts';
import { mpidCodeOf } from '#core/mpid-code.ts';
import { parseDay } from '#core/settlement-day.ts';
import { APPOINTED, NO_ETD } from './appointment-list.ts';
import type { ChangeParser } from './change-parser.ts';

/** More than 1,024 appointments take. */
const LINE_BYTES_MAX = 128 * 1024;
const NEW_LINE = 10;

/** A change an object, one a line: see `parseRow`. Returns the number of lines. */
export function parseNdjson(bytes: Buffer, to: ChangeParser): number {
  let line = 0;
  for (let at = 0; at < bytes.length; ) {
    let end = bytes.indexOf(NEW_LINE, at);
    if (end < 0) end = bytes.length;
    line++;
    if (end - at > LINE_BYTES_MAX) {
      to.rows++;
      to.fault(line, `expected at most ${LINE_BYTES_MAX} bytes`);
    } else {
      const text = bytes.toString('utf8', at, end).trim();
      if (text !== '') parseText(text, line, to);
    }
    at = end + 1;
  }
  return line;
}

/** The same as an array. Returns the number of elements; what is no array is one that cannot be used. */
export function parseJson(bytes: Buffer, to: ChangeParser): number {
  let rows: unknown;
  try {
    rows = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    rows = error;
  }
  if (!Array.isArray(rows)) {
    to.rows = 1;
    to.fault(1, `expected a JSON array${rows instanceof SyntaxError ? `: ${rows.message}` : ''}`);
    return 1;
  }
  rows.forEach((row, k) => {
    parseRow(row, k + 1, to);
  });
  return rows.length;
}

function parseText(text: string, line: number, to: ChangeParser): void {
  try {
    parseRow(JSON.parse(text), line, to);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    to.rows++;
    to.fault(line, `expected JSON: ${error.message}`);
  }
}

/**
 * `{"mpan": "...", "sequence": 7, "appointments": [{"mpid", "role", "efd", "etd"?}]}`, or `"removed": true` in the place
 * of the appointments.
 */
function parseRow(row: unknown, line: number, to: ChangeParser) {
  to.rows++;
  if (!isObject(row)) return to.fault(line, 'expected an object with mpan, sequence and appointments');
  const { mpan: mpanText, sequence, appointments, removed, ...others } = row;
  const mpan = parseMpan(String(mpanText));
  const isSequence = Number.isSafeInteger(sequence) && (sequence as number) >= 1;
  const faults = [
    ...unknownIn(others),
    ...(mpan === undefined ? [`mpan is ${shown(mpanText)}, expected 13 digits, the first not 0`] : []),
    ...(isSequence
      ? []
      : [`sequence is ${shown(sequence)}, expected a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`]),
    ...(removed === undefined || removed === true ? [] : [`removed is ${shown(removed)}, expected true or nothing`]),
    ...shapeFaults(appointments, removed),
  ];
  for (const fault of faults) to.fault(line, fault);
  if (faults.length > 0) return;
  to.open(mpan as number, sequence as number, line);
  if (removed === true) to.remove(line);
  else for (const [k, one] of (appointments as unknown[]).entries()) appoint(one, `appointments[${k}]`, line, to);
  to.close();
}

function shapeFaults(appointments: unknown, removed: unknown): string[] {
  if (removed === true) return appointments === undefined ? [] : ['appointments: expected none beside "removed": true'];
  return Array.isArray(appointments) && appointments.length > 0
    ? []
    : ['appointments: expected a list of at least one, or "removed": true'];
}

function appoint(one: unknown, path: string, line: number, to: ChangeParser) {
  if (!isObject(one)) return to.fault(line, `${path} is ${shown(one)}, expected mpid, role, efd and perhaps etd`);
  const { mpid, role, efd, etd = null, ...others } = one;
  const code = mpidCodeOf(String(mpid));
  const appointed = APPOINTED.indexOf(String(role));
  const from = parseDay(String(efd));
  const until = etd === null ? NO_ETD : parseDay(String(etd));
  const faults = unknownIn(others);
  if (code < 0) faults.push(`mpid is ${shown(mpid)}, expected four capital letters`);
  if (appointed < 0) faults.push(`role is ${shown(role)}, expected one of ${APPOINTED.join(', ')}`);
  if (from === undefined) faults.push(`efd is ${shown(efd)}, expected a date as 2026-03-02`);
  if (until === undefined) faults.push(`etd is ${shown(etd)}, expected a date as 2026-03-02, or none`);
  for (const fault of faults) to.fault(line, `${path}.${fault}`);
  if (faults.length === 0) to.appoint(appointed, code, from as number, until as number, line);
}

function unknownIn(others: object): string[] {
  return Object.keys(others).map((name) => `${name.slice(0, SHOWN_MAX)}: no such field is expected`);
}

const SHOWN_MAX = 40;

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, SHOWN_MAX);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
