import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { DEFAULT_MATRIX } from '#core/matrix.ts';
import { parseInstant } from '#core/settlement-day.ts';
import type { Reading } from './answer.ts';
import { answerRequest } from './ask.ts';
import { openDesk } from './desk.ts';
import { type DuisRequest, parseDuisRequest } from './duis-request.ts';
import { duisResponse } from './duis-response.ts';
import { decodeMessage } from './gbcs/message.ts';
import { anyAnswer, anyParty, respond as respondTo } from './gbcs/test/any-message.ts';
import { gbcsResponse } from './mmc-response.ts';
import { seedSecrets } from './pki/seed-secrets.ts';
import { requestText, windowText } from './request-text.ts';
import { canValidate, schemaFaults } from './test/schema-faults.ts';
import { readWorld } from './world.ts';
import { renderXml } from './xml-writer.ts';

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

/** The answer, and what reading the payload of its Response gives; undefined where it has none. */
function answered(request: DuisRequest, desk = openDesk(WORLD, DEFAULT_MATRIX)) {
  const answer = answerRequest(desk, request, { atMs: AT, mhhs: false });
  const response = duisResponse(request, answer, AT, desk.world.codes);
  const payload = /<sr:GBCSPayload>(.*)<\/sr:GBCSPayload>/.exec(response)?.[1];
  if (payload === undefined) return { answer };
  const read = decodeMessage(Buffer.from(payload, 'base64'), seedSecrets(WORLD.seed));
  if (read.kind !== 'response') throw new Error('a command is no answer');
  return { answer, read };
}

const registers = (direction: string, srv: string, originator: string, target: string) =>
  parse(requestText({ originator, target, srv, body: `<sr:ReadInstantaneous${direction}Registers/>` }));
const log = (srv: string, element: string, target: string, start = '2014-12-30T00:00:00Z') =>
  parse(requestText({ target, srv, body: windowText(element, start, '2015-01-01T00:00:00Z') }));
const MDRA = '90-B3-D5-1F-30-01-00-00';
const SUPPLIER = '90-B3-D5-1F-30-02-00-00';
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

test("a SMETS2 answer carries the meter's message: what it says is what was answered, to whom it was answered", () => {
  const { read } = answered(log('4.8.1', 'ReadActiveImportProfileData', S2));
  expect(read).toMatchObject({
    kind: 'response',
    useCase: { name: 'ECS22b' },
    envelope: { originator: S2, recipient: DCC_ACCESS_CONTROL_BROKER, unknownParty: { eui: MDRA, counter: 1n } },
  });
  expect(read?.readings.rows[0]).toEqual({ timeMs: Date.UTC(2014, 11, 30), activeWh: expect.any(Number) });
  const supplier = answered(registers('Import', '4.1.1', SUPPLIER, S2)).read;
  expect(supplier?.envelope).toMatchObject({ originator: S2, recipient: SUPPLIER, counter: 1n, timeMs: AT });
  expect(supplier?.envelope).not.toHaveProperty('unknownParty');
});

test.each(REQUESTS)('%s: rows in the payload are those of --json', (_, request) => {
  const { answer, read } = answered(request);
  if (answer.result.kind !== 'readings' || answer.result.readings.generation === 'SMETS1') {
    expect(read).toBeUndefined();
    return;
  }
  const { rows, success } = answer.result.readings;
  expect(read?.readings.success).toBe(success);
  expect(read?.readings.rows.map(withoutTariff)).toEqual(rows.map(withoutTariff));
  if (request.srv !== '4.6.1') return;
  const sums = read?.readings.rows.map(({ touWh = [] }) => touWh.reduce((sum, wh) => sum + wh, 0));
  expect(sums).toEqual(rows.map(({ activeWh }) => activeWh));
});

// ECS17b has no registers of the tariff, and ECS21a all that there can be.
function withoutTariff({ timeMs, activeWh, reactiveVarh }: Reading) {
  return { timeMs, activeWh, reactiveVarh };
}

test('no two answers of a desk to an MDR User use one counter', () => {
  const desk = openDesk(WORLD, DEFAULT_MATRIX);
  const counters = Array.from(
    { length: 5 },
    () => answered(registers('Import', '4.1.1', MDRA, S2), desk).read?.envelope,
  );
  expect(new Set(counters.map((envelope) => envelope?.counter)).size).toBe(5);
  expect(new Set(counters.map((envelope) => envelope?.unknownParty?.deviceCounter)).size).toBe(5);
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
  const { answer, read } = answered(request, desk);
  expect(answer).toMatchObject({ code: 'I0', result: { readings: { success: false, rows: [] } } });
  expect(read?.readings).toMatchObject({ srv: '4.2', success: false, rows: [] });
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

  test('for what parsing payloads gives, of any read, single and twin element, success and error', () => {
    const messages = REQUESTS.map(([, request]) => answered(request).read).filter((read) => read !== undefined);
    const secrets = seedSecrets(1);
    for (const [answer, party] of fc.sample(fc.tuple(anyAnswer, anyParty), { numRuns: 100, seed: 1 })) {
      const message = decodeMessage(respondTo(answer, party, secrets).bytes, secrets);
      if (message.kind === 'response') messages.push(message);
    }
    const documents = messages.map((message) => renderXml(gbcsResponse(message)));
    expect(documents.length).toBeGreaterThan(108);
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
