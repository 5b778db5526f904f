import { FACTS, type Fact } from '#core/access-control.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { isBreach } from '#core/trt-clock.ts';
import { modeOfRow, ON_DEMAND } from '#core/trt-row.ts';
import { DATA_SET, FIRST } from '#fleet-sim/arrivals.ts';
import { bucketMsOf, type Occupancy } from '#fleet-sim/occupancy.ts';
import { addInto, DAY, dayAt, REFUSALS, ROW, rowAt, USER, userAt } from './counters.ts';
import { bucketOf, HISTOGRAM_BUCKETS } from './histogram.ts';
import type { Model } from './model.ts';
import { bucketsOf, type NetworkTally, SERIES_BUCKETS, SERIES_SHIFT } from './tally.ts';
import { Timeline } from './timeline.ts';

const HOUR_MS = 3_600_000;
/** Day of a request received before the first counted day or after the last. */
export const UNCOUNTED = -1;
/** The low bits of a request's ordinal: how often its data set was asked for before. */
export const RE_REQUEST_MASK = 31;

const REFUSAL_OF_FACT = Int8Array.from(FACTS, ({ code }) => (REFUSALS as readonly string[]).indexOf(code));

/** What one cell counts, and what goes straight into its network's tally. `day` is always a counted day. */
export class CellCounts {
  /** Laid out by counters.ts. */
  readonly counted: Float64Array;
  /** Counted requests that are not answered yet. */
  open = 0;
  readonly #model: Model;
  readonly #bucketMs: number;
  readonly #buckets: number;
  #into!: NetworkTally;
  #timeline: Timeline | null = null;
  #trtMs!: Float64Array;

  constructor(model: Model) {
    this.#model = model;
    this.counted = new Float64Array(model.counters.length);
    this.#bucketMs = bucketMsOf(model.scenario.days);
    this.#buckets = bucketsOf(model);
  }

  /** Begins a cell of a network. */
  start(network: number, into: NetworkTally): void {
    this.#into = into;
    this.#trtMs = this.#model.trtMs[network];
    this.#timeline = into.timeline.length === 0 ? null : new Timeline(this.#model, into.timeline, network);
    this.open = 0;
    this.counted.fill(0);
  }

  /** The counted day that an instant falls in, UNCOUNTED for none. */
  dayOf(atMs: number): number {
    const { countedStartMs, countedEndMs } = this.#model;
    if (atMs < countedStartMs || atMs >= countedEndMs) return UNCOUNTED;
    return Math.floor((atMs - countedStartMs) / DAY_MS);
  }

  received(day: number, user: number, flags: number, mode: number, ordinal: number, atMs: number): void {
    const { counters, countedStartMs } = this.#model;
    this.counted[dayAt(counters, day) + DAY.received]++;
    const base = userAt(counters, day, user);
    this.counted[base + USER.requests]++;
    if ((flags & FIRST) !== 0) {
      this.counted[base + USER.first]++;
      if (mode === ON_DEMAND) this.counted[base + USER.firstOnDemand]++;
    }
    if ((flags & DATA_SET) !== 0 && (ordinal & RE_REQUEST_MASK) > 0) this.counted[base + USER.reRequests]++;
    this.#into.requestsByHour[Math.floor((atMs - countedStartMs) / HOUR_MS)]++;
  }

  refused(day: number, user: number, row: number, fact: Fact, atMs: number): void {
    const { counters } = this.#model;
    this.#timeline?.refused(row, user, REFUSAL_OF_FACT[fact], atMs);
    this.counted[dayAt(counters, day) + DAY.refused + REFUSAL_OF_FACT[fact]]++;
    this.counted[userAt(counters, day, user) + USER.refused]++;
  }

  quarantined(day: number, user: number): void {
    const { counters } = this.#model;
    this.counted[dayAt(counters, day) + DAY.quarantined]++;
    this.counted[userAt(counters, day, user) + USER.quarantined]++;
  }

