import { describe, expect, test } from 'vitest';
import { type AnomalyCounters, countRequest, createAnomalyCounters } from '#core/anomaly.ts';
import { mpanFrom } from '#core/identifiers.ts';
import { DEFAULT_MATRIX, srvIndex } from '#core/matrix.ts';
import { partitionOfKey, partitionOfMpan } from '#core/partition.ts';
import {
  batchOf,
  type Draw,
  drawsOf,
  framed,
  recordsOf,
  SCHEMA_IDS,
  type Sent,
  type StreamRecord,
  types,
} from '#services/platform/test/record-streams.ts';
import { AnomalyPartition } from './partition-state.ts';
import { AnomalyStep } from './step.ts';
import { buildThresholdDirectory, type ThresholdRecord } from './users.ts';

const PARTITIONS = 4;
const NOW_WALL_MS = 5005.5;
const HOUR_MS = 3_600_000;
const START_MS = 490_000 * HOUR_MS;

type DeviceRequest = ReturnType<typeof deviceRequest>;

const EUIS = [...Array(200).keys()].map((k) => Buffer.from([0x90, 0xb3, 0xd5, 0x1f, 0x30, 0, 0, k]));
const keyOf = (eui: Buffer) => eui.toString('hex').toUpperCase();
const PARTITION = 1;
/** Users of one partition of the check. */
const USERS = EUIS.filter((eui) => partitionOfKey(Buffer.from(keyOf(eui)), PARTITIONS) === PARTITION).slice(0, 3);
const MPANS = [...Array(8).keys()].map((k) => mpanFrom(100_000_000_000 + 31 * k));
const DEVICE = Buffer.from('00db1234567890a0', 'hex');

const RECORDS: ThresholdRecord[] = [
  {
    eui: USERS[0],
    name: 'Hourly',
    anomalyThresholds: [
      { srv: '4.8.1', count: 3, periodSeconds: 3600 },
      { srv: '8.2', count: 1, periodSeconds: 3600 },
    ],
  },
  { eui: USERS[1], name: 'Quick', anomalyThresholds: [{ srv: '4.8.1', count: 0, periodSeconds: 600 }] },
  { eui: USERS[2], name: 'Free', anomalyThresholds: [] },
];

function deviceRequest(from: Record<string, unknown> = {}, device: Record<string, unknown> = {}) {
  return {
    request: {
      kind: 'REQUEST',
      source: 1,
      position: 1,
      mpan: MPANS[0],
      originator: USERS[0],
      device: DEVICE,
      counter: 1,
      role: 'MDR',
      signer: null,
      srv: 'SRV_4_8_1',
      scheduledSrv: 'UNKNOWN',
      mode: 'ON_DEMAND',
      service: 'MHHS',
      receivedMs: START_MS,
      windowStartMs: START_MS,
      windowEndMs: START_MS,
      dueWallMs: 5000,
      ...from,
    },
    generation: 'SMETS2',
    requestOffset: 70,
    sourcePartition: 0,
    sourceOffset: 70,
    quarantinedMs: 0,
    ...device,
  };
}

function recordOf(value: DeviceRequest): StreamRecord {
  const isMarker = value.request.kind === 'MARKER';
  return {
    key: isMarker ? null : Buffer.from(keyOf(value.request.originator as Buffer)),
    value: framed(SCHEMA_IDS.deviceRequest, types.deviceRequest.toBuffer(value)),
  };
}

function newStep(): AnomalyStep {
  return new AnomalyStep({ matrix: DEFAULT_MATRIX, partitions: PARTITIONS, schemaIds: SCHEMA_IDS });
}

const directory = buildThresholdDirectory(RECORDS, DEFAULT_MATRIX);
const newState = () => new AnomalyPartition(PARTITION, PARTITIONS, directory);

/** Runs records as one task from offset 0 on a new state. */
function runAll(values: DeviceRequest[]) {
  const state = newState();
  const result = newStep().run(state, { batches: [batchOf(values.map(recordOf), 0)], nowWallMs: NOW_WALL_MS });
  return { state, ...result, sent: recordsOf(result.outputs) };
}

