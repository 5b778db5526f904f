import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ROWS_PER_SRV } from '#core/trt-row.ts';
import { builtInScenarios, loadScenario } from '#load-tests/scenario/load.ts';
import { anyScenario } from '#load-tests/test/any-scenario.ts';
import { reportOf, simulateInProcess } from '#load-tests/test/small-scenario.ts';
import type { Cutoffs } from './cell-simulation.ts';
import { DAY, dayAt, REFUSALS, ROW, rowAt, USER, userAt } from './counters.ts';
import { HISTOGRAM_BUCKETS } from './histogram.ts';
import { compileModel, type Model } from './model.ts';
import type { PlanResult } from './run.ts';
import { anomalyPeriodsOf, type NetworkTally } from './tally.ts';

describe('nothing is lost and nothing counted twice', () => {
  test('whatever a scenario says', () => {
    fc.assert(
      fc.property(anyScenario, fc.nat(0xffff), (loaded, draw) => {
        const model = compileModel(loaded.scenario, loaded.matrix);
        expectClosed(simulateInProcess(loaded, { cutoffs: anyCutoffs(model, draw) }));
      }),
      { numRuns: 150 },
    );
  });

  test.each(builtInScenarios())('in %s, on 3,000 meters', (name) => {
    const loaded = loadScenario(name, ['fleet.meters=3000', 'fleet.metersPerCell=300']);
    const result = simulateInProcess(loaded);
    expectClosed(result);
    const { ledger, trt, users, networks } = reportOf(result);
    const refused = Object.values(ledger.refused).reduce((sum, count) => sum + count, 0);
    expect(ledger.received).toBe(ledger.answered + refused + ledger.quarantined + ledger.open);
    expect(ledger.received).toBeGreaterThan(1500 * loaded.scenario.days);
    expect(sum(users.map(({ requests }) => requests))).toBe(ledger.received);
    expect(sum(trt.map(({ breaches }) => breaches))).toBe(ledger.breaches);
    expect(sum(networks.flatMap(({ breachesByHour }) => breachesByHour))).toBe(ledger.breaches);
    for (const row of trt) expect(row.requests).toBe(row.withinTrt + row.breaches);
  });
});

/** Anything held from some instant of its period on, in about half of the periods of every User and SRV. */
function anyCutoffs(model: Model, draw: number): Cutoffs {
  const periodMs = model.scenario.anomaly.periodSeconds * 1000;
  const periods = anomalyPeriodsOf(model);
  const cutoffs = new Map<number, number>();
  for (let key = 0; key < model.users.length * model.matrix.services.length * periods; key++) {
    const bits = Math.imul(key + 1, 0x9e3779b1 ^ draw) >>> 0;
    if (bits % 2 === 0) cutoffs.set(key, (key % periods) * periodMs + Math.floor((bits / 2 ** 32) * periodMs));
  }
  return cutoffs;
}

function expectClosed({ model, tally }: PlanResult): void {
  for (const network of tally.networks) {
    for (let day = 0; day < model.scenario.days; day++) expectDayClosed(model, network, day);
    const breaches = rowsOf(model, network, ROW.breaches);
    expect(sum(network.breachesByHour)).toBe(sum(breaches));
    expect(sum(network.requestsByHour)).toBe(sum(daysOf(model, network, DAY.received)));
    const requests = rowsOf(model, network, ROW.requests);
    const open = rowsOf(model, network, ROW.open);
    for (let row = 0; row < model.rows; row++) {
      const answered = sum(network.latency.subarray(row * HISTOGRAM_BUCKETS, (row + 1) * HISTOGRAM_BUCKETS));
      expect(answered).toBe(requests[row] - open[row]);
    }
    const offeredMs = network.cells * 86_400_000 * model.cells[tally.networks.indexOf(network)].exchangesMax;
    for (const busyMs of daysOf(model, network, DAY.busyMs)) expect(busyMs).toBeLessThanOrEqual(offeredMs);
    for (const count of network.counted) expect(count >= 0 && Number.isInteger(count)).toBe(true);
  }
}

function expectDayClosed(model: Model, { counted }: NetworkTally, day: number): void {
  const of = (field: number) => counted[dayAt(model.counters, day) + field];
  const answered = of(DAY.data) + of(DAY.cannotCommunicate) + of(DAY.noResponse) + of(DAY.dccOnly);
  const refused = sum(REFUSALS.map((_, code) => of(DAY.refused + code)));
  expect(of(DAY.received)).toBe(answered + refused + of(DAY.quarantined) + of(DAY.open));

  const row = (index: number, field: number) => counted[rowAt(model.counters, day, index) + field];
  const rows = Array.from({ length: model.rows }, (_, index) => index);
  for (const index of rows) {
    expect(row(index, ROW.requests)).toBe(row(index, ROW.within) + row(index, ROW.breaches));
    expect(row(index, ROW.open)).toBeLessThanOrEqual(row(index, ROW.breaches));
    expect(row(index, ROW.withinWithoutData)).toBeLessThanOrEqual(row(index, ROW.within));
    const within = model.counters.limitsMs.map((_, limit) => row(index, ROW.limits + limit));
    expect([...within, row(index, ROW.requests)]).toEqual(
      [...within, row(index, ROW.requests)].toSorted((a, b) => a - b),
    );
  }
  expect(sum(rows.map((index) => row(index, ROW.requests)))).toBe(answered + of(DAY.open));
  expect(sum(rows.map((index) => row(index, ROW.open)))).toBe(of(DAY.open));
  // What the platform answers itself never waits for a network.
  const ofPlatform = rows.filter((index) => model.matrix.services[Math.floor(index / ROWS_PER_SRV)].target === 'dcc');
  expect(sum(ofPlatform.map((index) => row(index, ROW.requests)))).toBe(of(DAY.dccOnly));

  const user = (field: number) =>
    sum(model.users.map((_, index) => counted[userAt(model.counters, day, index) + field]));
  expect(user(USER.requests)).toBe(of(DAY.received));
  expect(user(USER.refused)).toBe(refused);
  // A User's count keeps those let go since.
  expect(user(USER.quarantined)).toBeGreaterThanOrEqual(of(DAY.quarantined));
  expect(user(USER.judged)).toBe(answered + of(DAY.open));
  expect(user(USER.within)).toBe(sum(rows.map((index) => row(index, ROW.within))));
  expect(user(USER.firstOnDemand)).toBeLessThanOrEqual(user(USER.first));
  expect(user(USER.first) + user(USER.reRequests)).toBeLessThanOrEqual(of(DAY.received));
}

function daysOf(model: Model, { counted }: NetworkTally, field: number): number[] {
  return Array.from({ length: model.scenario.days }, (_, day) => counted[dayAt(model.counters, day) + field]);
}

/** A field of each row, summed over the days. */
function rowsOf(model: Model, { counted }: NetworkTally, field: number): number[] {
  return Array.from({ length: model.rows }, (_, row) =>
    sum(Array.from({ length: model.scenario.days }, (_, day) => counted[rowAt(model.counters, day, row) + field])),
  );
}

function sum(values: ArrayLike<number>): number {
  return Array.prototype.reduce.call(values, (all, one) => (all as number) + one, 0) as number;
}
