import { Piscina } from 'piscina';

/** Worker threads of a service. A task's buffers in `transfer` are moved, not copied. */
export type Pool<Task, Result> = {
  run(task: Task, transfer?: ArrayBuffer[]): Promise<Result>;
  end(): Promise<void>;
};

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
  return {
    run: (task, transfer = []) => pool.run(task, { transferList: transfer }),
    end: () => pool.destroy(),
  };
}
