import { describe, expect, test } from 'vitest';
import { expectReport } from '#load-tests/test/report-shape.ts';
import { reportOf, simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { selectCells } from './selection.ts';

/** Cells that differ: half of North's are out for four hours of the day's on-demand requests. */
function uneven(thresholds: readonly string[]) {
  return smallScenario({
    fleet: { meters: 8000, metersPerCell: 100 },
    outages: [{ network: 'CSP North', startHour: 10, hours: 4, cellsShare: 0.5 }],
    existing: { reads: [{ srv: '4.1.1', mode: 'on-demand', perMeterDay: 1, window: '07:00-22:00' }], other: [] },
    thresholds,
  });
}

const METRIC = 'withinTrt{mode=on-demand, network=CSP North}';
const full = simulateInProcess(uneven([`${METRIC} >= 0.5`, 'breaches == 0', 'firstOnDemand <= 0']));
const cells = [...selectCells(full.model.fleet, 2, 3)].toSorted((a, b) => a - b);

describe('the report of a sample', () => {
  const sampled = simulateInProcess(uneven([`${METRIC} >= 0.5`, 'breaches == 0', 'firstOnDemand <= 0']), {
    only: cells,
  });
  const report = reportOf(sampled, 2);
  const whole = reportOf(full);

  test('says that it is one, and what it is a sample of', () => {
    expect(report.run.sample).toEqual({ oneIn: 2, cells: 40, cellsAll: 80 });
    expect(whole.run.sample).toBeNull();
    expectReport(JSON.parse(JSON.stringify(report)));
  });

  test('scales counts to the fleet', () => {
    for (const field of ['received', 'answered', 'halfHours'] as const) {
      expect(report.ledger[field] / whole.ledger[field]).toBeCloseTo(1, 1);
    }
    const requests = (of: typeof report) => of.users.reduce((sum, user) => sum + user.requests, 0);
    // Each User's count is rounded by itself.
    expect(Math.abs(requests(report) - report.ledger.received)).toBeLessThan(10);
    report.networks.forEach((network, n) => {
      expect(network.meters).toBe(whole.networks[n].meters);
      const ofHour = (of: typeof network) => of.requestsByHour.reduce((sum, count) => sum + count, 0);
      expect(ofHour(network) / ofHour(whole.networks[n])).toBeCloseTo(1, 1);
      expect(network.utilisationMean / whole.networks[n].utilisationMean).toBeCloseTo(1, 0);
    });
    const count = (of: typeof report) => of.series.onDemand.reduce((sum, point) => sum + point.count, 0);
    expect(count(report) / count(whole)).toBeCloseTo(1, 1);
  });

  test('has an interval round every share and total that it estimates', () => {
    expect(report.trt.length).toBeGreaterThan(10);
    for (const { interval, withinTrt, requests } of report.trt) {
      expect(interval).toBeDefined();
      const [low, high] = interval as [number, number];
      // The row's counts are rounded to whole requests.
      expect(withinTrt / requests).toBeGreaterThan(low - 1 / requests);
      expect(withinTrt / requests).toBeLessThan(high + 1 / requests);
    }
    for (const { interval } of report.thresholds) expect(interval).toBeDefined();
    for (const { interval } of [...whole.trt, ...whole.thresholds]) expect(interval).toBeUndefined();
  });

  test('covers what the whole run finds', () => {
    report.thresholds.forEach(({ interval }, k) => {
      const value = whole.thresholds[k].value as number;
      expect(value).toBeGreaterThanOrEqual((interval as number[])[0]);
      expect(value).toBeLessThanOrEqual((interval as number[])[1]);
    });
  });

  test.each([
    ['>=', 'low', 'held'],
    ['>=', 'middle', 'undecided'],
    ['>=', 'high', 'broken'],
    ['>', 'middle', 'undecided'],
    ['<=', 'low', 'broken'],
    ['<=', 'middle', 'undecided'],
    ['<=', 'high', 'held'],
    ['<', 'high', 'held'],
    ['==', 'low', 'broken'],
    ['==', 'middle', 'undecided'],
    ['==', 'high', 'broken'],
  ] as const)('a share %s a bound %s of its interval is %s', (comparison, place, expected) => {
    const { value, interval } = report.thresholds[0];
    const [low, high] = interval as [number, number];
    expect(high - low).toBeGreaterThan(0.02);
    const bound = { low: low - 0.001, middle: value as number, high: high + 0.001 }[place];
    const again = simulateInProcess(uneven([`${METRIC} ${comparison} ${bound.toFixed(6)}`]), { only: cells });
    const judged = reportOf(again, 4);
    expect([judged.thresholds[0].verdict, judged.verdict]).toEqual([expected, expected]);
  });
});

describe('a verdict needs cells to judge by', () => {
  const { networks } = full.model.fleet;
  const north = Array.from({ length: networks[0].cells }, (_, cell) => cell);
  const thresholds = ['withinTrt >= 0.1', 'breaches <= 1000000', 'withinTrt{network=CSP North} >= 0.1'];
  const verdictsOf = (only: readonly number[]) =>
    reportOf(simulateInProcess(uneven(thresholds), { only })).thresholds.map(({ verdict }) => verdict);

  test('of every network that it is about: one that was not simulated leaves it undecided', () => {
    expect(verdictsOf(north.slice(0, 8))).toEqual(['undecided', 'undecided', 'held']);
    expect(verdictsOf(north)).toEqual(['undecided', 'undecided', 'held']);
  });

  test('more than one of a network and of those out alike: a single cell says nothing of how cells differ', () => {
    const one = networks.map(({ firstCell }) => firstCell);
    expect(verdictsOf(one)).toEqual(['undecided', 'undecided', 'undecided']);
    const two = networks.flatMap(({ firstCell }) => [firstCell, firstCell + 1]);
    expect(verdictsOf(two)[2]).toBe('undecided');
    expect(verdictsOf([...two, ...north.slice(2, 12)])).toEqual(['held', 'held', 'held']);
  });

  test('and nothing simulated is nothing known', () => {
    expect(verdictsOf([])).toEqual(['undecided', 'undecided', 'undecided']);
  });
});

test('a threshold on what nobody asks for is undecided, and then so is the run', () => {
  const report = reportOf(simulateInProcess(smallScenario({ thresholds: ['withinTrt{srv=5.3} >= 0.9', 'open == 0'] })));
  expect(report.thresholds).toEqual([
    { expression: 'withinTrt{srv=5.3} >= 0.9', value: null, verdict: 'undecided' },
    { expression: 'open == 0', value: 0, verdict: 'held' },
  ]);
  expect(report.verdict).toBe('undecided');
});

test('one broken threshold breaks the run, whatever the others', () => {
  const thresholds = ['open == 0', 'withinTrt{srv=5.3} >= 0.9', 'withinTrt{mode=scheduled} > 1'];
  expect(reportOf(simulateInProcess(smallScenario({ thresholds }))).verdict).toBe('broken');
});

test('whether answers without data count as in time is a setting, and both are shown', () => {
  const [counted, not] = [true, false].map((errorsCountAsWithinTrt) =>
    reportOf(simulateInProcess(smallScenario({ errorsCountAsWithinTrt }))),
  );
  const scheduled = ({ trt }: typeof counted) => trt.filter(({ mode }) => mode === 'scheduled');
  expect(scheduled(counted).length).toBe(scheduled(not).length);
  scheduled(counted).forEach((row, k) => {
    const other = scheduled(not)[k];
    expect(other).toMatchObject({ requests: row.requests, withinTrtWithoutData: 0 });
    expect(other.withinTrt).toBe(row.withinTrt - row.withinTrtWithoutData);
  });
  expect(scheduled(counted).some(({ withinTrtWithoutData }) => withinTrtWithoutData > 0)).toBe(true);
});

test('the Code Performance Measures are by calendar month, on demand and scheduled apart', () => {
  const report = reportOf(simulateInProcess(smallScenario({ firstDay: '2026-03-31', days: 2 })));
  expect(report.measures.map(({ month, measure }) => `${month} ${measure}`)).toEqual([
    '2026-03 on-demand',
    '2026-03 scheduled',
    '2026-04 on-demand',
    '2026-04 scheduled',
  ]);
  for (const mode of ['on-demand', 'scheduled'] as const) {
    const rows = report.trt.filter((row) => row.mode === mode);
    const measures = report.measures.filter(({ measure }) => measure === mode);
    for (const field of ['requests', 'withinTrt'] as const) {
      const total = (of: readonly { requests: number; withinTrt: number }[]) =>
        of.reduce((s, one) => s + one[field], 0);
      expect(total(measures)).toBe(total(rows));
    }
  }
});

describe('a few bad cells', () => {
  const loaded = smallScenario({
    fleet: { meters: 20_000, metersPerCell: 100 },
    networks: [{ name: 'CSP', generation: 'SMETS2', share: 1 }],
    outages: [{ network: 'CSP', startHour: 0, hours: 36, cellsShare: 0.05 }],
    thresholds: ['withinTrt{mode=scheduled} >= 0.999'],
  });
  const { model, ...run } = simulateInProcess(loaded);
  const whole = reportOf({ model, ...run }).thresholds[0];
  const length = run.records.length / model.fleet.cells;
  const share = whole.value as number;

  test('are not missed by a sample: its verdict is never the opposite of the full run', () => {
    expect(share).toBeLessThan(0.999);
    expect(whole.verdict).toBe('broken');
    const verdicts: string[] = [];
    for (let seed = 0; seed < 60; seed++) {
      const picked = [...selectCells(model.fleet, 10, seed)].toSorted((a, b) => a - b);
      const records = Float64Array.from(
        picked.flatMap((cell) => [...run.records.subarray(cell * length, (cell + 1) * length)]),
      );
      verdicts.push(reportOf({ model, ...run, records, cellsSelected: picked.length }, 10).thresholds[0].verdict);
    }
    expect(verdicts).not.toContain('held');
  });
});

test('an outage that outlasts the run shows what waits until the end', () => {
  const report = reportOf(
    simulateInProcess(
      smallScenario({
        days: 2,
        networks: [{ name: 'CSP', generation: 'SMETS2', share: 1 }],
        outages: [{ network: 'CSP', startHour: 3, hours: 500 }],
        thresholds: ['open == 0'],
      }),
    ),
  );
  const { queueScheduled } = report.networks[0];
  expect(report.ledger.open).toBeGreaterThan(0);
  expect(queueScheduled.at(-1)).toBeGreaterThanOrEqual(Math.max(...queueScheduled) * 0.99);
});

test('a measure that nothing was asked of has no share', () => {
  const users = [{ name: 'Agent', mpid: 'AONE', role: 'MDR', share: 1, onboarding: { acceded: null } }];
  const report = reportOf(simulateInProcess(smallScenario({ users, existing: { reads: [], other: [] } })));
  expect(report.measures.map(({ requests, share }) => [requests, share])).toEqual([
    [0, null],
    [0, null],
  ]);
});
