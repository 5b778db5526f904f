import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DEFAULT_MATRIX } from '#core/matrix.ts';
import { parseInstant } from '#core/settlement-day.ts';
import { answerRequest } from './ask.ts';
import { openDesk } from './desk.ts';
import { type DuisRequest, parseDuisRequest } from './duis-request.ts';
import { duisResponse } from './duis-response.ts';
import { requestText, windowText } from './request-text.ts';
import { canValidate, schemaFaults } from './test/schema-faults.ts';
import { readWorld } from './world.ts';

const EXAMPLES = new URL('../../docs/using/examples/', import.meta.url);
const WORLD = readWorld('world.yaml', readFileSync(new URL('world.yaml', EXAMPLES), 'utf8'));
const AT = parseInstant('2015-01-01T12:00:00Z') as number;
const S2 = '00-DB-12-34-56-78-90-A0';
const S1 = '00-DB-12-34-56-78-90-A2';

const parse = (text: string) => parseDuisRequest('f--x-.xml', new TextEncoder().encode(text));
function respond(request: DuisRequest, world = WORLD): string {
  const answer = answerRequest(openDesk(world, DEFAULT_MATRIX), request, { atMs: AT, mhhs: false });
  return duisResponse(request, answer, AT, world.codes);
}

const registers = (direction: string, srv: string, originator: string, target: string) =>
  parse(requestText({ originator, target, srv, body: `<sr:ReadInstantaneous${direction}Registers/>` }));
const log = (srv: string, element: string, target: string, start = '2014-12-30T00:00:00Z') =>
  parse(requestText({ target, srv, body: windowText(element, start, '2015-01-01T00:00:00Z') }));
const MDRA = '90-B3-D5-1F-30-01-00-00';
const REQUESTS: [string, DuisRequest][] = [
  ['4.1.1 of SMETS2', registers('Import', '4.1.1', MDRA, S2)],
  ['4.1.1 of SMETS1', registers('Import', '4.1.1', MDRA, S1)],
  ['4.2 of SMETS2', registers('Export', '4.2', MDRA, S2)],
  ['4.6.1 of SMETS2', log('4.6.1', 'RetrieveImportDailyReadLog', S2)],
  ['4.6.1 of SMETS1', log('4.6.1', 'RetrieveImportDailyReadLog', S1)],
  ['4.6.2 of SMETS2', log('4.6.2', 'RetrieveExportDailyReadLog', S2)],
  ['4.8.1 of SMETS2', log('4.8.1', 'ReadActiveImportProfileData', S2)],
  ['4.8.1 of SMETS1', log('4.8.1', 'ReadActiveImportProfileData', S1)],
  ['4.8.1 of all 13 months', log('4.8.1', 'ReadActiveImportProfileData', S2, '2014-01-01T00:30:00Z')],
  ['4.8.3 of SMETS2', log('4.8.3', 'ReadExportProfileData', S2)],
  ['4.17 of SMETS2', log('4.17', 'RetrieveDailyConsumptionLog', S2)],
  ['4.6.1 of days no longer kept', log('4.6.1', 'RetrieveImportDailyReadLog', S2, '2014-01-01T00:00:00Z')],
  ['a refusal', log('4.17', 'RetrieveDailyConsumptionLog', S1)],
  ...readdirSync(EXAMPLES)
    .filter((file) => file.endsWith('.xml'))
    .map((file): [string, DuisRequest] => [file, parseDuisRequest(file, readFileSync(new URL(file, EXAMPLES)))]),
];
const QUARANTINING = {
  ...WORLD,
  users: WORLD.users.map((user) => ({ ...user, anomalyThresholds: [{ srv: '4.8.1', count: 0, periodSeconds: 60 }] })),
};

test('the response keeps the counter and swaps originator and target', () => {
  const response = respond(log('4.8.1', 'ReadActiveImportProfileData', S2));
  expect(response).toContain(`<sr:RequestID>${MDRA}:${S2}:1</sr:RequestID>`);
  expect(response).toContain(`<sr:ResponseID>${S2}:${MDRA}:1</sr:ResponseID>`);
});

