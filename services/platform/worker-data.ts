import { workerData } from 'piscina';

/** In a worker of a pool: what `createPool` was given for its workers. */
export function workerDataOf<T>(): T {
  return workerData as T;
}
