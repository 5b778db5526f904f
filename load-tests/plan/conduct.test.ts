import { describe, expect, test } from 'vitest';
import matrixFile from '#core/matrices/mp162-v0.4.json' with { type: 'json' };
import { validateMatrix } from '#core/matrix.ts';
import { ROWS_PER_SRV } from '#core/trt-row.ts';
import { DAILY, NOBODY } from '#fleet-sim/portfolio.ts';
import { eachMeter } from '#fleet-sim/test/meter-demand.ts';
import type { Report, TrtRow } from '#load-tests/report/report.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { reportOf, SMALL_USERS, simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { DAY, dayAt, REFUSALS, ROW, rowAt } from './counters.ts';
import { compileModel, type Model } from './model.ts';

/** A network on which nothing goes wrong. */
const QUIET = {
  networks: [
    { name: 'Wide', generation: 'SMETS2', share: 0.5, exchangesPerCell: 100, attemptFailureShare: 0 },
    { name: 'Old', generation: 'SMETS1', share: 0.5, exchangesPerCell: 100, attemptFailureShare: 0 },
  ],
  existing: { reads: [], other: [] },
};
const fleet = { meters: 2000, metersPerCell: 250, notCommunicatingShare: 0, suspendedShare: 0, exportShare: 0.2 };

function modelOf(settings: Record<string, unknown>): Model {
  const { scenario, matrix } = smallScenario({ fleet, ...QUIET, ...settings });
  return compileModel(scenario, matrix);
}

test('the 30 days of a month, simulated, hold one register read a meter that is read so', () => {
  const loaded = smallScenario({
    fleet: { ...fleet, meters: 300, exportShare: 0 },
    ...QUIET,
    firstDay: '2026-04-01',
    days: 30,
  });
  let readers = 0;
  eachMeter(compileModel(loaded.scenario, loaded.matrix), [1], (meter, { granularity }) => {
    if (granularity[meter] !== DAILY) readers++;
  });
  const { trt } = reportOf(simulateInProcess(loaded));
  expect(requestsOf(trt, ({ srv }) => srv === '4.1.1')).toBe(readers);
});

describe('conduct', () => {
  test.each([0, 0.3, 1])('first attempts are made on demand for a share of %f, and only those are', (share) => {
    const users = SMALL_USERS.map((user) =>
      user.mpid === 'ATWO' ? { ...user, firstAttemptOnDemandShare: share } : user,
    );
    const report = reportOf(simulateInProcess(smallScenario({ fleet, ...QUIET, users })));
    const [one, two] = report.users;
    expect(one.firstAttempts).toBeGreaterThan(500);
    expect([one.firstAttemptsOnDemand, one.firstAttemptsOnDemandShare]).toEqual([0, 0]);
    const spread = 5 * Math.sqrt(two.firstAttempts * share * (1 - share));
    expect(Math.abs(two.firstAttemptsOnDemand - share * two.firstAttempts)).toBeLessThanOrEqual(spread);
    // Nothing failed, so whatever data set was asked for on demand was a first attempt.
    const onDemand = requestsOf(report.trt, ({ mode, srv }) => mode === 'on-demand' && /^4\.(6|8)/.test(srv));
    expect(onDemand).toBe(two.firstAttemptsOnDemand);
    expect(report.users.every(({ reRequests }) => reRequests === 0)).toBe(true);
  });

  test('a failed data set is asked for again on demand, at most as often as the User does', () => {
    const dead = { ...fleet, notCommunicatingShare: 1, spellDays: 3650 };
    for (const max of [0, 1, 3]) {
      const users = SMALL_USERS.map((user) => ({ ...user, reRequests: { max, afterMinutes: 0, spreadMinutes: 0 } }));
      const loaded = smallScenario({ fleet: dead, ...QUIET, users, warmUpHours: 0 });
      const { users: conduct, ledger } = reportOf(simulateInProcess(loaded));
      const reRequests = conduct.reduce((sum, user) => sum + user.reRequests, 0);
      const asked = conduct.reduce((sum, user) => sum + user.requests, 0) - reRequests;
      expect(ledger.answeredBy.E20).toBe(ledger.answered);
      // Retries by schedule wait for half an hour each: the last re-requests of a day of this length come within it.
      expect(reRequests).toBe(asked * max);
    }
  });
});

