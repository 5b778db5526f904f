import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_MATRIX, GENERATIONS, ROLES, SRVS } from '#core/matrix.ts';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { REQUEST_KIND, SOURCE } from '#schemas/service-request.ts';
import {
  codeIndex,
  newServiceResponse,
  RESPONSE_BYTES_MAX,
  RESPONSE_SOURCE,
  writeResponseMarker,
  writeServiceResponse,
} from '#schemas/service-response.ts';
import { SimClock } from '#services/platform/sim-clock.ts';
import { deviceRequestValue, SOME_EUI, SOME_MPAN } from '#services/platform/test/device-requests.ts';
import { batchOf, framed, SCHEMA_IDS } from '#services/platform/test/record-streams.ts';
import {
  type Breach,
  type LaneStart,
  type MonitorCommit,
  PartitionMonitor,
  type ResponsesStart,
} from './partition-monitor.ts';
import { seriesOf, TrtCounts, TrtTable } from './trt-counts.ts';

const START_MS = Date.UTC(2027, 2, 1);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const STEP_MS = 60_000;
const PARTITIONS = 2;
const WALL_MS = 1_700_000_000_000;
const OK = codeIndex('I0');
const FAILED = codeIndex('E20');
const REFUSED = codeIndex('E4');
const TRTS = new TrtTable(DEFAULT_MATRIX);
const FIRST_START: [LaneStart, LaneStart, ResponsesStart] = [
  { offset: 0, next: 0, state: undefined },
  { offset: 0, next: 0, state: undefined },
  { offset: 0, next: 0, nowMs: START_MS },
];

/** A request as a person would tell it; `answeredAfterMs` runs from its receipt, quarantine included. */
type Asked = {
  mode: number;
  receivedAfterMs: number;
  srv: number;
  service: number;
  generation: number;
  role: number;
  fate: 'answered' | 'refused' | 'never';
  answeredAfterMs: number;
  platformMs: number;
  code: number;
  quarantinedMs: number;
  sourcePartition: number;
  /** Steps after the first answer, when a crash of the fleet has it answered again. */
  repeatedAfter: number | undefined;
};

const asked = fc.record({
  mode: fc.constantFrom(SCHEDULED, ON_DEMAND),
  receivedAfterMs: fc.integer({ min: 0, max: 4 * HOUR_MS }),
  srv: fc.nat(SRVS.length),
  service: fc.nat(1),
  generation: fc.nat(GENERATIONS.length),
  role: fc.constantFrom(ROLES.indexOf('MDR'), ROLES.indexOf('IS')),
  fate: fc.constantFrom('answered', 'answered', 'answered', 'refused', 'never'),
  answeredAfterMs: fc.oneof(
    fc.integer({ min: 1, max: 60_000 }),
    fc.integer({ min: 1, max: 6 * HOUR_MS }),
    fc.integer({ min: 1, max: 30 * HOUR_MS }),
  ),
  platformMs: fc.oneof(fc.constant(0), fc.nat(120_000)),
  code: fc.constantFrom(OK, OK, FAILED),
  quarantinedMs: fc.oneof(fc.constant(0), fc.nat(3 * HOUR_MS)),
  sourcePartition: fc.nat(PARTITIONS - 1),
  repeatedAfter: fc.option(fc.nat(20), { nil: undefined }),
}) as fc.Arbitrary<Asked>;

type Request = Asked & { receivedMs: number; requestOffset: number; trtSeconds: number; answeredMs: number };

/** Gives requests their offsets in service-requests: in the order of receipt, markers of sources in between. */
function requestsOf(all: readonly Asked[]): Request[] {
  const next = [0, 0];
  return [...all]
    .sort((a, b) => a.receivedAfterMs - b.receivedAfterMs)
    .map((one) => {
      const requestOffset = next[one.mode];
      next[one.mode] += 1 + (one.receivedAfterMs % 3);
      const quarantinedMs = one.mode === ON_DEMAND ? one.quarantinedMs : 0;
      const receivedMs = START_MS + one.receivedAfterMs;
      const answeredMs = receivedMs + quarantinedMs + one.answeredAfterMs;
      const trtSeconds = TRTS.secondsOf(one.srv, one.generation, one.mode, one.service, one.role);
      return { ...one, quarantinedMs, receivedMs, requestOffset, trtSeconds, answeredMs };
    });
}

type Log = { offset: number; batch: Buffer; next: number }[];

function deviceRequest(fields: Partial<Request> & { kind?: number; source?: number }, sourceOffset: number): Buffer {
  return deviceRequestValue(fields, { ...fields, sourceOffset });
}

