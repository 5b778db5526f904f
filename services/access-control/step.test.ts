import kafkajs from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { type AccessRequest, decideAccess, FACT, FACTS, type User } from '#core/access-control.ts';
import { buildDeviceTable, buildUserTable, type Device } from '#core/access-tables.ts';
import { DATA_KINDS, DEFAULT_MATRIX, MODES, ROLES, SERVICES, srvIndex } from '#core/matrix.ts';
import { partitionOfKey, partitionOfMpan } from '#core/partition.ts';
import { buildRegistrationTable } from '#core/registration.ts';
import { type DayConvention, dayOf, daysOfWindow } from '#core/settlement-day.ts';
import { REQUEST_BYTES_MAX } from '#schemas/request-reader.ts';
import { POSITIONS_A_TENURE } from '#schemas/service-request.ts';
import { createMpanTable, type MpanTable } from '#services/platform/access/mpan-table.ts';
import { applyMeteringPoint, applyRegistration } from '#services/platform/access/table-updates.ts';
import { buildUserDirectory, checkKeyOf } from '#services/platform/access/users.ts';
import { RECORDS_PER_BATCH_MAX } from '#services/platform/step-output.ts';
import {
  batchOf,
  drawsOf,
  framed,
  recordsOf,
  SCHEMA_IDS,
  type Sent,
  type StreamRecord,
  types,
} from '#services/platform/test/record-streams.ts';
import { RecentRequestIds } from './recent-request-ids.ts';
import { type AccessResult, AccessStep, type AccessTask } from './step.ts';
import { euiOf, type RandomWorld, randomRequest, randomWorld, TODAY } from './test/random-world.ts';

const PARTITIONS = 4;
const PARTITION = 2;
const NOW_WALL_MS = 1005.5;
const SCHEDULED = MODES.indexOf('scheduled');
const ON_DEMAND = MODES.indexOf('on-demand');

type Request = ReturnType<typeof randomRequest>;

function stepOf(convention: DayConvention = 'utc'): AccessStep {
  return new AccessStep({ matrix: DEFAULT_MATRIX, convention, partitions: PARTITIONS, schemaIds: SCHEMA_IDS });
}

function tableOf(world: RandomWorld): MpanTable {
  const table = createMpanTable();
  for (const point of world.points.values()) {
    const value = types.meteringPoint.toBuffer({ ...point, sequence: 1 });
    expect(applyMeteringPoint(table, point.mpan, value, 0, value.length)).toBeUndefined();
  }
  for (const [mpan, appointments] of world.registrations) {
    const listed = appointments.map((one) => ({ ...one, etd: one.etd ?? null }));
    const value = types.registration.toBuffer({ mpan, sequence: 1, appointments: listed });
    expect(applyRegistration(table, mpan, value, 0, value.length)).toBeUndefined();
  }
  return table;
}

function recordOf(request: Request): StreamRecord {
  return {
    key: Buffer.from(String(request.mpan)),
    value: framed(SCHEMA_IDS.serviceRequest, types.serviceRequest.toBuffer(request)),
  };
}

function markerOf(mode: number, instantMs: number): Request {
  const draw = drawsOf(1);
  const request = randomRequest(draw, randomWorld(draw, PARTITION, PARTITIONS), mode);
  return { ...request, kind: 'MARKER', mpan: 0, position: 0, receivedMs: instantMs };
}

type Fixture = {
  world: RandomWorld;
  step: AccessStep;
  task: AccessTask;
  request: (from?: Partial<Request>) => Request;
};

