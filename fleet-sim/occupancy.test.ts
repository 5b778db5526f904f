import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { integralMs, Occupancy } from '#fleet-sim/occupancy.ts';

const intervals = fc.array(fc.tuple(fc.integer({ min: 0, max: 150 }), fc.integer({ min: -5, max: 150 })), {
  maxLength: 12,
});

describe('an occupancy', () => {
  test('agrees with counting every millisecond, wherever its buckets begin and whatever lies outside', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 17 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 0, max: 80 }),
        intervals,
        (bucketMs, buckets, originMs, spans) => {
          const occupancy = new Occupancy(bucketMs, buckets, originMs);
          const expected = new Float64Array(buckets);
          for (const [fromMs, lengthMs] of spans) {
            occupancy.add(fromMs, fromMs + lengthMs);
            for (let ms = fromMs; ms < fromMs + lengthMs; ms++) {
              const bucket = Math.floor((ms - originMs) / bucketMs);
              if (bucket >= 0 && bucket < buckets) expected[bucket]++;
            }
          }
          expect(integralMs(occupancy.edges, occupancy.steps, bucketMs, buckets)).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('takes a span of a year in minutes exactly, at instants of today', () => {
    const minutes = 366 * 1_440;
    const originMs = 1_772_409_600_000;
    const occupancy = new Occupancy(60_000, minutes, originMs);
    occupancy.add(originMs - 1, originMs + minutes * 60_000 + 1);
    occupancy.add(originMs + 59_999, originMs + 120_001);
    const integral = integralMs(occupancy.edges, occupancy.steps, 60_000, minutes);
    expect([...integral.subarray(0, 4)]).toEqual([60_001, 120_000, 60_001, 60_000]);
    expect(integral.reduce((sum, ms) => sum + ms, 0)).toBe(minutes * 60_000 + 60_002);
  });

  test('sums of two, edges and steps added up, are the occupancy of both', () => {
    fc.assert(
      fc.property(intervals, intervals, (some, others) => {
        const [a, b, both] = [new Occupancy(7, 20), new Occupancy(7, 20), new Occupancy(7, 20)];
        for (const [fromMs, lengthMs] of some) a.add(fromMs, fromMs + lengthMs);
        for (const [fromMs, lengthMs] of others) b.add(fromMs, fromMs + lengthMs);
        for (const [fromMs, lengthMs] of [...others, ...some]) both.add(fromMs, fromMs + lengthMs);
        const edges = a.edges.map((ms, k) => ms + b.edges[k]);
        const steps = a.steps.map((count, k) => count + b.steps[k]);
        expect(integralMs(edges, steps, 7, 20)).toEqual(integralMs(both.edges, both.steps, 7, 20));
      }),
    );
  });

  test('is empty after it was cleared', () => {
    const occupancy = new Occupancy(10, 3);
    occupancy.add(2, 28);
    occupancy.clear();
    expect([...integralMs(occupancy.edges, occupancy.steps, 10, 3)]).toEqual([0, 0, 0]);
  });
});