/** The rules again, on decoded records, with counters by core and lists for everything else. */
class Model {
  counters: AnomalyCounters = createAnomalyCounters(RECORDS, DEFAULT_MATRIX);
  held: { offset: number; value: DeviceRequest }[] = [];
  seen = new Array(PARTITIONS).fill(-1);
  markedMs = new Array(PARTITIONS).fill(-1);
  sent: (Sent & { offset: number })[] = [];
  deadOffsets: number[] = [];

  take(value: DeviceRequest, offset: number): void {
    const { request, sourcePartition, sourceOffset } = value;
    if (sourceOffset <= this.seen[sourcePartition]) return;
    this.seen[sourcePartition] = sourceOffset;
    if (request.kind === 'MARKER') this.#mark(value, offset);
    else if (request.kind !== 'REQUEST') this.#settle(value, offset);
    else this.#check(value, offset);
  }

  #mark(value: DeviceRequest, offset: number): void {
    const before = Math.min(...this.markedMs);
    const q = value.sourcePartition;
    this.markedMs[q] = Math.max(this.markedMs[q], value.request.receivedMs as number);
    const receivedMs = Math.min(...this.markedMs);
    if (receivedMs <= before) return;
    const marker = { ...value, request: { ...value.request, receivedMs }, requestOffset: offset };
    for (let p = 0; p < PARTITIONS; p++) this.#send(`device-requests.on-demand/${p}`, null, marker, offset);
  }

  #check(value: DeviceRequest, offset: number): void {
    const { request } = value;
    const user = RECORDS.findIndex(({ eui }) => Buffer.compare(eui, request.originator as Buffer) === 0);
    const srv = srvIndex(DEFAULT_MATRIX, srvText(request.srv as string));
    if (user >= 0 && countRequest(this.counters, user, srv, request.receivedMs as number)) {
      this.held.push({ offset, value });
      this.#event('HELD', value, request.receivedMs as number, 0, offset);
    } else this.#goOn(value, 0, offset, request.dueWallMs as number);
  }

  #settle({ request }: DeviceRequest, offset: number): void {
    const at = this.held.findIndex(({ value }) => idOf(value) === idOf({ request } as DeviceRequest));
    if (at < 0) {
      this.deadOffsets.push(offset);
      return;
    }
    const [{ value }] = this.held.splice(at, 1);
    const quarantinedMs = Math.max(0, (request.receivedMs as number) - (value.request.receivedMs as number));
    const isRelease = request.kind === 'RELEASE';
    this.#event(isRelease ? 'RELEASED' : 'DELETED', value, request.receivedMs as number, quarantinedMs, offset);
    if (isRelease) this.#goOn(value, quarantinedMs, offset, request.dueWallMs as number);
  }

  #goOn(value: DeviceRequest, quarantinedMs: number, offset: number, dueWallMs: number): void {
    const { request, generation, requestOffset } = value;
    const mpan = request.mpan as number;
    const partition = partitionOfMpan(mpan, PARTITIONS);
    if (!['SRV_5_1', 'SRV_5_2', 'SRV_5_3', 'SRV_8_2'].includes(request.srv as string)) {
      this.#send(`device-requests.on-demand/${partition}`, String(mpan), { ...value, quarantinedMs }, offset);
      return;
    }
    const answer = {
      ...request,
      kind: 'ANSWER',
      source: 'ANOMALY',
      requestOffset,
      generation,
      code: 'I0',
      fact: 0,
      quarantinedMs,
      answeredMs: (request.receivedMs as number) + quarantinedMs,
      platformMs: Math.max(0, NOW_WALL_MS - dueWallMs),
      sentWallMs: NOW_WALL_MS,
      firstStampMs: 0,
      stepMs: 0,
      activeWh: [],
      reactiveVarh: [],
      touWh: [],
    };
    const bytes = framed(SCHEMA_IDS.serviceResponse, types.serviceResponse.toBuffer(answer));
    this.sent.push({ to: `service-responses/${partition}`, key: String(mpan), value: bytes.toString('hex'), offset });
  }

  #event(kind: string, value: DeviceRequest, atMs: number, quarantinedMs: number, offset: number): void {
    const mpan = value.request.mpan as number;
    const request = { ...value, sourcePartition: PARTITION, sourceOffset: offset, quarantinedMs };
    const bytes = framed(SCHEMA_IDS.quarantineEvent, types.quarantineEvent.toBuffer({ kind, atMs, request }));
    const to = `quarantine/${partitionOfMpan(mpan, PARTITIONS)}`;
    this.sent.push({ to, key: String(mpan), value: bytes.toString('hex'), offset });
  }

  #send(to: string, key: string | null, value: DeviceRequest, offset: number): void {
    const bytes = types.deviceRequest.toBuffer({ ...value, sourcePartition: PARTITION, sourceOffset: offset });
    this.sent.push({ to, key, value: framed(SCHEMA_IDS.deviceRequest, bytes).toString('hex'), offset });
  }

  sentFrom(offset: number): Record<string, Sent[]> {
    const sent: Record<string, Sent[]> = {};
    for (const { offset: at, ...one } of this.sent) {
      if (at < offset) continue;
      sent[one.to] ??= [];
      sent[one.to].push(one);
    }
    return sent;
  }
}