/** The requests of a lane as they reach the fleet, with the truthful markers of its sources. */
function laneLog(mode: number, requests: readonly Request[], endMs: number, cuts: readonly number[]): Log {
  const values: Buffer[] = [];
  const sources = mode === SCHEDULED ? [SOURCE.scheduler, SOURCE.users] : [0, 1];
  const offsets = [0, 0];
  const coming = requests
    .filter((one) => one.mode === mode && one.fate !== 'refused')
    .map((one) => ({ one, atMs: one.receivedMs + one.quarantinedMs }))
    .sort(
      (a, b) =>
        Math.floor(a.atMs / STEP_MS) - Math.floor(b.atMs / STEP_MS) || a.one.sourcePartition - b.one.sourcePartition,
    );
  let k = 0;
  for (let untilMs = START_MS + STEP_MS; untilMs <= endMs; untilMs += STEP_MS) {
    for (; k < coming.length && coming[k].atMs < untilMs; k++) {
      const sourcePartition = mode === SCHEDULED ? 0 : coming[k].one.sourcePartition;
      values.push(deviceRequest({ ...coming[k].one, sourcePartition }, offsets[sourcePartition]++));
    }
    // Few are needed once no request is left.
    if (k === coming.length && untilMs % HOUR_MS !== 0) continue;
    for (const source of sources) {
      const sourcePartition = mode === SCHEDULED ? 0 : source;
      const marker = { kind: REQUEST_KIND.marker, source: mode === SCHEDULED ? source : 2, receivedMs: untilMs };
      values.push(deviceRequest({ ...marker, sourcePartition, mode }, offsets[sourcePartition]++));
    }
  }
  return inBatches(values, cuts);
}

function response(one: Request, kind: 'fleet' | 'refusal'): Buffer {
  const value = Buffer.alloc(RESPONSE_BYTES_MAX);
  const fields = {
    ...newServiceResponse(),
    ...one,
    mpan: SOME_MPAN,
    source: kind === 'fleet' ? RESPONSE_SOURCE.fleet : RESPONSE_SOURCE.accessControl,
    code: kind === 'fleet' ? one.code : REFUSED,
    answeredMs: kind === 'fleet' ? one.answeredMs : one.receivedMs,
    sentWallMs: WALL_MS,
  };
  const none = new Uint32Array(0);
  const end = writeServiceResponse(value, 0, fields, SOME_EUI, 0, SOME_EUI, 0, none, none, 0, none, 0);
  return framed(SCHEMA_IDS.serviceResponse, value.subarray(0, end));
}

/** What the fleet answers: within a step in any order, then its marker. Refusals at the instant of their request. */
function responseLog(requests: readonly Request[], endMs: number, cuts: readonly number[]): Log {
  const values: Buffer[] = [];
  const stepOf = (ms: number) => Math.floor((ms - START_MS - 1) / STEP_MS);
  const bySteps = new Map<number, Buffer[]>();
  const put = (step: number, value: Buffer) => {
    const list = bySteps.get(step);
    if (list === undefined) bySteps.set(step, [value]);
    else list.push(value);
  };
  for (const one of requests) if (one.fate === 'refused') put(stepOf(one.receivedMs), response(one, 'refusal'));
  for (const one of [...requests].reverse()) {
    if (one.fate !== 'answered') continue;
    put(stepOf(one.answeredMs), response(one, 'fleet'));
    if (one.repeatedAfter !== undefined) put(stepOf(one.answeredMs) + one.repeatedAfter, response(one, 'fleet'));
  }
  for (let step = 0; START_MS + (step + 1) * STEP_MS <= endMs; step++) {
    const here = bySteps.get(step - 1) ?? [];
    values.push(...here);
    if (here.length === 0 && step % 60 !== 0) continue;
    const marker = Buffer.alloc(RESPONSE_BYTES_MAX);
    const end = writeResponseMarker(marker, 0, START_MS + step * STEP_MS, WALL_MS);
    values.push(framed(SCHEMA_IDS.serviceResponse, marker.subarray(0, end)));
  }
  return inBatches(values, cuts);
}

function inBatches(values: readonly Buffer[], cuts: readonly number[]): Log {
  const log: Log = [];
  for (let offset = 0, k = 0; offset < values.length; k++) {
    const count = 1 + (cuts[k % cuts.length] ?? 0);
    const slice = values.slice(offset, offset + count);
    const batch = batchOf(
      slice.map((value) => ({ key: Buffer.from('k'), value })),
      offset,
    );
    log.push({ offset, batch, next: offset + slice.length });
    offset += slice.length;
  }
  return log;
}

