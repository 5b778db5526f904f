import { describe, expect, test } from 'vitest';
import { Cell, type CellSettings, LANE, type Lane, OUTCOME, type RetryPolicy } from '#fleet-sim/cell.ts';
import { integralMs, Occupancy } from '#fleet-sim/occupancy.ts';
import { type ServiceTime, serviceTimeTable } from '#fleet-sim/service-time.ts';

/** Arrivals of one lane: how many a second, and how long their exchanges take. */
type Stream = { lane: Lane; perSecond: number; service: ServiceTime };
type Load = { exchanges: number; streams: Stream[] };
/** Of the requests that come after the warm-up: mean wait by stream, and how long their answers took. */
type Sample = { waitSeconds: number[]; utilisation: number; lateShares: number[] };

const NEVER = Number.POSITIVE_INFINITY;
const { scheduled: SCHEDULED, onDemand: ON_DEMAND } = LANE;
const ONCE: RetryPolicy = { attemptsMax: 1, backoffMs: 0, factor: 1, giveUpMs: NEVER };
/** Each request is for the next meter: none ever has two, unless 65,536 are open. */
const METERS = 1 << 16;
/** Exchanges of ten seconds: whole milliseconds do not matter. */
const MEAN_SECONDS = 10;
const LOGNORMAL = { medianSeconds: 8, p95Seconds: 20 };
const REPLICATIONS = 30;
const WARM_UP_SHARE = 0.2;
/**
 * Student's t with 29 degrees of freedom is beyond this once in ten million: all the intervals of this file together
 * would miss a right model less than once in 100,000 choices of the seeds, which are fixed.
 */
const T_29 = 7;

const exponential = (factor = 1): ServiceTime => ({ distribution: 'exponential', meanSeconds: MEAN_SECONDS * factor });
const constant = (factor = 1): ServiceTime => ({ distribution: 'constant', seconds: MEAN_SECONDS * factor });
const lognormal = (factor = 1): ServiceTime => ({
  distribution: 'lognormal',
  medianSeconds: LOGNORMAL.medianSeconds * factor,
  p95Seconds: LOGNORMAL.p95Seconds * factor,
});

describe('Poisson arrivals and exponential exchanges', () => {
  const cases = [1, 2, 8].flatMap((exchanges) => [0.3, 0.5, 0.7, 0.9].map((rho) => ({ exchanges, rho })));

  test.each(cases)('wait as M/M/$exchanges says at a utilisation of $rho', ({ exchanges, rho }) => {
    const samples = replicate(single(exchanges, rho, exponential()));
    expectAgreement(samples, ({ waitSeconds }) => waitSeconds[0], erlangWait(exchanges, rho));
    expectAgreement(samples, ({ utilisation }) => utilisation, rho);
  });

  test('take as long from offer to answer as M/M/1 says, far into the tail', () => {
    const rho = 0.7;
    const meanMs = (1_000 * MEAN_SECONDS) / (1 - rho);
    const times = [0.1, 1, 3];
    const samples = replicate(
      single(1, rho, exponential()),
      times.map((time) => time * meanMs),
    );
    for (const [k, time] of times.entries()) {
      expectAgreement(samples, ({ lateShares }) => lateShares[k], Math.exp(-time));
    }
  });
});

describe('Poisson arrivals and one exchange of any length', () => {
  const cases = [0.3, 0.5, 0.7, 0.9].flatMap((rho) => [
    { rho, name: 'constant', service: constant() },
    { rho, name: 'lognormal', service: lognormal() },
  ]);

  test.each(cases)('wait as Pollaczek and Khinchine say at $rho, $name', ({ rho, service }) => {
    const load = single(1, rho, service);
    expectAgreement(replicate(load), ({ waitSeconds }) => waitSeconds[0], residual(load) / (1 - rho));
  });
});

