import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeadlineWheel } from './deadline-wheel.ts';

const act = fc.oneof(
  { weight: 4, arbitrary: fc.record({ addAfterMs: fc.integer({ min: -5000, max: 400_000 }) }) },
  { weight: 2, arbitrary: fc.record({ removeAt: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ passMs: fc.nat(90_000) }) },
);

test('gives out what a list of deadlines would, also past ones and ones beyond a turn of the ring', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 300 }), fc.array(act, { maxLength: 120 }), (ringSeconds, acts) => {
      let nowMs = 1_000_000;
      const wheel = new DeadlineWheel(nowMs, ringSeconds);
      wheel.reserve(acts.length);
      const deadlines: number[] = [];
      const open = new Set<number>();
      for (const one of acts) {
        if ('addAfterMs' in one) {
          const request = deadlines.push(nowMs + one.addAfterMs) - 1;
          wheel.add(request, deadlines[request]);
          open.add(request);
        } else if ('removeAt' in one) {
          const request = [...open][one.removeAt % Math.max(1, open.size)];
          if (request === undefined) continue;
          wheel.remove(request);
          open.delete(request);
        } else {
          nowMs += one.passMs;
          const expired: number[] = [];
          wheel.expire(
            nowMs,
            (request) => deadlines[request],
            (request) => expired.push(request),
          );
          const due = [...open].filter((request) => deadlines[request] < nowMs);
          expect(expired.sort((a, b) => a - b)).toEqual(due);
          for (const request of due) open.delete(request);
        }
      }
    }),
  );
});
