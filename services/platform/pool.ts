import { Piscina } from 'piscina';
import { nowMs } from './clock.ts';

/** Worker threads of a service. A task's buffers in `transfer` are moved, not copied. */
export type Pool<Task, Result> = {
  run(task: Task, transfer?: ArrayBuffer[]): Promise<Result>;
  /** Ends the threads. Tasks under way, or asked for from then on, are dropped: their promises stay as they are. */
  end(): Promise<void>;
};

/** What the pools of this process have to do, and have done: `busyMs` of all threads together. */
export type PoolLoad = { threads: number; open: number; done: number; busyMs: number; sinceMs: number };

/** The load of each pool of this process that has not ended. */
export const POOL_LOADS: Set<PoolLoad> = new Set();

/**
 * `filename`: a module whose default export does a task; `workerData`: what it finds as Piscina's. All threads are there
 * from the start.
 */
export function createPool<Task, Result>(filename: URL, threads: number, workerData?: unknown): Pool<Task, Result> {
  const pool = new Piscina<Task, Result>({
    filename: filename.href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1,
    // Without it the task that is next, and finds every thread taken, goes to the end of the queue, each time anew.
    stricterFIFO: true,
    workerData,
  });
  const load: PoolLoad = { threads, open: 0, done: 0, busyMs: 0, sinceMs: nowMs() };
  POOL_LOADS.add(load);
  let isEnding = false;
  return {
    async run(task, transfer = []) {
      settleLoad(load);
      load.open++;
      try {
        if (isEnding) return await dropped<Result>();
        return await pool.run(task, { transferList: transfer });
      } catch (error) {
        // Who drains may have been given a partition a moment before: that its restore is cut off is no failure.
        if (isEnding) return await dropped<Result>();
        throw error;
      } finally {
        settleLoad(load);
        load.open--;
        load.done++;
      }
    },
    async end() {
      isEnding = true;
      POOL_LOADS.delete(load);
      await pool.destroy();
    },
  };
}

function dropped<Result>(): Promise<Result> {
  return new Promise(() => {});
}

export function busyThreads({ open, threads }: PoolLoad): number {
  return Math.min(open, threads);
}

/** Counts the time since the number of tasks changed last: a thread is busy while there is a task for it. */
export function settleLoad(load: PoolLoad): void {
  const now = nowMs();
  load.busyMs += busyThreads(load) * (now - load.sinceMs);
  load.sinceMs = now;
}
