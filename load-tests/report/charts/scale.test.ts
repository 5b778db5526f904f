import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countScale, countTicks, linearTicks, logScale, secondTicks, spreadApart } from './scale.ts';
import { steps } from './time-axis.ts';

test('labels are moved apart by the gap and keep their order', () => {
  const places = fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { maxLength: 8 });
  fc.assert(
    fc.property(places, (wanted) => {
      const moved = spreadApart(wanted, 13, 0, 200);
      const sorted = [...moved].sort((a, b) => a - b);
      for (let i = 1; i < sorted.length; i++) expect(sorted[i] - sorted[i - 1]).toBeGreaterThanOrEqual(13 - 1e-9);
      for (const place of moved) expect(place).toBeGreaterThanOrEqual(0);
      wanted.forEach((a, i) => {
        wanted.forEach((b, j) => {
          if (a < b) expect(moved[i]).toBeLessThan(moved[j]);
        });
      });
    }),
  );
});

test('zero stands on the baseline of a count scale, and nothing below the low end of a log scale', () => {
  expect(countScale(1000, 90, 0)(0)).toBe(90);
  expect(logScale(0.1, 100, 250, 0)(0)).toBe(250);
});

test.each([
  [12, [0, 10]],
  [1400, [0, 10, 100, 1000]],
  [6e6, [0, 100, 10_000, 1e6]],
])('a queue of %d has few ticks and a zero', (high, ticks) => expect(countTicks(high)).toEqual(ticks));

test('a scale of any range of seconds has at least two ticks', () => {
  const low = fc.double({ min: 0.05, max: 1000, noNaN: true });
  const ratio = fc.double({ min: 14, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(low, ratio, (least, times) => {
      expect(secondTicks(least, least * times).length).toBeGreaterThanOrEqual(2);
    }),
  );
});

test('a level is held over each bucket, with a gap where there is no figure', () => {
  expect(steps([1, 1, null, 3], 0, 10, (value) => value * 2)).toBe('M0 2H10H20M30 6H40');
});

test.each([
  [1, [0, 1]],
  [143, [0, 50, 100]],
  [14_095, [0, 5000, 10_000]],
  [3_000_000, [0, 1e6, 2e6, 3e6]],
])('a rate of %d has even ticks', (high, ticks) => expect(linearTicks(high, 4)).toEqual(ticks));
