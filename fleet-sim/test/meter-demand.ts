import { MODES, SERVICES } from '#core/matrix.ts';
import { modeOfRow, serviceOfRow, srvOfRow } from '#core/trt-row.ts';
import { type Arrivals, createArrivals } from '#fleet-sim/arrivals.ts';
import { fillDailyReads, fillDayReads } from '#fleet-sim/demand.ts';
import { metersOfCell } from '#fleet-sim/fleet.ts';
import { createPortfolio, fillPortfolio, type Portfolio } from '#fleet-sim/portfolio.ts';
import type { World } from '#fleet-sim/world.ts';

/** A request that a User will make, in the words of the matrix. */
export type Entry = {
  day: number;
  hour: number;
  user: string;
  srv: string;
  mode: string;
  service: string;
  flags: number;
};

/** All that a list asks for on a simulated day, by meter of the cell. */
function entriesOf(world: World, list: Arrivals, day: number): Map<number, Entry[]> {
  const byMeter = new Map<number, Entry[]>();
  for (let k = 0; k < list.size; k++) {
    if (day < list.fromDay[k] || day >= list.untilDay[k]) continue;
    const row = list.row[k];
    const entry = {
      day,
      hour: list.atMs[k] / 3_600_000,
      user: world.scenario.users[list.user[k]].mpid,
      srv: world.matrix.services[srvOfRow(row)].srv,
      mode: MODES[modeOfRow(row)],
      service: SERVICES[serviceOfRow(row)],
      flags: list.flags[k],
    };
    byMeter.set(list.meter[k], [...(byMeter.get(list.meter[k]) ?? []), entry]);
  }
  return byMeter;
}

/** Calls `see` for each meter of each cell with what is asked of it on each of the simulated days given. */
export function eachMeter(
  world: World,
  days: readonly number[],
  see: (meter: number, portfolio: Portfolio, daily: Entry[][], extra: Entry[][]) => void,
): void {
  const portfolio = createPortfolio(world);
  const list = createArrivals(16);
  world.fleet.networks.forEach((network, n) => {
    for (let cell = network.firstCell; cell < network.firstCell + network.cells; cell++) {
      const { first, end } = metersOfCell(world.fleet, cell);
      fillPortfolio(portfolio, world, n, first, end - first);
      fillDailyReads(list, world, n, portfolio);
      const daily = days.map((day) => entriesOf(world, list, day));
      const extra = days.map((day) => {
        fillDayReads(list, world, n, portfolio, day);
        return entriesOf(world, list, day);
      });
      for (let meter = 0; meter < portfolio.meters; meter++) {
        const of = (entries: Map<number, Entry[]>[]) => entries.map((one) => one.get(meter) ?? []);
        see(meter, portfolio, of(daily), of(extra));
      }
    }
  });
}