/** A world in which every request made is of the one User, accepted. */
function acceptingWorld(mode: number): Fixture {
  const draw = drawsOf(7);
  const world = randomWorld(draw, PARTITION, PARTITIONS);
  const mpan = world.mpans[0];
  const device = Buffer.from('00db1234567890a0', 'hex');
  const user = {
    ...world.users[0],
    category: 'MDR Party',
    roles: [{ role: 'MDR', mpids: ['AAAA'] }],
    suspendedFrom: null,
    accededOn: 1,
    ueptOn: [{ role: 'MDR', day: 1 }],
    securityAssessments: [TODAY - 10],
    privacyAssessments: [TODAY - 10],
    adtDeclaredOn: 1,
  };
  world.users = [user, ...world.users.slice(1)];
  world.points.set(mpan, {
    mpan,
    register: 'IMPORT',
    device,
    kind: 'ESME',
    generation: 'SMETS2',
    status: 'Commissioned',
  });
  world.registrations.set(mpan, [{ mpid: 'AAAA', role: 'MDR', efd: TODAY - 1000 }]);
  let position = 0;
  const request = (from: Partial<Request> = {}): Request => ({
    kind: 'REQUEST',
    source: 1,
    position: ++position,
    mpan,
    originator: euiOf(0),
    device,
    counter: position,
    role: 'MDR',
    signer: null,
    srv: 'SRV_4_8_1',
    scheduledSrv: 'UNKNOWN',
    mode: mode === SCHEDULED ? 'SCHEDULED' : 'ON_DEMAND',
    service: 'MHHS',
    receivedMs: TODAY * 86_400_000 + 1000,
    windowStartMs: (TODAY - 1) * 86_400_000 + 1_800_000,
    windowEndMs: TODAY * 86_400_000,
    dueWallMs: 1000,
    ...from,
  });
  const task: AccessTask = {
    partition: PARTITION,
    mode,
    batches: [],
    fromOffset: 0,
    seen: [],
    nowWallMs: NOW_WALL_MS,
    table: tableOf(world),
    users: buildUserDirectory(world.users, PARTITIONS),
  };
  return { world, step: stepOf(), task, request };
}

/** The same decided by core on tables built from the whole world, with records decoded and encoded by avsc. */
function expected(
  world: RandomWorld,
  records: readonly StreamRecord[],
  firstOffset: number,
  convention: DayConvention,
) {
  const { table } = buildRegistrationTable(
    [...world.registrations].map(([mpan, appointments]) => ({ mpan, appointments })),
  );
  const points = [...world.points.values()];
  const devices = points.map(
    ({ mpan, register, device, kind, generation, status }) =>
      ({
        id: device.toString('hex'),
        esme: kind === 'ESME',
        generation,
        status,
        ...(register === 'IMPORT' ? { importMpan: mpan } : { exportMpan: mpan }),
      }) as Device,
  );
  const users = buildUserTable(world.users.map(coreUser), table);
  const tables = {
    matrix: DEFAULT_MATRIX,
    convention,
    users,
    devices: buildDeviceTable(devices, table),
    registrations: table,
    anomaly: null,
  };
  const seen: number[] = [];
  const sent: Record<string, Sent[]> = {};
  const byFact = new Array(FACTS.length).fill(0);
  const send = (topic: string, partition: number, key: string, schemaId: number, value: Buffer) => {
    const to = `${topic}/${partition}`;
    sent[to] ??= [];
    sent[to].push({ to, key, value: framed(schemaId, value).toString('hex') });
  };
  records.forEach(({ value }, k) => {
    const offset = firstOffset + k;
    const request = types.serviceRequest.fromBuffer(value!.subarray(5)) as Request;
    if (request.position <= (seen[request.source] ?? 0)) return;
    seen[request.source] = request.position;
    const user = users.byEui.get(euiText(request.originator)) ?? -1;
    const point = points.findIndex(({ mpan, device }) => mpan === request.mpan && device.equals(request.device));
    const srv = srvOf(request.srv);
    const access: AccessRequest = {
      user,
      role: (ROLES as readonly string[]).indexOf(request.role),
      certificate: request.signer === null ? user : (users.byEui.get(euiText(request.signer)) ?? -1),
      srv,
      scheduledSrv: srvOf(request.scheduledSrv),
      mode: request.mode === 'SCHEDULED' ? SCHEDULED : ON_DEMAND,
      service: (SERVICES as readonly string[]).indexOf(request.service.toLowerCase()),
      device: point,
      atMs: request.receivedMs,
      ...daysAsked(request, srv, convention),
    };
    const fact = decideAccess(access, tables);
    byFact[fact]++;
    const generation = point < 0 ? 'UNKNOWN' : points[point].generation;
    const { code } = FACTS[fact];
    if (fact === FACT.accepted) {
      const device = {
        request,
        generation,
        requestOffset: offset,
        sourcePartition: PARTITION,
        sourceOffset: offset,
        quarantinedMs: 0,
      };
      const bytes = types.deviceRequest.toBuffer(device);
      const user = checkKeyOf(request.originator, 0).toString();
      if (access.mode === SCHEDULED)
        send('device-requests.scheduled', PARTITION, String(request.mpan), SCHEMA_IDS.deviceRequest, bytes);
      else send('anomaly-checks', partitionOfKey(Buffer.from(user), PARTITIONS), user, SCHEMA_IDS.deviceRequest, bytes);
      return;
    }
    const answer = {
      ...request,
      kind: 'ANSWER',
      source: 'ACCESS_CONTROL',
      requestOffset: offset,
      generation,
      code,
      fact,
      quarantinedMs: 0,
      answeredMs: request.receivedMs,
      platformMs: Math.max(0, NOW_WALL_MS - request.dueWallMs),
      sentWallMs: NOW_WALL_MS,
      firstStampMs: 0,
      stepMs: 0,
      activeWh: [],
      reactiveVarh: [],
      touWh: [],
    };
    const bytes = types.serviceResponse.toBuffer(answer);
    send('service-responses', PARTITION, String(request.mpan), SCHEMA_IDS.serviceResponse, bytes);
  });
  return { sent, byFact, seen: Array.from(seen, (position) => position ?? 0) };
}

