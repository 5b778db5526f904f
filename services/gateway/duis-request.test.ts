import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { parseInstant } from '#core/settlement-day.ts';
import { parseDuisRequest } from './duis-request.ts';
import { requestText, windowText } from './request-text.ts';

const ESME = '00-DB-12-34-56-78-90-A0';
const DCC = '90-B3-D5-1F-30-00-00-02';
const parse = (text: string) => parseDuisRequest('f.xml', new TextEncoder().encode(text));

function refusalOf(text: string): string {
  try {
    parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(MdrError);
    const [{ line, value, expected }] = (error as MdrError).faults;
    return `${line}: ${value === undefined ? '' : `${value}, `}expected ${expected}`;
  }
  throw new Error('the request was taken');
}

const READ = requestText({
  target: ESME,
  srv: '4.8.1',
  body: windowText('ReadActiveImportProfileData', '2014-12-31T00:30:00Z', '2015-01-01T00:00:00Z'),
});

const SCHEDULE_BODY = `<sr:CreateSchedule>
  <sr:ScheduleFrequency>Half-Yearly</sr:ScheduleFrequency>
  <sr:ScheduleStartDate>2015-01-02Z</sr:ScheduleStartDate>
  <sr:ScheduleEndDate>2016-01-02</sr:ScheduleEndDate>
  <sr:ScheduleExecutionStartTime>03:00:00.5Z</sr:ScheduleExecutionStartTime>
  <sr:KAPublicSecurityCredential>ZGVmYXVsdA==</sr:KAPublicSecurityCredential>
  <sr:DSPScheduledServiceReference>4.6</sr:DSPScheduledServiceReference>
  <sr:DSPScheduledServiceReferenceVariant>4.6.1</sr:DSPScheduledServiceReferenceVariant>
  <sr:DeviceID>00-db-12-34-56-78-90-a0</sr:DeviceID>
  <sr:DSPRetrieveImportDailyReadLog>
    <sr:StartDateOffset>-1</sr:StartDateOffset>
    <sr:StartTime>00:00:00Z</sr:StartTime>
    <sr:EndDateOffset>-0</sr:EndDateOffset>
    <sr:EndTime>00:00:00Z</sr:EndTime>
  </sr:DSPRetrieveImportDailyReadLog>
</sr:CreateSchedule>`;
const SCHEDULE = requestText({ target: DCC, commandVariant: 8, srv: '5.1', body: SCHEDULE_BODY });

test('a read carries its header and its inclusive window', () => {
  expect(parse(READ)).toEqual({
    file: 'f.xml',
    schemaVersion: '5.4',
    requestId: { originator: '90-B3-D5-1F-30-01-00-00', target: ESME, counter: 1n },
    commandVariant: 1,
    serviceReference: '4.8',
    srv: '4.8.1',
    body: {
      kind: 'window',
      startMs: parseInstant('2014-12-31T00:30:00Z'),
      endMs: parseInstant('2015-01-01T00:00:00Z'),
    },
    signed: false,
  });
});

test('a schedule carries frequency, days, time and offsets', () => {
  expect(parse(SCHEDULE).body).toEqual({
    kind: 'create-schedule',
    frequency: 'Half-Yearly',
    startDay: 16437,
    endDay: 16802,
    executionTimeMs: 10_800_500,
    srv: '4.6.1',
    deviceId: ESME,
    window: { startOffsetDays: -1, startTimeMs: 0, endOffsetDays: 0, endTimeMs: 0 },
  });
});

test.each([
  ['4.1.1', '<sr:ReadInstantaneousImportRegisters/>', { kind: 'registers' }],
  [
    '4.2',
    '<sr:ReadInstantaneousExportRegisters><sr:ExecutionDateTime>2015-01-01T00:00:00Z</sr:ExecutionDateTime></sr:ReadInstantaneousExportRegisters>',
    { kind: 'registers', executionMs: parseInstant('2015-01-01T00:00:00Z') },
  ],
  [
    '5.2',
    '<sr:ReadSchedule><sr:DSPScheduleID> 123 </sr:DSPScheduleID></sr:ReadSchedule>',
    { kind: 'read-schedule', scheduleId: 123 },
  ],
  [
    '5.3',
    `<sr:DeleteSchedule><sr:DeviceID>${ESME}</sr:DeviceID></sr:DeleteSchedule>`,
    { kind: 'delete-schedule', deviceId: ESME },
  ],
  [
    '8.2',
    '<sr:ReadInventory><sr:MPxN>1012345678903</sr:MPxN></sr:ReadInventory>',
    { kind: 'read-inventory', by: 'MPxN', value: '1012345678903' },
  ],
  [
    '8.2',
    '<sr:ReadInventory><sr:UPRN>100</sr:UPRN></sr:ReadInventory>',
    { kind: 'read-inventory', by: 'UPRN', value: '100' },
  ],
  [
    '8.2',
    '<sr:ReadInventory><sr:PropertyFilter><sr:PostCode>AB1 2CD</sr:PostCode><sr:AddressIdentifier>7</sr:AddressIdentifier></sr:PropertyFilter></sr:ReadInventory>',
    { kind: 'read-inventory', by: 'PropertyFilter', value: 'AB1 2CD 7' },
  ],
])('%s is read with its body %s', (srv, body, expected) => {
  expect(parse(requestText({ target: ESME, srv, body })).body).toEqual(expected);
});

