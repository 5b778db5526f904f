import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_MATRIX, ROLES } from '#core/matrix.ts';
import { formatInstant, parseInstant } from '#core/settlement-day.ts';
import type { Answer } from './answer.ts';
import { answerRequest } from './ask.ts';
import { type Desk, openDesk, type Receipt, removeEndedSchedules } from './desk.ts';
import { parseDuisRequest } from './duis-request.ts';
import { duisResponse } from './duis-response.ts';
import { DUIS_NAMESPACE } from './element-sequence.ts';
import { type RequestText, requestText, windowText } from './request-text.ts';
import { readWorld } from './world.ts';
import { readXmlBytes } from './xml-reader.ts';

const WORLD = readFileSync(new URL('../../docs/using/examples/world.yaml', import.meta.url), 'utf8');
const MDRA = '90-B3-D5-1F-30-01-00-00';
const SUPPLIER = '90-B3-D5-1F-30-02-00-00';
const INCOMING = '90-B3-D5-1F-30-03-00-00';
const S2 = '00-DB-12-34-56-78-90-A0';
const GAS = '00-DB-12-34-56-78-90-A1';
const S1 = '00-DB-12-34-56-78-90-A2';
const SUSPENDED = '00-DB-12-34-56-78-90-A3';
const DCC = '90-B3-D5-1F-30-00-00-02';
const AT = parseInstant('2015-01-01T12:00:00Z') as number;

const deskOf = (world = WORLD) => openDesk(readWorld('world.yaml', world), DEFAULT_MATRIX);
const bytes = (text: string) => new TextEncoder().encode(text);
function ask(desk: Desk, text: RequestText, receipt: Partial<Receipt> = {}): Answer {
  return answerRequest(desk, parseDuisRequest('f.xml', bytes(requestText(text))), {
    atMs: AT,
    mhhs: false,
    ...receipt,
  });
}
const profile = (start: string, end: string): Pick<RequestText, 'srv' | 'body'> => ({
  srv: '4.8.1',
  body: windowText('ReadActiveImportProfileData', start, end),
});
const DAY = profile('2014-12-31T00:30:00Z', '2015-01-01T00:00:00Z');
const readings = ({ result }: Answer) => (result.kind === 'readings' ? result.readings.rows : undefined);

describe('reads', () => {
  test('the appointed MDRA gets the 48 half-hours of the day, stamped at their ends, due within 24 h', () => {
    const answer = ask(deskOf(), { target: S2, ...DAY });
    expect(answer).toMatchObject({ code: 'I0', trtSeconds: 86_400, deadlineMs: AT + 86_400_000 });
    expect(answer.reason).toContain('AGNA is the MDRA of MPAN 1012345678903 on Settlement Day 2014-12-31');
    const times = readings(answer)?.map(({ timeMs }) => formatInstant(timeMs));
    expect(times).toHaveLength(48);
    expect([times?.[0], times?.at(-1)]).toEqual(['2014-12-31T00:30:00Z', '2015-01-01T00:00:00Z']);
  });

  test('both ends of a window are inclusive: midnight to midnight gives 49 entries', () => {
    const answer = ask(deskOf(), { target: S2, ...profile('2014-12-31T00:00:00Z', '2015-01-01T00:00:00Z') });
    expect(readings(answer)).toHaveLength(49);
  });

  test("a day's half-hours sum to its consumption and to the difference of its midnight registers", () => {
    const desk = deskOf();
    const consumption = ask(desk, {
      target: S2,
      srv: '4.17',
      body: windowText('RetrieveDailyConsumptionLog', '2015-01-01T00:00:00Z', '2015-01-01T00:00:00Z'),
    });
    const registers = ask(desk, {
      target: S2,
      srv: '4.6.1',
      body: windowText('RetrieveImportDailyReadLog', '2014-12-31T00:00:00Z', '2015-01-01T00:00:00Z'),
    });
    const sum = readings(ask(desk, { target: S2, ...DAY }))?.reduce((total, { activeWh }) => total + activeWh, 0);
    expect(readings(consumption)?.map(({ activeWh }) => activeWh)).toEqual([sum]);
    const [before, after] = readings(registers) ?? [];
    expect(after.activeWh - before.activeWh).toBe(sum);
  });

  test('what the meter no longer keeps is not returned, and the reason says so', () => {
    const desk = deskOf();
    const log = (start: string, end: string) =>
      ask(desk, { target: S2, srv: '4.6.1', body: windowText('RetrieveImportDailyReadLog', start, end) });
    const gone = log('2014-03-09T00:00:00Z', '2014-03-11T00:00:00Z');
    expect(gone).toMatchObject({ code: 'I0', reason: expect.stringContaining('keeps nothing of the window') });
    expect(readings(gone)).toEqual([]);
    const partial = log('2014-11-01T00:00:00Z', '2015-01-01T00:00:00Z');
    expect(partial.reason).toContain('keeps a part of the window');
    expect(readings(partial)).toHaveLength(31);
  });

  test('a meter that is installed after the request cannot be communicated with', () => {
    const world = WORLD.replace('model: S1\n', 'model: S1\n    installedOn: 2015-06-01\n');
    expect(ask(deskOf(world), { target: S1, ...DAY })).toMatchObject({ code: 'E20', result: { kind: 'refused' } });
  });

  test('the same world, seed and request give the same readings; another seed gives others', () => {
    const answer = readings(ask(deskOf(), { target: S2, ...DAY }));
    expect(readings(ask(deskOf(), { target: S2, ...DAY }))).toEqual(answer);
    expect(readings(ask(deskOf(WORLD.replace('seed: 1 ', 'seed: 2 ')), { target: S2, ...DAY }))).not.toEqual(answer);
  });
});

