import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_MATRIX } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { DAY_MS, formatInstant } from '#core/settlement-day.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { SimClock } from '#services/platform/sim-clock.ts';
import { openContext } from '#services/platform/test/open-context.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { type DuisRequest, parseDuisRequest } from '../duis-request.ts';
import { type RequestText, requestText, windowText } from '../request-text.ts';
import {
  CODES,
  DEVICE,
  EXPORT_MPAN,
  IMPORT_MPAN,
  LAPSED,
  PARTITIONS,
  publishWorld,
  recordsOf,
  SINCE,
  START_MS,
  SUPPLIER,
  TODAY,
} from '../test/stream-world.ts';
import { Acceptance, type Arrival } from './acceptance.ts';
import { GatewayTables } from './access-tables.ts';
import { RequestIds } from './request-ids.ts';
import { RequestLane, WAITING_MAX } from './request-lane.ts';
import { ScheduleIndex } from './schedule-index.ts';

const SOURCE = 2;
const DCC = '90-B3-D5-1F-30-00-00-02';
const UNKNOWN_DEVICE = '00-DB-12-34-56-78-90-FF';
const IDS_MAX = 4_000;

const day = (number: number) => formatInstant(number * DAY_MS);
const windowOf = (element: string, from = TODAY - 1, until = TODAY) =>
  windowText(element, formatInstant(from * DAY_MS + 1_800_000), day(until));
const IMPORT_READ = { srv: '4.8.1', target: DEVICE, body: windowOf('ReadActiveImportProfileData') };
const INVENTORY = {
  srv: '8.2',
  target: DCC,
  commandVariant: 8,
  body: `<sr:ReadInventory><sr:DeviceID>${DEVICE}</sr:DeviceID></sr:ReadInventory>`,
};
const scheduleText = (device: string) => `<sr:CreateSchedule>
  <sr:ScheduleFrequency>Daily</sr:ScheduleFrequency>
  <sr:ScheduleStartDate>${day(TODAY + 1).slice(0, 10)}</sr:ScheduleStartDate>
  <sr:DSPScheduledServiceReference>4.8</sr:DSPScheduledServiceReference>
  <sr:DSPScheduledServiceReferenceVariant>4.8.1</sr:DSPScheduledServiceReferenceVariant>
  <sr:DeviceID>${device}</sr:DeviceID>
  <sr:DSPReadActiveImportProfileData>
    <sr:StartDateOffset>-1</sr:StartDateOffset><sr:StartTime>00:30:00Z</sr:StartTime>
    <sr:EndDateOffset>0</sr:EndDateOffset><sr:EndTime>00:00:00Z</sr:EndTime>
  </sr:DSPReadActiveImportProfileData>
</sr:CreateSchedule>`;
const SCHEDULE = { srv: '5.1', target: DCC, commandVariant: 8, body: scheduleText(DEVICE) };

function requestOf(text: RequestText): DuisRequest {
  return parseDuisRequest('the request', Buffer.from(requestText(text)));
}

