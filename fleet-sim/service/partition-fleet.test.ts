import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SRVS } from '#core/matrix.ts';
import { packRequestCounter } from '#core/request-counter.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { MHHS, ON_DEMAND, rowOf, SCHEDULED } from '#core/trt-row.ts';
import { cellOfMeter } from '#fleet-sim/fleet.ts';
import { deviceIdOf, HASH_CLASSES, importMpanOf } from '#fleet-sim/meter.ts';
import { meterReadsOf } from '#fleet-sim/meter-answer.ts';
import { smallWorld } from '#fleet-sim/test/small-world.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { bigCounterOf, counterOf } from '#schemas/counter.ts';
import { REQUEST_KIND, SOURCE, UNKNOWN_SRV } from '#schemas/service-request.ts';
import { codeOf, newServiceResponse, RESPONSE_KIND, readServiceResponse } from '#schemas/service-response.ts';
import { euiBytes, WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { SimClock } from '#services/platform/sim-clock.ts';
import { deviceRequestValue } from '#services/platform/test/device-requests.ts';
import { batchOf, SCHEMA_IDS } from '#services/platform/test/record-streams.ts';
import type { FinishedBatch } from './answers.ts';
import { networkStatistics } from './network-metrics.ts';
import { type LaneStart, PartitionFleet } from './partition-fleet.ts';

const PARTITIONS = 2;
const PARTITION = 1;
const WORLD = smallWorld({ warmUpHours: 24 });
const READS = meterReadsOf(WORLD.matrix);
const ORIGIN_MS = WORLD.originDay * DAY_MS;
const START_MS = ORIGIN_MS + WORLD.countedStartMs;
const HOUR_MS = 3_600_000;
const PROFILE = SRVS.indexOf('4.8.1');
const [ours, theirs] = [PARTITION, 0].map((partition) =>
  Array.from({ length: WORLD.fleet.meters }, (_, meter) => meter).filter(
    (meter) => (cellOfMeter(WORLD.fleet, meter) % HASH_CLASSES) % PARTITIONS === partition,
  ),
);
const NOTHING: [LaneStart, LaneStart] = [
  { offset: 0, state: undefined },
  { offset: 0, state: undefined },
];

type Answer = { requestOffset: number; mode: number; code: string; answeredMs: number; rows: number };
type Timing = { speed: number; patienceWallMs: number };

/** A fleet whose wall clock is set by hand, and what it has written. */
class Bench {
  readonly fleet: PartitionFleet;
  readonly answers: Answer[] = [];
  readonly markers: number[] = [];
  readonly counters: bigint[] = [];
  readonly finished: FinishedBatch[] = [];
  wallMs = 0;
  readonly #offsets: [number, number];
  readonly #sourceOffsets = new Map<string, number>();
  readonly #cursor = new BatchCursor();
  readonly #response = newServiceResponse();

  constructor({ speed, patienceWallMs }: Timing, starts: [LaneStart, LaneStart] = NOTHING) {
    this.#offsets = [starts[SCHEDULED].offset, starts[ON_DEMAND].offset];
    this.fleet = new PartitionFleet(
      {
        world: WORLD,
        reads: READS,
        partition: PARTITION,
        partitions: PARTITIONS,
        schemaIds: SCHEMA_IDS,
        clock: new SimClock({ startMs: START_MS, wallEpochMs: 0, speed }, () => this.wallMs),
        patienceWallMs,
        startMs: START_MS,
        nowMs: () => this.wallMs,
        statistics: WORLD.fleet.networks.map(() => networkStatistics(WORLD)),
        send: async (batch) => {
          this.finished.push(batch);
          this.#read(batch);
        },
      },
      starts,
    );
  }

  /** Hands values of a lane over, in one batch. */
  take(mode: number, values: readonly Buffer[], at = this.#offsets[mode]): void {
    const batch = batchOf(
      values.map((value) => ({ key: null, value })),
      at,
    );
    const next = at + values.length;
    expect(this.fleet.take(mode, [batch], at, next)).toEqual([]);
    this.#offsets[mode] = Math.max(next, this.#offsets[mode]);
  }

  /** A record of a lane, numbered by its source. */
  value(
    mode: number,
    fields: Parameters<typeof deviceRequestValue>[0],
    rest: { requestOffset?: number; quarantinedMs?: number } = {},
    device?: Buffer,
  ): Buffer {
    const sourceOffset = this.#sourceOffsets.get(`${mode}`) ?? 0;
    this.#sourceOffsets.set(`${mode}`, sourceOffset + 1);
    return deviceRequestValue({ mode, ...fields }, { ...rest, sourceOffset, sourcePartition: PARTITION }, device);
  }

  request(
    mode: number,
    meter: number,
    receivedMs: number,
    requestOffset: number,
    srv = PROFILE,
    device?: Buffer,
  ): Buffer {
    const row = rowOf(Math.max(0, WORLD.matrix.srv.indexOf(srv)), mode, MHHS);
    const day = Math.floor((receivedMs - ORIGIN_MS) / DAY_MS);
    const counter = packRequestCounter({
      day,
      row,
      ordinal: requestOffset % 2048,
      dataDay: day - 1,
      flags: 0,
      serial: 0,
    });
    const windowStartMs = (WORLD.originDay + day - 1) * DAY_MS + 1_800_000;
    const fields = {
      mpan: importMpanOf(WORLD.fleet, meter),
      counter,
      srv,
      service: MHHS,
      receivedMs,
      windowStartMs,
      windowEndMs: windowStartMs + 47 * 1_800_000,
    };
    return this.value(mode, fields, { requestOffset }, device ?? euiBytes(deviceIdOf(meter)));
  }

  /** Every source of a lane says that no request before an instant follows. */
  mark(mode: number, untilMs: number): void {
    const marker = { kind: REQUEST_KIND.marker, receivedMs: untilMs };
    if (mode === SCHEDULED)
      this.take(
        mode,
        [SOURCE.scheduler, SOURCE.users].map((source) => this.value(mode, { ...marker, source })),
      );
    else {
      const at = this.#sourceOffsets.get('marks') ?? 0;
      this.#sourceOffsets.set('marks', at + 1);
      this.take(mode, [
        deviceRequestValue({ mode, ...marker }, { sourceOffset: at, sourcePartition: 0 }),
        this.value(mode, marker),
      ]);
    }
  }

  run(): void {
    while (!this.fleet.run());
  }

  #read({ batch, records }: FinishedBatch): void {
    const cursor = this.#cursor;
    const response = this.#response;
    cursor.open(Buffer.from(batch));
    expect(cursor.count).toBe(records);
    while (cursor.next()) {
      const { buffer, valueAt, valueLength } = cursor;
      const reader = new AvroReader().open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
      readServiceResponse(reader, response);
      const { requestOffset, mode, answeredMs, rows } = response;
      if (response.kind === RESPONSE_KIND.marker) {
        this.markers.push(answeredMs);
        continue;
      }
      this.counters.push(bigCounterOf(response));
      this.answers.push({ requestOffset, mode, code: codeOf(response.code) ?? '?', answeredMs, rows });
    }
  }
}

