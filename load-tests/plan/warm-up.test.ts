import { expect, test } from 'vitest';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { reportOf, SMALL_USERS, simulateInProcess, smallScenario } from '#load-tests/test/small-scenario.ts';
import { DAY, dayAt } from './counters.ts';
import type { PlanResult } from './run.ts';

/** Schedules late in the evening on networks that work at them until the next noon. */
function backlog(firstDay: string, days: number, warmUpHours: number): PlanResult {
  const slow = { distribution: 'lognormal', medianSeconds: 150, p95Seconds: 400 };
  return simulateInProcess(
    smallScenario({
      firstDay,
      days,
      warmUpHours,
      users: SMALL_USERS.map((user) => ({ ...user, scheduleWindow: '21:00-23:00' })),
      networks: [{ name: 'Slow', generation: 'SMETS2', share: 1, serviceTime: slow }],
    }),
  );
}

/** All that is counted of one day, but for the number of exchanges, which is of the whole run. */
function countsOfDay({ model, tally }: PlanResult, day: number): Float64Array[] {
  const from = dayAt(model.counters, day);
  return tally.networks.map(({ counted }) => {
    const counts = counted.slice(from, from + model.counters.dayLength);
    counts[DAY.exchanges] = 0;
    return counts;
  });
}

test('a run starts from the state of the day before: its first day is the second of a run that began a day earlier', () => {
  const warm = backlog('2026-03-03', 1, 24);
  const longer = backlog('2026-03-02', 2, 0);
  expect(countsOfDay(warm, 0)).toEqual(countsOfDay(longer, 1));
  // And that state matters here.
  const cold = backlog('2026-03-03', 1, 0);
  expect(countsOfDay(warm, 0)[0][DAY.busyMs]).toBeGreaterThan(1.2 * countsOfDay(cold, 0)[0][DAY.busyMs]);
});

test('the warm-up is counted nowhere: requests of a day are the same whatever came before', () => {
  const received = [0, 12, 24, 48].map((hours) => reportOf(backlog('2026-03-03', 1, hours)).ledger);
  // Only re-requests for what failed on the day before come on top.
  const [none, half, one, two] = received.map(({ received: count }) => count);
  expect(half).toBeGreaterThanOrEqual(none);
  expect(one).toBeGreaterThanOrEqual(half);
  expect(Math.abs(two / one - 1)).toBeLessThan(0.05);
  expect(one / none).toBeLessThan(1.25);
});

test('gb-settlement-day needs half a day of warm-up: a whole one gives the same TRT counts', () => {
  const counts = [12, 24].map((hours) => {
    const loaded = loadScenario('gb-settlement-day', ['fleet.meters=100000', `warmUpHours=${hours}`]);
    return reportOf(simulateInProcess(loaded)).trt.map(({ seconds, ...row }) => row);
  });
  expect(counts[0].length).toBeGreaterThan(20);
  expect(counts[0]).toEqual(counts[1]);
});
