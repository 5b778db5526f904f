import { join, relative } from 'node:path';
import { MdrError } from '#core/errors.ts';
import type { Report, Verdict } from '#load-tests/report/report.ts';
import { renderSummary } from '#load-tests/report/summary.ts';

/** What `mdr plan` and `mdr load` end with. */
export const VERDICT_EXIT_CODES: Record<Verdict, number> = { held: 0, broken: 1, undecided: 4 };

/** The summary on standard output, and where the report is. */
export function showResult(report: Report, directory: string): void {
  const { stdout } = process;
  stdout.write(
    renderSummary(report, { colour: stdout.isTTY && !process.env.NO_COLOR, columns: stdout.columns ?? 100 }),
  );
  const page = relative(process.cwd(), join(directory, 'index.html'));
  stdout.write(`\nReport: ${page} (open it in a browser), with report.json and CSV files beside it.\n`);
}

/** An option's value; throws USAGE where it is none. */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
    throw new MdrError('USAGE', `${option} ${text} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

/** As a shell takes it for one word. */
export function quote(text: string): string {
  return /^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