describeWithKafka('what a gateway says to a request', (kafka) => {
  let context: ServiceContext;
  let close: () => Promise<void>;
  let tables: GatewayTables;
  let schedules: ScheduleIndex;
  let acceptance: Acceptance;
  let counter = 0;

  beforeAll(async () => {
    ({ context, close } = await openContext(kafka, 'acceptance', PARTITIONS));
    await publishWorld(context);
    tables = new GatewayTables(DEFAULT_MATRIX, 'utc', PARTITIONS);
    schedules = new ScheduleIndex();
    await Promise.all([tables.follow(context), schedules.follow(context)]);
    acceptance = new Acceptance({
      context,
      matrix: DEFAULT_MATRIX,
      clock: new SimClock({ startMs: START_MS, wallEpochMs: nowMs(), speed: 1 }),
      source: SOURCE,
      tables,
      schedules,
      ids: new RequestIds(3_600_000, IDS_MAX),
      lanes: await RequestLane.takeOverAll(context, SOURCE, START_MS - 1),
      codes: CODES,
    });
  });
  afterAll(async () => {
    await Promise.all([tables?.stop(), schedules?.stop()]);
    await close?.();
  });

  function accept(text: RequestText, arrival: Partial<Arrival> = {}) {
    const request = requestOf({ counter: ++counter, ...text });
    const path = text.target === DCC ? 'serviceD' : 'serviceS';
    return acceptance.accept({ request, signer: request.requestId.originator, path, mhhs: false, ...arrival });
  }

  const written = async (number: number) =>
    (await recordsOf(context, 'service-requests.on-demand')).filter(
      (one) => one.kind === 'REQUEST' && one.counter === number,
    );

  describe('that it refuses', () => {
    const registers = (text: string) =>
      `<sr:ReadInstantaneousImportRegisters>${text}</sr:ReadInstantaneousImportRegisters>`;
    const future = `<sr:ExecutionDateTime>${day(TODAY + 1)}</sr:ExecutionDateTime>`;
    const byId = '<sr:ReadSchedule><sr:DSPScheduleID>77</sr:DSPScheduleID></sr:ReadSchedule>';
    const deleted = '<sr:DeleteSchedule><sr:DSPScheduleID>77</sr:DSPScheduleID></sr:DeleteSchedule>';
    test.each<[string, string, RequestText, Partial<Arrival>]>([
      ['a read at the DCC’s own path', 'E13', IMPORT_READ, { path: 'serviceD' }],
      ['an inventory at the meters’ path', 'E13', INVENTORY, { path: 'serviceS' }],
      ['a read as CommandVariant 8', 'E12', { ...IMPORT_READ, commandVariant: 8 }, {}],
      ['a schedule that is for the meter', 'E11', { ...SCHEDULE, target: DEVICE }, { path: 'serviceD' }],
      ['another’s signature', 'E1', IMPORT_READ, { signer: SUPPLIER }],
      ['a User that is not known', 'E1', { ...IMPORT_READ, originator: '90-B3-D5-1F-30-09-00-00' }, {}],
      ['a User whose assessment has lapsed', 'E3', { ...IMPORT_READ, originator: LAPSED }, {}],
      ['a device that is not known', 'E19', { ...IMPORT_READ, target: UNKNOWN_DEVICE }, {}],
      ['a schedule of a device that is not known', 'E19', { ...SCHEDULE, body: scheduleText(UNKNOWN_DEVICE) }, {}],
      [
        'a day before the appointment',
        'E4',
        { ...IMPORT_READ, body: windowOf('ReadActiveImportProfileData', SINCE - 1, SINCE) },
        {},
      ],
      ['a read for later', 'E2', { srv: '4.1.1', target: DEVICE, body: registers(future) }, {}],
      [
        'a read for later of nobody’s',
        'E1',
        { srv: '4.1.1', target: DEVICE, originator: '90-B3-D5-1F-30-09-00-00', body: registers(future) },
        {},
      ],
      ['a schedule that is not there, read', 'E050201', { ...INVENTORY, srv: '5.2', body: byId }, {}],
      ['a schedule that is not there, deleted', 'E050301', { ...INVENTORY, srv: '5.3', body: deleted }, {}],
    ])('%s: %s', async (_, code, text, arrival) => {
      expect(await accept(text, arrival)).toMatchObject({ code });
      expect(await written(counter)).toEqual([]);
    });
  });

  test('accepted: it is in the lane of its MPAN, as it was asked, when I99 is said', async () => {
    expect(await accept(IMPORT_READ)).toEqual({ code: 'I99', reason: 'accepted' });
    const [record, ...more] = await written(counter);
    expect(more).toEqual([]);
    expect(record).toMatchObject({
      partition: partitionOfMpan(IMPORT_MPAN, PARTITIONS),
      source: SOURCE,
      mpan: IMPORT_MPAN,
      role: 'MDR',
      signer: null,
      srv: 'SRV_4_8_1',
      mode: 'ON_DEMAND',
      service: 'MHHS',
      windowStartMs: (TODAY - 1) * DAY_MS + 1_800_000,
      windowEndMs: TODAY * DAY_MS,
    });
    expect(Number(record.receivedMs)).toBeGreaterThanOrEqual(START_MS);
    expect(Number(record.dueWallMs)).toBeLessThanOrEqual(nowMs());
  });

  test.each<[string, RequestText, boolean, Record<string, unknown>]>([
    ['an import read of a Supplier', IMPORT_READ, false, { role: 'IS', service: 'EXISTING', mpan: IMPORT_MPAN }],
    ['the same for MHHS', IMPORT_READ, true, { role: 'IS', service: 'MHHS', mpan: IMPORT_MPAN }],
    [
      'an export read',
      { srv: '4.8.3', target: DEVICE, body: windowOf('ReadExportProfileData') },
      false,
      { role: 'ES', service: 'EXISTING', mpan: EXPORT_MPAN },
    ],
  ])('%s is in the role that may ask it', async (_, text, mhhs, expected) => {
    expect(await accept({ ...text, originator: SUPPLIER }, { mhhs })).toMatchObject({ code: 'I99' });
    expect(await written(counter)).toMatchObject([expected]);
  });

  test('a RequestID that was accepted is not accepted again, with another body neither; one refused may come again', async () => {
    const number = ++counter;
    const request = { ...IMPORT_READ, counter: number };
    expect(await accept({ ...request, body: windowOf('ReadActiveImportProfileData', SINCE - 1, SINCE) })).toMatchObject(
      {
        code: 'E4',
      },
    );
    expect(await accept(request)).toMatchObject({ code: 'I99' });
    expect(await accept(request)).toMatchObject({ code: 'E49' });
    const other = { ...request, body: windowOf('ReadActiveImportProfileData', TODAY - 2) };
    expect(await accept(other)).toMatchObject({ code: 'E49' });
    // For another target it is another RequestID.
    expect(await accept({ ...INVENTORY, counter: number })).toMatchObject({ code: 'I99' });
    expect(await written(number)).toHaveLength(2);
  });

  test('what a 5.1 asks beyond its record is in gateway-requests when I99 is said', async () => {
    expect(await accept(SCHEDULE)).toMatchObject({ code: 'I99' });
    const bodies = (await recordsOf(context, 'gateway-requests')).filter((one) => one.counter === counter);
    expect(bodies).toMatchObject([
      { mpan: IMPORT_MPAN, schedule: { srv: 'SRV_4_8_1', frequency: 'Daily', startDay: TODAY + 1 }, scheduleId: null },
    ]);
    expect(await written(counter)).toMatchObject([{ srv: 'SRV_5_1', scheduledSrv: 'SRV_4_8_1', mpan: IMPORT_MPAN }]);
  });

  test('more than the broker has taken is told to come again, and none of what was accepted is missing', async () => {
    const first = counter + 1;
    const verdicts = await Promise.all(Array.from({ length: 2 * WAITING_MAX }, () => accept(INVENTORY)));
    const accepted = verdicts.filter((verdict) => 'code' in verdict && verdict.code === 'I99').length;
    const busy = verdicts.filter((verdict) => 'retryAfterSeconds' in verdict).length;
    expect(accepted + busy).toBe(2 * WAITING_MAX);
    expect([accepted >= WAITING_MAX, busy > 0]).toEqual([true, true]);
    const records = (await recordsOf(context, 'service-requests.on-demand')).filter(
      (one) => Number(one.counter) >= first,
    );
    expect(records.filter(({ srv }) => srv === 'SRV_8_2')).toHaveLength(accepted);
    for (const partition of [0, 1]) {
      const positions = records.filter((one) => one.partition === partition).map(({ position }) => Number(position));
      expect(positions).toEqual(positions.toSorted((a, b) => a - b));
      expect(new Set(positions).size).toBe(positions.length);
    }
  });

  test('when no more RequestIDs can be remembered, nothing is accepted that could not be told from a repetition', async () => {
    let refusal: Awaited<ReturnType<typeof accept>> | undefined;
    for (let sent = 0; sent < IDS_MAX && refusal === undefined; sent += 500) {
      const verdicts = await Promise.all(Array.from({ length: 500 }, () => accept(INVENTORY)));
      refusal = verdicts.find((verdict) => 'retryAfterSeconds' in verdict);
    }
    expect(refusal).toMatchObject({ reason: 'too many RequestIDs are remembered' });
  });
});
