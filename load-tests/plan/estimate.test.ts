import { describe, expect, test } from 'vitest';
import { draw32, drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { normalQuantile } from '#fleet-sim/service-time.ts';
import { simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { estimateRatio, estimateTotal, isCensus, type Stratum, studentQuantile } from './estimate.ts';
import { recordLength, thresholdPlace } from './records.ts';
import { selectCells } from './selection.ts';

/** 97.5th percentiles of Student's t as printed in tables. */
test.each([
  [1, 12.706],
  [2, 4.303],
  [3, 3.182],
  [4, 2.776],
  [5, 2.571],
  [6, 2.447],
  [8, 2.306],
  [10, 2.228],
  [15, 2.131],
  [20, 2.086],
  [30, 2.042],
  [60, 2.0],
  [120, 1.98],
  [100_000, 1.96],
])('with %i degrees of freedom the 97.5th percentile of Student is %f', (freedom, tabled) => {
  expect(Math.abs(studentQuantile(freedom) / tabled - 1)).toBeLessThan(0.002);
});

/** A stratum whose denominators are the same for every cell. */
function even(cells: number, numerators: number[], denominator: number): Stratum {
  return { cells, numerators, denominators: numerators.map(() => denominator) };
}

describe('textbook values', () => {
  // Cochran, Sampling Techniques, table 2.1: signatures on 50 of 676 sheets of a petition.
  const signatures = [
    [42, 23],
    [41, 4],
    [36, 1],
    [32, 1],
    [29, 1],
    [27, 2],
    [23, 1],
    [19, 1],
    [16, 2],
    [15, 2],
    [14, 1],
    [11, 1],
    [10, 1],
    [9, 1],
    [7, 1],
    [6, 3],
    [5, 2],
    [4, 1],
    [3, 1],
  ].flatMap(([value, times]) => Array.from({ length: times }, () => value));

  test("the total of Cochran's petition is 19,888 with a deviation of 1,781.4 / 1.28", () => {
    const { value, interval } = estimateTotal([even(676, signatures, 1000)]);
    expect(value).toBeCloseTo(19_888, 0);
    const deviation = (interval[1] - value) / studentQuantile(49);
    expect(deviation).toBeGreaterThan(1780 / 1.28);
    expect(deviation).toBeLessThan(1783 / 1.28);
  });

  test('a ratio by hand: residuals -1, 0, 1, 0 of 4 in 10 cells have variance 10 in total', () => {
    const { value, interval } = estimateRatio([even(10, [8, 9, 10, 9], 10)], 1) as {
      value: number;
      interval: number[];
    };
    expect(value).toBeCloseTo(0.9, 12);
    expect(interval[0]).toBeCloseTo(0.9 - (studentQuantile(3) * Math.sqrt(10)) / 100, 12);
    expect(interval[1]).toBe(1);
  });

  test('over all samples of 3 of 8 and 2 of 5 cells the total is right on average, and so is its variance', () => {
    const populations = [
      [3, 7, 1, 12, 5, 5, 0, 9],
      [20, 31, 4, 18, 22],
    ];
    const truth = populations.flat().reduce((sum, one) => sum + one, 0);
    let samples = 0;
    let sum = 0;
    let squares = 0;
    let variances = 0;
    for (const first of subsets(populations[0], 3)) {
      for (const second of subsets(populations[1], 2)) {
        const strata = [even(8, first, 1e6), even(5, second, 1e6)];
        const { value, interval } = estimateTotal(strata);
        const half = interval[1] - value;
        // The deviation itself: half the interval over the quantile of its degrees of freedom.
        const deviation = half / studentQuantile(freedomOf(strata));
        samples++;
        sum += value;
        squares += (value - truth) ** 2;
        variances += deviation ** 2;
      }
    }
    expect(sum / samples).toBeCloseTo(truth, 9);
    expect(variances / samples).toBeCloseTo(squares / samples, 6);
  });

  /** Satterthwaite by the book: Cochran 5.4, rounded down. */
  function freedomOf(strata: Stratum[]): number {
    const parts = strata.map(({ cells, numerators }) => {
      const mean = numerators.reduce((sum, one) => sum + one, 0) / numerators.length;
      const spread = numerators.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (numerators.length - 1);
      return (cells * (cells - numerators.length) * spread) / numerators.length;
    });
    const all = parts.reduce((sum, part) => sum + part, 0);
    const weighed = parts.reduce((sum, part, k) => sum + part ** 2 / (strata[k].numerators.length - 1), 0);
    return Math.max(1, Math.floor(all ** 2 / weighed + 1e-9));
  }
});

function subsets(values: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return values.flatMap((value, k) => subsets(values.slice(k + 1), size - 1).map((rest) => [value, ...rest]));
}

describe('a census', () => {
  const strata = [even(3, [1, 2, 3], 4), even(1, [4], 8)];
  test('gives a point', () => {
    expect(isCensus(strata)).toBe(true);
    expect(estimateRatio(strata)).toEqual({ value: 0.5, interval: [0.5, 0.5] });
    expect(estimateTotal(strata)).toEqual({ value: 10, interval: [10, 10] });
  });
  test('of one network adds no spread to a sample of another', () => {
    const sampled = even(100, [3, 5, 4, 6], 8);
    const alone = estimateTotal([sampled]);
    const both = estimateTotal([sampled, ...strata]);
    expect(both.value).toBe(alone.value + 10);
    expect(both.interval[1] - both.value).toBeCloseTo(alone.interval[1] - alone.value, 9);
  });
});

describe('a sample in which all cells agree', () => {
  test('still leaves room for the cells not seen', () => {
    const { value, interval } = estimateRatio([even(100, Array(20).fill(50), 50)], 1) as {
      value: number;
      interval: number[];
    };
    expect(value).toBe(1);
    expect(interval[1]).toBe(1);
    expect(interval[0]).toBeLessThan(0.9);
    expect(interval[0]).toBeGreaterThan(0.85);
  });
  test('of no breach at all allows as many as the cells not seen could have had', () => {
    const { value, interval } = estimateTotal([even(100, Array(20).fill(0), 50)]);
    expect(value).toBe(0);
    expect(interval).toEqual([0, expect.closeTo(5000 * 0.8 * (1 - 0.05 ** (1 / 20)), 6)]);
  });
});

test('a ratio of nothing is undefined', () => {
  expect(estimateRatio([even(10, [0, 0], 0)])).toBeUndefined();
});

const SAMPLES = 3000;

/** Share of many samples whose interval covers the value of all cells. */
function coverage(population: readonly Stratum[], pick: (k: number) => Stratum[], isTotal: boolean): number {
  const truth = isTotal ? estimateTotal(population).value : (estimateRatio(population)?.value as number);
  let covered = 0;
  for (let k = 0; k < SAMPLES; k++) {
    const sample = pick(k);
    const estimate = isTotal ? estimateTotal(sample) : estimateRatio(sample, 1);
    if (estimate !== undefined && estimate.interval[0] <= truth && truth <= estimate.interval[1]) covered++;
  }
  return covered / SAMPLES;
}

function expectNominal(share: number): void {
  expect(share).toBeGreaterThanOrEqual(0.93);
  expect(share).toBeLessThanOrEqual(0.97);
}

describe('95 % intervals cover the value of all cells in 93 to 97 % of samples', () => {
  const normal = (network: number, cell: number) => normalQuantile(drawUnit(7, cell, network, PURPOSE.profile));

  /** Cells of 1,000 requests or so, of which `late` (mean and deviation) are not in time. */
  function network(index: number, cells: number, late: [number, number]): Stratum {
    const denominators = Array.from({ length: cells }, (_, cell) => Math.round(1000 + 50 * normal(index, cell)));
    const numerators = denominators.map((requests, cell) =>
      Math.round(requests - Math.max(0, late[0] + late[1] * normal(index + 10, cell))),
    );
    return { cells, numerators, denominators };
  }

  function sampleOf(population: readonly Stratum[], seed: number, sizes: readonly number[]): Stratum[] {
    return population.map(({ cells, numerators, denominators }, n) => {
      const order = Array.from({ length: cells }, (_, k) => ({ k, key: draw32(seed, k, n, PURPOSE.burst) }));
      const picked = order
        .sort((a, b) => a.key - b.key)
        .slice(0, sizes[n])
        .map(({ k }) => k);
      return { cells, numerators: picked.map((k) => numerators[k]), denominators: picked.map((k) => denominators[k]) };
    });
  }

  test.each([
    [
      'networks alike',
      [60, 60, 60, 120],
      [
        [50, 15],
        [50, 15],
        [50, 15],
        [50, 15],
      ],
      [6, 6, 6, 12],
    ],
    [
      'networks unlike',
      [60, 60, 60, 120],
      [
        [50, 5],
        [100, 30],
        [150, 15],
        [80, 20],
      ],
      [6, 6, 6, 12],
    ],
    [
      'one network that varies, few cells of each',
      [80, 80, 80, 160],
      [
        [200, 40],
        [50, 0],
        [50, 0],
        [50, 0],
      ],
      [4, 4, 4, 8],
    ],
    ['a third of a small network', [24], [[100, 20]], [8]],
    [
      'nearly all cells',
      [40, 40],
      [
        [100, 20],
        [50, 20],
      ],
      [36, 36],
    ],
  ] as [string, number[], [number, number][], number[]][])('%s', (_, cells, late, sizes) => {
    const population = cells.map((count, n) => network(n, count, late[n]));
    const pick = (k: number) => sampleOf(population, k, sizes);
    expectNominal(coverage(population, pick, false));
    expectNominal(coverage(population, pick, true));
  });

  // Outages of several lengths, each on its own half of a network's cells, make cells differ.
  const run = simulateInProcess(
    smallScenario({
      fleet: { meters: 16_000, metersPerCell: 40, notCommunicatingShare: 0.05 },
      outages: ['CSP North', 'CSP Central', 'CSP South', 'S1SP'].flatMap((network) => [
        { network, startHour: 8, hours: 1, cellsShare: 0.5 },
        { network, startHour: 11, hours: 2, cellsShare: 0.4 },
        { network, startHour: 15, hours: 4, cellsShare: 0.3 },
      ]),
      existing: {
        reads: [{ srv: '4.1.1', mode: 'on-demand', perMeterDay: 2, window: '07:00-22:00' }],
        other: [],
      },
      thresholds: [
        'withinTrt{mode=on-demand} >= 0.9',
        'withinTrt{mode=on-demand, service=existing} >= 0.9',
        'breaches == 0',
        'utilisation <= 0.9',
      ],
    }),
  );
  const { networks } = run.model.fleet;
  const length = recordLength(run.model);

  function strataOf(cells: Iterable<number>, threshold: number): Stratum[] {
    const strata = networks.map((of): Stratum => ({ cells: of.cells, numerators: [], denominators: [] }));
    for (const cell of cells) {
      const n = networks.findLastIndex(({ firstCell }) => cell >= firstCell);
      const at = cell * length + thresholdPlace(threshold);
      strata[n].numerators.push(run.records[at]);
      strata[n].denominators.push(run.records[at + 1]);
    }
    return strata;
  }

  test.each(run.model.thresholds.map(({ expression, isTotal }, k) => ({ expression, isTotal, k })))(
    'of a run of 400 cells, one in 5 picked: $expression',
    ({ isTotal, k }) => {
      const population = strataOf(Array(run.model.fleet.cells).keys(), k);
      const shares = population.flatMap(({ numerators, denominators }) =>
        numerators.map((value, cell) => value / denominators[cell]),
      );
      expect(new Set(shares).size).toBeGreaterThan(30);
      const pick = (seed: number) => strataOf(selectCells(run.model.fleet, 5, seed), k);
      expectNominal(coverage(population, pick, isTotal));
    },
  );
});