describe('refusals', () => {
  const exportRead = {
    srv: '4.8.3',
    body: windowText('ReadExportProfileData', '2014-12-31T00:30:00Z', '2015-01-01T00:00:00Z'),
  };
  const s1Log = {
    srv: '4.17',
    body: windowText('RetrieveDailyConsumptionLog', '2014-12-31T00:00:00Z', '2015-01-01T00:00:00Z'),
  };
  test.each<[string, RequestText, string, RegExp]>([
    ['a gas meter', { target: GAS, ...DAY }, 'E11', /90-A1 is not an Electricity/],
    [
      'an unknown originator, by its EUI',
      { originator: 'FF-B3-D5-1F-30-01-00-00', target: S2, ...DAY },
      'E1',
      /FF-B3-D5-1F-30-01-00-00/,
    ],
    [
      'a User that has not completed UEPT',
      { originator: INCOMING, target: S2, ...DAY },
      'E3',
      /User Entry Process Testing/,
    ],
    ['an unknown device, by its id', { target: '00-DB-12-34-56-78-90-FF', ...DAY }, 'E19', /90-FF/],
    ['a suspended device', { target: SUSPENDED, ...DAY }, 'E5', /Suspended/],
    ['a log that SMETS1 does not have', { target: S1, ...s1Log }, 'E2', /SMETS1/],
    [
      'an export read of a device without an export MPAN',
      { target: S1, ...exportRead },
      'E4',
      /no registered export MPAN/,
    ],
    [
      'days before the appointment',
      { target: S1, ...profile('2014-05-31T00:30:00Z', '2014-06-02T00:00:00Z') },
      'E4',
      /2014-05-31: nobody is/,
    ],
    [
      'another CommandVariant',
      { target: S2, commandVariant: 3, ...DAY },
      'E12',
      /takes CommandVariant 1, the request has 3/,
    ],
    [
      'a service of the DCC sent to a device',
      {
        target: S2,
        commandVariant: 8,
        srv: '5.2',
        body: `<sr:ReadSchedule><sr:DeviceID>${S2}</sr:DeviceID></sr:ReadSchedule>`,
      },
      'E11',
      /its target is 90-B3-D5-1F-30-00-00-02/,
    ],
    [
      'a request for later execution',
      {
        target: S2,
        srv: '4.1.1',
        body: '<sr:ReadInstantaneousImportRegisters><sr:ExecutionDateTime>2015-02-01T00:00:00Z</sr:ExecutionDateTime></sr:ReadInstantaneousImportRegisters>',
      },
      'E2',
      /not future dated/,
    ],
    [
      'an inventory by UPRN, which no world has',
      { target: DCC, commandVariant: 8, srv: '8.2', body: '<sr:ReadInventory><sr:UPRN>7</sr:UPRN></sr:ReadInventory>' },
      'E19',
      /UPRN 7/,
    ],
    [
      'an inventory by an MPAN of no device',
      {
        target: DCC,
        commandVariant: 8,
        srv: '8.2',
        body: '<sr:ReadInventory><sr:MPxN>undefined</sr:MPxN></sr:ReadInventory>',
      },
      'E19',
      /MPxN undefined/,
    ],
  ])('%s', (_, text, code, reason) => {
    const answer = ask(deskOf(), text);
    expect(answer).toMatchObject({ code, result: { kind: 'refused' }, reason: expect.stringMatching(reason) });
    expect(answer.trtSeconds).toBeUndefined();
  });

  test('an outgoing MDRA reads days before the change, not after, and the reason names the appointment', () => {
    const desk = deskOf();
    const before = profile('2015-02-28T00:30:00Z', '2015-03-01T00:00:00Z');
    const after = profile('2015-03-01T00:30:00Z', '2015-03-02T00:00:00Z');
    const atMs = parseInstant('2015-03-05T09:00:00Z') as number;
    expect(ask(desk, { target: S2, ...before }, { atMs }).code).toBe('I0');
    const refused = ask(desk, { target: S2, ...after }, { atMs });
    expect(refused).toMatchObject({
      code: 'E4',
      reason: 'AGNA is not the MDRA of MPAN 1012345678903 on Settlement Day 2015-03-01: AGNB is, from 2015-03-01',
    });
  });

  test('a window that spans the change is refused whole', () => {
    const spanning = profile('2015-02-28T00:30:00Z', '2015-03-02T00:00:00Z');
    const answer = ask(deskOf(), { target: S2, ...spanning }, { atMs: parseInstant('2015-03-05T09:00:00Z') as number });
    expect(answer).toMatchObject({ code: 'E4', result: { kind: 'refused' } });
  });

  test("the half-hour that ends at the midnight of the change is still the outgoing MDRA's", () => {
    const atMs = parseInstant('2015-03-05T09:00:00Z') as number;
    const last = profile('2015-03-01T00:00:00Z', '2015-03-01T00:00:00Z');
    expect(ask(deskOf(), { target: S2, ...last }, { atMs }).code).toBe('I0');
  });
});