/** Counts by what is counted and its series; those of nothing are left out. */
type Counted = Record<string, number>;

function count(into: Counted, what: string, by = 1): void {
  if (by !== 0) into[what] = (into[what] ?? 0) + by;
}

/** What must come out, one request after another. */
function naive(requests: readonly Request[], endMs: number, untilMs: number, errorsCountAsWithin: boolean) {
  const counted: Counted = {};
  const open: string[] = [];
  const breached: string[] = [];
  for (const one of requests) {
    const series = seriesOf(one.srv, one.mode, one.service, one.generation);
    if (one.fate === 'refused') {
      count(counted, 'refused');
      continue;
    }
    // Still in quarantine: nobody knows of it here.
    if (one.receivedMs + one.quarantinedMs >= endMs) continue;
    count(counted, `received ${series}`);
    const isAnswered = one.fate === 'answered' && one.answeredMs <= untilMs;
    const deadlineMs = one.receivedMs + one.quarantinedMs + 1000 * one.trtSeconds;
    const isLate = isAnswered ? one.answeredMs + one.platformMs > deadlineMs : deadlineMs < untilMs;
    if (!isAnswered) open.push(keyOf(one));
    if (one.trtSeconds >= 0 && isLate) {
      count(counted, `breaches ${series}`);
      breached.push(keyOf(one));
    } else if (isAnswered && (one.code === OK || errorsCountAsWithin)) {
      count(counted, `within ${series}`);
      if (one.code !== OK) count(counted, `withinWithoutData ${series}`);
    }
  }
  return { counted, open: open.length, breached: breached.sort() };
}

function keyOf({ mode, requestOffset }: { mode: number; requestOffset: number }): string {
  return `${mode}/${requestOffset}`;
}

function countedBy(counts: TrtCounts): Counted {
  const counted: Counted = {};
  for (const name of ['received', 'within', 'withinWithoutData', 'breaches'] as const)
    counts[name].forEach((value, series) => {
      count(counted, `${name} ${series}`, value);
    });
  count(counted, 'refused', counts.refused[REFUSED]);
  return counted;
}

function sumOf(all: readonly Counted[]): Counted {
  const sum: Counted = {};
  for (const one of all) for (const [what, by] of Object.entries(one)) count(sum, what, by);
  return sum;
}

type Life = { monitor: PartitionMonitor; counts: TrtCounts; breaches: Breach[]; positions: number[] };

function begin(
  starts: typeof FIRST_START,
  errorsCountAsWithin: boolean,
  responsesEnd: number,
  clock = UNPACED,
  nowMs = () => WALL_MS,
): Life {
  const counts = new TrtCounts();
  const breaches: Breach[] = [];
  const [scheduled, onDemand, responses] = starts;
  const monitor = new PartitionMonitor(
    {
      partition: 0,
      partitions: PARTITIONS,
      schemaIds: SCHEMA_IDS,
      trts: TRTS,
      counts,
      clock,
      graceWallMs: 0,
      startMs: START_MS,
      countedStartMs: START_MS,
      countedEndMs: START_MS + DAY_MS,
      errorsCountAsWithin,
      nowMs,
      onBreach: (breach) => breaches.push(breach),
    },
    [scheduled, onDemand],
    responses,
    responsesEnd,
  );
  return { monitor, counts, breaches, positions: [scheduled.offset, onDemand.offset, responses.offset] };
}

/** A failure is made smaller for so long, then shown. */
const QUICK = { interruptAfterTimeLimit: 60_000 };
const UNPACED = new SimClock({ startMs: START_MS, wallEpochMs: 0, speed: 0 });

/** Hands the next batches of one of the three logs over; false where it has no more. */
function take({ monitor, positions }: Life, logs: readonly Log[], of: number, batches: number): boolean {
  const log = logs[of];
  const first = log.findIndex(({ next }) => next > positions[of]);
  if (first < 0 || (of === 2 && !monitor.takesResponses)) return false;
  const taken = log.slice(first, first + batches);
  const nextOffset = taken[taken.length - 1].next;
  const buffers = taken.map(({ batch }) => Buffer.from(batch));
  const letters =
    of === 2
      ? monitor.takeResponses(buffers, positions[of], nextOffset, log[log.length - 1].next)
      : monitor.takeRequests(of, buffers, positions[of], nextOffset);
  expect(letters).toEqual([]);
  positions[of] = nextOffset;
  return true;
}

function startsOf({ lanes, responses }: MonitorCommit): typeof FIRST_START {
  // What is committed has been text.
  const [scheduled, onDemand] = lanes.map(({ offset, next, state }) => ({ offset, next, state }));
  return JSON.parse(JSON.stringify([scheduled, onDemand, responses])) as typeof FIRST_START;
}