function daysAsked(request: Request, srv: number, convention: DayConvention) {
  const today = dayOf(request.receivedMs, convention);
  const data = srv < 0 ? undefined : DATA_KINDS[DEFAULT_MATRIX.data[srv]];
  if (data === 'half-hours' || data === 'daily-log') {
    const log = data === 'daily-log' ? 'daily' : 'half-hours';
    const { first, last } = daysOfWindow(request.windowStartMs, request.windowEndMs, log, convention);
    return { firstDay: first, lastDay: last };
  }
  const asksNoDay = ['SRV_5_2', 'SRV_5_3', 'SRV_8_2'].includes(request.srv);
  return { firstDay: today, lastDay: asksNoDay ? today - 1 : today };
}

function srvOf(symbol: string): number {
  return srvIndex(DEFAULT_MATRIX, symbol.replace('SRV_', '').replaceAll('_', '.'));
}

function euiText(eui: Buffer): string {
  return Buffer.from(eui).toString('hex').toUpperCase().match(/../g)!.join('-');
}

function coreUser(record: RandomWorld['users'][number]): User {
  const day = (on: number | null) => on ?? undefined;
  return {
    name: record.name,
    eui: euiText(Buffer.from(record.eui)),
    category: record.category,
    roles: Object.fromEntries(record.roles.map(({ role, mpids }) => [role, mpids])),
    ...(record.suspendedFrom === null ? {} : { suspended: record.suspendedFrom }),
    gates: {
      accededOn: day(record.accededOn),
      ueptOn: Object.fromEntries(record.ueptOn.map(({ role, day }) => [role, day])),
      securityAssessments: record.securityAssessments,
      privacyAssessments: record.privacyAssessments,
      otherUserEquivalent: { security: day(record.equivalentSecurityOn), privacy: day(record.equivalentPrivacyOn) },
      adtDeclaredOn: day(record.adtDeclaredOn),
    },
    anomalyThresholds: [],
  } as User;
}

