import { FACT } from '#core/access-control.ts';
import { DATA_KINDS, REGISTERS } from '#core/matrix.ts';
import { drawOrdinal, occasionOf } from '#core/request-counter.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { MHHS, modeOfRow, ON_DEMAND, rowOf, SCHEDULED, serviceOfRow, srvOfRow } from '#core/trt-row.ts';
import { type Arrivals, createArrivals, DATA_SET, FIRST } from '#fleet-sim/arrivals.ts';
import { Cell, type CellSettings, LANE, OUTCOME, type Outcome } from '#fleet-sim/cell.ts';
import { timeIn } from '#fleet-sim/day-window.ts';
import { fillDailyReads, fillDayReads } from '#fleet-sim/demand.ts';
import { draw32, drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { EventHeap } from '#fleet-sim/event-heap.ts';
import { advanceStream, createStreams, NOT_JUDGED, type Stream, startStream } from '#fleet-sim/existing-load.ts';
import { metersOfCell, networkOfCell } from '#fleet-sim/fleet.ts';
import { outagesOfCell } from '#fleet-sim/network-settings.ts';
import { bucketMsOf, Occupancy } from '#fleet-sim/occupancy.ts';
import { createPortfolio, fillPortfolio, NOBODY, type Portfolio } from '#fleet-sim/portfolio.ts';
import { QUANTILE_BITS } from '#fleet-sim/service-time.ts';
import { CellAccess } from './cell-access.ts';
import { CellCounts, RE_REQUEST_MASK, UNCOUNTED } from './cell-counts.ts';
import { DAY } from './counters.ts';
import type { Model } from './model.ts';
import { bucketsOf, type NetworkTally, type Tally } from './tally.ts';

const NEVER = Number.POSITIVE_INFINITY;
const EXPORT = REGISTERS.indexOf('export');
const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
/** Pending requests of Users in one cell: re-requests and releases from quarantine. */
const PENDING_MAX = 1 << 22;
/** Ordinal of what stands beside the daily list; the low 5 bits of an ordinal count re-requests. */
const EXTRA = 2048;
/** States of a slot. */
const FREE = 0;
const OPEN = 1;
const QUARANTINED = 2;

/**
 * Instants from which a User's requests for one SRV are excess in one period of its Anomaly Detection Threshold:
 * key = (user * srvs + srv) * periods + period.
 */
export type Cutoffs = ReadonlyMap<number, number>;

/** Counts, shared by all workers, of the requests of some keys by the time within their period. */
export type Watched = { bucketMs: number; counts: ReadonlyMap<number, Int32Array> };

/**
 * Simulates one cell after another over all days of a run: the demand of its Users, access control by the rules of
 * core, the network's cell, and the counting. Between cells nothing is kept but the tally.
 */
export class CellSimulation {
  readonly #model: Model;
  readonly #tally: Tally;
  readonly #cutoffs: Cutoffs;
  readonly #watched: Watched;
  readonly #portfolio: Portfolio;
  readonly #streams: Stream[];
  readonly #daily: Arrivals = createArrivals(1024);
  readonly #extra: Arrivals = createArrivals(1024);
  readonly #access: CellAccess;
  readonly #counts: CellCounts;
  readonly #busy: Occupancy;
  readonly #queue: readonly [Occupancy, Occupancy];
  readonly #cell: Cell;
  /** Requests that a User will make, and releases from quarantine; values are slots. */
  readonly #pending = new EventHeap(1024, PENDING_MAX);
  readonly #anomalyPeriodMs: number;
  readonly #anomalyPeriods: number;
  readonly #firstAnomalyPeriod: number;
  readonly #originMs: number;
  readonly #isDccOnly: Uint8Array;

  // What is known of each request, by the cell's slot.
  #state = new Uint8Array(0);
  #row = new Int16Array(0);
  #user = new Int16Array(0);
  #flags = new Uint8Array(0);
  #ordinal = new Uint16Array(0);
  #dataDay = new Int16Array(0);
  #clockStartMs = new Float64Array(0);
  /** Counted day that it was received in; UNCOUNTED before the first and after the last. */
  #day = new Int16Array(0);

  #network = 0;
  #into!: NetworkTally;
  #trtMs!: Float64Array;
  #nowMs = 0;

  constructor(model: Model, tally: Tally, cutoffs: Cutoffs, watched: Watched) {
    this.#model = model;
    this.#tally = tally;
    this.#cutoffs = cutoffs;
    this.#watched = watched;
    this.#portfolio = createPortfolio(model);
    this.#streams = createStreams(model);
    this.#access = new CellAccess(model, this.#portfolio);
    this.#counts = new CellCounts(model);
    const bucketMs = bucketMsOf(model.scenario.days);
    const buckets = bucketsOf(model);
    this.#busy = new Occupancy(bucketMs, buckets, model.countedStartMs);
    this.#queue = [
      new Occupancy(bucketMs, buckets, model.countedStartMs),
      new Occupancy(bucketMs, buckets, model.countedStartMs),
    ];
    this.#cell = new Cell((slot, outcome, atMs) => this.#onAnswer(slot, outcome, atMs), {
      busy: this.#busy,
      queue: this.#queue,
    });
    this.#originMs = model.originDay * DAY_MS;
    this.#anomalyPeriodMs = model.scenario.anomaly.periodSeconds * 1000;
    this.#firstAnomalyPeriod = Math.floor(this.#originMs / this.#anomalyPeriodMs);
    this.#anomalyPeriods = tally.networks[0].anomalyCounts.length / (model.users.length * model.matrix.services.length);
    this.#isDccOnly = Uint8Array.from(model.matrix.services, ({ target }) => (target === 'dcc' ? 1 : 0));
  }

  /** What the last cell counted: good until the next one. */
  get counted(): Float64Array {
    return this.#counts.counted;
  }

  /** Simulates one cell and adds it to the tally. Returns the index of its network. */
  run(cellIndex: number): number {
    const { fleet } = this.#model;
    const network = networkOfCell(fleet, cellIndex);
    const { first, end } = metersOfCell(fleet, cellIndex);
    this.#start(network, cellIndex, first, end - first);
    let day = 0;
    while (this.#simulateDay(cellIndex, day)) day++;
    this.#finish();
    this.#counts.finish(this.#cell.events, this.#cell.exchanges, this.#busy, this.#queue);
    return network;
  }

  #start(network: number, cellIndex: number, firstMeter: number, meters: number): void {
    const model = this.#model;
    this.#network = network;
    this.#into = this.#tally.networks[network];
    this.#trtMs = model.trtMs[network];
    this.#nowMs = 0;
    this.#counts.start(network, this.#into);
    this.#busy.clear();
    this.#queue[0].clear();
    this.#queue[1].clear();
    this.#pending.clear();
    this.#state.fill(FREE);
    fillPortfolio(this.#portfolio, model, network, firstMeter, meters);
    fillDailyReads(this.#daily, model, network, this.#portfolio);
    const settings: CellSettings = { ...model.cells[network], outages: outagesOfCell(model, network, cellIndex) };
    this.#cell.reset(settings, model.scenario.seed, firstMeter, meters, model.originDay);
  }

  /** One day of arrivals and all that happens meanwhile. False when the run of the cell is over. */
  #simulateDay(cellIndex: number, day: number): boolean {
    const model = this.#model;
    const { seed } = model.scenario;
    const meters = this.#portfolio.meters;
    const midnightMs = day * DAY_MS;
    const isRunOut = midnightMs >= model.countedEndMs;
    const endMs = Math.min(midnightMs + DAY_MS, model.horizonMs);
    const streams = this.#streams;
    fillDayReads(this.#extra, model, this.#network, this.#portfolio, day);
    for (let k = 0; k < streams.length; k++) startStream(streams[k], k, seed, cellIndex, day, meters);
    const daily = this.#daily;
    const extra = this.#extra;
    let atDaily = 0;
    let atExtra = 0;
    let stream = firstStream(streams);
    for (;;) {
      let next = atDaily < daily.size ? daily.atMs[atDaily] : NEVER;
      let source = -1;
      if (atExtra < extra.size && extra.atMs[atExtra] < next) {
        next = extra.atMs[atExtra];
        source = -2;
      }
      if (stream >= 0 && streams[stream].nextAtMs < next) {
        next = streams[stream].nextAtMs;
        source = stream;
      }
      const atMs = Math.min(midnightMs + next, endMs);
      if (!this.#advance(atMs, isRunOut)) return false;
      if (atMs === endMs) return endMs < model.horizonMs;
      const isBeforeWarmUp = atMs < model.warmUpStartMs;
      if (source >= 0) {
        if (!isBeforeWarmUp) this.#receiveExisting(streams[source], source, atMs, day);
        advanceStream(streams[source], source, seed, cellIndex, day, meters);
        stream = firstStream(streams);
      } else if (source === -1) {
        const k = atDaily++;
        if (!isBeforeWarmUp && day >= daily.fromDay[k] && day < daily.untilDay[k]) {
          this.#receiveDaily(daily, k, atMs, day);
        }
      } else {
        const k = atExtra++;
        if (!isBeforeWarmUp) {
          this.#receive(extra.meter[k], extra.user[k], extra.row[k], extra.flags[k], day - 1, EXTRA, atMs, day);
        }
      }
    }
  }

  /** Lets everything due up to `untilMs` happen. False when a run that is past its days has nothing more to wait for. */
  #advance(untilMs: number, isRunOut: boolean): boolean {
    const cell = this.#cell;
    const pending = this.#pending;
    for (;;) {
      if (isRunOut && this.#counts.open === 0) return false;
      const cellAtMs = cell.nextAtMs;
      const pendingAtMs = pending.firstAtMs;
      if (cellAtMs <= pendingAtMs) {
        if (cellAtMs > untilMs) break;
        this.#nowMs = cellAtMs;
        cell.step(cellAtMs);
      } else {
        if (pendingAtMs > untilMs) break;
        this.#nowMs = pendingAtMs;
        this.#act(pending.pop(), pendingAtMs);
      }
    }
    this.#nowMs = untilMs;
    return true;
  }

  /** Requests for existing services: by the Supplier of the register that the SRV reads. */
  #receiveExisting(stream: Stream, index: number, atMs: number, day: number): void {
    const meter = stream.meter;
    const ordinal = (stream.number & 2047) | 0;
    if (stream.row === NOT_JUDGED) {
      const slot = this.#cell.take(meter, stream.lane, stream.kind, occasionOf(day, this.#model.rows + index, ordinal));
      this.#reserve();
      this.#row[slot] = NOT_JUDGED;
      this.#day[slot] = UNCOUNTED;
      this.#cell.enqueue(slot, atMs);
      return;
    }
    const isExport = this.#model.matrix.register[stream.srv] === EXPORT;
    const user = isExport ? this.#portfolio.exportSupplier[meter] : this.#portfolio.supplier[meter];
    if (user !== NOBODY) this.#receive(meter, user, stream.row, 0, day - 1, ordinal, atMs, day);
  }

  /** A daily data set: by its schedule, or on demand where the User skips its schedule. */
  #receiveDaily(daily: Arrivals, k: number, atMs: number, day: number): void {
    const user = daily.user[k];
    const meter = daily.meter[k];
    const row = daily.row[k];
    const share = this.#model.users[user].settings.firstAttemptOnDemandShare;
    if (share > 0 && (daily.flags[k] & FIRST) !== 0) {
      const { seed } = this.#model.scenario;
      const index = this.#portfolio.firstMeter + meter;
      const onDemand = onDemandRow(row);
      if (drawUnit(seed, index, day, PURPOSE.firstAttempt) < share && this.#trtMs[onDemand] >= 0) {
        const bits = draw32(seed, index, day, PURPOSE.conduct);
        const askAtMs = Math.max(atMs, day * DAY_MS + timeIn(this.#model.users[user].onDemand, bits));
        this.#plan(meter, user, onDemand, FIRST | DATA_SET, day - 1, 0, askAtMs);
        return;
      }
    }
    this.#receive(meter, user, row, daily.flags[k], day - 1, 0, atMs, day);
  }

  /** A request that a User will make later. */
  #plan(meter: number, user: number, row: number, flags: number, dataDay: number, ordinal: number, atMs: number): void {
    const lane = LANE.onDemand;
    const srv = srvOfRow(row);
    const day = Math.floor(atMs / DAY_MS);
    const slot = this.#cell.take(meter, lane, srv, occasionOf(day, row, ordinal));
    this.#reserve();
    this.#describe(slot, user, row, flags, dataDay, ordinal);
    this.#state[slot] = FREE;
    this.#pending.push(atMs, slot);
  }

  /** Something planned is due: a re-request is made, or a quarantined request is let go. */
  #act(slot: number, atMs: number): void {
    const cell = this.#cell;
    if (this.#state[slot] === QUARANTINED) {
      this.#releaseQuarantined(slot, atMs);
      return;
    }
    const day = Math.floor(atMs / DAY_MS);
    const user = this.#user[slot];
    const row = this.#row[slot];
    const flags = this.#flags[slot];
    const dataDay = this.#dataDay[slot];
    const ordinal = this.#ordinal[slot];
    const meter = cell.meter[slot];
    cell.release(slot);
    this.#receive(meter, user, row, flags, dataDay, ordinal, atMs, day);
  }

  /** Time in quarantine does not count: the clock, which had not run yet, starts now. */
  #releaseQuarantined(slot: number, atMs: number): void {
    const counts = this.#counts;
    const day = this.#day[slot];
    const user = this.#user[slot];
    const row = this.#row[slot];
    const isDccOnly = this.#isDccOnly[srvOfRow(row)] !== 0;
    if (day !== UNCOUNTED) {
      counts.released(day);
      counts.open--;
      if (isDccOnly) {
        const meter = this.#cell.meter[slot];
        this.#answerByPlatform(meter, user, row, this.#ordinal[slot], atMs, Math.floor(atMs / DAY_MS), day);
      } else counts.accepted(day, row);
    }
    if (isDccOnly) {
      this.#state[slot] = FREE;
      this.#cell.release(slot);
      return;
    }
    this.#state[slot] = OPEN;
    this.#clockStartMs[slot] = atMs;
    this.#cell.enqueue(slot, atMs);
  }

  /** The DCC receives a Service Request: access control, then the platform or the network. */
  #receive(
    meter: number,
    user: number,
    row: number,
    flags: number,
    dataDay: number,
    ordinal: number,
    atMs: number,
    day: number,
  ): void {
    const counts = this.#counts;
    const srv = srvOfRow(row);
    const mode = modeOfRow(row);
    const fact = this.#access.decide(meter, user, srv, mode, serviceOfRow(row), dataDay, atMs);
    const countedDay = counts.dayOf(atMs);
    if (countedDay !== UNCOUNTED) {
      counts.received(countedDay, user, flags, mode, ordinal, atMs);
      if (fact !== FACT.accepted) counts.refused(countedDay, user, row, fact, atMs);
    }
    if (fact !== FACT.accepted) return;
    if (mode === ON_DEMAND && this.#isExcess(user, srv, atMs)) {
      this.#quarantine(meter, user, row, flags, dataDay, ordinal, atMs, day, countedDay);
      return;
    }
    if (this.#isDccOnly[srv] !== 0) {
      if (countedDay !== UNCOUNTED) this.#answerByPlatform(meter, user, row, ordinal, atMs, day, countedDay);
      return;
    }
    const lane = mode === SCHEDULED ? LANE.scheduled : LANE.onDemand;
    const slot = this.#cell.take(meter, lane, srv, occasionOf(day, row, drawOrdinal(ordinal, dataDay)));
    this.#reserve();
    this.#describe(slot, user, row, flags, dataDay, ordinal);
    this.#clockStartMs[slot] = atMs;
    this.#state[slot] = OPEN;
    this.#day[slot] = countedDay;
    if (countedDay !== UNCOUNTED) counts.accepted(countedDay, row);
    this.#cell.enqueue(slot, atMs);
  }

  #isExcess(user: number, srv: number, atMs: number): boolean {
    const period = Math.floor((this.#originMs + atMs) / this.#anomalyPeriodMs) - this.#firstAnomalyPeriod;
    const key = (user * this.#model.matrix.services.length + srv) * this.#anomalyPeriods + period;
    this.#into.anomalyCounts[key]++;
    const watched = this.#watched.counts.get(key);
    if (watched !== undefined) {
      Atomics.add(watched, Math.floor(((this.#originMs + atMs) % this.#anomalyPeriodMs) / this.#watched.bucketMs), 1);
    }
    if (this.#cutoffs.size === 0) return false;
    const cutoffMs = this.#cutoffs.get(key);
    return cutoffMs !== undefined && atMs > cutoffMs;
  }

  #quarantine(
    meter: number,
    user: number,
    row: number,
    flags: number,
    dataDay: number,
    ordinal: number,
    atMs: number,
    day: number,
    countedDay: number,
  ): void {
    const { answer, answerAfterMinutes } = this.#model.scenario.anomaly;
    if (countedDay !== UNCOUNTED) this.#counts.quarantined(countedDay, user);
    if (answer !== 'process') return;
    const srv = srvOfRow(row);
    const slot = this.#cell.take(meter, LANE.onDemand, srv, occasionOf(day, row, drawOrdinal(ordinal, dataDay)));
    this.#reserve();
    this.#describe(slot, user, row, flags, dataDay, ordinal);
    this.#clockStartMs[slot] = atMs;
    this.#state[slot] = QUARANTINED;
    this.#day[slot] = countedDay;
    if (countedDay !== UNCOUNTED) this.#counts.open++;
    this.#pending.push(atMs + Math.round(answerAfterMinutes * 60_000), slot);
  }

  /** 5.1, 5.2, 5.3 and 8.2 never reach a network. */
  #answerByPlatform(
    meter: number,
    user: number,
    row: number,
    ordinal: number,
    atMs: number,
    day: number,
    countedDay: number,
  ): void {
    const { dccOnly, scenario } = this.#model;
    const index = this.#portfolio.firstMeter + meter;
    const bits = draw32(scenario.seed, index, occasionOf(day, row, ordinal), PURPOSE.dccOnly);
    const latencyMs = dccOnly[bits >>> (32 - QUANTILE_BITS)] + scenario.platform.latencyMs;
    this.#counts.accepted(countedDay, row);
    this.#counts.answered(countedDay, row, user, DAY.dccOnly, atMs, latencyMs, true);
  }

  #onAnswer(slot: number, outcome: Outcome, atMs: number): void {
    const row = this.#row[slot];
    this.#state[slot] = FREE;
    if (row === NOT_JUDGED) return;
    const day = this.#day[slot];
    if (day !== UNCOUNTED) {
      const { scenario, matrix, intervals } = this.#model;
      const startMs = this.#clockStartMs[slot];
      const hasData = outcome === OUTCOME.data;
      const latencyMs = atMs - startMs + scenario.platform.latencyMs;
      this.#counts.answered(day, row, this.#user[slot], DAY.data + outcome, startMs, latencyMs, hasData);
      if (hasData && matrix.data[srvOfRow(row)] === HALF_HOURS) {
        this.#counts.halfHours(day, intervals[this.#dataDay[slot] + 1]);
      }
    }
    if (outcome !== OUTCOME.data && (this.#flags[slot] & DATA_SET) !== 0) this.#reRequest(slot, atMs);
  }

  /** The User asks again, on demand, for what did not come. [MP162 2.6.4] */
  #reRequest(slot: number, atMs: number): void {
    const user = this.#model.users[this.#user[slot]];
    const ordinal = this.#ordinal[slot];
    const row = onDemandRow(this.#row[slot]);
    if ((ordinal & RE_REQUEST_MASK) >= user.settings.reRequests.max || this.#trtMs[row] < 0) return;
    const meter = this.#cell.meter[slot];
    const index = this.#portfolio.firstMeter + meter;
    const dataDay = this.#dataDay[slot];
    const bits = drawUnit(this.#model.scenario.seed, index, dataDay * 64 + ordinal, PURPOSE.reRequestDelay);
    const askAtMs = atMs + user.reRequestAfterMs + Math.floor(bits * user.reRequestSpreadMs);
    this.#plan(meter, this.#user[slot], row, DATA_SET, dataDay, ordinal + 1, askAtMs);
  }

  /** What is still open when the last TRT has run out is a miss. */
  #finish(): void {
    this.#cell.close(this.#nowMs);
    for (let slot = 0; slot < this.#state.length && this.#counts.open > 0; slot++) {
      if (this.#state[slot] !== OPEN || this.#day[slot] === UNCOUNTED) continue;
      this.#counts.leftOpen(this.#day[slot], this.#row[slot], this.#user[slot], this.#clockStartMs[slot]);
    }
  }

  #describe(slot: number, user: number, row: number, flags: number, dataDay: number, ordinal: number): void {
    this.#user[slot] = user;
    this.#row[slot] = row;
    this.#flags[slot] = flags;
    this.#dataDay[slot] = dataDay;
    this.#ordinal[slot] = ordinal;
  }

  /** The cell may have grown: what is known by slot grows with it. */
  #reserve(): void {
    const slots = this.#cell.slots;
    if (this.#state.length === slots) return;
    this.#state = copyInto(this.#state, new Uint8Array(slots));
    this.#row = copyInto(this.#row, new Int16Array(slots));
    this.#user = copyInto(this.#user, new Int16Array(slots));
    this.#flags = copyInto(this.#flags, new Uint8Array(slots));
    this.#ordinal = copyInto(this.#ordinal, new Uint16Array(slots));
    this.#dataDay = copyInto(this.#dataDay, new Int16Array(slots));
    this.#clockStartMs = copyInto(this.#clockStartMs, new Float64Array(slots));
    this.#day = copyInto(this.#day, new Int16Array(slots));
  }
}

/** The stream whose next request comes first; -1 when none has any. */
function firstStream(streams: readonly Stream[]): number {
  let first = -1;
  let atMs = NEVER;
  for (let k = 0; k < streams.length; k++) {
    if (streams[k].nextAtMs >= atMs) continue;
    atMs = streams[k].nextAtMs;
    first = k;
  }
  return first;
}

function onDemandRow(row: number): number {
  return rowOf(srvOfRow(row), ON_DEMAND, MHHS);
}

function copyInto<T extends Uint8Array | Int16Array | Uint16Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
