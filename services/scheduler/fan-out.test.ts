import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mpanFrom } from '#core/identifiers.ts';
import { DEFAULT_MATRIX, ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { type RequestFacts, unpackInto } from '#core/request-counter.ts';
import { mergedExecutions, readWindowOf, type Schedule, spreadTimeMs } from '#core/schedule.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { rowOf, SCHEDULED } from '#core/trt-row.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newServiceRequest, REQUEST_KIND, readServiceRequest, SOURCE } from '#schemas/service-request.ts';
import { euiText, WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchBuilder, BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { type OwnTail, OwnTailFold } from '#services/platform/own-tail.ts';
import { orderExecutions } from './execution-order.ts';
import { EXECUTIONS_A_BATCH_MAX, type FannedOut, FanOutStep } from './fan-out.ts';
import { applySchedules, createScheduleTable, ScheduleRows } from './schedule-table.ts';
import { anySchedules, byMpan, DAY, type OnMpan, scheduleList } from './test/any-schedules.ts';

const SCHEMA_ID = 77;
const EPOCH_MS = DAY * DAY_MS;
const MATRIX_SRV = Int32Array.from(SRVS, (_, symbol) => DEFAULT_MATRIX.srv.indexOf(symbol));
const DUE = { startMs: EPOCH_MS, wallEpochMs: 1e12, speed: 0, nowMs: 1e12 };

type Written = {
  isMarker: boolean;
  position: number;
  receivedMs: number;
  mpan: number;
  counter: number;
  batch: Buffer;
};

function tableOf(schedules: readonly OnMpan[]): ScheduleRows {
  let rows = new ScheduleRows(createScheduleTable());
  for (const [mpan, list] of byMpan(schedules)) {
    rows = applySchedules(rows, new AvroReader().open(scheduleList(mpan, list)), spreadTimeMs);
  }
  return rows;
}

/** The records of a batch, each also as a batch of its own. */
function recordsOf(batch: ArrayBuffer): Written[] {
  const cursor = new BatchCursor();
  const request = newServiceRequest();
  const reader = new AvroReader();
  const records: Written[] = [];
  cursor.open(Buffer.from(batch));
  while (cursor.next()) {
    const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
    readServiceRequest(reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength), request);
    const isMarker = request.kind === REQUEST_KIND.marker;
    if (!isMarker) expect(buffer.toString('latin1', keyAt, keyAt + keyLength)).toBe(String(request.mpan));
    const single = new BatchBuilder(1000);
    const at = isMarker ? single.beginWithoutKey(1) : single.begin(1, buffer, keyAt, keyLength);
    single.end(at + buffer.copy(single.buffer, at, valueAt, valueAt + valueLength));
    const { position, receivedMs, mpan, counter } = request;
    records.push({ isMarker, position, receivedMs, mpan, counter, batch: Buffer.from(single.finish()) });
  }
  return records;
}

/** Drives the step as the service does, from a tail, up to each of the instants given. */
function* fanOut(rows: ScheduleRows, tail: OwnTail, fromMs: number, untils: readonly number[]): Generator<FannedOut> {
  const step = new FanOutStep();
  const order = orderExecutions(rows);
  let reachedMs = tail.untilMs ?? fromMs - 1;
  let { position, sent } = tail;
  let place = -1;
  for (const untilMs of untils) {
    while (reachedMs < untilMs) {
      const result = step.run(rows, order, {
        afterMs: reachedMs,
        untilMs,
        place,
        position,
        sent,
        schemaId: SCHEMA_ID,
        epochMs: EPOCH_MS,
        matrixSrv: MATRIX_SRV,
        due: DUE,
      });
      yield result;
      ({ reachedMs, place, position } = result);
      if (reachedMs >= tail.sentUntilMs) sent = new Set();
    }
  }
}

const NOTHING: OwnTail = {
  position: 0,
  untilMs: undefined,
  sent: new Set(),
  sentUntilMs: Number.NEGATIVE_INFINITY,
};

function expected(schedules: readonly OnMpan[], fromMs: number, untilMs: number): string[] {
  const mpanOf = new Map(schedules.map(({ mpan, schedule }) => [schedule, mpan]));
  const found: { executionMs: number; mpan: number; id: number }[] = [];
  for (const { schedule, executionMs } of mergedExecutions(mpanOf.keys(), fromMs)) {
    if (executionMs > untilMs) break;
    found.push({ executionMs, mpan: mpanOf.get(schedule) as number, id: schedule.id });
  }
  found.sort((a, b) => a.executionMs - b.executionMs || a.mpan - b.mpan || a.id - b.id);
  return found.map(({ executionMs, mpan }) => `${executionMs} ${mpan}`);
}

const name = ({ receivedMs, mpan }: { receivedMs: number; mpan: number }) => `${receivedMs} ${mpan}`;

/** So many schedules at one time of day, two on an MPAN. */
function crowd(count: number, executionTimeMs: number, [{ schedule }]: OnMpan[]): OnMpan[] {
  const { endDay: _, ...endless } = schedule;
  return Array.from({ length: count }, (_, k) => ({
    mpan: mpanFrom(200_000_000_000 + Math.floor(k / 2)),
    schedule: {
      ...endless,
      id: 1e12 + 1 + k,
      frequency: 'Daily',
      startDay: DAY - 1,
      executionTimeMs,
    },
  }));
}

const [SOME] = fc.sample(
  anySchedules(1).filter(({ length }) => length === 1),
  { numRuns: 1, seed: 5 },
);

describe('executions fanned out', () => {
  test('are those of core, in the order of time, over days, wherever the turns end', () => {
    const turns = fc.array(fc.integer({ min: 1, max: 4 * DAY_MS }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(anySchedules(30), fc.integer({ min: 0, max: DAY_MS - 1 }), turns, (schedules, startMs, ends) => {
        const fromMs = EPOCH_MS + startMs;
        const untils = ends.map((end) => fromMs + end).sort((a, b) => a - b);
        const records = [...fanOut(tableOf(schedules), NOTHING, fromMs, untils)].flatMap(({ batch }) =>
          recordsOf(batch),
        );
        const requests = records.filter(({ isMarker }) => !isMarker);
        expect(requests.map(name)).toEqual(expected(schedules, fromMs, untils[untils.length - 1]));
        expect(requests.map(({ position }) => position)).toEqual(requests.map((_, k) => k + 1));
        expectMarkersTrue(records);
      }),
    );
  });

  test('carry what their schedule says', () => {
    fc.assert(
      fc.property(anySchedules(12), (schedules) => {
        const bySchedule = new Map<string, Schedule[]>();
        for (const { mpan, schedule } of schedules) {
          const timeMs = schedule.executionTimeMs ?? spreadTimeMs(schedule.id);
          const key = `${timeMs} ${mpan}`;
          bySchedule.set(key, [...(bySchedule.get(key) ?? []), schedule]);
        }
        const request = newServiceRequest();
        const reader = new AvroReader();
        const cursor = new BatchCursor();
        for (const { batch } of fanOut(tableOf(schedules), NOTHING, EPOCH_MS, [EPOCH_MS + 2 * DAY_MS])) {
          cursor.open(Buffer.from(batch));
          while (cursor.next()) {
            const { buffer, valueAt, valueLength } = cursor;
            readServiceRequest(reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength), request);
            if (request.kind === REQUEST_KIND.marker) continue;
            const { receivedMs, mpan, windowStartMs, windowEndMs } = request;
            const candidates = (bySchedule.get(`${receivedMs % DAY_MS} ${mpan}`) ?? []).map((one) => ({
              user: one.userEui,
              device: one.deviceId,
              role: one.role,
              service: one.service,
              srv: one.srv,
              ...readWindowOf(one, receivedMs),
            }));
            expect(candidates).toContainEqual({
              user: euiText(buffer, request.originatorAt),
              device: euiText(buffer, request.deviceAt),
              role: ROLES[request.role],
              service: SERVICES[request.service],
              srv: SRVS[request.srv],
              startMs: windowStartMs,
              endMs: windowEndMs,
            });
            expect(request).toMatchObject({ source: SOURCE.scheduler, mode: SCHEDULED, signerAt: -1 });
            const facts: RequestFacts = { day: 0, row: 0, ordinal: 0, dataDay: 0, flags: 0, serial: 0 };
            unpackInto(request.counter, facts);
            expect(facts.day).toBe(Math.floor(receivedMs / DAY_MS) - DAY);
            expect(facts.row).toBe(rowOf(Math.max(0, MATRIX_SRV[request.srv]), SCHEDULED, request.service));
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('more at one instant than a batch holds go on in the next, and no marker speaks of the instant before its end', () => {
    const count = 2 * EXECUTIONS_A_BATCH_MAX + 5;
    const schedules = [...crowd(count, 3_600_000, SOME), ...crowd(3, 3_600_001, SOME).map(elsewhere)];
    const outputs = [...fanOut(tableOf(schedules), NOTHING, EPOCH_MS, [EPOCH_MS + DAY_MS - 1])];
    expect(outputs.map(({ executions }) => executions)).toEqual([4000, 4000, 8]);
    const records = outputs.flatMap(({ batch }) => recordsOf(batch));
    const requests = records.filter(({ isMarker }) => !isMarker);
    expect(new Set(requests.map(({ position }) => position)).size).toBe(count + 3);
    expect(records.filter(({ isMarker }) => isMarker).map(({ receivedMs }) => receivedMs - EPOCH_MS)).toEqual([
      3_599_999,
      3_599_999,
      DAY_MS - 1,
    ]);
    expectMarkersTrue(records);
  });
});

describe('a scheduler that takes a partition over from what is in the log', () => {
  test('skips nothing and repeats nothing, wherever the log was cut', () => {
    const turns = fc.array(fc.integer({ min: 1, max: 3 * DAY_MS }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(anySchedules(20), turns, fc.nat(), (schedules, ends, at) => {
        const untils = ends.map((end) => EPOCH_MS + end).sort((a, b) => a - b);
        const rows = tableOf(schedules);
        const all = [...fanOut(rows, NOTHING, EPOCH_MS, untils)].flatMap(({ batch }) => recordsOf(batch));
        expectResumes(rows, all, at % (all.length + 1), untils);
      }),
    );
  });

  test('nor in the middle of an instant that takes several batches', () => {
    const untils = [EPOCH_MS + DAY_MS - 1];
    const rows = tableOf([
      ...crowd(2 * EXECUTIONS_A_BATCH_MAX + 5, 3_600_000, SOME),
      ...crowd(3, 7, SOME).map(elsewhere),
    ]);
    const all = [...fanOut(rows, NOTHING, EPOCH_MS, untils)].flatMap(({ batch }) => recordsOf(batch));
    for (const cut of [0, 1, 2, 3, 4, 2000, 4000, 4001, 4002, 4003, 8001, 8002, 8003, 8004, all.length]) {
      expectResumes(rows, all, cut, untils);
    }
  });

  test('knows how far back it must look: to a record of an earlier instant than its last marker speaks of', () => {
    const rows = tableOf([...crowd(2 * EXECUTIONS_A_BATCH_MAX, 3_600_000, SOME), ...crowd(1, 7, SOME).map(elsewhere)]);
    const all = [...fanOut(rows, NOTHING, EPOCH_MS, [EPOCH_MS + DAY_MS - 1])].flatMap(({ batch }) => recordsOf(batch));
    const written = all.slice(0, 4002);
    const isComplete = (from: number) => {
      const fold = new OwnTailFold(SOURCE.scheduler, SCHEMA_ID);
      for (const { batch } of written.slice(from)) fold.take(batch);
      return fold.isComplete;
    };
    expect([0, 1, 2000, 4001].map(isComplete)).toEqual([true, false, false, false]);
  });

  test('passes over what it cannot read and what others wrote', () => {
    const fold = new OwnTailFold(SOURCE.scheduler, SCHEMA_ID);
    const [first, ...rest] = [...fanOut(tableOf(SOME), NOTHING, EPOCH_MS, [EPOCH_MS + 40 * DAY_MS])].flatMap(
      ({ batch }) => recordsOf(batch),
    );
    const malformed = new BatchBuilder(100);
    malformed.end(malformed.buffer.writeInt32BE(SCHEMA_ID, malformed.beginWithoutKey(1) + 1) + 1);
    const corrupt = Buffer.from(first.batch);
    corrupt[corrupt.length - 1] ^= 1;
    for (const batch of [first.batch, Buffer.from(malformed.finish()), corrupt, ...rest.map((one) => one.batch)]) {
      fold.take(batch);
    }
    expect(fold.tail().untilMs).toBe(EPOCH_MS + 40 * DAY_MS);
    expect(new OwnTailFold(SOURCE.users, SCHEMA_ID).tail()).toEqual(NOTHING);
  });
});

function elsewhere({ mpan, schedule }: OnMpan): OnMpan {
  return { mpan: mpan + 3e11, schedule: { ...schedule, id: schedule.id - 1e11 } };
}

function expectMarkersTrue(records: readonly Written[]): void {
  let untilMs = Number.NEGATIVE_INFINITY;
  for (const { isMarker, receivedMs } of records) {
    expect(receivedMs).toBeGreaterThanOrEqual(isMarker ? untilMs : untilMs + 1);
    if (isMarker) untilMs = receivedMs;
  }
  expect(records[records.length - 1].isMarker).toBe(true);
}

function expectResumes(rows: ScheduleRows, all: readonly Written[], cut: number, untils: readonly number[]): void {
  const fold = new OwnTailFold(SOURCE.scheduler, SCHEMA_ID);
  for (const { batch } of all.slice(0, cut)) fold.take(batch);
  const more = [...fanOut(rows, fold.tail(), EPOCH_MS, untils)].flatMap(({ batch }) => recordsOf(batch));
  const requests = [...all.slice(0, cut), ...more].filter(({ isMarker }) => !isMarker);
  const wanted = all.filter(({ isMarker }) => !isMarker);
  const key = (one: Written) => `${name(one)} ${one.counter}`;
  expect(requests.map(key).sort()).toEqual(wanted.map(key).sort());
  expect(requests.map(({ position }) => position)).toEqual(requests.map((_, k) => k + 1));
  expect(requests.map(({ receivedMs }) => receivedMs)).toEqual(wanted.map(({ receivedMs }) => receivedMs));
}