describe('every request is decided, forwarded or answered as core and avsc would', () => {
  const factsMet = new Set<number>();

  test.each(
    [SCHEDULED, ON_DEMAND].flatMap((mode) => (['utc', 'local'] as const).map((convention) => ({ mode, convention }))),
  )('mode $mode, $convention days', ({ mode, convention }) => {
    const step = stepOf(convention);
    for (let seed = 1; seed <= 60; seed++) {
      const draw = drawsOf(seed * 4 + mode);
      const world = randomWorld(draw, PARTITION, PARTITIONS);
      const positions = [0, 0, 0, 0, 0];
      const records = Array.from({ length: 150 }, () => {
        const request = randomRequest(draw, world, mode);
        // A replay now and then: positions that were there before.
        if (draw.chance(0.05)) positions[request.source] = Math.max(0, positions[request.source] - 3);
        request.position = ++positions[request.source];
        return recordOf(request);
      });
      const firstOffset = 1000 + draw.below(2 ** 40);
      const model = expected(world, records, firstOffset, convention);
      const at = draw.below(150);
      const batches = [records.slice(0, at), records.slice(at)].filter((some) => some.length > 0);
      const result = step.run({
        partition: PARTITION,
        mode,
        batches: [Buffer.concat(batches.map((some, k) => batchOf(some, firstOffset + (k === 0 ? 0 : at))))],
        fromOffset: firstOffset,
        seen: [],
        nowWallMs: NOW_WALL_MS,
        table: tableOf(world),
        users: buildUserDirectory(world.users, PARTITIONS),
      });
      expect(recordsOf(result.outputs), `seed ${seed}`).toEqual(model.sent);
      expect(result.counts.byFact).toEqual(model.byFact);
      expect(result.seen).toEqual(model.seen);
      expect(result.counts.duplicates).toBe(150 - model.byFact.reduce((sum: number, count: number) => sum + count, 0));
      expect(result.nextOffset).toBe(firstOffset + 150);
      expect(result.deadLetters).toEqual([]);
      model.byFact.forEach((count: number, fact: number) => {
        if (count > 0) factsMet.add(fact);
      });
    }
  });

  test('these worlds meet every fact but quarantine', () => {
    const missing = FACTS.filter((_, fact) => !factsMet.has(fact)).map(({ fact }) => fact);
    expect(missing).toEqual(['quarantined']);
  });
});

describe('positions and offsets', () => {
  test('a task split anywhere gives the same records, with seen and offset handed on', () => {
    const { step, task, request } = acceptingWorld(SCHEDULED);
    const records = Array.from({ length: 20 }, () => recordOf(request()));
    const batch = batchOf(records, 50);
    const whole = step.run({ ...task, batches: [batch], fromOffset: 50 });
    const first = step.run({ ...task, batches: [batchOf(records.slice(0, 7), 50)], fromOffset: 50 });
    const second = step.run({ ...task, batches: [batch], fromOffset: first.nextOffset, seen: first.seen });
    expect(recordsOf([...first.outputs, ...second.outputs])).toEqual(recordsOf(whole.outputs));
    expect([second.nextOffset, second.seen]).toEqual([whole.nextOffset, whole.seen]);
    expect(second.counts.duplicates).toBe(0);
  });

  test('a replay by the writer is dropped, whatever its offsets', () => {
    const { step, task, request } = acceptingWorld(ON_DEMAND);
    const records = Array.from({ length: 5 }, () => recordOf(request()));
    const result = step.run({ ...task, batches: [batchOf([...records, ...records, recordOf(request())], 0)] });
    expect(result.counts).toMatchObject({ duplicates: 5 });
    expect(result.counts.byFact[FACT.accepted]).toBe(6);
    expect(result.seen).toEqual([0, 6]);
  });

  test('batches are bounded, and in order', () => {
    const { step, task, request } = acceptingWorld(SCHEDULED);
    const records = Array.from({ length: RECORDS_PER_BATCH_MAX + 10 }, () => recordOf(request()));
    const half = RECORDS_PER_BATCH_MAX / 2;
    const halves = [records.slice(0, half), records.slice(half)];
    const { outputs } = step.run({ ...task, batches: [batchOf(halves[0], 0), batchOf(halves[1], half)] });
    expect(outputs.map((output) => output.records)).toEqual([RECORDS_PER_BATCH_MAX, 10]);
    const values = recordsOf(outputs)[`device-requests.scheduled/${PARTITION}`].map(({ value }) => value);
    const offsets = values.map(
      (hex) => types.deviceRequest.fromBuffer(Buffer.from(hex, 'hex').subarray(5)).sourceOffset,
    );
    expect(offsets).toEqual(records.map((_, offset) => offset));
  });
});

