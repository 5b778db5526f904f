import { expect, test } from 'vitest';
import { createOutbox } from './outbox.ts';
import type { RawAcknowledgement, RawEntry } from './raw-producer.ts';

/**
 * Markers are made as wall time goes on. Where the broker took longer to acknowledge one than the next took to be made,
 * they queued up without end, a hundred bytes each, and answers behind them came minutes late.
 */
test('a lane with as many batches as a slow broker should have before it is behind, and the others are not', async () => {
  const acknowledge: (() => void)[] = [];
  const producer = {
    send: (entries: readonly RawEntry[]) =>
      new Promise<RawAcknowledgement[]>((resolve) => {
        acknowledge.push(() => resolve(entries.map((entry) => ({ ...entry, baseOffset: 0 }))));
      }),
    disconnect: async () => {},
  };
  const outbox = createOutbox(producer, 'test.', (error) => {
    throw error;
  });
  const sent: Promise<number>[] = [];
  let marks = 0;
  for (; marks < 1000 && !outbox.isBehind('service-responses', 1); marks++)
    sent.push(outbox.send('service-responses', 1, new Uint8Array(100), 1));
  expect(marks).toBe(8);
  expect(outbox.isBehind()).toBe(true);
  expect(outbox.isBehind('service-responses', 0)).toBe(false);
  expect(outbox.isBehind('device-requests.scheduled', 1)).toBe(false);
  for (let k = 0; k < marks; k++) {
    while (acknowledge.length === 0) await new Promise(setImmediate);
    acknowledge.shift()?.();
    await sent[k];
    expect(outbox.isBehind()).toBe(false);
  }
  await outbox.idle();
});
