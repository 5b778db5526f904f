import { Writable } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { expect, test } from 'vitest';
import { createProgress } from './progress.ts';

/** A stream that keeps what is written to it. */
function screen(isTTY: boolean): { stream: WriteStream; written: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY }) as unknown as WriteStream, written: () => text };
}

test('on a terminal a bar is drawn over itself, says how long the rest takes, and is wiped at the end', () => {
  const { stream, written } = screen(true);
  const progress = createProgress(stream, 'my-day', false);
  progress.show({ cellsDone: 0, cells: 200, pass: 1 });
  progress.show({ cellsDone: 100, cells: 200, pass: 1 });
  const frames = written().split('\r\x1b[K');
  expect(frames[1]).toBe(`my-day [${'.'.repeat(30)}] 0 %`);
  expect(frames[2]).toMatch(/^my-day \[#{15}\.{15}\] 50 %, about \d+ s left$/);
  progress.end();
  expect(written().endsWith('\r\x1b[K')).toBe(true);
  expect(written()).not.toContain('\n');
});

test('elsewhere it is a plain line for each tenth of the work', () => {
  const { stream, written } = screen(false);
  const progress = createProgress(stream, 'my-day', false);
  for (let cellsDone = 0; cellsDone <= 200; cellsDone++) progress.show({ cellsDone, cells: 200, pass: 1 });
  progress.end();
  const lines = written().trimEnd().split('\n');
  expect(lines).toHaveLength(10);
  expect(lines[0]).toBe('my-day: 20 of 200 cells simulated');
  expect(lines[9]).toBe('my-day: 200 of 200 cells simulated');
});

test('a repetition says why', () => {
  const { stream, written } = screen(false);
  const progress = createProgress(stream, 'my-day', false);
  progress.show({ cellsDone: 10, cells: 10, pass: 1 });
  progress.show({ cellsDone: 5, cells: 10, pass: 2 });
  expect(written()).toMatch(/\nmy-day: 5 of 10 cells simulated, pass 2: an anomaly threshold was exceeded\n$/);
});

test('nothing is written when nobody should see it', () => {
  const { stream, written } = screen(true);
  const progress = createProgress(stream, 'my-day', true);
  progress.show({ cellsDone: 5, cells: 10, pass: 1 });
  progress.end();
  expect(written()).toBe('');
});