const AT_ONCE = { speed: 0, patienceWallMs: 0 };

describe('the fleet of a partition', () => {
  test('goes on as far as the markers of both lanes and all their sources say, and answers what came', () => {
    const bench = new Bench(AT_ONCE);
    bench.take(ON_DEMAND, [bench.request(ON_DEMAND, ours[0], START_MS + 1000, 5)]);
    bench.mark(ON_DEMAND, START_MS + HOUR_MS);
    bench.run();
    expect([bench.fleet.nowMs, bench.answers]).toEqual([START_MS, []]);
    bench.take(SCHEDULED, [
      bench.value(SCHEDULED, { kind: REQUEST_KIND.marker, source: SOURCE.users, receivedMs: START_MS + HOUR_MS }),
    ]);
    bench.run();
    expect(bench.fleet.nowMs).toBe(START_MS);
    bench.mark(SCHEDULED, START_MS + 2 * HOUR_MS);
    bench.run();
    expect(bench.fleet.nowMs).toBe(START_MS + HOUR_MS);
    expect(bench.answers).toEqual([
      { requestOffset: 5, mode: ON_DEMAND, code: 'I0', answeredMs: START_MS + 1000 + 4000, rows: 48 },
    ]);
    expect(bench.markers).toEqual([START_MS + HOUR_MS]);
    expect([bench.fleet.open, bench.fleet.late]).toEqual([0, 0]);
  });

  test('on a paced clock waits for markers as long as its patience lasts, and then goes on behind the clock', () => {
    const bench = new Bench({ speed: 60, patienceWallMs: 10_000 });
    bench.wallMs = 9_000;
    bench.run();
    expect(bench.fleet.nowMs).toBe(START_MS);
    bench.wallMs = 15_000;
    bench.run();
    expect(bench.fleet.nowMs).toBe(START_MS + 60 * 5_000);
    bench.mark(SCHEDULED, START_MS + 60 * 60_000);
    bench.mark(ON_DEMAND, START_MS + 60 * 12_000);
    bench.run();
    expect(bench.fleet.nowMs).toBe(START_MS + 60 * 12_000);
    bench.mark(ON_DEMAND, START_MS + 60 * 60_000);
    bench.run();
    // Never ahead of the clock, however much is in.
    expect(bench.fleet.nowMs).toBe(START_MS + 60 * 15_000);
    bench.take(SCHEDULED, [bench.request(SCHEDULED, ours[0], START_MS + 60 * 14_000, 1)]);
    expect(bench.fleet.late).toBe(1);
    bench.wallMs = 30_000;
    bench.run();
    expect(bench.answers).toEqual([expect.objectContaining({ answeredMs: START_MS + 60 * 15_000 + 4000 })]);
  });

  test('in real time answers on demand at once, however far behind the scheduled lane is', () => {
    const bench = new Bench({ speed: 1, patienceWallMs: 0 });
    for (let batch = 0; batch < 20; batch++) {
      const values = Array.from({ length: 200 }, (_, k) =>
        bench.request(SCHEDULED, ours[(200 * batch + k) % ours.length], START_MS + 1000, 200 * batch + k),
      );
      bench.take(SCHEDULED, values);
    }
    bench.wallMs = 10_000;
    bench.run();
    const meter = ours[ours.length - 1];
    bench.take(ON_DEMAND, [bench.request(ON_DEMAND, meter, START_MS + 10_500, 9)]);
    for (bench.wallMs = 10_500; bench.wallMs <= 20_000; bench.wallMs += 100) bench.run();
    const [answer] = bench.answers.filter(({ mode }) => mode === ON_DEMAND);
    expect(answer.requestOffset).toBe(9);
    // The exchange under way on its meter, or in its cell, and its own.
    expect(answer.answeredMs - START_MS - 10_500).toBeLessThanOrEqual(2 * 4000);
    expect(bench.fleet.open).toBeGreaterThan(0);
  });

  test.each<[string, number, Buffer]>([
    ['of a device that is none of the fleet', PROFILE, Buffer.from('00DB123456789000', 'hex')],
    ['of a meter beyond its last', PROFILE, euiBytes(deviceIdOf(WORLD.fleet.meters))],
    ["of another partition's meter", PROFILE, euiBytes(deviceIdOf(theirs[0]))],
    ['of a Service Request that it does not know', UNKNOWN_SRV, euiBytes(deviceIdOf(ours[0]))],
  ])('answers E20 to a request %s', (_, srv, device) => {
    const bench = new Bench(AT_ONCE);
    bench.take(SCHEDULED, [bench.request(SCHEDULED, ours[0], START_MS + 7, 3, srv, device)]);
    for (const mode of [SCHEDULED, ON_DEMAND]) bench.mark(mode, START_MS + HOUR_MS);
    bench.run();
    expect(bench.answers).toEqual([
      { requestOffset: 3, mode: SCHEDULED, code: 'E20', answeredMs: START_MS + 7, rows: 0 },
    ]);
  });

  test('drops what its source has sent before, and sets aside what cannot be', () => {
    const bench = new Bench(AT_ONCE);
    const request = bench.request(SCHEDULED, ours[0], START_MS + 7, 3);
    bench.take(SCHEDULED, [request]);
    bench.take(SCHEDULED, [request, request]);
    expect(bench.fleet.duplicates).toBe(2);
    const wrong = deviceRequestValue({ mode: SCHEDULED }, { sourceOffset: 99, sourcePartition: PARTITIONS });
    const values = [wrong, request.subarray(0, 20), Buffer.from([0, 0, 0, 0, 9, 1])];
    const batch = batchOf(
      values.map((value) => ({ key: null, value })),
      3,
    );
    expect(bench.fleet.take(SCHEDULED, [batch], 3, 6).map(({ reason, offset }) => [reason, offset])).toEqual([
      ['IMPOSSIBLE_VALUE', 3],
      ['UNDECODABLE', 4],
      ['WRONG_SCHEMA', 5],
    ]);
    for (const mode of [SCHEDULED, ON_DEMAND]) bench.mark(mode, START_MS + HOUR_MS);
    bench.run();
    expect(bench.answers).toHaveLength(1);
  });

  test('all 64 bits of a counter come back with the answer', () => {
    const counters = [0n, 2n ** 49n - 1n, 2n ** 49n, 2n ** 63n, 2n ** 64n - 1n];
    const bench = new Bench(AT_ONCE);
    counters.forEach((counter, k) => {
      const mpan = importMpanOf(WORLD.fleet, ours[k]);
      const fields = { mpan, ...counterOf(counter), srv: PROFILE, service: MHHS, receivedMs: START_MS + 10 };
      const value = bench.value(ON_DEMAND, fields, { requestOffset: k }, euiBytes(deviceIdOf(ours[k])));
      bench.take(ON_DEMAND, [value]);
    });
    for (const mode of [SCHEDULED, ON_DEMAND]) bench.mark(mode, START_MS + 24 * HOUR_MS);
    bench.run();
    const byOffset = bench.answers.map(({ requestOffset }, k) => [requestOffset, bench.counters[k]]);
    expect(new Map(byOffset as [number, bigint][])).toEqual(new Map(counters.entries()));
  });

  test('a quarantined request reaches the network when it is released', () => {
    const bench = new Bench(AT_ONCE);
    const fields = { mpan: importMpanOf(WORLD.fleet, ours[0]), srv: PROFILE, service: MHHS, receivedMs: START_MS + 10 };
    const value = bench.value(
      ON_DEMAND,
      fields,
      { requestOffset: 4, quarantinedMs: HOUR_MS },
      euiBytes(deviceIdOf(ours[0])),
    );
    bench.take(ON_DEMAND, [value]);
    for (const mode of [SCHEDULED, ON_DEMAND]) bench.mark(mode, START_MS + 2 * HOUR_MS);
    bench.run();
    expect(bench.answers).toEqual([
      expect.objectContaining({ requestOffset: 4, answeredMs: START_MS + 10 + HOUR_MS + 4000 }),
    ]);
  });

  test('begun again from what may be committed, gives every answer that was not acknowledged, and the same one', () => {
    const request = fc.record({
      mode: fc.constantFrom(SCHEDULED, ON_DEMAND),
      meter: fc.nat(ours.length - 1),
      afterMs: fc.integer({ min: 1, max: 6 * HOUR_MS }),
    });
    const steps = fc.array(fc.integer({ min: 10_000, max: HOUR_MS }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 60 }),
        steps,
        fc.nat(),
        fc.nat(),
        (all, lengths, crash, acknowledged) => {
          // One after another in its lane; a meter takes them one at a time, so each has its own.
          const meters = new Set<number>();
          const asked = all
            .filter(({ meter }) => !meters.has(meter) && meters.add(meter))
            .sort((a, b) => a.afterMs - b.afterMs);
          const bench = new Bench(AT_ONCE);
          const logs: [Buffer[][], Buffer[][]] = [[], []];
          let untilMs = 0;
          let k = 0;
          const untils = [...lengths, 8 * HOUR_MS];
          for (const length of untils) {
            untilMs += length;
            const batches: [Buffer[], Buffer[]] = [[], []];
            for (; k < asked.length && asked[k].afterMs < untilMs; k++) {
              const { mode, meter, afterMs } = asked[k];
              batches[mode].push(bench.request(mode, ours[meter], START_MS + afterMs, k));
            }
            const marker = { kind: REQUEST_KIND.marker, receivedMs: START_MS + untilMs };
            for (const source of [SOURCE.scheduler, SOURCE.users])
              batches[SCHEDULED].push(bench.value(SCHEDULED, { ...marker, source }));
            const sourceOffset = logs[ON_DEMAND].length;
            batches[ON_DEMAND].push(
              deviceRequestValue({ mode: ON_DEMAND, ...marker }, { sourceOffset, sourcePartition: 0 }),
              bench.value(ON_DEMAND, marker),
            );
            for (const mode of [SCHEDULED, ON_DEMAND]) logs[mode].push(batches[mode]);
          }
          const feed = (to: Bench, from: number, until: number, starts: [LaneStart, LaneStart]) => {
            for (let step = from; step < until; step++) {
              for (const mode of [SCHEDULED, ON_DEMAND]) {
                const offset = logs[mode].slice(0, step).reduce((sum, { length }) => sum + length, 0);
                const next = offset + logs[mode][step].length;
                if (next <= starts[mode].offset) continue;
                const batch = batchOf(
                  logs[mode][step].map((value) => ({ key: null, value })),
                  offset,
                );
                to.fleet.take(mode, [batch], Math.max(offset, starts[mode].offset), next);
              }
              to.run();
            }
          };
          const reference = new Bench(AT_ONCE);
          feed(reference, 0, untils.length, NOTHING);
          expect(reference.answers).toHaveLength(asked.length);

          const first = new Bench(AT_ONCE);
          feed(first, 0, crash % untils.length, NOTHING);
          const settled = first.finished.slice(0, acknowledged % (first.finished.length + 1));
          for (const { settles } of settled)
            for (let at = 0; at < settles.length; at += 2) first.fleet.settle(settles[at], settles[at + 1]);
          const starts = JSON.parse(JSON.stringify(first.fleet.committable())) as [LaneStart, LaneStart];
          const second = new Bench(AT_ONCE, starts);
          feed(second, 0, untils.length, starts);

          const acknowledgedAnswers = first.answers.filter((answer) => isSettled(first, settled, answer));
          const found = new Map(
            [...acknowledgedAnswers, ...second.answers].map((answer) => [answer.requestOffset, answer]),
          );
          expect([...found.values()].sort(byOffset)).toEqual([...reference.answers].sort(byOffset));
          expect(second.fleet.late).toBe(0);
        },
      ),
      { numRuns: 60, interruptAfterTimeLimit: 60_000 },
    );
  });
});

function byOffset(a: Answer, b: Answer): number {
  return a.requestOffset - b.requestOffset;
}

/** Whether an answer is in one of the batches that were acknowledged: they are the first ones. */
function isSettled(bench: Bench, settled: readonly FinishedBatch[], answer: Answer): boolean {
  const answers = settled.reduce((sum, { settles }) => sum + settles.length / 2, 0);
  return bench.answers.indexOf(answer) < answers;
}
