import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { Pool } from '#services/platform/pool.ts';
import type { FeedRules, RowFault, Warnings } from './change-parser.ts';
import { type CsvColumns, readHeader } from './csv-changes.ts';
import type { Door } from './door.ts';
import { nextChunk } from './file-chunks.ts';
import { OUTCOME } from './outcomes.ts';
import { linesSetAside, type SetAsideRow } from './set-aside.ts';
import type { Task, TaskResult } from './worker.ts';

/** What became of a file: rows as they stand in it, changes as they were made of them. */
export type FeedSummary = {
  file: string;
  lines: number;
  rows: number;
  changes: number;
  applied: number;
  stale: number;
  duplicate: number;
  /** Rows that cannot be used, or changes by their first row: as many as stand in `setAsideFile`. */
  setAside: number;
  warnings: Warnings;
  seconds: number;
  setAsideFile?: string;
  /** Where an earlier attempt had come to; the counts are of both. */
  resumedBehindLine?: number;
};

export type FeedFileOptions = {
  door: Door;
  pool: Pool<Task, TaskResult>;
  workers: number;
  rules: FeedRules;
  mpids(): SharedArrayBuffer;
  /** Where rows set aside and the place that was reached are written. */
  folder: string;
  onProgress(summary: FeedSummary, bytesDone: number, bytes: number): void;
  /** Told of rows that never reach the stream. */
  onSetAside?(rows: readonly SetAsideRow[]): Promise<void>;
  /** True: stop when what was begun is done; the rest is for the next attempt. */
  isStopping?(): boolean;
};

/** Parsing, sending and deciding overlap by so many chunks a thread; each is a megabyte and its batches. */
const CHUNKS_A_WORKER = 3;
/** What an attempt that is killed does again at most, beside what is on its way. */
const NOTE_PLACE_EVERY_MS = 1000;
const FORMATS: Record<string, 'csv' | 'ndjson'> = { csv: 'csv', ndjson: 'ndjson', jsonl: 'ndjson' };

/** How a file is read, by the end of its name; undefined where nobody knows. */
export function formatOf(file: string): 'csv' | 'ndjson' | undefined {
  return FORMATS[file.slice(file.lastIndexOf('.') + 1).toLowerCase()];
}

/** Names of what is written beside a file while, and after, it is loaded. */
export function companions(file: string, folder: string): { place: string; setAside: string } {
  const name = join(folder, basename(file));
  return { place: `${name}.place.json`, setAside: `${name}.set-aside.ndjson` };
}

/**
 * Takes a file of changes in, in order, in memory that does not grow with it. The place behind which everything is
 * decided and acknowledged is noted beside it: an attempt that ended early goes on there, and what was sent behind it is
 * recognised as duplicate. Returns undefined where it was told to stop. Throws INPUT_UNREADABLE and INPUT_INVALID.
 */
export async function feedFile(file: string, options: FeedFileOptions): Promise<FeedSummary | undefined> {
  const format = formatOf(file);
  if (format === undefined)
    throw new MdrError('INPUT_INVALID', `${file} is of no format that is read`, [
      { file, expected: `a name that ends in .${Object.keys(FORMATS).join(', .')}` },
    ]);
  const handle = await openForReading(file);
  try {
    return await new FileFeed(file, format, handle, options).run();
  } finally {
    await handle.close();
  }
}

/** A file that is done with begins anew when it comes again. */
export async function forgetPlace(file: string, folder: string): Promise<void> {
  await rm(companions(file, folder).place, { force: true });
}

type Place = { size: number; mtimeMs: number; bytesDone: number; setAsideBytes: number; summary: FeedSummary };
type Parsed = Extract<TaskResult, { kind: 'parse' }>;
type Chunk = { end: number; decided: Promise<{ parsed: Parsed; refused: RowFault[]; counts: number[] }> };

