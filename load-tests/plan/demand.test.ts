import { describe, expect, test } from 'vitest';
import matrixFile from '#core/matrices/mp162-v0.4.json' with { type: 'json' };
import { MODES, SERVICES, validateMatrix } from '#core/matrix.ts';
import { metersOfCell } from '#fleet-sim/fleet.ts';
import type { Report, TrtRow } from '#load-tests/report/report.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { reportOf, SMALL_USERS, simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { type Arrivals, createArrivals, DATA_SET, FIRST } from './arrivals.ts';
import { DAY, dayAt, REFUSALS, ROW, rowAt } from './counters.ts';
import { fillDailyReads, fillDayReads } from './demand.ts';
import { compileModel, type Model } from './model.ts';
import { createPortfolio, DAILY, fillPortfolio, HALF_HOURLY, MONTHLY, NOBODY, type Portfolio } from './portfolio.ts';
import { ROWS_PER_SRV } from './trt-row.ts';

/** A network on which nothing goes wrong. */
const QUIET = {
  networks: [
    { name: 'Wide', generation: 'SMETS2', share: 0.5, exchangesPerCell: 100, attemptFailureShare: 0 },
    { name: 'Old', generation: 'SMETS1', share: 0.5, exchangesPerCell: 100, attemptFailureShare: 0 },
  ],
  existing: { reads: [], other: [] },
};
const fleet = { meters: 2000, metersPerCell: 250, notCommunicatingShare: 0, suspendedShare: 0, exportShare: 0.2 };

type Entry = { day: number; hour: number; user: string; srv: string; mode: string; service: string; flags: number };

/** All that a list asks for on a simulated day, by meter of the cell. */
function entriesOf(model: Model, list: Arrivals, day: number): Map<number, Entry[]> {
  const byMeter = new Map<number, Entry[]>();
  for (let k = 0; k < list.size; k++) {
    if (day < list.fromDay[k] || day >= list.untilDay[k]) continue;
    const row = list.row[k];
    const entry = {
      day,
      hour: list.atMs[k] / 3_600_000,
      user: model.scenario.users[list.user[k]].mpid,
      srv: model.matrix.services[Math.floor(row / ROWS_PER_SRV)].srv,
      mode: MODES[(row >> 1) & 1],
      service: SERVICES[row & 1],
      flags: list.flags[k],
    };
    byMeter.set(list.meter[k], [...(byMeter.get(list.meter[k]) ?? []), entry]);
  }
  return byMeter;
}

/** Calls `see` for each meter of each cell with what is asked of it on each of the simulated days given. */
function eachMeter(
  model: Model,
  days: readonly number[],
  see: (meter: number, portfolio: Portfolio, daily: Entry[][], extra: Entry[][]) => void,
): void {
  const portfolio = createPortfolio(model);
  const list = createArrivals(16);
  model.fleet.networks.forEach((network, n) => {
    for (let cell = network.firstCell; cell < network.firstCell + network.cells; cell++) {
      const { first, end } = metersOfCell(model.fleet, cell);
      fillPortfolio(portfolio, model, n, first, end - first);
      fillDailyReads(list, model, n, portfolio);
      const daily = days.map((day) => entriesOf(model, list, day));
      const extra = days.map((day) => {
        fillDayReads(list, model, n, portfolio, day);
        return entriesOf(model, list, day);
      });
      for (let meter = 0; meter < portfolio.meters; meter++) {
        const of = (entries: Map<number, Entry[]>[]) => entries.map((one) => one.get(meter) ?? []);
        see(meter, portfolio, of(daily), of(extra));
      }
    }
  });
}

function modelOf(settings: Record<string, unknown>): Model {
  const { scenario, matrix } = smallScenario({ fleet, ...QUIET, ...settings });
  return compileModel(scenario, matrix);
}

