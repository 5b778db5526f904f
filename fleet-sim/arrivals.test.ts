import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addArrival, createArrivals, EVERY_DAY, FIRST, sortArrivals } from '#fleet-sim/arrivals.ts';

const DAY_MS = 86_400_000;
const instant = fc.oneof(
  fc.integer({ min: 0, max: DAY_MS - 1 }),
  fc.integer({ min: 0, max: 5 }),
  fc.constantFrom(0, DAY_MS - 1, DAY_MS / 2),
);

test('a sorted list is in the order of time; equal instants stay in the order they were added in', () => {
  fc.assert(
    fc.property(fc.array(fc.array(instant, { maxLength: 3000 }), { minLength: 1, maxLength: 3 }), (fills) => {
      const list = createArrivals(1);
      // Reused from cell to cell: what was there before must not matter.
      for (const instants of fills) {
        list.size = 0;
        instants.forEach((atMs, k) => {
          addArrival(list, atMs, k, 0, 0, 0);
        });
        sortArrivals(list);
        const expected = instants.map((atMs, k) => ({ atMs, k })).toSorted((a, b) => a.atMs - b.atMs || a.k - b.k);
        expect([...list.atMs.subarray(0, list.size)]).toEqual(expected.map(({ atMs }) => atMs));
        expect([...list.meter.subarray(0, list.size)]).toEqual(expected.map(({ k }) => k));
      }
    }),
    { numRuns: 60 },
  );
});

test('a list grows and keeps what each request is', () => {
  const list = createArrivals(2);
  for (let k = 0; k < 100; k++) addArrival(list, 1000 - k, k, k % 7, k % 44, k % 2 === 0 ? FIRST : 0, k % 3);
  sortArrivals(list);
  expect(list.size).toBe(100);
  for (let place = 0; place < 100; place++) {
    const k = 99 - place;
    expect([list.atMs[place], list.meter[place]]).toEqual([1000 - k, k]);
    expect([list.user[place], list.row[place], list.flags[place]]).toEqual([k % 7, k % 44, k % 2 === 0 ? FIRST : 0]);
    expect([list.fromDay[place], list.untilDay[place]]).toEqual([k % 3, EVERY_DAY]);
  }
});