describe('roles', () => {
  const registers = (direction: 'Import' | 'Export', srv: string): RequestText => ({
    originator: SUPPLIER,
    target: S2,
    srv,
    body: `<sr:ReadInstantaneous${direction}Registers/>`,
  });

  test('a Supplier acts in the role of the register that it reads', () => {
    expect(ask(deskOf(), registers('Import', '4.1.1')).reason).toContain('as IS: SUPA is the Import Supplier');
    expect(ask(deskOf(), registers('Export', '4.2')).reason).toContain('as ES: SUPA is the Export Supplier');
  });

  test('a role that is asked for is the one that is tried', () => {
    expect(ask(deskOf(), registers('Export', '4.2'), { role: 'IS' }).code).toBe('E4');
    expect(ask(deskOf(), registers('Export', '4.2'), { role: 'MDR' })).toMatchObject({
      code: 'E1',
      reason: expect.stringContaining('does not hold the role MDR'),
    });
  });

  test("a Supplier's request has 30 s for existing services and 24 h for MHHS; an MDR's is always MHHS", () => {
    expect(ask(deskOf(), registers('Import', '4.1.1')).trtSeconds).toBe(30);
    expect(ask(deskOf(), registers('Import', '4.1.1'), { mhhs: true }).trtSeconds).toBe(86_400);
    expect(ask(deskOf(), { ...registers('Import', '4.1.1'), originator: MDRA }).trtSeconds).toBe(86_400);
  });
});

test('only what exceeds the threshold of the period is quarantined, with an event of its own', () => {
  const desk = deskOf(WORLD.replace('count: 1000', 'count: 2'));
  const codes = [0, 0, 0, 0, 3_600_000].map((later) => ask(desk, { target: S2, ...DAY }, { atMs: AT + later }));
  expect(codes.map(({ code }) => code)).toEqual(['I0', 'I0', 'quarantine', 'quarantine', 'I0']);
  expect(codes[3]).toMatchObject({
    result: { kind: 'quarantined', eventRef: 2 },
    reason: expect.stringContaining('2 in 3600 s'),
  });
});