describe('markers and releases', () => {
  test('a marker of the scheduled lane goes on in its partition, as often as it comes', () => {
    const { step, task } = acceptingWorld(SCHEDULED);
    const marker = { ...recordOf(markerOf(SCHEDULED, 5)), key: null };
    const result = step.run({ ...task, batches: [batchOf([marker, marker], 9)], fromOffset: 9 });
    const sent = recordsOf(result.outputs);
    expect(Object.keys(sent)).toEqual([`device-requests.scheduled/${PARTITION}`]);
    expect(decodedRequests(result)).toMatchObject([
      {
        request: { kind: 'MARKER', receivedMs: 5 },
        generation: 'UNKNOWN',
        sourceOffset: 9,
        sourcePartition: PARTITION,
      },
      { request: { kind: 'MARKER', receivedMs: 5 }, sourceOffset: 10 },
    ]);
    expect(result.counts.markers).toBe(2);
    expect(result.seen).toEqual([]);
  });

  test('a new tenure of a source ends the one before: what that one still writes is dropped', () => {
    const { step, task, request } = acceptingWorld(SCHEDULED);
    const before = request();
    const [late, next] = [request(), request()];
    const marker = (position: number, receivedMs: number) => ({
      ...recordOf({ ...markerOf(SCHEDULED, receivedMs), source: before.source, position }),
      key: null,
    });
    next.position = POSITIONS_A_TENURE + 1;
    const records = [
      recordOf(before),
      marker(POSITIONS_A_TENURE, 10),
      recordOf(late),
      marker(late.position, 20),
      recordOf(next),
      marker(next.position, 30),
    ];
    const result = step.run({ ...task, batches: [batchOf(records, 0)] });
    expect(decodedRequests(result).map(({ sourceOffset }) => sourceOffset)).toEqual([0, 1, 4, 5]);
    expect(result.counts).toMatchObject({ duplicates: 2, markers: 2 });
    expect(result.seen[before.source]).toBe(POSITIONS_A_TENURE + 1);
  });

  test('a marker on demand goes to every partition of the anomaly check', () => {
    const { step, task } = acceptingWorld(ON_DEMAND);
    const result = step.run({ ...task, batches: [batchOf([recordOf(markerOf(ON_DEMAND, 5))], 9)], fromOffset: 9 });
    expect(Object.keys(recordsOf(result.outputs))).toEqual([0, 1, 2, 3].map((q) => `anomaly-checks/${q}`));
    expect(decodedRequests(result).every(({ request }) => request.receivedMs === 5)).toBe(true);
  });

  test('a release or a deletion goes to the partition of its User, known or not, without a decision', () => {
    const { step, task, request } = acceptingWorld(ON_DEMAND);
    const users = [euiOf(0), euiOf(99)];
    const records = users.map((originator, k) =>
      recordOf(request({ kind: ['RELEASE', 'DELETE'][k], originator, srv: 'UNKNOWN' })),
    );
    const result = step.run({ ...task, batches: [batchOf(records, 0)] });
    expect(result.counts).toMatchObject({ releases: 2 });
    expect(result.counts.byFact.every((count) => count === 0)).toBe(true);
    const keys = users.map((eui) => checkKeyOf(eui, 0).toString());
    for (const key of keys) {
      const sent = recordsOf(result.outputs)[`anomaly-checks/${partitionOfKey(Buffer.from(key), PARTITIONS)}`];
      expect(sent.map((one) => one.key)).toContain(key);
    }
    expect(decodedRequests(result).map(({ generation }) => generation)).toEqual(['SMETS2', 'SMETS2']);
  });

  test('a request that two gateways have accepted is decided once; of Users and schedulers each is', () => {
    const { step, task, request } = acceptingWorld(ON_DEMAND);
    const of = (source: number, position: number, counter = 1) => recordOf(request({ source, position, counter }));
    const first = [of(2, 1), of(3, 1), of(2, 2, 2), of(1, 1), of(1, 2)];
    const recent = new RecentRequestIds();
    const result = step.run({ ...task, batches: [batchOf(first, 0)], recent });
    expect(result.counts).toMatchObject({ repeated: 1, duplicates: 0 });
    expect(decodedRequests(result).map(({ sourceOffset }) => sourceOffset)).toEqual([0, 2, 3, 4]);
    // Its position counts as taken: what comes again at it is a replay.
    const behind = { batches: [batchOf([of(3, 1), of(3, 2, 3), of(4, 1, 3)], 5)], fromOffset: 5, seen: result.seen };
    const next = step.run({ ...task, ...behind, recent });
    expect(next.counts).toMatchObject({ repeated: 1, duplicates: 1 });
    expect(decodedRequests(next).map(({ sourceOffset }) => sourceOffset)).toEqual([6]);
  });

  test('all 64 bits of a counter are carried on and answered', () => {
    const { step, task, request } = acceptingWorld(SCHEDULED);
    const counter = Buffer.from('feffffffffffffffff01', 'hex');
    const withCounter = (record: StreamRecord): StreamRecord => {
      const value = record.value!;
      const at = value.indexOf(Buffer.from('00db1234567890a0', 'hex')) + 8;
      return { ...record, value: Buffer.concat([value.subarray(0, at), counter, value.subarray(at + 1)]) };
    };
    const records = [request(), request({ srv: 'UNKNOWN' })].map((one) => withCounter(recordOf(one)));
    const result = step.run({ ...task, batches: [batchOf(records, 0)] });
    expect(result.deadLetters).toEqual([]);
    const sent = Object.values(recordsOf(result.outputs)).flat();
    expect(sent.map(({ to }) => to.split('/')[0])).toEqual(['device-requests.scheduled', 'service-responses']);
    for (const { value } of sent) expect(value).toContain(`00db1234567890a0${counter.toString('hex')}`);
  });
});

