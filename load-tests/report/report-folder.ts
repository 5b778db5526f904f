import { access, constants, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';

/** Says which process writes to a folder. */
const HOLDER = '.written-by';

/**
 * Makes the folder of a report if it is not there, and holds it until the function returned is called: a long run would
 * rather know at its start that it cannot write, and two at a time would write over each other. What a process that has
 * ended has left does not count. Throws MdrError COULD_NOT_RUN where another process holds it, or it cannot be written to.
 */
export async function holdReportFolder(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, HOLDER);
  try {
    await mkdir(directory, { recursive: true });
    await access(directory, constants.W_OK);
    const holder = await holderOf(path);
    // In a container the next process has the number of the one before.
    if (holder !== undefined && (holder === process.pid || !isRunning(holder))) await rm(path, { force: true });
    await writeFile(path, `${process.pid}\n`, { flag: 'wx' });
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code !== 'EEXIST' || error.syscall !== 'open')
      throw new MdrError('COULD_NOT_RUN', `cannot write the report to ${directory}: ${error.message}`);
    const holder = (await holderOf(path)) ?? 'unknown';
    throw new MdrError(
      'COULD_NOT_RUN',
      `another run (process ${holder}) writes its report to ${directory}: wait for its end, or give this one a folder of its own with --out (where no run is in progress, delete ${path})`,
    );
  }
  return () => rm(path, { force: true });
}

async function holderOf(path: string): Promise<number | undefined> {
  try {
    const pid = Number(await readFile(path, 'utf8'));
    return pid > 0 ? pid : undefined;
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and another user's.
    return isSystemError(error) && error.code === 'EPERM';
  }
}

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
