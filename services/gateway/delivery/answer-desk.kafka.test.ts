import { afterAll, beforeEach, expect, test } from 'vitest';
import { DEFAULT_MATRIX } from '#core/matrix.ts';
import { partitionOfKey, partitionOfMpan } from '#core/partition.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { euiBytes } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { openContext } from '#services/platform/test/open-context.ts';
import { batchOf, framed, types } from '#services/platform/test/record-streams.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { GatewayTables } from '../edge/access-tables.ts';
import { encodeRecord, type ScheduleRecord, scheduleIdOf, userKey } from '../gateway-records.ts';
import {
  AGENT,
  CODES,
  DEVICE,
  type Decoded,
  EXPORT_MPAN,
  IMPORT_MPAN,
  PARTITIONS,
  publishWorld,
  recordsOf,
  register,
  SINCE,
  START_MS,
  TODAY,
} from '../test/stream-world.ts';
import { AnswerDesk } from './answer-desk.ts';

const USER = euiBytes(AGENT);
const SIMULATED = euiBytes('90-B3-D5-1F-30-40-00-00');
const PARTITION = partitionOfMpan(IMPORT_MPAN, PARTITIONS);
const PATIENCE_MS = 60_000;

describeWithKafka('the answers of one partition', (kafka) => {
  let context: ServiceContext;
  let tables: GatewayTables;
  let desk: AnswerDesk;
  let offset = 0;
  let bodies = 0;
  const ends: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    const opened = await openContext(kafka, 'desk', PARTITIONS);
    context = opened.context;
    await publishWorld(context);
    tables = new GatewayTables(DEFAULT_MATRIX, 'utc', PARTITIONS);
    await tables.follow(context);
    desk = await newDesk();
    offset = 0;
    bodies = 0;
    ends.push(async () => {
      await Promise.all([tables.stop(), desk.schedules.stop()]);
      await opened.close();
    });
  });
  afterAll(async () => {
    for (const end of ends) await end();
  });

  async function newDesk(): Promise<AnswerDesk> {
    const isDelivered = (user: string) => user === userKey(USER);
    const options = { context, matrix: DEFAULT_MATRIX, convention: 'utc', tables, codes: CODES, isDelivered } as const;
    const made = new AnswerDesk(options, PARTITION, 0);
    await made.schedules.follow();
    return made;
  }

  const deliveries = async () =>
    (await recordsOf(context, 'deliveries')).toSorted((a, b) => Number(a.sentWallMs) - Number(b.sentWallMs));

  function responseOf(fields: Record<string, unknown> = {}) {
    return {
      kind: 'ANSWER',
      source: 'ANOMALY',
      mode: 'ON_DEMAND',
      requestOffset: offset,
      mpan: IMPORT_MPAN,
      originator: USER,
      device: euiBytes(DEVICE),
      counter: offset,
      role: 'MDR',
      srv: 'SRV_8_2',
      service: 'MHHS',
      generation: 'SMETS2',
      code: 'I0',
      fact: 0,
      receivedMs: START_MS,
      quarantinedMs: 0,
      answeredMs: START_MS + 500,
      platformMs: 1,
      sentWallMs: nowMs(),
      firstStampMs: 0,
      stepMs: 0,
      activeWh: [],
      reactiveVarh: [],
      touWh: [],
      ...fields,
    };
  }

  /** Takes answers, one offset after another; returns the requestOffset of the first. */
  async function take(to: AnswerDesk, ...answers: Record<string, unknown>[]): Promise<number> {
    const first = offset;
    const records = answers.map((fields) => {
      const bytes = types.serviceResponse.toBuffer(responseOf(fields));
      offset++;
      return { key: Buffer.from(String(IMPORT_MPAN)), value: framed(context.schemaIds['service-responses'], bytes) };
    });
    await to.takeResponses([batchOf(records, first)], first);
    return first;
  }

  /** What a 5.x asks beyond its record, for the next answer. */
  function body(to: AnswerDesk, more: { schedule?: ScheduleRecord; scheduleId?: number; device?: Buffer }): void {
    const record = {
      mpan: IMPORT_MPAN,
      originator: USER,
      target: euiBytes(DEVICE),
      counter: BigInt(offset),
      receivedMs: START_MS,
      schedule: null,
      scheduleId: null,
      device: null,
      ...more,
    };
    const batch = Buffer.from(encodeRecord('gateway-requests', String(IMPORT_MPAN), record, 1));
    batch.writeBigInt64BE(BigInt(bodies), 0);
    to.takeBodies([batch], bodies, ++bodies);
  }

  const daily = (more: Partial<ScheduleRecord> = {}): ScheduleRecord => ({
    id: 0,
    user: USER,
    device: euiBytes(DEVICE),
    role: 'MDR',
    service: 'MHHS',
    srv: 'SRV_4_8_1',
    frequency: 'Daily',
    startDay: TODAY + 1,
    endDay: null,
    executionTimeMs: null,
    window: { startOffsetDays: -1, startTimeMs: 1_800_000, endOffsetDays: 0, endTimeMs: 0 },
    ...more,
  });
  async function create(to: AnswerDesk, more: Partial<ScheduleRecord> = {}): Promise<number> {
    body(to, { schedule: daily(more) });
    return await take(to, { srv: 'SRV_5_1' });
  }
  const idsOf = ({ schedules }: Decoded) => (schedules as { id: number }[]).map(({ id }) => id);

  test('are delivered to Users behind the gateway, each once, keyed by the User; what simulated Users asked is not', async () => {
    await take(desk, { source: 'FLEET', srv: 'SRV_4_8_1' }, { originator: SIMULATED }, {});
    await take(desk, { source: 'FLEET', srv: 'SRV_4_8_1', requestOffset: 0, counter: 0 });
    const found = await deliveries();
    expect(found).toMatchObject([
      { kind: 'RESPONSE', requestOffset: 0, counter: 0, responseOffset: 0 },
      { kind: 'RESPONSE', requestOffset: 2, counter: 2, responseOffset: 2 },
    ]);
    const partition = partitionOfKey(Buffer.from(userKey(USER)), PARTITIONS);
    for (const one of found) expect([one.partition, one.user]).toEqual([partition, USER]);
  });

  test('8.2 is answered with what the inventory has of the device: both its MPANs', async () => {
    await take(desk, {}, { code: 'E19', fact: 5 });
    const [found, refused] = await deliveries();
    expect(found.inventory).toMatchObject({
      importMpan: IMPORT_MPAN,
      exportMpan: EXPORT_MPAN,
      generation: 'SMETS2',
      status: 'Commissioned',
    });
    expect(refused.inventory).toBeNull();
  });

  test('5.1 creates a schedule of the id that its request has, the same where it is done again', async () => {
    const at = await create(desk);
    const id = scheduleIdOf(PARTITION, at);
    const again = await newDesk();
    expect(again.schedules.ofMpan(IMPORT_MPAN).map((one) => one.id)).toEqual([id]);
    offset = at;
    body(again, { schedule: daily() });
    await take(again, { srv: 'SRV_5_1' });
    await again.schedules.stop();
    const lists = (await recordsOf(context, 'schedules')).filter(({ mpan }) => mpan === IMPORT_MPAN);
    expect(lists).toHaveLength(1);
    expect(idsOf(lists[0])).toEqual([id]);
    expect((await deliveries()).map(({ scheduleId, code }) => [scheduleId, code])).toEqual([
      [id, null],
      [id, null],
    ]);
  });

  test('5.1 is told that a schedule would never run, or that there are 99 already', async () => {
    await create(desk, { startDay: TODAY - 9, endDay: TODAY - 1 });
    for (let k = 0; k < 100; k++) await create(desk);
    const codes = (await deliveries()).map(({ code }) => code);
    expect([codes[0], new Set(codes.slice(1, 100)), codes[100]]).toEqual([
      CODES.scheduleNeverRuns,
      new Set([null]),
      CODES.scheduleLimit,
    ]);
    expect(desk.schedules.ofMpan(IMPORT_MPAN)).toHaveLength(99);
  });

  test('5.2 and 5.3 know a User’s own schedules by id and by device, and nobody else’s', async () => {
    const first = scheduleIdOf(PARTITION, await create(desk));
    const second = scheduleIdOf(PARTITION, await create(desk));
    const foreign = daily({ id: 7, user: SIMULATED });
    await desk.schedules.create(IMPORT_MPAN, [IMPORT_MPAN], foreign, START_MS, CODES);
    const ask = async (srv: string, more: { scheduleId?: number; device?: Buffer }) => {
      body(desk, more);
      const at = await take(desk, { srv });
      return (await deliveries()).find(({ requestOffset }) => requestOffset === at) as Decoded;
    };
    expect(idsOf(await ask('SRV_5_2', { scheduleId: first }))).toEqual([first]);
    expect(idsOf(await ask('SRV_5_2', { device: euiBytes(DEVICE) }))).toEqual([first, second]);
    expect(await ask('SRV_5_2', { scheduleId: 7 })).toMatchObject({ code: CODES.readUnknownSchedule, schedules: [] });
    expect(await ask('SRV_5_3', { scheduleId: 7 })).toMatchObject({ code: CODES.deleteUnknownSchedule });
    expect(await ask('SRV_5_3', { scheduleId: first })).toMatchObject({ code: null });
    expect(await ask('SRV_5_2', { scheduleId: first })).toMatchObject({ code: CODES.readUnknownSchedule });
    expect(await ask('SRV_5_3', { device: euiBytes(DEVICE) })).toMatchObject({ code: null });
    expect(desk.schedules.ofMpan(IMPORT_MPAN).map(({ id }) => id)).toEqual([7]);
  });

  test('a schedule goes on the day that its owner’s appointment ends, and the owner is told; another stays', async () => {
    const id = scheduleIdOf(PARTITION, await create(desk));
    await desk.removeEnded(START_MS, []);
    expect(desk.schedules.ofMpan(IMPORT_MPAN)).toHaveLength(1);
    await register(context, IMPORT_MPAN, 2, [
      { mpid: 'AGNA', role: 'MDR', efd: SINCE, etd: null },
      { mpid: 'NEXT', role: 'MDR', efd: TODAY + 1, etd: null },
    ]);
    for (const end = nowMs() + PATIENCE_MS; ; await sleep(20)) {
      await desk.removeEnded(START_MS + DAY_MS, [IMPORT_MPAN]);
      if (desk.schedules.ofMpan(IMPORT_MPAN).length === 0) break;
      if (nowMs() > end) throw new Error('it was not removed');
    }
    const told = (await deliveries()).filter(({ kind }) => kind === 'SCHEDULE_REMOVAL');
    expect(told).toMatchObject([{ scheduleId: id, user: USER, device: euiBytes(DEVICE) }]);
  });

  test('a User is told of what is held, and not of what went on or was dropped', async () => {
    const event = (kind: string, requestOffset: number) => {
      const request = {
        kind: 'REQUEST',
        source: 2,
        position: 1,
        mpan: IMPORT_MPAN,
        originator: USER,
        device: euiBytes(DEVICE),
        counter: requestOffset,
        role: 'MDR',
        signer: null,
        srv: 'SRV_4_8_1',
        scheduledSrv: 'UNKNOWN',
        mode: 'ON_DEMAND',
        service: 'MHHS',
        receivedMs: START_MS,
        windowStartMs: START_MS,
        windowEndMs: START_MS,
        dueWallMs: 0,
      };
      const of = {
        request,
        generation: 'SMETS2',
        requestOffset,
        sourcePartition: 0,
        sourceOffset: 1,
        quarantinedMs: 0,
      };
      const bytes = types.quarantineEvent.toBuffer({ kind, atMs: START_MS, request: of });
      return { key: Buffer.from(String(IMPORT_MPAN)), value: framed(context.schemaIds.quarantine, bytes) };
    };
    const events = [event('HELD', 4), event('HELD', 5), event('RELEASED', 4), event('DELETED', 5)];
    await desk.takeQuarantine([batchOf(events, 0)], 0);
    expect(await deliveries()).toMatchObject([
      { kind: 'QUARANTINED_REQUEST', requestOffset: 4, counter: 4 },
      { kind: 'QUARANTINED_REQUEST', requestOffset: 5, counter: 5 },
    ]);
  });
});