describe('on demand before scheduled', () => {
  const mixes = [
    { name: 'alike, evenly', streams: [mixed(ON_DEMAND, 0.4, exponential()), mixed(SCHEDULED, 0.4, exponential())] },
    { name: 'rare and short', streams: [mixed(ON_DEMAND, 0.1, constant(0.3)), mixed(SCHEDULED, 0.7, lognormal())] },
    { name: 'mostly and long', streams: [mixed(ON_DEMAND, 0.6, lognormal(2)), mixed(SCHEDULED, 0.1, constant(0.5))] },
  ];

  test.each(mixes)('both wait as Cobham says on one exchange: on demand $name', ({ streams }) => {
    const load = { exchanges: 1, streams };
    const samples = replicate(load);
    const [high, both] = [rhoOf(streams.slice(0, 1)), rhoOf(streams)];
    expectAgreement(samples, ({ waitSeconds }) => waitSeconds[0], residual(load) / (1 - high));
    expectAgreement(samples, ({ waitSeconds }) => waitSeconds[1], residual(load) / ((1 - high) * (1 - both)));
  });

  test('both wait as Cobham says on four exchanges', () => {
    const exchanges = 4;
    const streams = [
      mixed(ON_DEMAND, 0.3 * exchanges, exponential()),
      mixed(SCHEDULED, 0.5 * exchanges, exponential()),
    ];
    const samples = replicate({ exchanges, streams });
    const allBusy = erlangWait(exchanges, 0.8) * (1 - 0.8);
    expectAgreement(samples, ({ waitSeconds }) => waitSeconds[0], allBusy / (1 - 0.3));
    expectAgreement(samples, ({ waitSeconds }) => waitSeconds[1], allBusy / ((1 - 0.3) * (1 - 0.8)));
  });
});

describe('these comparisons', () => {
  test.each([
    { name: 'M/M/1', exchanges: 1, service: exponential, wait: erlangWait(1, 0.7) },
    { name: 'M/M/8', exchanges: 8, service: exponential, wait: erlangWait(8, 0.7) },
    { name: 'M/D/1', exchanges: 1, service: constant, wait: erlangWait(1, 0.7) / 2 },
  ])('notice exchanges that are 5 % too long or too short: $name', ({ exchanges, service, wait }) => {
    for (const factor of [0.95, 1.05]) {
      const wrong = single(exchanges, 0.7, service());
      wrong.streams[0].service = service(factor);
      const { mean, halfWidth } = intervalOf(replicate(wrong).map(({ waitSeconds }) => waitSeconds[0]));
      expect(Math.abs(mean - wait)).toBeGreaterThan(halfWidth);
    }
  });

  test('notice a queue without priority', () => {
    const streams = [mixed(ON_DEMAND, 0.4, exponential()), mixed(ON_DEMAND, 0.4, exponential())];
    const { mean, halfWidth } = intervalOf(
      replicate({ exchanges: 1, streams }).map(({ waitSeconds }) => waitSeconds[0]),
    );
    expect(mean - halfWidth).toBeGreaterThan(residual({ exchanges: 1, streams }) / (1 - 0.4));
  });
});

describe('after an outage without retries', () => {
  const cases = [0.3, 0.6, 0.9].flatMap((demand) =>
    [10, 60].flatMap((exchanges) => [0.5, 12].map((hours) => ({ demand, exchanges, hours }))),
  );

  test.each(cases)(
    'the queue is gone after backlog / (capacity - demand): demand $demand of $exchanges exchanges, $hours hours',
    ({ demand, exchanges, hours }) => {
      const { drainSeconds, capacity, perSecond } = recover({ demand, exchanges, hours, recoverySeconds: 0 });
      expectWithin(drainSeconds, (perSecond * hours * 3_600) / (capacity - perSecond), 0.02);
    },
  );

  test.each([
    { demand: 0.3, exchanges: 10, hours: 2, recoverySeconds: 1_800 },
    { demand: 0.6, exchanges: 60, hours: 2, recoverySeconds: 3_600 },
    { demand: 0.2, exchanges: 40, hours: 0.5, recoverySeconds: 14_400 },
    { demand: 0.9, exchanges: 20, hours: 6, recoverySeconds: 7_200 },
  ])(
    'it is gone when what came back of the capacity has made up for it: $demand of $exchanges, recovery $recoverySeconds s',
    (outage) => {
      const { drainSeconds, capacity, perSecond } = recover(outage);
      let behind = perSecond * outage.hours * 3_600;
      let second = 0;
      for (; behind > 0; second++) {
        const isBack = second >= outage.recoverySeconds;
        const back = isBack ? outage.exchanges : Math.floor((outage.exchanges * second) / outage.recoverySeconds);
        behind += perSecond - (capacity * Math.max(1, back)) / outage.exchanges;
      }
      expectWithin(drainSeconds, second, 0.02);
    },
  );

  test('on demand requests are served first: their queue is gone as if there were no others', () => {
    const outage = { demand: 0.8, exchanges: 30, hours: 4, recoverySeconds: 0, onDemandEach: 4 };
    const { drainSeconds, onDemandDrainSeconds, capacity, perSecond } = recover(outage);
    expectWithin(drainSeconds, (perSecond * 4 * 3_600) / (capacity - perSecond), 0.02);
    expectWithin(onDemandDrainSeconds, ((perSecond / 4) * 4 * 3_600) / (capacity - perSecond / 4), 0.02);
  });
});