function idOf({ request }: DeviceRequest): string {
  return `${keyOf(Buffer.from(request.originator as Buffer))} ${(request.device as Buffer).toString('hex')} ${request.counter}`;
}

function srvText(symbol: string): string {
  return symbol.replace('SRV_', '').replaceAll('_', '.');
}

/** Records of all kinds in an order near that of simulated time, with replays, late ones and unknown Users. */
function randomRecords(draw: Draw, length: number): DeviceRequest[] {
  const sourceOffsets = [0, 0, 0, 0];
  const heldOnce: Record<string, unknown>[] = [];
  return Array.from({ length }, (_, k) => {
    const sourcePartition = draw.below(PARTITIONS);
    if (draw.chance(0.05)) sourceOffsets[sourcePartition] = Math.max(0, sourceOffsets[sourcePartition] - 2);
    const sourceOffset = sourceOffsets[sourcePartition]++;
    const place = { sourcePartition, sourceOffset, requestOffset: sourceOffset };
    const nowMs = START_MS + k * 90_000;
    const receivedMs = nowMs - draw.below(draw.chance(0.1) ? 600_000 : 60_000);
    if (draw.chance(0.2)) {
      const marker = { kind: 'MARKER', mpan: 0, position: 0, receivedMs };
      return deviceRequest(marker, { ...place, generation: 'UNKNOWN' });
    }
    if (draw.chance(0.15) && heldOnce.length > 0)
      return deviceRequest(
        { ...draw.oneOf(heldOnce), kind: draw.oneOf(['RELEASE', 'DELETE']), receivedMs, dueWallMs: 5003 },
        place,
      );
    const request = {
      originator: draw.oneOf(USERS),
      mpan: draw.oneOf(MPANS),
      counter: draw.below(40),
      srv: draw.oneOf(['SRV_4_8_1', 'SRV_4_8_1', 'SRV_4_8_1', 'SRV_8_2', 'SRV_4_2', 'SRV_5_2']),
      receivedMs,
      dueWallMs: 5000 + draw.below(10),
    };
    heldOnce.push({ originator: request.originator, counter: request.counter, mpan: request.mpan });
    return deviceRequest(request, place);
  });
}

