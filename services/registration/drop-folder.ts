import { access, mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { sleep } from '#services/platform/clock.ts';
import { withLock } from '#services/platform/kafka-provider/lock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { companions, type FeedFileOptions, type FeedSummary, feedFile, forgetPlace, formatOf } from './feed-file.ts';
import { lettersOf } from './set-aside.ts';

/** A file whose size and time are the same at two looks is complete. */
const LOOK_EVERY_MS = 1000;
const DONE = 'done';
const FAILED = 'failed';

export type DropFolder = {
  /** Files taken by this process so far, by where they went. */
  readonly files: { done: number; failed: number };
  readonly current: FeedSummary | undefined;
  /** Ends the file that is being read behind what was begun; the next process goes on there. */
  stop(): Promise<void>;
};

/**
 * Takes files that are put into a folder, one after another in the order of their names, and moves each to `done`, or
 * to `failed` where any of it was set aside or nothing of it could be used, with a summary beside it. Names that begin
 * with a dot or end otherwise than in .csv, .ndjson or .jsonl are left alone: what is still being written has one. Of
 * several processes on a machine one watches the folder.
 */
export function watchDropFolder(
  folder: string,
  context: ServiceContext,
  options: Omit<FeedFileOptions, 'folder' | 'onProgress' | 'onSetAside' | 'isStopping'>,
): DropFolder {
  const files = { done: 0, failed: 0 };
  let current: FeedSummary | undefined;
  let isStopping = false;

  async function takeFile(name: string): Promise<void> {
    const file = join(folder, name);
    let result: FeedSummary | { file: string; error: string; faults: readonly unknown[] } | undefined;
    try {
      result = await feedFile(file, {
        ...options,
        folder,
        onProgress(summary) {
          current = summary;
        },
        onSetAside: (rows) => context.setAside(lettersOf(file, rows)),
        isStopping: () => isStopping,
      });
    } catch (error) {
      if (!(error instanceof MdrError)) throw error;
      result = { file, error: error.message, faults: error.faults };
    }
    current = undefined;
    if (result === undefined) return;
    const isDone = !('error' in result) && result.setAside === 0;
    await moveAway(folder, name, isDone ? DONE : FAILED, result);
    files[isDone ? 'done' : 'failed']++;
    if (!isDone) context.log.warn({ result }, 'a file was not applied as a whole');
  }

  const watching = withLock(join(folder, '.watched'), async () => {
    let before = new Map<string, string>();
    while (!isStopping) {
      const seen = await look(folder);
      for (const [name, state] of seen) if (!isStopping && before.get(name) === state) await takeFile(name);
      before = seen;
      await sleep(LOOK_EVERY_MS);
    }
  });
  watching.catch(context.fail);
  return {
    files,
    get current() {
      return current;
    },
    async stop() {
      isStopping = true;
      // Who only waits for its turn has nothing to end.
      await Promise.race([watching, sleep(current === undefined ? 2 * LOOK_EVERY_MS : STOP_WITHIN_MS)]);
    },
  };
}

/** What is on its way is decided within a session's time-out, where another process has to take it over. */
const STOP_WITHIN_MS = 15_000;

/** Names of the files that may be taken, in order, with what tells whether they still grow. */
async function look(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.') && isTaken(name)).sort();
  const seen = new Map<string, string>();
  for (const name of names) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.isFile() === true) seen.set(name, `${found.size} ${found.mtimeMs}`);
  }
  return seen;
}

function isTaken(name: string): boolean {
  return formatOf(name) !== undefined && !name.endsWith(basename(companions('', '').setAside));
}

/** The summary first, then the file: one that was moved always has its summary. */
async function moveAway(folder: string, name: string, to: string, result: object): Promise<void> {
  const target = join(folder, to);
  await mkdir(target, { recursive: true });
  const free = await freeName(target, name);
  const { setAside } = companions(name, folder);
  const hasSetAside = await exists(setAside);
  const setAsideFile = join(target, `${free}.set-aside.ndjson`);
  await writeFile(
    join(target, `${free}.summary.json`),
    `${JSON.stringify({ ...result, file: name, ...(hasSetAside ? { setAsideFile } : {}) }, null, 2)}\n`,
  );
  if (hasSetAside) await rename(setAside, setAsideFile);
  await rename(join(folder, name), join(target, free));
  await forgetPlace(name, folder);
}

async function freeName(target: string, name: string): Promise<string> {
  for (let number = 1; ; number++) {
    const free = number === 1 ? name : `${name}.${number}`;
    if (!(await exists(join(target, free)))) return free;
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