describe('changes of agent', () => {
  const changes = [
    {
      day: 2,
      share: 0.5,
      from: 'AONE',
      to: 'ATWO',
      window: '01:00-03:00',
      outgoingReadsLastDayShare: 0.6,
      outgoingOverreachShare: 0.3,
      incomingOverreachShare: 0.4,
    },
  ];
  const settings = { changes, days: 4, warmUpHours: 0 };
  const model = modelOf(settings);
  const EFD = 1;

  test('refusals E4 are those that overreach, counted one by one from the draws of each meter', () => {
    const expected = [0, 0, 0, 0];
    let lastDayReads = 0;
    let schedules = 0;
    eachMeter(model, [0, 1, 2, 3], (meter, portfolio, _, extra) => {
      const asked = extra.map((day) => day.filter(({ srv }) => srv === '4.8.1' || srv === '4.6.1'));
      if (portfolio.nextMdra[meter] === NOBODY) {
        expect(asked.flat()).toEqual([]);
        return;
      }
      expect(extra.flat().filter(({ srv }) => srv === '8.2' || srv === '5.1').length).toBe(2);
      schedules++;
      // A request of day d asks for day d - 1: before the EFD it is the outgoing agent's.
      asked.forEach((requests, day) => {
        for (const { user, hour } of requests) {
          expect(hour >= 1 && hour < 3).toBe(true);
          const owner = day - 1 < EFD ? 'AONE' : 'ATWO';
          if (user !== owner) expected[day]++;
          else lastDayReads++;
        }
      });
    });
    expect(expected[EFD]).toBeGreaterThan(50);
    expect(expected[EFD + 1]).toBeGreaterThan(50);
    const readable = schedules * 0.95;
    expect(Math.abs(lastDayReads - 0.6 * readable)).toBeLessThan(5 * Math.sqrt(readable * 0.25));
    expect(Math.abs(expected[EFD] - 0.4 * readable)).toBeLessThan(5 * Math.sqrt(readable * 0.25));
    expect(Math.abs(expected[EFD + 1] - 0.3 * readable)).toBeLessThan(5 * Math.sqrt(readable * 0.25));

    const { tally, model: run } = simulateInProcess(smallScenario({ fleet, ...QUIET, ...settings }));
    const refused = expected.map((_, day) =>
      tally.networks.reduce(
        (sum, { counted }) => sum + counted[dayAt(run.counters, day) + DAY.refused + REFUSALS.indexOf('E4')],
        0,
      ),
    );
    expect(refused).toEqual(expected);
    const created = run.matrix.services.findIndex(({ srv }) => srv === '5.1') * ROWS_PER_SRV + 3;
    const onEfd = tally.networks.map(({ counted }) => counted[rowAt(run.counters, EFD, created) + ROW.requests]);
    expect(onEfd.reduce((sum, count) => sum + count, 0)).toBe(schedules);
  });

  test('nobody is refused who keeps to its own days', () => {
    const kept = [{ ...changes[0], outgoingOverreachShare: 0, incomingOverreachShare: 0 }];
    const report = reportOf(simulateInProcess(smallScenario({ fleet, ...QUIET, ...settings, changes: kept })));
    expect(report.ledger.refused).toEqual({});
  });
});

describe('half-hours delivered for a day are', () => {
  test.each([
    ['spring-change', 'local', 46],
    ['spring-change', 'utc', 48],
    ['autumn-change', 'local', 50],
    ['autumn-change', 'utc', 48],
    ['settlement-day', 'local', 48],
  ])('in %s by %s days %i', (name, convention, halfHours) => {
    const day = ['fleet.meters=1000', 'fleet.metersPerCell=250', 'days=1', `dayConvention=${convention}`];
    const report = reportOf(simulateInProcess(loadScenario(name, [...day, 'networks[S1SP].exchangesPerCell=9'])));
    expect(report.ledger.halfHours).toBe(halfHours * halfHourlyReads(report));
  });

  test('48 again on the second day', () => {
    const two = ['fleet.meters=1000', 'fleet.metersPerCell=250'];
    const { tally, model } = simulateInProcess(loadScenario('spring-change', two));
    const [first, second] = [0, 1].map((day) =>
      tally.networks.reduce((sum, { counted }) => sum + counted[dayAt(model.counters, day) + DAY.halfHours], 0),
    );
    expect(first % 46).toBe(0);
    // Re-requests of the second day ask for the first one's data too.
    expect(second).toBeGreaterThan(first);
  });

  /** Reads of half-hours that were answered with data; all are within their TRT here. */
  function halfHourlyReads({ trt }: Report): number {
    const rows = trt.filter(({ srv }) => srv === '4.8.1' || srv === '4.8.3');
    expect(rows.every(({ breaches }) => breaches === 0)).toBe(true);
    return rows.reduce((sum, { withinTrt, withinTrtWithoutData }) => sum + withinTrt - withinTrtWithoutData, 0);
  }
});

function requestsOf(trt: readonly TrtRow[], passes: (row: TrtRow) => boolean): number {
  return trt.filter(passes).reduce((sum, { requests }) => sum + requests, 0);
}

test('agents read export MPANs where the scenario has no Export Supplier', () => {
  const users = SMALL_USERS.filter(({ role }) => role !== 'ES');
  const report = reportOf(simulateInProcess(smallScenario({ ...QUIET, fleet, users })));
  const exportReads = report.trt.filter(({ srv }) => srv === '4.8.3');
  expect(exportReads.length).toBeGreaterThan(0);
  expect(report.ledger.refused).toEqual({});
});

test.each(['4.1.1', '4.2', '8.2', '5.1'])('a matrix without %s asks for none of it, and the ledger closes', (srv) => {
  const loaded = smallScenario({
    ...QUIET,
    fleet,
    days: 2,
    changes: [{ day: 2, share: 0.5, from: 'AONE', to: 'ATWO', window: '00:00-02:00' }],
  });
  const without = validateMatrix({
    name: 'without',
    source: 'a test',
    services: matrixFile.services.filter((service) => service.srv !== srv),
  });
  if (!('matrix' in without)) throw new Error(JSON.stringify(without.faults));
  const report = reportOf(simulateInProcess({ ...loaded, matrix: without.matrix }));
  expect(report.trt.map((row) => row.srv)).not.toContain(srv);
  expect(Object.keys(report.ledger.refused)).toEqual(['E4']);
});
