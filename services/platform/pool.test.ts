import { expect, test } from 'vitest';
import { sleep } from './clock.ts';
import { createPool } from './pool.ts';

const TASKS = 300;

test.each([2, 3, 4, 8])(
  '%i partitions that always have a next task take turns, and none waits while others go on',
  async (partitions) => {
    const pool = createPool<number, void>(new URL('./test/spinning-worker.ts', import.meta.url), 1);
    const done = Array<number>(partitions).fill(0);
    let furthestApart = 0;
    let left = TASKS;
    const work = async (partition: number) => {
      while (left-- > 0) {
        await pool.run(1);
        done[partition]++;
        furthestApart = Math.max(furthestApart, Math.max(...done) - Math.min(...done));
      }
    };
    await Promise.all(Array.from({ length: partitions }, (_, partition) => work(partition)));
    await pool.end();
    expect(furthestApart).toBeLessThanOrEqual(2);
  },
);

test('what is under way or asked for when the pool ends is dropped, and fails nobody', async () => {
  const pool = createPool<number, void>(new URL('./test/spinning-worker.ts', import.meta.url), 1);
  const settled: string[] = [];
  const note = (task: Promise<void>) =>
    task.then(
      () => settled.push('done'),
      (error: Error) => settled.push(error.message),
    );
  await pool.run(1);
  void note(pool.run(60_000));
  void note(pool.run(1));
  await pool.end();
  void note(pool.run(1));
  await sleep(50);
  expect(settled).toEqual([]);
});