class FileFeed {
  readonly #file: string;
  readonly #format: 'csv' | 'ndjson';
  readonly #handle: FileHandle;
  readonly #options: FeedFileOptions;
  readonly #names: { place: string; setAside: string };
  #summary: FeedSummary;
  #columns: CsvColumns | undefined;
  #bytesDone = 0;
  #setAsideBytes = 0;
  #notedMs = nowMs();
  /** Resolves when the chunks so far are handed over: the next one's changes come behind theirs. */
  #handedOver: Promise<void> = Promise.resolve();

  constructor(file: string, format: 'csv' | 'ndjson', handle: FileHandle, options: FeedFileOptions) {
    this.#file = file;
    this.#format = format;
    this.#handle = handle;
    this.#options = options;
    this.#names = companions(file, options.folder);
    this.#summary = emptySummary(file);
  }

  async run(): Promise<FeedSummary | undefined> {
    const startedMs = nowMs();
    const { size, mtimeMs } = await this.#handle.stat();
    const headerBytes = await this.#readHeader(size);
    await this.#resume(size, mtimeMs);
    const secondsBefore = this.#summary.seconds;
    const inFlight: Chunk[] = [];
    let at = Math.max(this.#bytesDone, headerBytes);
    if (this.#bytesDone === 0 && headerBytes > 0) this.#summary.lines = 1;
    const isStopping = () => this.#options.isStopping?.() === true;
    for (;;) {
      while (at < size && inFlight.length < CHUNKS_A_WORKER * this.#options.workers && !isStopping()) {
        const bytes = await nextChunk(this.#handle, at, size, this.#columns);
        at += bytes.byteLength;
        inFlight.push({ end: at, decided: this.#begin(bytes) });
      }
      const chunk = inFlight.shift();
      if (chunk === undefined) break;
      await this.#finish(chunk);
      this.#summary.seconds = secondsBefore + (nowMs() - startedMs) / 1000;
      this.#options.onProgress(this.#summary, this.#bytesDone, size);
      if (nowMs() - this.#notedMs > NOTE_PLACE_EVERY_MS) await this.#notePlace(size, mtimeMs);
    }
    await this.#notePlace(size, mtimeMs);
    return at < size ? undefined : this.#summary;
  }

  async #readHeader(size: number): Promise<number> {
    if (this.#format !== 'csv') return 0;
    const buffer = Buffer.alloc(Math.min(size, HEADER_BYTES_MAX));
    await this.#handle.read(buffer, 0, buffer.length, 0);
    const end = buffer.indexOf(NEW_LINE);
    this.#columns = readHeader(this.#file, buffer.toString('utf8', 0, end < 0 ? buffer.length : end));
    return end < 0 ? size : end + 1;
  }

  /** Goes on where an earlier attempt at this very file ended; what it set aside behind that is set aside again. */
  async #resume(size: number, mtimeMs: number): Promise<void> {
    const place = await readPlace(this.#names.place);
    if (place === undefined || place.size !== size || place.mtimeMs !== mtimeMs) {
      await rm(this.#names.setAside, { force: true });
      return;
    }
    this.#bytesDone = place.bytesDone;
    this.#setAsideBytes = place.setAsideBytes;
    this.#summary = { ...place.summary, resumedBehindLine: place.summary.lines };
    if (place.setAsideBytes === 0) return await rm(this.#names.setAside, { force: true });
    const setAside = await open(this.#names.setAside, 'r+');
    await setAside.truncate(place.setAsideBytes);
    await setAside.close();
  }

  #begin(bytes: ArrayBuffer): Chunk['decided'] {
    const { pool, rules, mpids } = this.#options;
    const task = {
      kind: 'parse' as const,
      bytes,
      format: this.#format,
      ...(this.#columns === undefined ? {} : { columns: this.#columns }),
      rules,
      mpids: mpids(),
      stampMs: Math.floor(nowMs()),
    };
    const parsing = pool.run(task, [bytes]) as Promise<Parsed>;
    const before = this.#handedOver;
    const submitted = before
      .then(() => parsing)
      .then((parsed) => ({ parsed, outcomes: submitAll(this.#options.door, parsed) }));
    this.#handedOver = submitted.then(() => {});
    const decided = submitted.then(async ({ parsed, outcomes }) => ({ parsed, ...(await outcomes) }));
    // Its failure is looked at when its turn comes.
    decided.catch(() => {});
    return decided;
  }

  async #finish({ end, decided }: Chunk): Promise<void> {
    const { parsed, refused, counts } = await decided;
    const summary = this.#summary;
    const rows = linesSetAside(parsed.bytes, [...parsed.faults, ...refused], summary.lines);
    if (rows.length > 0) await this.#setAside(rows);
    // Those refused by the owner have been set aside by it.
    if (parsed.faults.length > 0)
      await this.#options.onSetAside?.(linesSetAside(parsed.bytes, parsed.faults, summary.lines));
    summary.lines += parsed.lines;
    summary.rows += parsed.rows;
    summary.changes += parsed.changes;
    summary.applied += counts[OUTCOME.applied];
    summary.stale += counts[OUTCOME.stale];
    summary.duplicate += counts[OUTCOME.duplicate];
    summary.setAside += rows.length;
    summary.warnings.checkDigits += parsed.warnings.checkDigits;
    summary.warnings.unknownMpids += parsed.warnings.unknownMpids;
    this.#bytesDone = end;
  }

  async #setAside(rows: readonly SetAsideRow[]): Promise<void> {
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    await writeFile(this.#names.setAside, text, { flag: 'a' });
    this.#setAsideBytes += Buffer.byteLength(text);
    this.#summary.setAsideFile = this.#names.setAside;
  }

  async #notePlace(size: number, mtimeMs: number): Promise<void> {
    this.#notedMs = nowMs();
    const { place } = this.#names;
    const noted: Place = {
      size,
      mtimeMs,
      bytesDone: this.#bytesDone,
      setAsideBytes: this.#setAsideBytes,
      summary: this.#summary,
    };
    // Never half a place: it is there as a whole, or the one before is.
    await writeFile(`${place}.part`, JSON.stringify(noted));
    await rename(`${place}.part`, place);
  }
}

const HEADER_BYTES_MAX = 4096;
const NEW_LINE = 10;

/** Hands all batches over at once, in order; resolves to what became of them, by outcome, and to those refused. */
async function submitAll(door: Door, { batches }: Parsed): Promise<{ refused: RowFault[]; counts: number[] }> {
  const counts = [0, 0, 0, 0];
  const refused: RowFault[] = [];
  await Promise.all(
    batches.map(async ({ batch, starts }) => {
      const notApplied = await door.submit(batch.partition, new Uint8Array(batch.batch), batch.records);
      counts[OUTCOME.applied] += batch.records - notApplied.length;
      for (const { offset, outcome, detail } of notApplied) {
        counts[outcome]++;
        if (outcome === OUTCOME.setAside) refused.push({ line: starts[offset], reason: detail });
      }
    }),
  );
  return { refused, counts };
}

function emptySummary(file: string): FeedSummary {
  return {
    file,
    lines: 0,
    rows: 0,
    changes: 0,
    applied: 0,
    stale: 0,
    duplicate: 0,
    setAside: 0,
    warnings: { checkDigits: 0, unknownMpids: 0 },
    seconds: 0,
  };
}

async function openForReading(file: string): Promise<FileHandle> {
  try {
    if ((await stat(file)).isFile()) return await open(file, 'r');
  } catch (error) {
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`);
  }
  throw new MdrError('INPUT_UNREADABLE', `${file} is no file`);
}

async function readPlace(path: string): Promise<Place | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Place;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new MdrError(
      'INPUT_UNREADABLE',
      `${path} does not say where to go on; delete it to begin anew: ${(error as Error).message}`,
    );
  }
}
