import fc from 'fast-check';
import { Cell, type CellSettings, LANE, type Lane, type Outcome, type RetryPolicy } from '#fleet-sim/cell.ts';
import { integralMs, Occupancy } from '#fleet-sim/occupancy.ts';
import { serviceTimeTable } from '#fleet-sim/service-time.ts';

export type Request = { atMs: number; meter: number; lane: Lane; kind: number };
export type Answer = { request: number; outcome: Outcome; atMs: number };
/** Starts in their order, and integrals of exchanges and of queues by lane, of each bucket of the statistics. */
export type Run = {
  answers: Answer[];
  startsMs: number[];
  busyMs: Float64Array;
  queueMs: [Float64Array, Float64Array];
};
export const MS_A_DAY = 86_400_000;
export const ORIGIN_DAY = 20_514;
export const ONCE: RetryPolicy = { attemptsMax: 1, backoffMs: 0, factor: 1, giveUpMs: MS_A_DAY };
const TENTH = serviceTimeTable({ distribution: 'constant', seconds: 0.1 });
const LONGER = serviceTimeTable({ distribution: 'lognormal', medianSeconds: 0.04, p95Seconds: 0.12 });
/** By kind of request. Named where a counterexample is printed. */
export const TABLES = Object.assign([TENTH, LONGER], { [fc.toStringMethod]: () => 'TABLES' });

export function at(atMs: number, meter: number, lane: Lane = LANE.scheduled): Request {
  return { atMs, meter, lane, kind: 0 };
}

/** A tenth of a second for an exchange, 70 ms without an answer; nothing fails and nobody retries. */
export function settingsOf(own: Partial<CellSettings>): CellSettings {
  return {
    exchangesMax: 10,
    startsPerSecondMax: Number.POSITIVE_INFINITY,
    serviceTimes: TABLES,
    noAnswerMs: 70,
    attemptFailureShare: 0,
    reachability: { notCommunicatingShare: 0, spellDays: 30, intermittentShare: 0, intermittentHours: 1 },
    retry: [ONCE, ONCE],
    outages: [],
    ...own,
  };
}

/** A cell with what is kept of it. */
export type Rig = {
  cell: Cell;
  requestOf: number[];
  answers: Answer[];
  statistics: { busy: Occupancy; queue: readonly [Occupancy, Occupancy] };
  bucketMs: number;
  buckets: number;
};

export function newRig(bucketMs = 400 * MS_A_DAY, buckets = 1, originMs = 0): Rig {
  const occupancy = () => new Occupancy(bucketMs, buckets, originMs);
  const statistics = { busy: occupancy(), queue: [occupancy(), occupancy()] as const };
  const requestOf: number[] = [];
  const answers: Answer[] = [];
  const cell = new Cell((slot, outcome, atMs) => answers.push({ request: requestOf[slot], outcome, atMs }), statistics);
  return { cell, requestOf, answers, statistics, bucketMs, buckets };
}

type Options = { seed?: number; firstMeter?: number; fromMs?: number; untilMs?: number; rig?: Rig };

/** Offers the requests in their order and does what is due, until all are answered or until an instant. */
export function simulate(settings: CellSettings, requests: readonly Request[], options: Options = {}): Run {
  const { seed = 1, firstMeter = 0, fromMs = 0, untilMs = Number.MAX_VALUE, rig = newRig() } = options;
  const { cell, requestOf, answers, statistics, bucketMs, buckets } = rig;
  const occupancies = [statistics.busy, ...statistics.queue];
  const meters = 1 + requests.reduce((most, { meter }) => Math.max(most, meter), 0);
  const startsMs: number[] = [];
  answers.length = 0;
  for (const occupancy of occupancies) occupancy.clear();
  cell.reset(settings, seed, firstMeter, meters, ORIGIN_DAY);
  const advance = (toMs: number) => {
    while (cell.nextAtMs <= toMs) {
      const nowMs = cell.nextAtMs;
      cell.step();
      while (startsMs.length < cell.exchanges) startsMs.push(nowMs);
    }
  };
  for (const [number, { atMs, meter, lane, kind }] of requests.entries()) {
    if (fromMs + atMs > untilMs) break;
    advance(fromMs + atMs);
    const slot = cell.take(meter, lane, kind, number);
    requestOf[slot] = number;
    cell.enqueue(slot, fromMs + atMs);
    while (startsMs.length < cell.exchanges) startsMs.push(fromMs + atMs);
  }
  advance(untilMs);
  cell.close(untilMs);
  const [busyMs, ...queueMs] = occupancies.map(({ edges, steps }) => integralMs(edges, steps, bucketMs, buckets));
  return { answers: [...answers], startsMs, busyMs, queueMs: [queueMs[0], queueMs[1]] };
}
