import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RateLimit } from './rate-limit.ts';

test('in any span of time a User gets in no more than the rate and a second more, whatever others do', () => {
  const anyArrival = fc.record({ afterMs: fc.nat(400), user: fc.constantFrom('A', 'B') });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.array(anyArrival, { maxLength: 120 }), (perSecond, arrivals) => {
      const limit = new RateLimit(perSecond);
      const takenMs: Record<string, number[]> = { A: [], B: [] };
      let nowMs = 1e12;
      for (const { afterMs, user } of arrivals) {
        nowMs += afterMs;
        const waitSeconds = limit.take(user, nowMs);
        if (waitSeconds === 0) takenMs[user].push(nowMs);
        else expect(waitSeconds).toBeGreaterThanOrEqual(1);
      }
      for (const taken of Object.values(takenMs)) {
        taken.forEach((fromMs, first) => {
          taken.slice(first).forEach((toMs, more) => {
            expect(more + 1).toBeLessThanOrEqual(perSecond + ((toMs - fromMs) / 1000) * perSecond + 1e-6);
          });
        });
      }
    }),
  );
});

test('who has waited as long as was said gets in', () => {
  const limit = new RateLimit(2);
  expect([limit.take('A', 0), limit.take('A', 0)]).toEqual([0, 0]);
  const waitSeconds = limit.take('A', 0);
  expect(limit.take('A', waitSeconds * 1000)).toBe(0);
});