test('each meter is read by its granularity: half-hours or a daily read every day, monthly nothing but registers', () => {
  const model = modelOf({});
  const seen = [0, 0, 0];
  eachMeter(model, [1], (meter, portfolio, [daily]) => {
    const isOld = portfolio.devices.generation[meter] === 0;
    const isExporting = portfolio.exportSupplier[meter] !== NOBODY;
    const granularity = portfolio.granularity[meter];
    seen[granularity]++;
    const expected = {
      [HALF_HOURLY]: ['4.8.1', ...(isExporting ? ['4.8.3'] : [])],
      // SMETS1 has no export daily log: its export register is read, on demand.
      [DAILY]: ['4.6.1', ...(isExporting ? [isOld ? '4.2' : '4.6.2'] : [])],
      [MONTHLY]: [],
    }[granularity] as string[];
    expect(daily.map(({ srv }) => srv).toSorted()).toEqual(expected.toSorted());
    for (const { srv, mode, service, flags, user } of daily) {
      expect([mode, service]).toEqual([srv === '4.2' ? 'on-demand' : 'scheduled', 'mhhs']);
      expect(flags).toBe(srv === '4.2' ? DATA_SET : DATA_SET | FIRST);
      const agent = portfolio.mdra[meter];
      const isExport = srv === '4.8.3' || srv === '4.6.2' || srv === '4.2';
      const reader = agent !== NOBODY ? agent : isExport ? portfolio.exportSupplier[meter] : portfolio.supplier[meter];
      expect(user).toBe(SMALL_USERS[reader].mpid);
    }
  });
  for (const count of seen) expect(count).toBeGreaterThan(50);
});

test("schedules run within the User's window, spread evenly over it", () => {
  const users = SMALL_USERS.map((user) => ({ ...user, scheduleWindow: '02:00-06:00' }));
  const hours: number[] = [];
  eachMeter(modelOf({ users }), [1], (_, __, [daily]) => {
    for (const { hour, mode } of daily) if (mode === 'scheduled') hours.push(hour);
  });
  expect(Math.min(...hours)).toBeGreaterThanOrEqual(2);
  expect(Math.max(...hours)).toBeLessThan(6);
  for (const from of [2, 3, 4, 5]) {
    const count = hours.filter((hour) => hour >= from && hour < from + 1).length;
    expect(Math.abs(count - hours.length / 4)).toBeLessThan(5 * Math.sqrt((hours.length * 3) / 16));
  }
});

test.each(['2026-04-01', '2026-02-01'])(
  'monthly reads of the month of %s are one a meter, spread evenly',
  (firstDay) => {
    const days = firstDay === '2026-04-01' ? 30 : 28;
    const model = modelOf({ firstDay, days });
    const perDay = new Float64Array(days);
    let readers = 0;
    eachMeter(
      model,
      Array.from({ length: days }, (_, day) => model.warmUpDays + day),
      (meter, portfolio, _, extra) => {
        const reads = extra.flat().filter(({ srv }) => srv === '4.1.1');
        expect(reads.length).toBe(portfolio.granularity[meter] === DAILY ? 0 : 1);
        const exports = extra.flat().filter(({ srv }) => srv === '4.2').length;
        expect(exports).toBe(portfolio.exportSupplier[meter] === NOBODY ? 0 : reads.length);
        if (reads.length === 0) return;
        readers++;
        perDay[reads[0].day - model.warmUpDays]++;
      },
    );
    const expected = readers / days;
    const chiSquare = perDay.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // Mean and five deviations of the chi-square distribution.
    expect(chiSquare).toBeLessThan(days - 1 + 5 * Math.sqrt(2 * (days - 1)));
  },
);

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

  test('the outgoing agent reads up to its last day, the incoming one from its first own day on', () => {
    let changed = 0;
    eachMeter(model, [0, 1, 2, 3], (meter, portfolio, daily) => {
      if (portfolio.nextMdra[meter] === NOBODY) return;
      changed++;
      const readers = daily.map((reads) => [...new Set(reads.map(({ user }) => user))]);
      const someone = portfolio.granularity[meter] !== MONTHLY;
      // The reads of a day fetch the day before: on the EFD nobody's schedule runs for the outgoing one's last day.
      expect(readers).toEqual(someone ? [['AONE'], [], ['ATWO'], ['ATWO']] : [[], [], [], []]);
    });
    const agentOne = 0.8 * 0.6 * 2000;
    expect(Math.abs(changed - agentOne / 2)).toBeLessThan(5 * Math.sqrt(agentOne / 4));
  });

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
