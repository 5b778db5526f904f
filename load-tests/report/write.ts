import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { renderCsv } from './csv.ts';
import { renderHtml } from './html.ts';
import type { Report } from './report.ts';
import { isSystemError } from './report-folder.ts';

/**
 * Writes index.html, report.json and the CSV files to a directory, made if it is not there; each file appears whole or
 * not at all. Returns their paths, index.html first. Throws MdrError COULD_NOT_RUN where the directory cannot be
 * written to.
 */
export async function writeReport(report: Report, directory: string): Promise<string[]> {
  const files: Record<string, string> = {
    'index.html': renderHtml(report),
    'report.json': `${JSON.stringify(report, null, 2)}\n`,
    ...renderCsv(report),
  };
  try {
    await mkdir(directory, { recursive: true });
    const paths: string[] = [];
    for (const [name, content] of Object.entries(files)) {
      const path = join(directory, name);
      await writeWhole(path, content);
      paths.push(path);
    }
    return paths;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new MdrError('COULD_NOT_RUN', `cannot write the report to ${directory}: ${error.message}`);
  }
}

/** Writes a file of any length from its parts, whole or not at all. Throws MdrError COULD_NOT_RUN where it cannot. */
export async function writeParts(path: string, parts: Iterable<string>): Promise<void> {
  try {
    await writeWhole(path, parts);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new MdrError('COULD_NOT_RUN', `cannot write ${path}: ${error.message}`);
  }
}

async function writeWhole(path: string, content: string | Iterable<string>): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content, { flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