describe('schedules', () => {
  const create = (
    originator = MDRA,
    srv = '4.8.3',
    element = 'DSPReadExportProfileData',
    startDate = '2015-01-02',
  ): RequestText => ({
    originator,
    target: DCC,
    commandVariant: 8,
    srv: '5.1',
    body: `<sr:CreateSchedule><sr:ScheduleFrequency>Daily</sr:ScheduleFrequency>
      <sr:ScheduleStartDate>${startDate}</sr:ScheduleStartDate>
      <sr:DSPScheduledServiceReference>${srv.slice(0, 3)}</sr:DSPScheduledServiceReference>
      <sr:DSPScheduledServiceReferenceVariant>${srv}</sr:DSPScheduledServiceReferenceVariant>
      <sr:DeviceID>${S2}</sr:DeviceID><sr:${element}>
      <sr:StartDateOffset>-1</sr:StartDateOffset><sr:StartTime>00:30:00Z</sr:StartTime>
      <sr:EndDateOffset>0</sr:EndDateOffset><sr:EndTime>00:00:00Z</sr:EndTime></sr:${element}></sr:CreateSchedule>`,
  });
  const refer = (kind: 'Read' | 'Delete', selector: string, originator = MDRA): RequestText => ({
    originator,
    target: DCC,
    commandVariant: 8,
    srv: kind === 'Read' ? '5.2' : '5.3',
    body: `<sr:${kind}Schedule>${selector}</sr:${kind}Schedule>`,
  });
  const byId = (id: number) => `<sr:DSPScheduleID>${id}</sr:DSPScheduleID>`;
  const byDevice = `<sr:DeviceID>${S2}</sr:DeviceID>`;
  const idsOf = ({ result }: Answer) => (result.kind === 'schedules' ? result.schedules.map(({ id }) => id) : []);

  test('are created with an id, read by id and by device, and deleted', () => {
    const desk = deskOf();
    expect(ask(desk, create())).toMatchObject({ code: 'I0', result: { kind: 'schedule-created', id: 124 } });
    expect(idsOf(ask(desk, refer('Read', byId(124))))).toEqual([124]);
    expect(idsOf(ask(desk, refer('Read', byDevice)))).toEqual([123, 124]);
    expect(ask(desk, refer('Delete', byId(123))).result).toEqual({ kind: 'schedules-deleted', ids: [123] });
    expect(ask(desk, refer('Read', byId(123))).code).toBe('E050201');
    expect(ask(desk, refer('Delete', byId(123))).code).toBe('E050301');
    expect(ask(desk, refer('Delete', byDevice)).result).toEqual({ kind: 'schedules-deleted', ids: [124] });
  });

  test('are seen and deleted by their owner only', () => {
    const desk = deskOf();
    expect(ask(desk, refer('Read', byId(123), SUPPLIER))).toMatchObject({
      code: 'E050201',
      result: { kind: 'refused' },
    });
    expect(ask(desk, refer('Delete', byDevice, SUPPLIER)).code).toBe('E050301');
    expect(idsOf(ask(desk, refer('Read', byId(123))))).toEqual([123]);
  });

  test('are at most 99 a User and device', () => {
    const desk = deskOf();
    const codes = Array.from({ length: 99 }, () => ask(desk, create()).code);
    expect(codes).toEqual([...Array(98).fill('I0'), 'E050101']);
    expect(ask(desk, create(SUPPLIER)).code).toBe('I0');
  });

  test('that have no execution to come are refused', () => {
    const past = create(MDRA, '4.8.1', 'DSPReadActiveImportProfileData', '2014-01-02');
    const ended = past.body.replace(
      '</sr:ScheduleStartDate>',
      '</sr:ScheduleStartDate><sr:ScheduleEndDate>2014-02-28</sr:ScheduleEndDate>',
    );
    expect(ended).not.toBe(past.body);
    const answer = ask(deskOf(), { ...past, body: ended });
    expect(answer).toMatchObject({ code: 'E050102', result: { kind: 'refused' } });
    expect(answer.reason).toContain('no execution after 2015-01-01T12:00:00Z');
    expect(ask(deskOf(), past).code).toBe('I0');
  });

  test('are checked for the register and the days that they will read first', () => {
    expect(ask(deskOf(), create(SUPPLIER)).reason).toContain('as ES');
    expect(ask(deskOf(), create(MDRA, '4.8.1', 'DSPReadActiveImportProfileData', '2015-03-02'))).toMatchObject({
      code: 'E4',
      reason: expect.stringContaining('2015-03-01'),
    });
  });
});

