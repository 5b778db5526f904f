import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimClock } from './sim-clock.ts';

const face = fc.record({
  startMs: fc.integer({ min: 0, max: 1e13 }),
  wallEpochMs: fc.oneof(fc.integer({ min: 0, max: 1e6 }), fc.constant(Number.POSITIVE_INFINITY)),
  speed: fc.oneof(fc.constantFrom(1, 96, 0.5), fc.double({ min: 0.01, max: 10_000, noNaN: true })),
});

test('simulated time never goes back, whatever the wall clock does and whichever face is set anew', () => {
  const act = fc.oneof(fc.record({ wallMs: fc.integer({ min: 0, max: 2e6 }) }), fc.record({ face }));
  fc.assert(
    fc.property(face, fc.array(act, { maxLength: 50 }), (first, acts) => {
      let wallMs = 0;
      const clock = new SimClock(first, () => wallMs);
      let latestMs = clock.now();
      for (const one of acts) {
        if ('wallMs' in one) wallMs = one.wallMs;
        else clock.set(one.face);
        const nowMs = clock.now();
        expect(nowMs).toBeGreaterThanOrEqual(latestMs);
        latestMs = nowMs;
      }
    }),
  );
});

test('it stands at its start until its wall instant comes, and then runs at its speed', () => {
  let wallMs = 0;
  const clock = new SimClock({ startMs: 5000, wallEpochMs: 100, speed: 96 }, () => wallMs);
  const times = [0, 100, 101, 1100].map((at) => {
    wallMs = at;
    return clock.now();
  });
  expect(times).toEqual([5000, 5000, 5096, 101_000]);
  expect(clock.dueWallMs(5096)).toBe(101);
});

test('at speed 0 nothing is paced: everything has come, and is due now', () => {
  const clock = new SimClock({ startMs: 5000, wallEpochMs: 100, speed: 0 }, () => 77);
  expect([clock.isPaced, clock.now(), clock.dueWallMs(1e9)]).toEqual([false, Number.POSITIVE_INFINITY, 77]);
});