function single(exchanges: number, rho: number, service: ServiceTime): Load {
  return { exchanges, streams: [mixed(SCHEDULED, rho * exchanges, service)] };
}

/** A stream that keeps `busy` exchanges busy. */
function mixed(lane: Lane, busy: number, service: ServiceTime): Stream {
  return { lane, perSecond: busy / moments(service).mean, service };
}

function moments(time: ServiceTime): { mean: number; square: number } {
  switch (time.distribution) {
    case 'exponential':
      return { mean: time.meanSeconds, square: 2 * time.meanSeconds ** 2 };
    case 'constant':
      return { mean: time.seconds, square: time.seconds ** 2 };
    case 'lognormal': {
      const variance = (Math.log(time.p95Seconds / time.medianSeconds) / 1.64485362695147) ** 2;
      const square = time.medianSeconds ** 2 * Math.exp(2 * variance);
      return { mean: time.medianSeconds * Math.exp(variance / 2), square };
    }
  }
}

function rhoOf(streams: readonly Stream[]): number {
  return streams.reduce((sum, { perSecond, service }) => sum + perSecond * moments(service).mean, 0);
}

/** What a request that comes finds left of the exchange in progress, on average, seconds. */
function residual({ streams }: Load): number {
  return streams.reduce((sum, { perSecond, service }) => sum + (perSecond * moments(service).square) / 2, 0);
}

/** Mean wait in M/M/c, seconds: Erlang's C over the capacity that is left. */
function erlangWait(exchanges: number, rho: number): number {
  const offered = exchanges * rho;
  let blocked = 1;
  for (let n = 1; n <= exchanges; n++) blocked = (offered * blocked) / (n + offered * blocked);
  const waits = blocked / (1 - rho * (1 - blocked));
  return (waits * MEAN_SECONDS) / (exchanges * (1 - rho));
}

function settingsOf(exchangesMax: number, serviceTimes: readonly Int32Array[]): CellSettings {
  return {
    exchangesMax,
    startsPerSecondMax: NEVER,
    serviceTimes,
    noAnswerMs: 1_000,
    attemptFailureShare: 0,
    reachability: { notCommunicatingShare: 0, spellDays: 30, intermittentShare: 0, intermittentHours: 1 },
    retry: [ONCE, ONCE],
    outages: [],
  };
}

/** Independent runs, each from an empty cell, longer the nearer the load is to the capacity. */
function replicate(load: Load, lateMs: readonly number[] = []): Sample[] {
  const idle = 1 - rhoOf(load.streams) / load.exchanges;
  const arrivals = Math.round(10_000 / idle);
  return Array.from({ length: REPLICATIONS }, (_, seed) => run(load, seed + 1, arrivals, lateMs));
}

