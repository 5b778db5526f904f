import { REGISTERS } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { modeOfRow, ON_DEMAND } from '#core/trt-row.ts';
import { type Arrivals, createArrivals } from '#fleet-sim/arrivals.ts';
import { fillDailyReads, fillDayReads } from '#fleet-sim/demand.ts';
import { advanceStream, createStreams, type Stream, startStream } from '#fleet-sim/existing-load.ts';
import { metersOfCell, networkOfCell } from '#fleet-sim/fleet.ts';
import { hasExport } from '#fleet-sim/meter.ts';
import {
  createPortfolio,
  exportSupplierOf,
  fillPortfolio,
  NOBODY,
  type Portfolio,
  supplierOf,
} from '#fleet-sim/portfolio.ts';
import type { World } from '#fleet-sim/world.ts';

/** One request that a User makes, before it has a position. Reused. */
export type Ask = {
  /** Fleet index of the meter. */
  meter: number;
  user: number;
  row: number;
  flags: number;
  /** The Settlement Day asked for and the day of asking, as simulated days. */
  dataDay: number;
  day: number;
  ordinal: number;
  serial: number;
};

/** Ordinal of what stands beside the daily list, as a plan has it. */
const EXTRA = 2048;
const STREAM_ORDINALS = 2048;
const EXPORT = REGISTERS.indexOf('export');

/** What is drawn for a cell-day, then copied out: one for all cells of a process. */
export type Scratch = { portfolio: Portfolio; daily: Arrivals; extra: Arrivals };

export function createScratch(world: World): Scratch {
  return { portfolio: createPortfolio(world), daily: createArrivals(1024), extra: createArrivals(1024) };
}

/**
 * What the Users ask of one cell's meters beside their schedules, in the order of time: day for day the reads that
 * cannot be scheduled, monthly register reads, changes of agent and bursts, and the existing services' requests. The
 * same draws as a plan makes. Instants are ms after midnight of the origin day.
 */
export class CellDemand {
  readonly index: number;
  readonly #world: World;
  readonly #scratch: Scratch;
  readonly #network: number;
  readonly #firstMeter: number;
  readonly #meters: number;
  readonly #streams: Stream[];
  #day: number;
  /** On-demand reads of the day, flat: [atMs, meter, user, row, flags, ordinal, serial] each. */
  #asks: Float64Array = new Float64Array(0);
  #next = 0;

  constructor(world: World, scratch: Scratch, index: number, fromMs: number) {
    this.index = index;
    this.#world = world;
    this.#scratch = scratch;
    this.#network = networkOfCell(world.fleet, index);
    const { first, end } = metersOfCell(world.fleet, index);
    this.#firstMeter = first;
    this.#meters = end - first;
    this.#streams = createStreams(world).slice(0, world.existing.length);
    this.#day = Math.floor(fromMs / DAY_MS);
    this.#startDay();
    while (this.nextAtMs < fromMs && this.nextAtMs < (this.#day + 1) * DAY_MS) this.#pass();
  }

  /** When the next request is made, or the midnight at which the next day's are drawn. */
  get nextAtMs(): number {
    let next = DAY_MS;
    if (this.#next < this.#asks.length && this.#asks[this.#next] < next) next = this.#asks[this.#next];
    for (const stream of this.#streams) if (stream.nextAtMs < next) next = stream.nextAtMs;
    return this.#day * DAY_MS + next;
  }

  /** Fills `ask` with the request of `nextAtMs` and moves on; false where there is none: a new day began. */
  take(ask: Ask): boolean {
    const atMs = this.nextAtMs - this.#day * DAY_MS;
    if (atMs === DAY_MS) {
      this.#day++;
      this.#startDay();
      return false;
    }
    ask.day = this.#day;
    ask.dataDay = this.#day - 1;
    if (this.#next < this.#asks.length && this.#asks[this.#next] === atMs) {
      const at = this.#next;
      this.#next += ASK_FIELDS;
      ask.meter = this.#firstMeter + this.#asks[at + 1];
      ask.user = this.#asks[at + 2];
      ask.row = this.#asks[at + 3];
      ask.flags = this.#asks[at + 4];
      ask.ordinal = this.#asks[at + 5];
      ask.serial = this.#asks[at + 6];
      return true;
    }
    const k = this.#streams.findIndex((stream) => stream.nextAtMs === atMs);
    const { meter, srv, row, number } = this.#streams[k];
    ask.meter = this.#firstMeter + meter;
    ask.user = this.#supplierFor(srv, ask.meter);
    ask.row = row;
    ask.flags = 0;
    ask.ordinal = number % STREAM_ORDINALS;
    ask.serial = Math.floor(number / STREAM_ORDINALS) & 255;
    this.#advance(k);
    return ask.user !== NOBODY;
  }

  #pass(): void {
    const atMs = this.nextAtMs - this.#day * DAY_MS;
    if (this.#next < this.#asks.length && this.#asks[this.#next] === atMs) this.#next += ASK_FIELDS;
    else this.#advance(this.#streams.findIndex((stream) => stream.nextAtMs === atMs));
  }

  #supplierFor(srv: number, meter: number): number {
    const { matrix, fleet } = this.#world;
    if (matrix.register[srv] !== EXPORT) return supplierOf(this.#world, meter);
    return hasExport(fleet, meter) ? exportSupplierOf(this.#world, meter) : NOBODY;
  }

  #startDay(): void {
    const { portfolio, daily, extra } = this.#scratch;
    const world = this.#world;
    const day = this.#day;
    fillPortfolio(portfolio, world, this.#network, this.#firstMeter, this.#meters);
    fillDailyReads(daily, world, this.#network, portfolio);
    fillDayReads(extra, world, this.#network, portfolio, day);
    this.#asks = merged(daily, extra, day);
    this.#next = 0;
    const { seed } = world.scenario;
    for (let k = 0; k < this.#streams.length; k++) {
      startStream(this.#streams[k], k, seed, this.index, day, this.#meters);
    }
  }

  #advance(k: number): void {
    advanceStream(this.#streams[k], k, this.#world.scenario.seed, this.index, this.#day, this.#meters);
  }
}

const ASK_FIELDS = 7;

/** The on-demand entries of the daily list and the day's own, in the order of time; a daily one first. */
function merged(daily: Arrivals, extra: Arrivals, day: number): Float64Array {
  const asks: number[] = [];
  const seen = new Map<string, number>();
  const add = (list: Arrivals, k: number, ordinal: number) => {
    const key = `${list.meter[k]} ${list.user[k]} ${list.row[k]} ${ordinal}`;
    const serial = seen.get(key) ?? 0;
    seen.set(key, serial + 1);
    asks.push(list.atMs[k], list.meter[k], list.user[k], list.row[k], list.flags[k], ordinal, serial);
  };
  let e = 0;
  for (let d = 0; d < daily.size; d++) {
    if (modeOfRow(daily.row[d]) !== ON_DEMAND || day < daily.fromDay[d] || day >= daily.untilDay[d]) continue;
    while (e < extra.size && extra.atMs[e] < daily.atMs[d]) add(extra, e++, EXTRA);
    add(daily, d, 0);
  }
  while (e < extra.size) add(extra, e++, EXTRA);
  return Float64Array.from(asks);
}