function finish(life: Life, logs: readonly Log[]): void {
  for (const of of [0, 1, 2]) while (take(life, logs, of, 50)) life.monitor.advance();
  life.monitor.advance();
}

const moves = fc.array(fc.record({ of: fc.nat(2), batches: fc.integer({ min: 1, max: 8 }), advances: fc.boolean() }), {
  minLength: 20,
  maxLength: 200,
});
const cuts = fc.array(fc.nat(6), { minLength: 1, maxLength: 20 });

function logsOf(requests: readonly Request[], endMs: number, sizes: readonly number[]): Log[] {
  return [
    laneLog(SCHEDULED, requests, endMs, sizes),
    laneLog(ON_DEMAND, requests, endMs, sizes),
    responseLog(requests, endMs, sizes),
  ];
}

describe('the Target Response Times of a partition', () => {
  test('are what a look at each request by itself gives, however the topics are read beside each other', () => {
    fc.assert(
      fc.property(
        fc.array(asked, { maxLength: 60 }),
        fc.integer({ min: 5, max: 40 }),
        cuts,
        moves,
        fc.boolean(),
        (all, hours, sizes, acts, errorsCount) => {
          const requests = requestsOf(all);
          const endMs = START_MS + hours * HOUR_MS;
          const life = begin(FIRST_START, errorsCount, 0);
          const logs = logsOf(requests, endMs, sizes);
          for (const { of, batches, advances } of acts) {
            take(life, logs, of, batches);
            if (advances) life.monitor.advance();
          }
          finish(life, logs);
          const wanted = naive(requests, endMs, life.monitor.nowMs, errorsCount);
          expect(countedBy(life.counts)).toEqual(wanted.counted);
          expect(life.monitor.open).toBe(wanted.open);
          expect(life.counts.open.reduce((sum, one) => sum + one)).toBe(wanted.open);
          expect(life.breaches.map(keyOf).sort()).toEqual(wanted.breached);
        },
      ),
      { numRuns: 40, ...QUICK },
    );
  });

  test('are complete up to an instant: whatever reached the fleet before it was received, its answers were counted', () => {
    let complete = 0;
    fc.assert(
      fc.property(fc.array(asked, { maxLength: 60 }), cuts, moves, (all, sizes, acts) => {
        const requests = requestsOf(all).filter(({ fate }) => fate !== 'refused');
        const { monitor, counts, positions, breaches } = begin(FIRST_START, true, 0);
        const logs = logsOf(requests, START_MS + 30 * HOUR_MS, sizes);
        for (const { of, batches } of acts) {
          take({ monitor, counts, positions, breaches }, logs, of, batches);
          const { completeMs, open } = monitor;
          const reached = requests.filter(({ receivedMs, quarantinedMs }) => receivedMs + quarantinedMs < completeMs);
          const answered = reached.filter(({ fate, answeredMs }) => fate === 'answered' && answeredMs <= completeMs);
          const received = counts.received.reduce((sum, one) => sum + one);
          expect(received).toBeGreaterThanOrEqual(reached.length);
          expect(received - open).toBeGreaterThanOrEqual(answered.length);
          complete += answered.length;
        }
      }),
      { numRuns: 40, ...QUICK },
    );
    expect(complete).toBeGreaterThan(0);
  });

  test('add up over restarts from what was committed, and no breach before a commit is published again', () => {
    fc.assert(
      fc.property(
        fc.array(asked, { maxLength: 60 }),
        cuts,
        fc.array(moves, { minLength: 2, maxLength: 4 }),
        fc.array(fc.nat(5), { minLength: 4, maxLength: 4 }),
        (all, sizes, lives, crashes) => {
          // On demand an answer that is repeated is known only while its first is read again.
          const once = all.map((one) => (one.mode === ON_DEMAND ? { ...one, repeatedAfter: undefined } : one));
          const requests = requestsOf(once);
          const endMs = START_MS + 36 * HOUR_MS;
          const logs = logsOf(requests, endMs, sizes);
          const counted: Counted[] = [];
          const published: string[] = [];
          let starts = FIRST_START;
          lives.forEach((acts, k) => {
            const life = begin(starts, true, logs[2].length);
            for (const { of, batches, advances } of acts) {
              take(life, logs, of, batches);
              if (advances) life.monitor.advance();
            }
            const commit = life.monitor.committable();
            if (commit === undefined) return;
            counted.push(countedBy(life.counts));
            published.push(...life.breaches.map(keyOf));
            starts = startsOf(commit);
            // What it does between its last commit and its crash is done again.
            for (let more = 0; more < crashes[k]; more++) take(life, logs, more % 3, 1);
          });
          const last = begin(starts, true, logs[2].length);
          finish(last, logs);
          const wanted = naive(requests, endMs, last.monitor.nowMs, true);
          const sum = sumOf([...counted, countedBy(last.counts)]);
          expect(sum).toEqual(wanted.counted);
          expect([...published, ...last.breaches.map(keyOf)].sort()).toEqual(wanted.breached);
          expect(last.monitor.open).toBe(wanted.open);
        },
      ),
      { numRuns: 40, ...QUICK },
    );
  });

  test('on a clock: an answer that is in the topic already is no breach, however late it is read', () => {
    const [one] = requestsOf([SOON_ANSWERED]);
    expect(one.trtSeconds).toBeGreaterThan(5);
    const logs = logsOf([one], START_MS + 2 * STEP_MS, [3]);
    const clock = new SimClock({ startMs: START_MS, wallEpochMs: 0, speed: 1 }, () => 10 * HOUR_MS);
    const end = logs[2][logs[2].length - 1].next;
    const life = begin(FIRST_START, true, end, clock);
    while (take(life, logs, ON_DEMAND, 1));
    life.monitor.noteEnd(end, 10 * HOUR_MS);
    life.monitor.advance();
    expect(life.breaches).toEqual([]);
    while (take(life, logs, 2, 1)) life.monitor.advance();
    life.monitor.advance();
    expect(life.monitor.nowMs).toBe(START_MS + 10 * HOUR_MS);
    expect(life.breaches).toEqual([]);
    expect(life.counts.within.reduce((sum, one) => sum + one)).toBe(1);
  });

  // A process that was stopped, with its machine or by a debugger, finds the clock far ahead of what it has read. What
  // came meanwhile is in the topic, and it cannot know: another process may have its partitions by now.
  test('on a clock: who was stopped for a while asks where the answers end before it calls anything late', () => {
    const [one] = requestsOf([SOON_ANSWERED]);
    const logs = logsOf([one], START_MS + 2 * STEP_MS, [1]);
    let wallMs = 0;
    const clock = new SimClock({ startMs: START_MS, wallEpochMs: 0, speed: 1 }, () => wallMs);
    const life = begin(FIRST_START, true, 0, clock, () => wallMs);
    while (take(life, logs, ON_DEMAND, 1));
    wallMs = 2000;
    life.monitor.noteEnd(0, wallMs);
    life.monitor.advance();
    expect(life.monitor.nowMs).toBe(START_MS + wallMs);
    wallMs = 2 * HOUR_MS + one.trtSeconds * 1000;
    life.monitor.advance();
    expect(life.breaches).toEqual([]);
    life.monitor.noteEnd(logs[2][logs[2].length - 1].next, wallMs);
    life.monitor.advance();
    while (take(life, logs, 2, 1)) life.monitor.advance();
    expect(life.monitor.nowMs).toBe(START_MS + wallMs);
    expect(life.breaches).toEqual([]);
    expect(life.counts.within.reduce((sum, one) => sum + one)).toBe(1);
  });

  test('on a clock: what nobody answers is a breach once the answers are known to end before it', () => {
    const [one] = requestsOf([{ ...SOON_ANSWERED, fate: 'never' }]);
    const logs = logsOf([one], START_MS + STEP_MS, [1]);
    let wallMs = 0;
    const clock = new SimClock({ startMs: START_MS, wallEpochMs: 0, speed: 1 }, () => wallMs);
    const life = begin(FIRST_START, true, 0, clock, () => wallMs);
    while (take(life, logs, ON_DEMAND, 1));
    wallMs = 1000 + one.trtSeconds * 1000;
    for (const [atMs, breaches] of [
      [wallMs - 1, 0],
      [wallMs + 1, 1],
    ]) {
      life.monitor.noteEnd(0, atMs);
      life.monitor.advance();
      expect(life.breaches).toHaveLength(breaches);
    }
  });
});

const SOON_ANSWERED: Asked = {
  mode: ON_DEMAND,
  receivedAfterMs: 1000,
  srv: SRVS.indexOf('4.6.1'),
  service: 1,
  generation: GENERATIONS.indexOf('SMETS2'),
  role: ROLES.indexOf('MDR'),
  fate: 'answered',
  answeredAfterMs: 5000,
  platformMs: 0,
  code: OK,
  quarantinedMs: 0,
  sourcePartition: 0,
  repeatedAfter: undefined,
};