test.each([
  ['2014-12-31T00:30:00', '2014-12-31T00:30:00Z'],
  ['2014-12-31T01:30:00+01:00', '2014-12-31T00:30:00Z'],
  ['2014-12-30T24:00:00Z', '2014-12-31T00:00:00Z'],
  [' 2014-12-31T00:30:00.25Z\n', '2014-12-31T00:30:00.250Z'],
])('an xs:dateTime %s is the instant %s', (text, instant) => {
  expect(parse(READ.replace('2014-12-31T00:30:00Z', text)).body).toMatchObject({ startMs: parseInstant(instant) });
});

const swap = (from: string | RegExp, to: string, text = READ) => {
  const swapped = text.replace(from, to);
  expect(swapped).not.toBe(text);
  return swapped;
};
const SECOND_BODY = windowText('ReadExportProfileData', '2014-12-31T00:30:00Z', '2015-01-01T00:00:00Z');
describe('what the schema does not allow is refused at its line', () => {
  test.each([
    ['no schemaVersion', swap(' schemaVersion="5.4"', ''), /^2: .*schemaVersion/],
    ['a schemaVersion that is no decimal', swap('"5.4"', '"five"'), /^2: five, .*a decimal/],
    ['an unknown attribute', swap('<sr:Header>', '<sr:Header x="1">'), /^3: 1, expected no attribute x/],
    [
      'xsi:nil',
      swap('<sr:Header>', '<sr:Header xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true">'),
      /no attribute xsi:nil/,
    ],
    ['no header', swap(/<sr:Header>[\s\S]*<\/sr:Header>/, ''), /Header of namespace/],
    [
      'elements out of order',
      swap(/( *<sr:CommandVariant>.*\n)( *<sr:ServiceReference>.*\n)/, '$2$1'),
      /^5: sr:ServiceReference, expected CommandVariant/,
    ],
    ['a bad RequestID', swap('90-B3', '90-BX'), /^4: .*originatorEUI:targetEUI:counter/],
    ['a counter of 65 bits', swap(':1<', ':18446744073709551616<'), /originatorEUI/],
    ['a CommandVariant beyond 9', swap('Variant>1<', 'Variant>10<'), /^5: 10, .*1 to 9/],
    ['an unknown service', swap('4.8.1', '6.2.1'), /^7: 6.2.1, .*one of 4.1.1, 4.2/],
    ['a reference of another service', swap('>4.8<', '>4.6<'), /^6: 4.6, expected 4.8, the reference of 4.8.1/],
    [
      'the body of another service',
      swap(/ReadActiveImportProfileData/g, 'ReadExportProfileData'),
      /^10: .*the body ReadActiveImportProfileData of service 4.8.1/,
    ],
    ['two bodies', swap('</sr:Body>', `${SECOND_BODY}</sr:Body>`), /expected the end of sr:Body/],
    ['a second Body', swap('</sr:Request>', '<sr:Body/></sr:Request>'), /expected the end of sr:Request/],
    ['an unknown body', swap(/ReadActiveImportProfileData/g, 'ReadMinds'), /^10: sr:ReadMinds, expected one of/],
    [
      'a body of no namespace',
      swap(
        /<sr:ReadActiveImportProfileData>[\s\S]*<\/sr:ReadActiveImportProfileData>/,
        '<ReadActiveImportProfileData/>',
      ),
      /\{\}ReadActiveImportProfileData/,
    ],
    ['no body', swap(/<sr:Body>[\s\S]*<\/sr:Body>/, '<sr:Body/>'), /in sr:Body, found its end/],
    ['text between elements', swap('<sr:Header>', '<sr:Header>hello'), /^3: hello, expected elements only/],
    ['elements in text', swap('>4.8<', '><b/>4.8<'), /text only in sr:ServiceReference/],
    ['a day that is not', swap('2014-12-31', '2014-11-31'), /^11: .*an xs:dateTime/],
    ['no end of the window', swap(/ *<sr:EndDateTime>.*\n/, ''), /EndDateTime in sr:ReadLogPeriod, found its end/],
    ['a window that ends before it starts', swap('2014-12-31', '2015-12-31'), /not before the StartDateTime/],
    [
      'a certificate that is no base64',
      swap(
        '</sr:ReadLogPeriod>',
        '</sr:ReadLogPeriod><sr:KAPublicSecurityCredentials>?</sr:KAPublicSecurityCredentials>',
      ),
      /base64/,
    ],
    ['an unknown frequency', swap('Half-Yearly', 'Hourly', SCHEDULE), /one of Daily, Weekly/],
    ['a service that is not scheduled', swap('>4.6.1<', '>4.10<', SCHEDULE), /4.10, .*one of/],
    ['another body than the service scheduled', swap('>4.6.1<', '>4.6.2<', SCHEDULE), /DSPRetrieveExportDailyReadLog/],
    ['an offset into the future', swap('>-0<', '>1<', SCHEDULE), /-400 to 0/],
    ['an offset beyond 400 days', swap('>-1<', '>-401<', SCHEDULE), /-400 to 0/],
    [
      'a schedule that ends before it starts',
      swap('2016-01-02', '2014-01-02', SCHEDULE),
      /not before the ScheduleStartDate/,
    ],
    ['a window of offsets turned round', swap('>-0<', '>-2<', SCHEDULE), /does not end before it starts/],
    [
      'a second signature',
      swap(
        '</sr:Request>',
        '<d:Signature xmlns:d="http://www.w3.org/2000/09/xmldsig#"/><d:Signature xmlns:d="http://www.w3.org/2000/09/xmldsig#"/></sr:Request>',
      ),
      /expected the end of sr:Request/,
    ],
  ])('%s', (_, text, expected) => {
    expect(refusalOf(text)).toMatch(expected);
  });
});

