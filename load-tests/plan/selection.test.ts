import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Fleet, layOutFleet, networkOfCell } from '#fleet-sim/fleet.ts';
import { outagesOfCell } from '#fleet-sim/network-settings.ts';
import { smallScenario } from '#load-tests/test/small-scenario.ts';
import { compileModel } from './model.ts';
import { selectCells } from './selection.ts';

function fleetOf(cells: readonly number[]): Fleet {
  const all = cells.reduce((sum, one) => sum + one, 0);
  const networks = cells.map((count, n) => ({
    name: `network ${n}`,
    generation: 'SMETS2' as const,
    share: count / all,
  }));
  return layOutFleet({ seed: 1, meters: all * 100, metersPerCell: 100, exportShare: 0, networks });
}

const seed = fc.nat(4_294_967_295);
const sizes = fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 5 }).filter((s) => s.some(Boolean));

test('one in 1 is every cell once, in an order of its own', () => {
  fc.assert(
    fc.property(sizes, seed, (cells, sampleSeed) => {
      const fleet = fleetOf(cells);
      const selected = selectCells(fleet, 1, sampleSeed);
      expect(selected.toSorted()).toEqual(Int32Array.from({ length: fleet.cells }, (_, cell) => cell));
    }),
  );
});

test('each network gives its share of cells, two at least where it has them, none twice', () => {
  fc.assert(
    fc.property(sizes, fc.integer({ min: 2, max: 300 }), seed, (cells, oneIn, sampleSeed) => {
      const fleet = fleetOf(cells);
      const selected = [...selectCells(fleet, oneIn, sampleSeed)];
      expect(new Set(selected).size).toBe(selected.length);
      fleet.networks.forEach((network, n) => {
        const own = selected.filter((cell) => networkOfCell(fleet, cell) === n);
        expect(own.length).toBe(Math.min(network.cells, Math.max(2, Math.round(network.cells / oneIn))));
      });
    }),
  );
});

test('the same seed picks the same cells in the same order, another seed others', () => {
  const fleet = fleetOf([100, 200]);
  expect(selectCells(fleet, 10, 7)).toEqual(selectCells(fleet, 10, 7));
  expect(selectCells(fleet, 10, 7).toSorted()).not.toEqual(selectCells(fleet, 10, 8).toSorted());
  expect(selectCells(fleet, 1, 7)).not.toEqual(selectCells(fleet, 1, 8));
});

const SEEDS = 4000;
const DEVIATIONS_MAX = 5;

test('over many seeds every cell is picked equally often, and so is every pair', () => {
  const fleet = fleetOf([20, 40]);
  const times = new Float64Array(fleet.cells);
  const pairs = new Float64Array(20 * 20);
  for (let sampleSeed = 0; sampleSeed < SEEDS; sampleSeed++) {
    const selected = selectCells(fleet, 4, sampleSeed);
    for (const cell of selected) times[cell]++;
    for (const a of selected) for (const b of selected) if (a < b && b < 20) pairs[a * 20 + b]++;
  }
  expectRate(times, 1 / 4);
  expectRate(
    pairs.filter((_, k) => Math.floor(k / 20) < k % 20),
    (5 / 20) * (4 / 19),
  );
});

/** Each count of SEEDS trials lies within five deviations of the rate, and the mean is the rate. */
function expectRate(counts: Float64Array, rate: number): void {
  const deviation = Math.sqrt(SEEDS * rate * (1 - rate));
  for (const count of counts) expect(Math.abs(count - SEEDS * rate)).toBeLessThan(DEVIATIONS_MAX * deviation);
}

test('whatever part of the list is done, the networks are in it by their cells', () => {
  const fleet = fleetOf([100, 300, 600]);
  for (const oneIn of [1, 5]) {
    for (const done of [20, 60, 150]) {
      const counts = new Float64Array(3);
      for (let sampleSeed = 0; sampleSeed < 200; sampleSeed++) {
        const selected = selectCells(fleet, oneIn, sampleSeed);
        for (const cell of selected.subarray(0, done)) counts[networkOfCell(fleet, cell)]++;
      }
      [0.1, 0.3, 0.6].forEach((share, n) => {
        const expected = 200 * done * share;
        // Drawn without replacement: less spread than this.
        expect(Math.abs(counts[n] - expected)).toBeLessThan(DEVIATIONS_MAX * Math.sqrt(expected * (1 - share)));
      });
    }
  }
});

test('whether a cell is picked has nothing to do with whether an outage hits it', () => {
  const outage = { network: 'CSP North', startHour: 1, hours: 2, cellsShare: 0.3 };
  const outages = [outage, { ...outage, startHour: 5 }, { ...outage, startHour: 9 }];
  let picked = 0;
  const hits = new Float64Array(outages.length);
  for (let scenarioSeed = 0; scenarioSeed < 40; scenarioSeed++) {
    const { scenario, matrix } = smallScenario({
      seed: scenarioSeed,
      fleet: { meters: 10_000, metersPerCell: 10 },
      outages,
    });
    const model = compileModel(scenario, matrix);
    for (const cell of selectCells(model.fleet, 10, scenarioSeed)) {
      if (networkOfCell(model.fleet, cell) !== 0) continue;
      picked++;
      for (const { startMs } of outagesOfCell(model, 0, cell)) {
        hits[outages.findIndex(({ startHour }) => model.countedStartMs + startHour * 3_600_000 === startMs)]++;
      }
    }
  }
  for (const hit of hits) {
    expect(Math.abs(hit - picked * 0.3)).toBeLessThan(DEVIATIONS_MAX * Math.sqrt(picked * 0.3 * 0.7));
  }
});
