import { describe, expect, test } from 'vitest';
import { expectReport } from '#load-tests/test/report-shape.ts';
import { reportOf, SMALL_USERS, simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { type PlanResult, runPlan } from './run.ts';
import { selectCells } from './selection.ts';

const BURST = { user: 'ATWO', srv: '4.6.1', window: '10:00-12:00', share: 0.9 };

/** Two days with all that makes a run: an outage, a change of agent, a burst that is quarantined. */
const EVENTFUL = {
  days: 2,
  outages: [{ network: 'CSP North', startHour: 30, hours: 5, recoveryMinutes: 60, cellsShare: 0.5 }],
  changes: [{ day: 2, share: 0.2, from: 'AONE', to: 'ATWO' }],
  bursts: [BURST],
};

const digestOf = (result: PlanResult) => reportOf(result).run.digest;

describe('the digest', () => {
  const loaded = smallScenario(EVENTFUL);

  test('is the same for 1 and 2 workers and for repeated runs, of everything that was counted', async () => {
    const [one, two, again] = [
      await runPlan(loaded, { workers: 1, sampleOneIn: 1 }),
      await runPlan(loaded, { workers: 2, sampleOneIn: 1 }),
      await runPlan(loaded, { workers: 2, sampleOneIn: 1 }),
    ];
    expect(one.passes).toBeGreaterThan(1);
    expect([digestOf(two), digestOf(again)]).toEqual([digestOf(one), digestOf(one)]);
    const plain = (result: PlanResult) => ({ ...reportOf(result), run: undefined });
    expect(plain(two)).toEqual(plain(one));
    expectReport(JSON.parse(JSON.stringify(reportOf(two))));
  });

  test('is the same for a sample too, whose records come in the order of the cells', async () => {
    const [one, two] = [
      await runPlan(loaded, { workers: 1, sampleOneIn: 2 }),
      await runPlan(loaded, { workers: 2, sampleOneIn: 2 }),
    ];
    expect(digestOf(two)).toBe(digestOf(one));
    expect(two.records).toEqual(one.records);
  });

  test('is that of the cells run one by one in this thread', async () => {
    const calm = smallScenario();
    const pooled = await runPlan(calm, { workers: 2, sampleOneIn: 1 });
    expect(pooled.passes).toBe(1);
    expect(digestOf(pooled)).toBe(digestOf(simulateInProcess(calm)));
  });

  test('does not depend on which cells a simulation ran before', () => {
    const calm = smallScenario(EVENTFUL);
    const forwards = simulateInProcess(calm);
    const order = [...selectCells(forwards.model.fleet, 1, 1)];
    expect(order).not.toEqual(order.toSorted());
    expect(simulateInProcess(calm, { only: order }).tally).toEqual(forwards.tally);
  });

  test('is another for another seed or setting', () => {
    const digests = [{}, { seed: 2 }, { seed: 3 }, { platform: { latencyMs: 51 } }, { warmUpHours: 23 }].map(
      (settings) => digestOf(simulateInProcess(smallScenario(settings))),
    );
    expect(new Set(digests).size).toBe(digests.length);
  });
});

describe('a run that is stopped', () => {
  test('before it began is a valid report that knows nothing', async () => {
    const loaded = smallScenario({ thresholds: ['open == 0', 'withinTrt >= 0.5'] });
    const result = await runPlan(loaded, { workers: 1, sampleOneIn: 1, signal: AbortSignal.abort() });
    expect(result.complete).toBe(false);
    const report = reportOf(result);
    expectReport(JSON.parse(JSON.stringify(report)));
    expect(report.ledger.received).toBe(0);
    expect(report.thresholds.map(({ verdict }) => verdict)).toEqual(['undecided', 'undecided']);
  });

  test('half-way is a valid report of the cells done by then, scaled, that says so', async () => {
    const loaded = smallScenario({ fleet: { meters: 60_000, metersPerCell: 500 }, days: 14 });
    const stopping = new AbortController();
    const result = await runPlan(loaded, {
      workers: 2,
      sampleOneIn: 1,
      signal: stopping.signal,
      onProgress: ({ cellsDone }) => {
        if (cellsDone > 0) stopping.abort();
      },
    });
    expect(result.complete).toBe(false);
    const report = reportOf(result);
    expectReport(JSON.parse(JSON.stringify(report)));
    const cells = result.tally.networks.reduce((sum, network) => sum + network.cells, 0);
    expect(cells).toBeGreaterThan(0);
    expect(cells).toBeLessThan(120);
    expect(report.run).toMatchObject({ complete: false, sample: { cells, cellsAll: 120 } });
  });

  test('while it is repeated for an anomaly threshold does not pass for complete', async () => {
    const fleet = { meters: 30_000, metersPerCell: 500 };
    const loaded = smallScenario({ fleet, days: 6, bursts: [BURST] });
    const stopping = new AbortController();
    const result = await runPlan(loaded, {
      workers: 2,
      sampleOneIn: 1,
      signal: stopping.signal,
      onProgress: ({ pass }) => {
        if (pass > 1) stopping.abort();
      },
    });
    expect(result.complete).toBe(false);
    expectReport(JSON.parse(JSON.stringify(reportOf(result))));
  });
});

describe('a network with far too few exchanges', () => {
  const slow = { distribution: 'constant', seconds: 600 };
  const loaded = smallScenario({
    fleet: { meters: 4000, metersPerCell: 500 },
    networks: [
      { name: 'Wide', generation: 'SMETS2', share: 0.5 },
      { name: 'Narrow', generation: 'SMETS2', share: 0.5, exchangesPerCell: 1, serviceTime: slow },
    ],
    thresholds: [
      'withinTrt{network=Wide, mode=scheduled} >= 0.99',
      'withinTrt{network=Narrow, mode=scheduled} >= 0.99',
      'open{network=Narrow} == 0',
      'breaches{network=Narrow} > 1000',
      'utilisation{network=Narrow} > 0.98',
    ],
  });
  const report = reportOf(simulateInProcess(loaded));

  test('breaks its thresholds, and not those of its neighbour', () => {
    expect(report.verdict).toBe('broken');
    expect(report.thresholds.map(({ verdict }) => verdict)).toEqual(['held', 'broken', 'broken', 'held', 'held']);
  });

  test('counts what is never answered as breached at its deadline, and as open', () => {
    const [wide, narrow] = report.networks;
    expect(wide.breachesByHour.slice(0, 24).some((count) => count > 0)).toBe(false);
    expect(report.ledger.open).toBeGreaterThan(1000);
    expect(report.ledger.breaches).toBeGreaterThanOrEqual(report.ledger.open);
    // The first scheduled read runs at 00:30 with a TRT of 24 hours: no deadline passes before, one hour by one after.
    expect(narrow.breachesByHour.slice(25, 30).every((count) => count > 0)).toBe(true);
    expectReport(JSON.parse(JSON.stringify(report)));
  });

  test('answers what it still can: one exchange at a time, 144 in a cell and day', () => {
    const { tally } = simulateInProcess(loaded);
    const answered = tally.networks[1].latency.reduce((sum, count) => sum + count, 0);
    expect(answered).toBeLessThanOrEqual(4 * 144 * 3);
  });
});

test('the User of a request that the platform answers waits for no network', () => {
  const loaded = smallScenario({
    users: SMALL_USERS,
    outages: ['CSP North', 'CSP Central', 'CSP South', 'S1SP'].map((network) => ({
      network,
      startHour: 0,
      hours: 24,
    })),
    existing: { reads: [{ srv: '8.2', mode: 'on-demand', perMeterDay: 1 }], other: [] },
  });
  const { trt } = reportOf(simulateInProcess(loaded));
  for (const { srv, withinTrt, requests } of trt) if (srv === '8.2') expect(withinTrt).toBe(requests);
});