describe('counted, held, released, deleted, answered and marked as the rules say', () => {
  test('on random streams, in tasks of any size, and after a restart at any of them', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const draw = drawsOf(seed);
      const values = randomRecords(draw, 300);
      const model = new Model();
      values.forEach((value, offset) => {
        model.take(value, offset);
      });
      const step = newStep();
      const state = newState();
      const outputs = [];
      const deadOffsets = [];
      const checkpoints = [state.checkpoint()];
      for (let from = 0; from < values.length; ) {
        const to = Math.min(values.length, from + 1 + draw.below(40));
        const batch = batchOf(values.slice(from, to).map(recordOf), from);
        const result = step.run(state, { batches: [batch], nowWallMs: NOW_WALL_MS });
        outputs.push(...result.outputs);
        deadOffsets.push(...result.deadLetters.map(({ offset }) => offset));
        checkpoints.push(state.checkpoint());
        from = to;
      }
      expect(recordsOf(outputs), `seed ${seed}`).toEqual(model.sentFrom(0));
      expect(deadOffsets).toEqual(model.deadOffsets);
      expect(state.held).toBe(model.held.length);

      for (const checkpoint of checkpoints) {
        const again = new AnomalyPartition(PARTITION, PARTITIONS, directory, JSON.parse(JSON.stringify(checkpoint)));
        const { lowOffset, nextOffset } = checkpoint;
        const rest = lowOffset === values.length ? [] : [batchOf(values.slice(lowOffset).map(recordOf), lowOffset)];
        const result = step.run(again, { batches: rest, nowWallMs: NOW_WALL_MS });
        expect(recordsOf(result.outputs), `seed ${seed} from ${lowOffset}`).toEqual(model.sentFrom(nextOffset));
        expect(result.deadLetters.map(({ offset }) => offset)).toEqual(
          model.deadOffsets.filter((offset) => offset >= nextOffset),
        );
        expect(again.held).toBe(state.held);
        expect(again.seen).toEqual(state.seen);
      }
    }
  });
});

describe('a threshold', () => {
  test('of 3 an hour holds the fourth, and the next hour lets three through again', () => {
    const at = (k: number, receivedMs: number) => deviceRequest({ counter: k, receivedMs }, { sourceOffset: k });
    const { counts, state } = runAll([
      ...[0, 1, 2, 3].map((k) => at(k, START_MS + k)),
      ...[4, 5, 6, 7].map((k) => at(k, START_MS + HOUR_MS)),
    ]);
    expect(counts).toMatchObject({ forwarded: 6, held: 2 });
    expect(state.held).toBe(2);
  });

  test('that has run out is no reason to read it again; one that is open is, and what is held is for ever', () => {
    const step = newStep();
    const state = newState();
    const run = (from: number, values: DeviceRequest[]) => {
      step.run(state, { batches: [batchOf(values.map(recordOf), from)], nowWallMs: NOW_WALL_MS });
      return state.checkpoint().lowOffset;
    };
    const at = (offset: number, hours: number, originator = USERS[0]) =>
      deviceRequest({ originator, counter: offset, receivedMs: START_MS + hours * HOUR_MS }, { sourceOffset: offset });
    expect(run(0, [at(0, 0)])).toBe(0);
    expect(run(1, [at(1, 1)])).toBe(0);
    expect(run(2, [at(2, 2)])).toBe(1);
    expect(run(3, [at(3, 9, USERS[2])])).toBe(4);
    expect(run(4, [at(4, 9, USERS[1])])).toBe(4);
    expect(run(5, [at(5, 99)])).toBe(4);
  });

  test('goes on counting when another User comes or its own count is changed, and begins anew with its period', () => {
    const run = (records: ThresholdRecord[]) => {
      const step = newStep();
      const state = newState();
      const three = [0, 1, 2].map((k) => recordOf(deviceRequest({ counter: k }, { sourceOffset: k })));
      step.run(state, { batches: [batchOf(three, 0)], nowWallMs: NOW_WALL_MS });
      state.counts.useUsers(buildThresholdDirectory(records, DEFAULT_MATRIX));
      const fourth = recordOf(deviceRequest({ counter: 3 }, { sourceOffset: 3 }));
      return step.run(state, { batches: [batchOf([fourth], 3)], nowWallMs: NOW_WALL_MS }).counts.held;
    };
    const changed = (count: number, periodSeconds: number) => [
      { ...RECORDS[0], anomalyThresholds: [{ srv: '4.8.1', count, periodSeconds }] },
    ];
    const first = { eui: Buffer.alloc(8), name: 'First', anomalyThresholds: [] };
    expect(run([first, ...RECORDS])).toBe(1);
    expect(run(changed(4, 3600))).toBe(0);
    expect(run(changed(2, 3600))).toBe(1);
    expect(run(changed(1, 7200))).toBe(0);
    expect(run([])).toBe(0);
  });

  test('that cannot be used is a fault, and its User is counted against none', () => {
    const { faults, counters } = buildThresholdDirectory(
      [{ ...RECORDS[0], anomalyThresholds: [{ srv: '9.9', count: 1, periodSeconds: 1 }] }, RECORDS[1]],
      DEFAULT_MATRIX,
    );
    expect(faults).toHaveLength(1);
    expect(counters.countMax.filter((max) => max >= 0)).toHaveLength(1);
  });
});

