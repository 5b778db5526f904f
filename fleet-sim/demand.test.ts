import { expect, test } from 'vitest';
import { DATA_SET, FIRST } from '#fleet-sim/arrivals.ts';
import { DAILY, HALF_HOURLY, MONTHLY, NOBODY } from '#fleet-sim/portfolio.ts';
import { eachMeter } from '#fleet-sim/test/meter-demand.ts';
import { smallWorld, WORLD_USERS } from '#fleet-sim/test/small-world.ts';

test('each meter is read by its granularity: half-hours or a daily read every day, monthly nothing but registers', () => {
  const world = smallWorld();
  const seen = [0, 0, 0];
  eachMeter(world, [1], (meter, portfolio, [daily]) => {
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
      expect(user).toBe(WORLD_USERS[reader].mpid);
    }
  });
  for (const count of seen) expect(count).toBeGreaterThan(50);
});

test("schedules run within the User's window, spread evenly over it", () => {
  const users = WORLD_USERS.map((user) => ({ ...user, scheduleWindow: '02:00-06:00' }));
  const hours: number[] = [];
  eachMeter(smallWorld({ users }), [1], (_, __, [daily]) => {
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
    const world = smallWorld({ firstDay, days });
    const perDay = new Float64Array(days);
    let readers = 0;
    eachMeter(
      world,
      Array.from({ length: days }, (_, day) => world.warmUpDays + day),
      (meter, portfolio, _, extra) => {
        const reads = extra.flat().filter(({ srv }) => srv === '4.1.1');
        expect(reads.length).toBe(portfolio.granularity[meter] === DAILY ? 0 : 1);
        const exports = extra.flat().filter(({ srv }) => srv === '4.2').length;
        expect(exports).toBe(portfolio.exportSupplier[meter] === NOBODY ? 0 : reads.length);
        if (reads.length === 0) return;
        readers++;
        perDay[reads[0].day - world.warmUpDays]++;
      },
    );
    const expected = readers / days;
    const chiSquare = perDay.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // Mean and five deviations of the chi-square distribution.
    expect(chiSquare).toBeLessThan(days - 1 + 5 * Math.sqrt(2 * (days - 1)));
  },
);

test('the outgoing agent reads up to its last day, the incoming one from its first own day on', () => {
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
  const world = smallWorld({ changes, days: 4, warmUpHours: 0 });
  let changed = 0;
  eachMeter(world, [0, 1, 2, 3], (meter, portfolio, daily) => {
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