test('an inventory read answers the device behind an id or an MPAN', () => {
  const read = (key: string) =>
    ask(deskOf(), { target: DCC, commandVariant: 8, srv: '8.2', body: `<sr:ReadInventory>${key}</sr:ReadInventory>` });
  for (const key of [`<sr:DeviceID>${S1}</sr:DeviceID>`, '<sr:MPxN>1412345678901</sr:MPxN>']) {
    expect(read(key)).toMatchObject({ code: 'I0', result: { kind: 'inventory', device: { id: S1 } } });
  }
});

const BODIES = {
  '4.1.1': '<sr:ReadInstantaneousImportRegisters/>',
  '4.2': '<sr:ReadInstantaneousExportRegisters/>',
  '4.6.1': 'RetrieveImportDailyReadLog',
  '4.6.2': 'RetrieveExportDailyReadLog',
  '4.8.1': 'ReadActiveImportProfileData',
  '4.8.3': 'ReadExportProfileData',
  '4.17': 'RetrieveDailyConsumptionLog',
  '5.2': `<sr:ReadSchedule><sr:DeviceID>${S2}</sr:DeviceID></sr:ReadSchedule>`,
  '5.3': '<sr:DeleteSchedule><sr:DSPScheduleID>123</sr:DSPScheduleID></sr:DeleteSchedule>',
  '8.2': `<sr:ReadInventory><sr:DeviceID>${S2}</sr:DeviceID></sr:ReadInventory>`,
};
const SRVS_ASKED = Object.keys(BODIES) as (keyof typeof BODIES)[];
test('every request that can be read has an answer, and its Response is well-formed', () => {
  const instant = fc.integer({ min: AT - 800 * 86_400_000, max: AT + 100 * 86_400_000 });
  const arbitrary = fc.record({
    originator: fc.constantFrom(MDRA, SUPPLIER, INCOMING, S2),
    target: fc.constantFrom(S2, GAS, S1, SUSPENDED, DCC, MDRA),
    srv: fc.constantFrom(...SRVS_ASKED),
    commandVariant: fc.constantFrom(1, 2, 8),
    start: instant,
    length: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 8 * 86_400_000 })),
    atMs: instant,
    mhhs: fc.boolean(),
    role: fc.option(fc.constantFrom(...ROLES), { nil: undefined }),
  });
  const desk = deskOf();
  fc.assert(
    fc.property(arbitrary, ({ start, length, atMs, mhhs, role, ...text }) => {
      const body = BODIES[text.srv].startsWith('<')
        ? BODIES[text.srv]
        : windowText(BODIES[text.srv], formatInstant(start), formatInstant(start + length));
      const request = parseDuisRequest('f.xml', bytes(requestText({ ...text, body })));
      const answer = answerRequest(desk, request, { atMs, mhhs, ...(role === undefined ? {} : { role }) });
      expect(answer.reason).not.toBe('');
      const response = duisResponse(request, answer, atMs, desk.world.codes);
      expect(response).toContain(`<sr:ResponseCode>${answer.code === 'quarantine' ? 'I0' : answer.code}<`);
      readXmlBytes('response', { uri: DUIS_NAMESPACE, local: 'Response' }, bytes(response));
    }),
    { numRuns: 500 },
  );
});

describe('a change of appointment', () => {
  test("removes the outgoing agent's schedules on its EFD and not before", () => {
    const idsRemoved = (at: string) => removeEndedSchedules(deskOf(), parseInstant(at) as number).map(({ id }) => id);
    expect(idsRemoved('2015-02-28T23:00:00Z')).toEqual([]);
    expect(idsRemoved('2015-03-01T00:00:00Z')).toContain(123);
  });
});