test('a SMETS2 answer imitates no GBCS payload: readings stand in a comment, in the MMC format', () => {
  const response = respond(log('4.8.1', 'ReadActiveImportProfileData', S2, '2015-01-01T00:00:00Z'));
  expect(response).not.toContain('<sr:GBCSPayload');
  expect(mmcOf(response)).toMatch(/<ra:LogEntry>\s*<ra:Timestamp>2015-01-01T00:00:00Z<\/ra:Timestamp>/);
});

test('a SMETS1 answer carries its readings in the clear, and an element that says it is no signature', () => {
  const response = respond(log('4.8.1', 'ReadActiveImportProfileData', S1, '2015-01-01T00:00:00Z'));
  expect(response).toMatch(/<ra:ReadActiveImportProfileDataRsp MessageSuccess="true">\s*<ra:LogEntry>/);
  expect(response).toContain('<ds:SignatureMethod Algorithm="urn:mdr-stream:not-signed"/>');
  expect(response).toContain('<ds:SignatureValue/>');
});

test('a meter without an export register answers with an error of its own, in time', () => {
  const world = { ...WORLD, devices: WORLD.devices.map((device) => ({ ...device })) };
  const desk = openDesk(world, DEFAULT_MATRIX);
  delete world.devices[0].exportMpan;
  const request = registers('Export', '4.2', MDRA, S2);
  const answer = answerRequest(desk, request, { atMs: AT, mhhs: false });
  expect(answer).toMatchObject({ code: 'I0', result: { readings: { success: false, rows: [] } } });
  expect(duisResponse(request, answer, AT, world.codes)).toContain(
    'ReadInstantaneousExportRegistersRsp MessageSuccess="false"',
  );
});

test('a quarantined request is told by an alert that names it', () => {
  const response = respond(log('4.8.1', 'ReadActiveImportProfileData', S2), QUARANTINING);
  expect(response).toMatch(/<sr:ADUserThresholdBreach>\s*<sr:RequestID>90-B3-D5-1F-30-01-00-00:00-DB/);
});

describe.skipIf(!canValidate)('the schemas hold', () => {
  test('for every kind of Response', () => {
    const responses = REQUESTS.map(([, request]) => respond(request));
    responses.push(respond(log('4.8.1', 'ReadActiveImportProfileData', S2), QUARANTINING));
    expect(schemaFaults('DUIS', responses)).toBe('');
  });

  test('for what parsing the payload of a SMETS2 answer would give', () => {
    const documents = REQUESTS.map(([, request]) => mmcOf(respond(request))).filter((text) => text !== undefined);
    expect(documents.length).toBeGreaterThan(8);
    expect(schemaFaults('MMC', documents)).toBe('');
  });

  test('for our own example requests', () => {
    const examples = readdirSync(EXAMPLES).filter((file) => file.endsWith('.xml'));
    const texts = examples.map((file) => readFileSync(new URL(file, EXAMPLES), 'utf8'));
    expect(schemaFaults('DUIS', texts)).toBe('');
  });

  const published = new URL('../../../shared/duis/requests/', import.meta.url);
  test("for the Responses to the published example requests, each answered, the gas meter's refused", () => {
    const desk = openDesk(WORLD, DEFAULT_MATRIX);
    const answers = readdirSync(published).map((file) => {
      const request = parseDuisRequest(file, readFileSync(new URL(file, published)));
      return { file, request, answer: answerRequest(desk, request, { atMs: AT, mhhs: false }) };
    });
    expect(answers).toHaveLength(12);
    for (const { file, answer } of answers)
      expect([file, answer.code]).toEqual([file, file.startsWith('GCS17') ? 'E11' : 'I0']);
    const responses = answers.map(({ request, answer }) => duisResponse(request, answer, AT, WORLD.codes));
    expect(schemaFaults('DUIS', responses)).toBe('');
  });
});

/** The GBCSResponse that stands as a comment in the Response of a SMETS2 meter. */
function mmcOf(response: string): string | undefined {
  return /<ra:GBCSResponse [\s\S]*<\/ra:GBCSResponse>/.exec(response)?.[0];
}
