import { move, transferableSymbol, valueSymbol, workerData } from 'piscina';

/** In a worker of a pool: what `createPool` was given for its workers. */
export function workerDataOf<T>(): T {
  return workerData as T;
}

/** In a worker of a pool: a task's result whose buffers are moved to the main thread, not copied. */
export function moved<T extends object>(result: T, buffers: ArrayBuffer[]): T {
  return move({ [transferableSymbol]: buffers, [valueSymbol]: result } as never) as unknown as T;
}
