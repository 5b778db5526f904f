import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestCounter } from '#core/request-counter.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { MHHS, ON_DEMAND, rowOf, SCHEDULED } from '#core/trt-row.ts';
import { DATA_SET, FIRST } from '#fleet-sim/arrivals.ts';
import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import { cellOfMeter } from '#fleet-sim/fleet.ts';
import { deviceIdOf, HASH_CLASSES, importMpanOf } from '#fleet-sim/meter.ts';
import { smallWorld, WORLD_USERS } from '#fleet-sim/test/small-world.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newServiceRequest, REQUEST_KIND, readServiceRequest, SOURCE } from '#schemas/service-request.ts';
import {
  codeIndex,
  newServiceResponse,
  RESPONSE_BYTES_MAX,
  RESPONSE_SOURCE,
  writeResponseMarker,
  writeServiceResponse,
} from '#schemas/service-response.ts';
import { euiBytes, WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchBuilder, BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { OwnTailFold } from '#services/platform/own-tail.ts';
import { SimClock } from '#services/platform/sim-clock.ts';
import { batchOf, framed, SCHEMA_IDS } from '#services/platform/test/record-streams.ts';
import { createScratch } from './cell-demand.ts';
import { AskedBefore, PartitionUsers, type Taken } from './partition-users.ts';

const HOUR_MS = 3_600_000;
const PARTITIONS = 4;
const PARTITION = 1;
const WORLD = smallWorld({ warmUpHours: 6, existing: { reads: [], other: [] } });
const SCRATCH = createScratch(WORLD);
const ORIGIN_MS = WORLD.originDay * DAY_MS;
const START_MS = ORIGIN_MS + WORLD.warmUpStartMs;
const END_MS = START_MS + 20 * HOUR_MS;
const EUIS = WORLD.userTable.users.map(({ eui }) => euiBytes(eui));
const METERS = Array.from({ length: WORLD.fleet.meters }, (_, meter) => meter).filter(
  (meter) => (cellOfMeter(WORLD.fleet, meter) % HASH_CLASSES) % PARTITIONS === PARTITION,
);

type Written = { mode: number; isMarker: boolean; receivedMs: number; position: number; name: string; batch: Buffer };
type Asked = { mpan: number; counter: number; device: Buffer; originator: Buffer; mode: number; receivedMs: number };
type Answer = { answeredMs: number; value: Buffer };

/** Offset of each request in its lane, as far as an answer says it: one for each. */
const OFFSETS = new Map<string, number>();

function offsetOf({ mode, mpan, counter, receivedMs }: Asked): number {
  const name = `${mode} ${receivedMs} ${mpan} ${counter}`;
  const offset = OFFSETS.get(name) ?? OFFSETS.size;
  OFFSETS.set(name, offset);
  return offset;
}

/** Whether a request fails, and how long it takes: by what it is. */
function answerTo(asked: Asked, laterMs = 0): Answer {
  const bits = draw32(9, asked.mpan % 2 ** 31, asked.counter % 2 ** 31, PURPOSE.serviceTime);
  const answeredMs = asked.receivedMs + 1 + (bits % (2 * HOUR_MS)) + laterMs;
  const response = {
    ...newServiceResponse(),
    source: RESPONSE_SOURCE.fleet,
    mode: asked.mode,
    requestOffset: offsetOf(asked),
    mpan: asked.mpan,
    counter: asked.counter,
    code: codeIndex(bits % 3 === 0 ? 'I0' : 'E20'),
    receivedMs: asked.receivedMs,
    answeredMs,
  };
  const none = new Uint32Array(0);
  const value = Buffer.alloc(RESPONSE_BYTES_MAX);
  const end = writeServiceResponse(value, 0, response, asked.originator, 0, asked.device, 0, none, none, 0, none, 0);
  return { answeredMs, value: framed(SCHEMA_IDS.serviceResponse, value.subarray(0, end)) };
}

/** Scheduled reads of all meters: what their Users ask again comes from the answers to these. */
const SCHEDULED_READS: Asked[] = METERS.map((meter) => {
  const row = rowOf(WORLD.srv.importHalfHours, SCHEDULED, MHHS);
  const day = Math.floor((START_MS - ORIGIN_MS) / DAY_MS);
  return {
    mpan: importMpanOf(WORLD.fleet, meter),
    counter: requestCounter(day, row, 0, day - 1, FIRST | DATA_SET, 0),
    device: euiBytes(deviceIdOf(meter)),
    originator: EUIS[0],
    mode: SCHEDULED,
    receivedMs: START_MS + (meter % 300) * 60_000,
  };
});

/** The two lanes, and the fleet behind them; where it was started anew, it gives each answer again and later. */
class Stream {
  readonly lanes: [Written[], Written[]] = [[], []];
  readonly answers: Answer[] = [];
  readonly responses: Buffer[] = [];
  offset = 0;
  fleetMs = START_MS;
  readonly #repeatsAfterMs: number | undefined;

  constructor(repeatsAfterMs?: number) {
    this.#repeatsAfterMs = repeatsAfterMs;
    for (const asked of SCHEDULED_READS) this.answer(asked);
  }

  answer(asked: Asked): void {
    this.answers.push(answerTo(asked));
    if (this.#repeatsAfterMs !== undefined) this.answers.push(answerTo(asked, this.#repeatsAfterMs));
  }

  append(all: readonly Written[]): void {
    for (const one of all) this.lanes[one.mode].push(one);
  }

  /** Lets the fleet answer up to an instant: within the step in no order, the marker behind it all. */
  step(untilMs: number, recordsABatch: number): void {
    const due = this.answers
      .filter(({ answeredMs }) => answeredMs > this.fleetMs && answeredMs <= untilMs)
      .sort((a, b) => Buffer.compare(a.value, b.value))
      .map(({ value }) => value);
    const marker = Buffer.alloc(RESPONSE_BYTES_MAX);
    const end = writeResponseMarker(marker, 0, untilMs, 1);
    due.push(framed(SCHEMA_IDS.serviceResponse, marker.subarray(0, end)));
    for (let at = 0; at < due.length; at += recordsABatch) {
      const records = due.slice(at, at + recordsABatch).map((value) => ({ key: null, value }));
      this.responses.push(batchOf(records, this.offset));
      this.offset += records.length;
    }
    this.fleetMs = untilMs;
  }
}

/** The records of batches, each as one of its own, and the requests among them. */
function recordsOf(batches: readonly { topic: string; batch: ArrayBuffer }[]): { written: Written[]; asked: Asked[] } {
  const written: Written[] = [];
  const asked: Asked[] = [];
  const cursor = new BatchCursor();
  const reader = new AvroReader();
  const request = newServiceRequest();
  for (const { topic, batch } of batches) {
    const mode = topic.endsWith('scheduled') ? SCHEDULED : ON_DEMAND;
    cursor.open(Buffer.from(batch));
    while (cursor.next()) {
      const { buffer, valueAt, valueLength } = cursor;
      readServiceRequest(reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength), request);
      const { receivedMs, position, mpan, counter } = request;
      const isMarker = request.kind === REQUEST_KIND.marker;
      const single = new BatchBuilder(1000);
      const at = single.beginWithoutKey(1);
      single.end(at + buffer.copy(single.buffer, at, valueAt, valueAt + valueLength));
      const name = `${mode} ${receivedMs} ${mpan} ${counter}`;
      written.push({ mode, isMarker, receivedMs, position, name, batch: Buffer.from(single.finish()) });
      if (isMarker) continue;
      const eui = (from: number) => Buffer.from(buffer.subarray(from, from + 8));
      const [originator, device] = [eui(request.originatorAt), eui(request.deviceAt)];
      asked.push({ mpan, counter, device, originator, mode, receivedMs });
    }
  }
  return { written, asked };
}

type Life = { users: PartitionUsers; next: number };

function begin(stream: Stream, taken: Taken, world = WORLD): Life {
  let wallMs = 0;
  const askedBefore = new AskedBefore(WORLD);
  const tails = stream.lanes.map((lane, mode) => {
    const recollection = mode === ON_DEMAND ? askedBefore : undefined;
    const fold = new OwnTailFold(SOURCE.users, SCHEMA_IDS.serviceRequest, recollection);
    for (const { batch } of lane) fold.take(batch);
    return fold.tail();
  });
  const users = new PartitionUsers(
    {
      world,
      scratch: SCRATCH,
      partition: PARTITION,
      partitions: PARTITIONS,
      schemaIds: SCHEMA_IDS,
      clock: new SimClock({ startMs: START_MS, wallEpochMs: 0, speed: 0 }),
      startMs: START_MS,
      endMs: END_MS,
      // A turn is over after some looks at the clock: in the middle of what is due.
      nowMs: () => (wallMs += 2),
    },
    [tails[0], tails[1]],
    { ...taken },
    askedBefore.keys,
  );
  while (!users.prepare());
  return { users, next: taken.responses };
}

/** Hands the next batches over in one go; false where there are none. */
function take(life: Life, stream: Stream, batches: number): boolean {
  const taken: Buffer[] = [];
  let next = 0;
  for (const batch of stream.responses) {
    next += batch.readInt32BE(57);
    if (next <= life.next) continue;
    taken.push(Buffer.from(batch));
    if (taken.length === batches) break;
  }
  if (taken.length === 0) return false;
  expect(life.users.takeResponses(taken, life.next, next)).toEqual([]);
  life.next = next;
  return true;
}

function takenOf(users: PartitionUsers): Taken {
  const [responses, quarantine] = users.committable();
  return { responses: responses.offset, quarantine: quarantine.offset };
}

type Crash = { afterTurns: number; kept: [number, number]; commitsEarlier: boolean };

/** All that the Users write, up to the end, with crashes in between. */
function written(
  crashes: readonly Crash[],
  stepMs: number,
  recordsABatch: number,
  batchesATake: number,
  repeatsAfterMs?: number,
): [Written[], Written[]] {
  const stream = new Stream(repeatsAfterMs);
  let life = begin(stream, { responses: 0, quarantine: 0 });
  let committed = takenOf(life.users);
  let turns = 0;
  let coming = [...crashes];
  while (life.users.reachedMs < END_MS - 1) {
    const { batches, isIdle } = life.users.run();
    const { written: records, asked } = recordsOf(batches);
    turns++;
    if (coming.length > 0 && turns >= coming[0].afterTurns) {
      // Of its last turn some records are in the log of each lane, and then it is gone.
      const [{ kept }, ...later] = coming;
      coming = later;
      turns = 0;
      for (const mode of [SCHEDULED, ON_DEMAND]) {
        const ours = records.filter((one) => one.mode === mode);
        const some = ours.slice(0, kept[mode] % (ours.length + 1));
        stream.append(some);
        const names = new Set(some.map(({ name }) => name));
        for (const one of asked)
          if (one.mode === mode && names.has(`${mode} ${one.receivedMs} ${one.mpan} ${one.counter}`))
            stream.answer(one);
      }
      life = begin(stream, committed);
      continue;
    }
    stream.append(records);
    for (const one of asked) stream.answer(one);
    if (isIdle) {
      if (!take(life, stream, batchesATake))
        stream.step(Math.min(stream.fleetMs + stepMs, life.users.reachedMs), recordsABatch);
      if (coming[0]?.commitsEarlier !== true || turns % 7 === 0) committed = takenOf(life.users);
    }
  }
  return stream.lanes;
}

const namesOf = (lanes: readonly Written[][]) =>
  lanes.flatMap((lane) => lane.filter(({ isMarker }) => !isMarker).map(({ name }) => name)).sort();

describe('the Users of a partition', () => {
  const [scheduled, onDemand] = written([], HOUR_MS, 50, 1);

  test('ask in the order of time, each request once, and their markers hold', () => {
    expect(onDemand.length).toBeGreaterThan(200);
    for (const lane of [scheduled, onDemand]) {
      let untilMs = Number.NEGATIVE_INFINITY;
      let lastMs = Number.NEGATIVE_INFINITY;
      for (const { isMarker, receivedMs } of lane) {
        if (isMarker) untilMs = receivedMs;
        else {
          expect(receivedMs).toBeGreaterThan(untilMs);
          expect(receivedMs).toBeGreaterThanOrEqual(lastMs);
          lastMs = receivedMs;
        }
      }
      const positions = lane.filter(({ isMarker }) => !isMarker).map(({ position }) => position);
      expect(positions).toEqual(positions.map((_, k) => k + 1));
    }
    expect(new Set(namesOf([scheduled, onDemand])).size).toBe(namesOf([scheduled, onDemand]).length);
  });

  test('ask the same however the fleet answers in steps and batches, and wherever they crash in between', () => {
    const wanted = namesOf([scheduled, onDemand]);
    const crash = fc.record({
      afterTurns: fc.integer({ min: 1, max: 150 }),
      kept: fc.tuple(fc.nat(200), fc.nat(200)),
      commitsEarlier: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(crash, { maxLength: 4 }),
        fc.integer({ min: 60_000, max: 3 * HOUR_MS }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        (crashes, stepMs, recordsABatch, batchesATake) => {
          expect(namesOf(written(crashes, stepMs, recordsABatch, batchesATake))).toEqual(wanted);
        },
      ),
      { numRuns: 25, interruptAfterTimeLimit: 60_000 },
    );
  });

  // A restart that did not know what was asked again before took an answer that came twice, and later, for a new one.
  test('ask again once, though a fleet that was started anew answers again and later, and they crash as well', () => {
    const wanted = namesOf([scheduled, onDemand]);
    const crashes = [40, 90, 70].map((afterTurns, k) => ({
      afterTurns,
      kept: [k, 3 * k] as [number, number],
      commitsEarlier: false,
    }));
    // Later than a step, in which answers come in any order.
    expect(namesOf(written(crashes, HOUR_MS, 50, 1, 5 * HOUR_MS))).toEqual(wanted);
  });

  test('are ahead of the fleet by the least wait before a request, by a day where nobody asks again', () => {
    const reached = (max: number[]) => {
      const asking = WORLD_USERS.map((user, k) => ({ ...user, reRequests: { ...user.reRequests, max: max[k] } }));
      const world = smallWorld({ warmUpHours: 6, existing: { reads: [], other: [] }, users: asking });
      const { users } = begin(new Stream(), { responses: 0, quarantine: 0 }, world);
      while (!users.run().isIdle);
      return users.reachedMs - START_MS;
    };
    expect(reached([0, 0, 1, 0])).toBe(HOUR_MS);
    // The end of the run comes before the day is over.
    expect(reached([0, 0, 0, 0])).toBe(END_MS - 1 - START_MS);
  });
});
