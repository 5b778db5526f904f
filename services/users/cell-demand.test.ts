import { describe, expect, test } from 'vitest';
import { REGISTERS } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { modeOfRow, ON_DEMAND } from '#core/trt-row.ts';
import { createArrivals } from '#fleet-sim/arrivals.ts';
import { fillDailyReads, fillDayReads } from '#fleet-sim/demand.ts';
import { advanceStream, createStreams, startStream } from '#fleet-sim/existing-load.ts';
import { metersOfCell, networkOfCell } from '#fleet-sim/fleet.ts';
import { createPortfolio, fillPortfolio, NOBODY } from '#fleet-sim/portfolio.ts';
import { smallWorld } from '#fleet-sim/test/small-world.ts';
import { type Ask, CellDemand, createScratch } from './cell-demand.ts';

const WORLD = smallWorld({
  days: 2,
  existing: {
    reads: [
      { srv: '4.1.1', mode: 'on-demand', perMeterDay: 0.3, window: '06:00-22:00' },
      { srv: '4.6.2', mode: 'on-demand', perMeterDay: 0.5, window: '00:00-24:00' },
    ],
    other: [
      {
        lane: 'on-demand',
        perMeterDay: 1,
        window: '00:00-24:00',
        serviceTime: { distribution: 'constant', seconds: 1 },
      },
    ],
  },
  bursts: [{ user: 'Agent One', srv: '4.8.1', day: 1, window: '10:00-11:00', share: 0.2 }],
});
const SCRATCH = createScratch(WORLD);
const EXPORT = REGISTERS.indexOf('export');
/** Ordinals of the plan: of the daily list, of what stands beside it, and of streams. */
const EXTRA = 2048;

/** What a plan has the Users ask of a cell on some days: `at meter user row ordinal`, in the order of time. */
function planned(cell: number, days: number): string[] {
  const { fleet, matrix } = WORLD;
  const network = networkOfCell(fleet, cell);
  const { first, end } = metersOfCell(fleet, cell);
  const portfolio = createPortfolio(WORLD);
  const [daily, extra] = [createArrivals(16), createArrivals(16)];
  const streams = createStreams(WORLD).slice(0, WORLD.existing.length);
  const asks: { atMs: number; text: string }[] = [];
  fillPortfolio(portfolio, WORLD, network, first, end - first);
  fillDailyReads(daily, WORLD, network, portfolio);
  for (let day = 0; day < days; day++) {
    const add = (atMs: number, meter: number, user: number, row: number, ordinal: number) =>
      asks.push({
        atMs: day * DAY_MS + atMs,
        text: `${day * DAY_MS + atMs} ${first + meter} ${user} ${row} ${ordinal}`,
      });
    for (let k = 0; k < daily.size; k++) {
      const isDue = day >= daily.fromDay[k] && day < daily.untilDay[k];
      if (isDue && modeOfRow(daily.row[k]) === ON_DEMAND)
        add(daily.atMs[k], daily.meter[k], daily.user[k], daily.row[k], 0);
    }
    fillDayReads(extra, WORLD, network, portfolio, day);
    for (let k = 0; k < extra.size; k++) add(extra.atMs[k], extra.meter[k], extra.user[k], extra.row[k], EXTRA);
    streams.forEach((stream, k) => {
      const { seed } = WORLD.scenario;
      for (startStream(stream, k, seed, cell, day, end - first); stream.nextAtMs < DAY_MS; ) {
        const { meter, srv, row, number } = stream;
        const of = matrix.register[srv] === EXPORT ? portfolio.exportSupplier : portfolio.supplier;
        if (of[meter] !== NOBODY) add(stream.nextAtMs, meter, of[meter], row, number & 2047);
        advanceStream(stream, k, seed, cell, day, end - first);
      }
    });
  }
  return asks.sort((a, b) => a.atMs - b.atMs).map(({ text }) => text);
}

/** What is asked of a cell from an instant on, before another. */
function asked(cell: number, fromMs: number, untilMs: number): string[] {
  const demand = new CellDemand(WORLD, SCRATCH, cell, fromMs);
  const ask: Ask = { meter: 0, user: 0, row: 0, flags: 0, dataDay: 0, day: 0, ordinal: 0, serial: 0 };
  const asks: string[] = [];
  for (let atMs = demand.nextAtMs; atMs < untilMs; atMs = demand.nextAtMs) {
    if (!demand.take(ask)) continue;
    expect([ask.day, ask.dataDay]).toEqual([Math.floor(atMs / DAY_MS), Math.floor(atMs / DAY_MS) - 1]);
    asks.push(`${atMs} ${ask.meter} ${ask.user} ${ask.row} ${ask.ordinal}`);
  }
  return asks;
}

describe('what is asked of a cell beside its schedules', () => {
  const cells = Array.from({ length: WORLD.fleet.cells }, (_, cell) => cell);

  test.each(cells)('cell %i: the requests of a plan, over days', (cell) => {
    const wanted = planned(cell, 3);
    expect(wanted.length).toBeGreaterThan(100);
    const found = asked(cell, 0, 3 * DAY_MS);
    expect([...found].sort()).toEqual([...wanted].sort());
    expect(found.map(timeOf)).toEqual(wanted.map(timeOf));
  });

  test.each([0, 1, 3_600_000, DAY_MS / 2, DAY_MS - 1, DAY_MS, DAY_MS + 7, 2 * DAY_MS + 1])(
    'begun %i ms after midnight, those from there on',
    (fromMs) => {
      const all = asked(1, 0, 3 * DAY_MS);
      expect(asked(1, fromMs, 3 * DAY_MS)).toEqual(all.filter((one) => timeOf(one) >= fromMs));
    },
  );

  test('begun at the very instant of a request, that one too', () => {
    const all = asked(2, 0, 3 * DAY_MS);
    for (const at of [0, 1, Math.floor(all.length / 2), all.length - 1])
      expect(asked(2, timeOf(all[at]), 3 * DAY_MS)).toEqual(all.filter((one) => timeOf(one) >= timeOf(all[at])));
  });
});

function timeOf(text: string): number {
  return Number(text.slice(0, text.indexOf(' ')));
}