  /** Let go: in the ledger it is answered or open from now on; its User's count keeps that it was held. */
  released(day: number): void {
    this.counted[dayAt(this.#model.counters, day) + DAY.quarantined]--;
  }

  accepted(day: number, row: number): void {
    this.open++;
    this.counted[rowAt(this.#model.counters, day, row) + ROW.requests]++;
  }

  /** `field`: of DAY, how it was answered. `clockStartMs`: when its TRT began. */
  answered(
    day: number,
    row: number,
    user: number,
    field: number,
    clockStartMs: number,
    latencyMs: number,
    hasData: boolean,
  ): void {
    const { counters, scenario } = this.#model;
    const counted = this.counted;
    const counts = hasData || scenario.errorsCountAsWithinTrt;
    const at = rowAt(counters, day, row);
    const userBase = userAt(counters, day, user);
    this.open--;
    counted[dayAt(counters, day) + field]++;
    counted[userBase + USER.judged]++;
    const isWithin = counts && !isBreach(0, this.#trtMs[row] / 1000, 0, latencyMs);
    this.#timeline?.answered(row, user, field, clockStartMs, latencyMs, isWithin);
    if (isWithin) {
      counted[at + ROW.within]++;
      counted[userBase + USER.within]++;
      if (!hasData) counted[at + ROW.withinWithoutData]++;
    } else {
      this.#breach(at, clockStartMs + this.#trtMs[row]);
    }
    const limits = counters.limitsMs;
    for (let k = 0; k < limits.length; k++) if (counts && latencyMs <= limits[k]) counted[at + ROW.limits + k]++;
    this.#latency(row, clockStartMs, latencyMs);
  }

  /** Half-hourly intervals that an answer brought. */
  halfHours(day: number, intervals: number): void {
    this.counted[dayAt(this.#model.counters, day) + DAY.halfHours] += intervals;
  }

  /** Unanswered when the last TRT has run out: a miss, and open in the ledger. */
  leftOpen(day: number, row: number, user: number, clockStartMs: number): void {
    const { counters } = this.#model;
    const at = rowAt(counters, day, row);
    this.open--;
    this.#timeline?.leftOpen(row, clockStartMs);
    this.counted[dayAt(counters, day) + DAY.open]++;
    this.counted[at + ROW.open]++;
    this.counted[userAt(counters, day, user) + USER.judged]++;
    this.#breach(at, clockStartMs + this.#trtMs[row]);
  }

  /** Unanswered when the run was ended, in time still: open in the ledger, and judged by nothing. */
  undecided(day: number): void {
    this.counted[dayAt(this.#model.counters, day) + DAY.open]++;
  }

  /** Ends the cell: what it counted goes into its network's tally. */
  finish(events: number, exchanges: number, busy: Occupancy, queue: readonly [Occupancy, Occupancy]): void {
    const { counters, scenario } = this.#model;
    const into = this.#into;
    const bucketsADay = DAY_MS / this.#bucketMs;
    let inside = 0;
    for (let bucket = 0; bucket < scenario.days * bucketsADay; bucket++) {
      inside += busy.steps[bucket];
      const day = Math.floor(bucket / bucketsADay);
      this.counted[dayAt(counters, day) + DAY.busyMs] += busy.edges[bucket] + inside * this.#bucketMs;
    }
    this.counted[DAY.exchanges] += exchanges;
    addInto(into.busyEdges, busy.edges);
    addInto(into.busySteps, busy.steps);
    for (let lane = 0; lane < 2; lane++) {
      addInto(into.queueEdges[lane], queue[lane].edges);
      addInto(into.queueSteps[lane], queue[lane].steps);
    }
    addInto(into.counted, this.counted);
    into.cells++;
    into.events += events;
  }

  #breach(rowBase: number, deadlineMs: number): void {
    this.counted[rowBase + ROW.breaches]++;
    this.#into.breachesByHour[Math.floor((deadlineMs - this.#model.countedStartMs) / HOUR_MS)]++;
  }

  #latency(row: number, clockStartMs: number, latencyMs: number): void {
    const into = this.#into;
    const bucket = bucketOf(latencyMs);
    into.latency[row * HISTOGRAM_BUCKETS + bucket]++;
    if (latencyMs > into.latencyMsMax[row]) into.latencyMsMax[row] = latencyMs;
    if (modeOfRow(row) !== ON_DEMAND) return;
    const time = Math.floor((clockStartMs - this.#model.countedStartMs) / this.#bucketMs);
    // Released from quarantine after the last day: no bucket of the charts is its.
    if (time < this.#buckets) into.onDemand[time * SERIES_BUCKETS + (bucket >> SERIES_SHIFT)]++;
  }
}
