import { describe, expect, test } from 'vitest';
import { normalQuantile, QUANTILE_BITS, type ServiceTime, serviceTimeTable } from '#fleet-sim/service-time.ts';

const QUANTILES = 1 << QUANTILE_BITS;

describe('a table of service times', () => {
  test.each([0.05, 0.1, 1, 7.3, 60])('has the mean of an exponential of %d s within 0.1 %%', (meanSeconds) => {
    const table = serviceTimeTable({ distribution: 'exponential', meanSeconds });
    expectWithin(meanOf(table), 1_000 * meanSeconds, 0.001);
    expectWithin(quantileOf(table, 0.5), 1_000 * meanSeconds * Math.LN2, 0.001, 1);
    expectWithin(quantileOf(table, 0.95), 1_000 * meanSeconds * Math.log(20), 0.001, 1);
  });

  test('has the second moment of an exponential within 0.1 %, on which waits depend', () => {
    const table = serviceTimeTable({ distribution: 'exponential', meanSeconds: 5 });
    expectWithin(secondMomentOf(table), 2 * 5_000 ** 2, 0.001);
  });

  const lognormals = [
    { medianSeconds: 4, p95Seconds: 10 },
    { medianSeconds: 3, p95Seconds: 7 },
    { medianSeconds: 0.2, p95Seconds: 0.5 },
    { medianSeconds: 8, p95Seconds: 30 },
    { medianSeconds: 2, p95Seconds: 2 },
  ];
  test.each(lognormals)(
    'has median, 95th percentile and mean of a lognormal of $medianSeconds s and $p95Seconds s',
    ({ medianSeconds, p95Seconds }) => {
      const table = serviceTimeTable({ distribution: 'lognormal', medianSeconds, p95Seconds });
      expectWithin(quantileOf(table, 0.5), 1_000 * medianSeconds, 0.001, 1);
      expectWithin(quantileOf(table, 0.95), 1_000 * p95Seconds, 0.001, 1);
      expectWithin(meanOf(table), lognormalMoment(1_000 * medianSeconds, p95Seconds / medianSeconds, 1), 0.001);
    },
  );

  test('loses a little of the tail of a lognormal: 0.2 % of the second moment at a p95 of 2.5 medians', () => {
    const table = serviceTimeTable({ distribution: 'lognormal', medianSeconds: 4, p95Seconds: 10 });
    expectWithin(secondMomentOf(table), lognormalMoment(4_000, 2.5, 2), 0.002);
  });

  test.each([0.0014, 0.0016, 0.0025, 0.0104, 1, 3_600])('keeps a constant of %d s on average', (seconds) => {
    const table = serviceTimeTable({ distribution: 'constant', seconds });
    expectWithin(meanOf(table), 1_000 * seconds, 0.0005);
    expect(Math.max(...table) - Math.min(...table)).toBeLessThanOrEqual(1);
  });

  const steep: ServiceTime[] = [
    { distribution: 'lognormal', medianSeconds: 600, p95Seconds: 30_000 },
    { distribution: 'lognormal', medianSeconds: 0.001, p95Seconds: 0.1 },
    { distribution: 'exponential', meanSeconds: 0.001 },
    { distribution: 'exponential', meanSeconds: 2_000 },
    { distribution: 'constant', seconds: 0.0001 },
    { distribution: 'constant', seconds: 9_999 },
  ];
  test.each(steep)('stays between a millisecond and an hour, and rises but for rounding: %o', (time) => {
    const table = serviceTimeTable(time);
    expect(table).toHaveLength(QUANTILES);
    for (let k = 0; k < QUANTILES; k++) {
      expect(table[k]).toBeGreaterThanOrEqual(Math.max(1, k === 0 ? 1 : table[k - 1] - 1));
      expect(table[k]).toBeLessThanOrEqual(3_600_000);
    }
  });
});

describe('the normal quantile', () => {
  // Abramowitz and Stegun, tables 26.1 and 26.5, and the usual critical values.
  test.each([
    [0.5, 0],
    [0.75, 0.674489750196082],
    [0.9, 1.2815515655446],
    [0.95, 1.64485362695147],
    [0.975, 1.95996398454005],
    [0.99, 2.32634787404084],
    [0.999, 3.09023230616781],
    [0.9999, 3.71901648545568],
    [0.02, -2.05374891063182],
    [1e-6, -4.7534243088229],
  ])('of %d is %d', (p, z) => {
    expect(normalQuantile(p)).toBeCloseTo(z, 7);
    expect(normalQuantile(1 - p)).toBeCloseTo(-z, 7);
  });

  test('inverts the distribution function, integrated numerically, from end to end', () => {
    const steps = 1 << 16;
    const from = -4;
    const to = 4;
    const h = (to - from) / steps;
    let below = 3.16712418331199e-5;
    let worst = 0;
    for (let k = 0; k < steps; k += 2) {
      const z = from + k * h;
      below += (h / 3) * (density(z) + 4 * density(z + h) + density(z + 2 * h));
      worst = Math.max(worst, Math.abs(normalQuantile(below) - (z + 2 * h)));
    }
    expect(worst).toBeLessThan(1e-8);
  });
});

function density(z: number): number {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

function lognormalMoment(median: number, p95OverMedian: number, power: number): number {
  const sigma = Math.log(p95OverMedian) / 1.64485362695147;
  return median ** power * Math.exp((power * sigma) ** 2 / 2);
}

function meanOf(table: Int32Array): number {
  return table.reduce((sum, ms) => sum + ms, 0) / table.length;
}

function secondMomentOf(table: Int32Array): number {
  return table.reduce((sum, ms) => sum + ms * ms, 0) / table.length;
}

/** Between the two slices that meet at the quantile, or within the one that holds it. */
function quantileOf(table: Int32Array, p: number): number {
  const at = p * table.length - 0.5;
  const low = table[Math.floor(at)];
  return low + (table[Math.ceil(at)] - low) * (at - Math.floor(at));
}

function expectWithin(value: number, expected: number, share: number, roundingMs = 0): void {
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(share * Math.abs(expected) + roundingMs);
}
