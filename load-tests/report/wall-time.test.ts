import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PlatformPoint } from './report.ts';
import { wallStretches } from './wall-time.ts';

function pointsOf(gaps: readonly [seconds: number, offered: number, lag: number][]): PlatformPoint[] {
  let atSeconds = 0;
  return gaps.map(([seconds, offeredPerSecond, lagRecords]) => {
    atSeconds += seconds;
    return { atSeconds, simulatedMs: 1, offeredPerSecond, achievedPerSecond: 0, lagRecords, breaches: 0 };
  });
}

const gap = fc.tuple(fc.double({ min: 0.01, max: 500, noNaN: true }), fc.nat(9999), fc.nat(9999));

test('stretches of wall time keep the requests and the highest lag of the points, in at most 60', () => {
  fc.assert(
    fc.property(fc.array(gap, { minLength: 1, maxLength: 80 }), (gaps) => {
      const points = pointsOf(gaps);
      const stretches = wallStretches(points);
      expect(stretches.length).toBeLessThanOrEqual(60);
      const requests = gaps.reduce((sum, [seconds, offered]) => sum + seconds * offered, 0);
      const told = stretches.reduce((sum, one) => sum + one.offeredPerSecond * (one.endSeconds - one.startSeconds), 0);
      expect(told).toBeCloseTo(requests, 3);
      expect(Math.max(...stretches.map(({ lagRecords }) => lagRecords))).toBe(
        Math.max(...points.map(({ lagRecords }) => lagRecords)),
      );
    }),
  );
});

test('no points, or none after the start, make no stretch', () => {
  expect(wallStretches([])).toEqual([]);
  expect(wallStretches(pointsOf([[0, 3, 4]]))).toEqual([]);
});