describe('what cannot be used is set aside, and the rest goes on', () => {
  const { task, request } = acceptingWorld(ON_DEMAND);
  const good = recordOf(request());
  const other = [...Array(100).keys()]
    .map((k) => 1_000_000_000_000 + k)
    .find((m) => partitionOfMpan(m, PARTITIONS) === 0)!;
  const value = (bytes: Buffer, schemaId = SCHEMA_IDS.serviceRequest): StreamRecord => ({
    ...good,
    value: framed(schemaId, bytes),
  });
  const avro = good.value!.subarray(5);
  const cases: [string, string, StreamRecord, number?][] = [
    ['no value', 'NULL_VALUE', { ...good, value: null }],
    ['an empty value', 'WRONG_SCHEMA', { ...good, value: Buffer.alloc(0) }],
    ['no schema id', 'WRONG_SCHEMA', { ...good, value: Buffer.from([1, 2, 3, 4, 5, 6]) }],
    ['another schema', 'WRONG_SCHEMA', value(avro, 12)],
    ['a value cut off', 'UNDECODABLE', value(avro.subarray(0, -1))],
    ['bytes behind it', 'UNDECODABLE', value(Buffer.concat([avro, Buffer.from([0])]))],
    ['a symbol that is none', 'UNDECODABLE', value(Buffer.concat([Buffer.from([8]), avro.subarray(1)]))],
    ['a value that is too long', 'OVERSIZED', value(Buffer.alloc(REQUEST_BYTES_MAX))],
    ['an MPAN of 12 digits', 'IMPOSSIBLE_VALUE', recordOf(request({ mpan: 999_999_999_999 }))],
    ['a source below 0', 'IMPOSSIBLE_VALUE', recordOf(request({ source: -1 }))],
    ['a source too high', 'IMPOSSIBLE_VALUE', recordOf(request({ source: 1024 }))],
    ['position 0', 'IMPOSSIBLE_VALUE', recordOf(request({ position: 0 }))],
    ['an instant before 1970', 'IMPOSSIBLE_VALUE', recordOf(request({ receivedMs: -1 }))],
    ['a window beyond the calendar', 'IMPOSSIBLE_VALUE', recordOf(request({ windowEndMs: 8.7e15 }))],
    ['no wall clock', 'IMPOSSIBLE_VALUE', recordOf(request({ dueWallMs: Number.NaN }))],
    ['another partition', 'WRONG_PARTITION', recordOf(request({ mpan: other }))],
    ['a key that is too long', 'OVERSIZED', { ...good, key: Buffer.alloc(100) }],
    ['no key', 'IMPOSSIBLE_VALUE', { ...good, key: null }],
    ['a key of 12 digits', 'IMPOSSIBLE_VALUE', { ...good, key: good.key!.subarray(1) }],
    ['the key of another MPAN', 'IMPOSSIBLE_VALUE', { ...good, key: Buffer.from(String(other)) }],
    ['a key of letters', 'IMPOSSIBLE_VALUE', { ...good, key: Buffer.from('abcdefghijklm') }],
    ['the other mode', 'IMPOSSIBLE_VALUE', recordOf(request({ mode: 'SCHEDULED' }))],
    [
      'a release in the scheduled lane',
      'IMPOSSIBLE_VALUE',
      recordOf(request({ kind: 'RELEASE', mode: 'SCHEDULED' })),
      SCHEDULED,
    ],
  ];

  test.each(cases)('%s: %s', (_, reason, record, mode = ON_DEMAND) => {
    const behind = recordOf(request({ mode: mode === SCHEDULED ? 'SCHEDULED' : 'ON_DEMAND' }));
    const result = stepOf().run({ ...task, mode, batches: [batchOf([record, behind], 40)], fromOffset: 40 });
    expect(result.deadLetters).toMatchObject([
      {
        service: 'access-control',
        topic: mode === SCHEDULED ? 'service-requests.scheduled' : 'service-requests.on-demand',
        partition: PARTITION,
        offset: 40,
        reason,
        value: record.value,
        valueBytes: record.value?.length ?? -1,
      },
    ]);
    expect(result.deadLetters[0].detail).toMatch(/./);
    expect(result.counts.byFact[FACT.accepted]).toBe(1);
    expect(result.nextOffset).toBe(42);
  });

  test('a batch that changed on its way is set aside as a whole', () => {
    const corrupt = batchOf([recordOf(request()), recordOf(request())], 40);
    corrupt[80] ^= 1;
    const behind = batchOf([recordOf(request())], 42);
    const result = stepOf().run({ ...task, batches: [corrupt, behind], fromOffset: 40 });
    expect(result.deadLetters).toMatchObject([{ reason: 'CORRUPT_BATCH', offset: 40, value: corrupt }]);
    expect([result.nextOffset, result.counts.byFact[FACT.accepted]]).toEqual([43, 1]);
    const alone = stepOf().run({ ...task, batches: [corrupt], fromOffset: 40 });
    expect(alone.nextOffset).toBe(42);
  });

  test('random bytes for a value', () => {
    const draw = drawsOf(3);
    const step = stepOf();
    for (let run = 0; run < 300; run++) {
      const noise = Buffer.from(avro);
      for (let k = 0; k < 4; k++) noise[draw.below(noise.length)] = draw.below(256);
      const result = step.run({ ...task, batches: [batchOf([value(noise)], 0)] });
      const { byFact, duplicates, markers, releases } = result.counts;
      const decided = byFact.reduce((sum, count) => sum + count, 0);
      expect(decided + duplicates + markers + releases + result.deadLetters.length).toBe(1);
    }
  });
});