const REQUESTS = new URL('../../../shared/duis/requests/', import.meta.url);
if (!existsSync(REQUESTS)) process.stderr.write('skipped: real requests, no ../shared/duis/requests\n');
describe.skipIf(!existsSync(REQUESTS))('the published example requests', () => {
  test.each(existsSync(REQUESTS) ? readdirSync(REQUESTS) : [])('%s is read', (file) => {
    const request = parseDuisRequest(file, readFileSync(new URL(file, REQUESTS)));
    expect(file.startsWith(request.srv) || file.includes(`_${request.srv}`)).toBe(true);
    expect(request).toMatchObject({ schemaVersion: '5.4', signed: true });
  });
});

const TOKENS = [
  '<',
  '>',
  '&',
  '"',
  '</',
  '<sr:Body>',
  '<!DOCTYPE x>',
  '<![CDATA[',
  ']]>',
  '<!--',
  '&#0;',
  '\u0000',
  'é',
];
const MUTATION = fc.record({
  at: fc.nat(),
  remove: fc.nat(60),
  insert: fc.oneof(
    fc.string(),
    fc.constantFrom(...TOKENS),
    fc.string().map((text) => text.repeat(50)),
  ),
});
test('a damaged request is taken or refused, and nothing else', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(READ, SCHEDULE),
      fc.array(MUTATION, { minLength: 1, maxLength: 4 }),
      (text, mutations) => {
        const damaged = mutations.reduce((whole, { at, remove, insert }) => {
          const from = at % whole.length;
          return whole.slice(0, from) + insert + whole.slice(from + remove);
        }, text);
        expectTakenOrRefused(new TextEncoder().encode(damaged));
      },
    ),
    { numRuns: 2000 },
  );
});

test('a request with damaged bytes is taken or refused, and nothing else', () => {
  const bytes = new TextEncoder().encode(READ);
  const flips = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(flips, fc.nat(bytes.length), (changes, length) => {
      const damaged = bytes.slice(0, length);
      for (const [at, byte] of changes) if (at < length) damaged[at] = byte;
      expectTakenOrRefused(damaged);
    }),
    { numRuns: 2000 },
  );
});

function expectTakenOrRefused(bytes: Uint8Array): void {
  try {
    parseDuisRequest('f.xml', bytes);
  } catch (error) {
    if (!(error instanceof MdrError)) throw error;
    expect(error.code).toBe('XML_REFUSED');
  }
}
