import { describe, expect, test } from 'vitest';
import { ROWS_PER_SRV } from '#core/trt-row.ts';
import { anomalyThresholds } from '#fleet-sim/anomaly-thresholds.ts';
import { createArrivals } from '#fleet-sim/arrivals.ts';
import { fillDayReads } from '#fleet-sim/demand.ts';
import { metersOfCell } from '#fleet-sim/fleet.ts';
import { createPortfolio, fillPortfolio } from '#fleet-sim/portfolio.ts';
import type { Report } from '#load-tests/report/report.ts';
import { expectReport } from '#load-tests/test/report-shape.ts';
import { reportOf, simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { compileModel, type Model } from './model.ts';
import { runPlan } from './run.ts';

const HOUR_MS = 3_600_000;

/** Nothing fails, so nobody asks again: the bursts are all that is asked of their SRV on demand. */
function bursting(settings: Record<string, unknown> = {}) {
  return smallScenario({
    fleet: { meters: 3000, metersPerCell: 300, notCommunicatingShare: 0, suspendedShare: 0 },
    networks: [
      { name: 'Wide', generation: 'SMETS2', share: 0.5, exchangesPerCell: 20, attemptFailureShare: 0 },
      { name: 'Old', generation: 'SMETS1', share: 0.5, exchangesPerCell: 20, attemptFailureShare: 0 },
    ],
    existing: { reads: [], other: [] },
    // The burst spans two periods, of which the second is the fuller.
    bursts: [
      { user: 'ATWO', srv: '4.6.1', window: '10:00-11:30', share: 0.6 },
      { user: 'ATWO', srv: '4.6.1', window: '11:00-12:00', share: 0.6 },
      { user: 'AONE', srv: '4.8.1', window: '10:00-10:01', share: 0.2 },
    ],
    thresholds: ['quarantined{user=ATWO} <= 10', 'quarantined{user=AONE} <= 10'],
    ...settings,
  });
}

/** Instants at which a User asks for an SRV in the counted day, in order, from the list of what will be asked. */
function instantsOf(model: Model, mpid: string, srv: string): number[] {
  const portfolio = createPortfolio(model);
  const list = createArrivals(16);
  const instants: number[] = [];
  model.fleet.networks.forEach((network, n) => {
    for (let cell = network.firstCell; cell < network.firstCell + network.cells; cell++) {
      const { first, end } = metersOfCell(model.fleet, cell);
      fillPortfolio(portfolio, model, n, first, end - first);
      fillDayReads(list, model, n, portfolio, model.warmUpDays);
      for (let k = 0; k < list.size; k++) {
        const isAsked = model.matrix.services[Math.floor(list.row[k] / ROWS_PER_SRV)].srv === srv;
        if (isAsked && model.scenario.users[list.user[k]].mpid === mpid) instants.push(list.atMs[k]);
      }
    }
  });
  return instants.sort((a, b) => a - b);
}

/** Requests beyond the threshold in each hour: those later than the last that is within it. */
function excessOf(instants: readonly number[], threshold: number): number {
  let excess = 0;
  for (let hour = 0; hour < 24; hour++) {
    const inHour = instants.filter((atMs) => Math.floor(atMs / HOUR_MS) === hour);
    excess += inHour.filter((atMs) => inHour.length > threshold && atMs > inHour[threshold - 1]).length;
  }
  return excess;
}

const quarantinedOf = ({ users }: Report, mpid: string) => users.find((user) => user.mpid === mpid)?.quarantined;

describe('of requests beyond a threshold', () => {
  const loaded = bursting();
  const model = compileModel(loaded.scenario, loaded.matrix);
  const [, threshold] = anomalyThresholds(model);
  const instants = instantsOf(model, 'ATWO', '4.6.1');

  test('only the excess is quarantined, by the order of time over all cells', async () => {
    const expected = excessOf(instants, threshold);
    const hours = [10, 11].map((hour) => instants.filter((atMs) => Math.floor(atMs / HOUR_MS) === hour).length);
    expect(Math.min(...hours)).toBeGreaterThan(threshold);
    // Requests of the millisecond in which the threshold is reached are let through together.
    const plain = hours[0] + hours[1] - 2 * threshold;
    expect(expected).toBeGreaterThan(plain - 5);
    expect(expected).toBeLessThanOrEqual(plain);

    const result = await runPlan(loaded, { workers: 2, sampleOneIn: 1 });
    const report = reportOf(result);
    expect(quarantinedOf(report, 'ATWO')).toBe(expected);
    expect(quarantinedOf(report, 'AONE')).toBe(0);
    expect(report.ledger.quarantined).toBe(expected);
    expect(report.thresholds.map(({ value, verdict }) => [value, verdict])).toEqual([
      [expected, 'broken'],
      [0, 'held'],
    ]);
    expect(result.passes).toBe(3);
    // All that was asked without thresholds is here too, but for what is held.
    const free = reportOf(simulateInProcess(loaded));
    expect(report.ledger.received).toBe(free.ledger.received);
    expect(report.ledger.answered).toBe(free.ledger.answered - expected);
    expectReport(JSON.parse(JSON.stringify(report)));
  });

  test('those that the User deletes stay unanswered', async () => {
    const deleting = bursting({ anomaly: { answer: 'delete' } });
    const report = reportOf(await runPlan(deleting, { workers: 1, sampleOneIn: 1 }));
    expect(report.ledger.quarantined).toBe(excessOf(instants, threshold));
  });

  test('those that the User has processed are answered, and the time held does not count', async () => {
    // Held for 30 hours: beyond the TRT of 24 hours, and beyond the last day of the run.
    const processing = bursting({ anomaly: { answer: 'process', answerAfterMinutes: 1800 } });
    const { ledger, trt, users } = reportOf(await runPlan(processing, { workers: 1, sampleOneIn: 1 }));
    const free = reportOf(simulateInProcess(loaded));
    expect([ledger.quarantined, ledger.open, ledger.breaches]).toEqual([0, 0, 0]);
    expect([ledger.received, ledger.answered]).toEqual([free.ledger.received, free.ledger.answered]);
    // The User's count keeps that they were held.
    expect(users.reduce((sum, { quarantined }) => sum + quarantined, 0)).toBeGreaterThan(0);
    const row = (of: typeof trt) => of.filter(({ srv, mode }) => srv === '4.6.1' && mode === 'on-demand');
    expect(row(trt).map(({ requests }) => requests)).toEqual(row(free.trt).map(({ requests }) => requests));
    for (const { seconds } of row(trt)) expect(seconds.max).toBeLessThan(120);
  });

  test.each(['hold', 'process'])(
    'those of the platform itself are held the same way: 8.2, answer=%s',
    async (answer) => {
      const inventory = bursting({
        bursts: [{ user: 'ATWO', srv: '8.2', window: '10:00-11:00', share: 0.9 }],
        anomaly: { answer },
      });
      const of = instantsOf(compileModel(inventory.scenario, inventory.matrix), 'ATWO', '8.2');
      const report = reportOf(await runPlan(inventory, { workers: 1, sampleOneIn: 1 }));
      const excess = excessOf(of, threshold);
      expect(excess).toBeGreaterThan(100);
      expect(report.ledger.quarantined).toBe(answer === 'hold' ? excess : 0);
      const answered = report.trt.filter(({ srv }) => srv === '8.2').reduce((sum, { withinTrt }) => sum + withinTrt, 0);
      expect(answered).toBe(answer === 'hold' ? of.length - excess : of.length);
    },
  );

  test('a sample holds about as large a share', async () => {
    const many = bursting({
      fleet: { meters: 12_000, metersPerCell: 200, notCommunicatingShare: 0, suspendedShare: 0 },
    });
    const full = reportOf(await runPlan(many, { workers: 1, sampleOneIn: 1 })).ledger.quarantined;
    const { ledger, thresholds } = reportOf(await runPlan(many, { workers: 1, sampleOneIn: 3 }), 3);
    expect(Math.abs(ledger.quarantined / full - 1)).toBeLessThan(0.2);
    expect(thresholds[0].interval).toBeDefined();
  });

  test('below every threshold a run is simulated once', async () => {
    const calm = bursting({ anomaly: { thresholdPerMeter: 2 } });
    const result = await runPlan(calm, { workers: 1, sampleOneIn: 1 });
    expect([result.passes, reportOf(result).ledger.quarantined]).toEqual([1, 0]);
  });
});

test('what is held cannot fail, and so is not asked for again', async () => {
  const settings = { fleet: { meters: 3000, metersPerCell: 300, notCommunicatingShare: 1, suspendedShare: 0 } };
  const free = reportOf(simulateInProcess(bursting(settings)));
  const held = reportOf(await runPlan(bursting(settings), { workers: 1, sampleOneIn: 1 }));
  const reRequests = ({ users }: Report) => users.find(({ mpid }) => mpid === 'ATWO')?.reRequests ?? 0;
  expect(reRequests(held)).toBeLessThan(reRequests(free));
  expectReport(JSON.parse(JSON.stringify(held)));
});
