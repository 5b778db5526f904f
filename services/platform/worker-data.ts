import { setPriority } from 'node:os';
import { move, transferableSymbol, valueSymbol, workerData } from 'piscina';

/** In a worker of a pool: what `createPool` was given for its workers. */
export function workerDataOf<T>(): T {
  return workerData as T;
}

/** In a worker of a pool: a task's result whose buffers are moved to the main thread, not copied. */
export function moved<T extends object>(result: T, buffers: ArrayBuffer[]): T {
  return move({ [transferableSymbol]: buffers, [valueSymbol]: result } as never) as unknown as T;
}

/** Of the priorities that an operating system knows, 0 being everybody's and 19 the least. */
const PRIORITY = 5;

/**
 * In a worker of a pool: lets this thread run behind the threads that talk to the broker, the broker's own among them.
 * What a worker does can wait for some milliseconds; what passes through the others is waited for. Linux counts
 * priorities by thread; elsewhere this would be the whole process, which is let be.
 */
export function belowOthers(): void {
  if (process.platform === 'linux') setPriority(0, PRIORITY);
}
