import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { sleep } from '../clock.ts';
import { identityOf, isRunning, type ProcessIdentity } from './owned-process.ts';

const POLL_MS = 100;

/**
 * Runs `act` while no other process on this machine runs one under the same lock. A lock whose owner has ended is
 * taken over; two that take it over at one instant may both run, so `act` must leave nothing half done in view.
 */
export async function withLock<T>(path: string, act: () => Promise<T>): Promise<T> {
  while (!(await take(path))) await sleep(POLL_MS);
  try {
    return await act();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  // Linked when it is written, so that a lock always names its owner.
  const own = `${path}.${process.pid}`;
  await writeFile(own, JSON.stringify(identityOf(process.pid)));
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(own);
  }
  const owner = await ownerOf(path);
  if (owner !== undefined && !isRunning(owner)) await rm(path, { force: true });
  return false;
}

/** Undefined when it has just been released. */
async function ownerOf(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProcessIdentity;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