describe('Users', () => {
  test('change between tasks, and the next task is decided by the new ones', () => {
    const { step, task, request, world } = acceptingWorld(SCHEDULED);
    const run = (users: RandomWorld['users']) =>
      step.run({ ...task, batches: [batchOf([recordOf(request())], 0)], users: buildUserDirectory(users, PARTITIONS) });
    expect(run(world.users).counts.byFact[FACT.accepted]).toBe(1);
    const [user, ...others] = world.users;
    expect(run([{ ...user, suspendedFrom: TODAY }, ...others]).counts.byFact[FACT.userSuspended]).toBe(1);
    expect(run(others).counts.byFact[FACT.userUnknown]).toBe(1);
  });

  test('that contradict each other or themselves are there all the same, with a fault each', () => {
    const [user, second] = acceptingWorld(SCHEDULED).world.users;
    const directory = buildUserDirectory(
      [
        { ...second, roles: [{ role: 'MDR', mpids: ['AAAA', 'XXXX', 'x'] }] },
        {
          ...user,
          roles: [
            { role: 'MDR', mpids: ['AAAA'] },
            { role: 'UNKNOWN', mpids: [] },
          ],
          category: 'Club',
        },
      ],
      PARTITIONS,
    );
    expect(directory.table.users.map(({ roles }) => roles)).toEqual([{ MDR: ['AAAA', 'XXXX'] }, { MDR: [] }]);
    expect(directory.faults.map(({ value }) => value)).toEqual(['x', 'AAAA', 'UNKNOWN', 'Club']);
  });

  test('are found by their EUI among thousands', () => {
    const draw = drawsOf(5);
    const [user] = acceptingWorld(SCHEDULED).world.users;
    const euis = Array.from({ length: 3000 }, () => Buffer.from(Array.from({ length: 8 }, () => draw.below(256))));
    const { euis: index, table } = buildUserDirectory(
      euis.map((eui) => ({ ...user, eui, roles: [] })),
      PARTITIONS,
    );
    for (const eui of euis) {
      expect(table.users[index.find(eui, 0)].eui).toBe(euiText(eui));
      expect(index.find(Buffer.concat([Buffer.from([1]), eui.subarray(0, 7)]), 0)).toBe(-1);
    }
  });
});

test('a key goes where the default partitioner of Kafka clients puts it', () => {
  const partitioner = kafkajs.Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: 16 }, (_, partitionId) => ({ partitionId, leader: 1 }));
  const draw = drawsOf(11);
  for (let k = 0; k < 500; k++) {
    const key = Buffer.from(Array.from({ length: k % 20 }, () => draw.below(256)));
    const message = { key, value: null };
    const theirs = partitioner({ topic: 't', partitionMetadata: partitionMetadata as never, message });
    expect(partitionOfKey(key, 16), key.toString('hex')).toBe(theirs);
  }
  for (let mpan = 1_000_000_000_000; mpan < 1_000_000_000_500; mpan++)
    expect(partitionOfKey(Buffer.from(String(mpan)), 16)).toBe(partitionOfMpan(mpan, 16));
});

function decodedRequests(result: AccessResult) {
  return Object.values(recordsOf(result.outputs))
    .flat()
    .map(({ value }) => types.deviceRequest.fromBuffer(Buffer.from(value, 'hex').subarray(5)));
}
