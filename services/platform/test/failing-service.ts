import { parentPort } from 'node:worker_threads';
import { createPool } from '../pool.ts';
import { runService } from '../service.ts';

export const WAYS = ['worker', 'rejection', 'exception', 'drain'] as const;

/** A task of a worker that does what no task should. */
export default function task(): never {
  throw new RangeError('the table is full');
}

// A process that goes wrong in the way its first argument names: for the tests of how a service ends.
if (parentPort === null && process.argv[1] === import.meta.filename) {
  const [way, ...argv] = process.argv.slice(2);
  process.exitCode = await runService(
    {
      name: 'failing',
      summary: 'goes wrong',
      settings: {},
      async start({ fail }) {
        if (way === 'worker')
          createPool(new URL(import.meta.url), 1)
            .run(undefined)
            .catch(fail);
        if (way === 'rejection') void Promise.reject(new RangeError('the table is full'));
        if (way === 'exception') {
          setImmediate(() => {
            throw new RangeError('the table is full');
          });
        }
        return {
          notReadyBecause: () => undefined,
          status: () => ({}),
          drain: () => new Promise(() => {}),
        };
      },
    },
    argv,
    process.env,
  );
}