function run({ exchanges, streams }: Load, seed: number, arrivals: number, lateMs: readonly number[]): Sample {
  const perMs = streams.reduce((sum, { perSecond }) => sum + perSecond / 1_000, 0);
  const endMs = Math.round(arrivals / perMs);
  const warmMs = Math.round(endMs * WARM_UP_SHARE);
  const windowMs = endMs - warmMs;
  const occupancy = () => new Occupancy(windowMs, 1, warmMs);
  const statistics = { busy: occupancy(), queue: [occupancy(), occupancy()] as const };
  const late = lateMs.map(() => 0);
  let answered = 0;
  const cell: Cell = new Cell((slot, _outcome, atMs) => {
    const offeredMs = cell.offeredAtMs[slot];
    if (offeredMs < warmMs) return;
    answered++;
    for (let k = 0; k < lateMs.length; k++) if (atMs - offeredMs > lateMs[k]) late[k]++;
  }, statistics);
  const tables = streams.map(({ service }) => serviceTimeTable(service));
  cell.reset(settingsOf(exchanges, tables), seed, 0, METERS, 0);
  const random = randomFrom(seed);
  const counts = [0, 0];
  let atMs = 0;
  for (let n = 0; ; n++) {
    atMs -= Math.log(1 - random()) / perMs;
    if (atMs > endMs) break;
    const kind = streams.length === 1 || random() * perMs * 1_000 < streams[0].perSecond ? 0 : 1;
    const { lane } = streams[kind];
    offer(cell, Math.round(atMs), n, lane, kind);
    if (atMs >= warmMs) counts[lane]++;
  }
  while (cell.nextAtMs <= endMs) cell.step();
  cell.close(endMs);
  const integralOf = ({ edges, steps }: Occupancy) => integralMs(edges, steps, windowMs, 1)[0];
  return {
    waitSeconds: streams.map(({ lane }) => integralOf(statistics.queue[lane]) / counts[lane] / 1_000),
    utilisation: integralOf(statistics.busy) / windowMs / exchanges,
    lateShares: late.map((count) => count / answered),
  };
}

/** Lets happen what is due first. The request is for a meter of its own. */
function offer(cell: Cell, atMs: number, number: number, lane: Lane, kind: number): void {
  while (cell.nextAtMs <= atMs) cell.step();
  cell.enqueue(cell.take(number % METERS, lane, kind, Math.floor(number / METERS)), atMs);
}

/** Mulberry32: not the draws of the fleet, so that arrivals and exchanges have nothing to do with each other. */
function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function intervalOf(values: readonly number[]): { mean: number; halfWidth: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, halfWidth: T_29 * Math.sqrt(variance / values.length) };
}

function expectAgreement(samples: readonly Sample[], of: (sample: Sample) => number, theory: number): void {
  const { mean, halfWidth } = intervalOf(samples.map(of));
  expect(Math.abs(mean - theory)).toBeLessThan(halfWidth);
}

/** A day of steady demand with an outage after its first hour; how long after its end the last request waited. */
function recover(outage: {
  demand: number;
  exchanges: number;
  hours: number;
  recoverySeconds: number;
  onDemandEach?: number;
}) {
  const serviceMs = 4_000;
  const { demand, exchanges, hours, recoverySeconds, onDemandEach = NEVER } = outage;
  const everyMs = serviceMs / (exchanges * demand);
  const startMs = 3_600_000;
  const endMs = startMs + hours * 3_600_000;
  const drainMs = [0, 0];
  const cell: Cell = new Cell((slot, outcome, atMs) => {
    const lane = cell.lane[slot] as Lane;
    const startedMs = atMs - serviceMs;
    // An on demand request waits for an exchange to end even when no other of its lane is there.
    const isQueue = startedMs - cell.offeredAtMs[slot] > (lane === ON_DEMAND ? serviceMs : 0);
    if (outcome === OUTCOME.data && isQueue) drainMs[lane] = startedMs - endMs;
  });
  const settings = settingsOf(exchanges, [serviceTimeTable({ distribution: 'constant', seconds: serviceMs / 1_000 })]);
  const outages = [{ startMs, endMs, recoveryMs: recoverySeconds * 1_000 }];
  cell.reset({ ...settings, outages }, 1, 0, METERS, 0);
  for (let n = 0; n * everyMs <= endMs || cell.open > exchanges; n++) {
    offer(cell, Math.round(n * everyMs), n, n % onDemandEach === 0 ? ON_DEMAND : SCHEDULED, 0);
  }
  while (cell.open > 0) cell.step();
  return {
    drainSeconds: Math.max(...drainMs) / 1_000,
    onDemandDrainSeconds: drainMs[ON_DEMAND] / 1_000,
    capacity: (1_000 * exchanges) / serviceMs,
    perSecond: 1_000 / everyMs,
  };
}

function expectWithin(value: number, expected: number, share: number): void {
  expect(Math.abs(value / expected - 1)).toBeLessThanOrEqual(share);
}