test('the watermark goes on when the last source partition has reached it, to every partition', () => {
  const marker = (q: number, receivedMs: number, sourceOffset: number) =>
    deviceRequest({ kind: 'MARKER', mpan: 0, position: 0, receivedMs }, { sourcePartition: q, sourceOffset });
  const { sent, counts } = runAll([
    marker(0, 50, 1),
    marker(1, 40, 1),
    marker(2, 60, 1),
    marker(3, 45, 1),
    marker(3, 70, 2),
    marker(1, 55, 2),
    marker(1, 55, 2),
  ]);
  expect(Object.keys(sent)).toEqual([0, 1, 2, 3].map((p) => `device-requests.on-demand/${p}`));
  for (const records of Object.values(sent)) {
    const decoded = records.map(({ value }) => types.deviceRequest.fromBuffer(Buffer.from(value, 'hex').subarray(5)));
    expect(decoded).toMatchObject([
      { request: { kind: 'MARKER', receivedMs: 40 }, sourceOffset: 3, sourcePartition: PARTITION },
      { request: { kind: 'MARKER', receivedMs: 50 }, sourceOffset: 5 },
    ]);
  }
  expect(counts).toMatchObject({ markers: 6, duplicates: 1 });
});

describe('what cannot be used is set aside', () => {
  const good = recordOf(deviceRequest());
  const avro = good.value!.subarray(5);
  const stranger = EUIS.find((eui) => partitionOfKey(Buffer.from(keyOf(eui)), PARTITIONS) !== PARTITION)!;
  test.each<[string, string, StreamRecord]>([
    ['no value', 'NULL_VALUE', { ...good, value: null }],
    ['another schema', 'WRONG_SCHEMA', { ...good, value: framed(1, avro) }],
    ['a value cut off', 'UNDECODABLE', { ...good, value: good.value!.subarray(0, -1) }],
    ['a value that is too long', 'OVERSIZED', { ...good, value: framed(SCHEMA_IDS.deviceRequest, Buffer.alloc(400)) }],
    ['the scheduled mode', 'IMPOSSIBLE_VALUE', recordOf(deviceRequest({ mode: 'SCHEDULED' }))],
    ['a partition that is not there', 'IMPOSSIBLE_VALUE', recordOf(deviceRequest({}, { sourcePartition: 4 }))],
    ['an offset below 0', 'IMPOSSIBLE_VALUE', recordOf(deviceRequest({}, { sourceOffset: -1 }))],
    ['the key of another User', 'IMPOSSIBLE_VALUE', { ...good, key: Buffer.from(keyOf(stranger)) }],
    ['no key', 'IMPOSSIBLE_VALUE', { ...good, key: null }],
    ['a User of another partition', 'WRONG_PARTITION', recordOf(deviceRequest({ originator: stranger }))],
    ['a release of what is not held', 'IMPOSSIBLE_VALUE', recordOf(deviceRequest({ kind: 'RELEASE' }))],
    ['a deletion of what is not held', 'IMPOSSIBLE_VALUE', recordOf(deviceRequest({ kind: 'DELETE' }))],
  ])('%s: %s', (_, reason, record) => {
    const behind = recordOf(deviceRequest({ counter: 2 }, { sourceOffset: 71 }));
    const batches = [batchOf([record, behind], 40)];
    const state = newState();
    const result = newStep().run(state, { batches, nowWallMs: NOW_WALL_MS });
    expect(result.deadLetters).toMatchObject([{ service: 'anomaly', topic: 'anomaly-checks', offset: 40, reason }]);
    expect(result.counts.forwarded).toBe(1);
    expect(state.nextOffset).toBe(42);
  });
});
