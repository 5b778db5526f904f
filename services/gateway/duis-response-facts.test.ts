import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SMI_STATUSES } from '#core/access-control.ts';
import { formatRequestId, type RequestId } from '#core/identifiers.ts';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { FREQUENCIES, type Schedule } from '#core/schedule.ts';
import { DAY_MS, formatInstant, HALF_HOUR_MS } from '#core/settlement-day.ts';
import type { Reading, Readings, ReadVariant } from './answer.ts';
import { ASSUMED_CODES } from './assumed-codes.ts';
import { SCHEDULED_BODIES, type ScheduledVariant } from './duis-request.ts';
import {
  type AlertFacts,
  type ResponseContent,
  type ResponseFacts,
  type ResponseSigners,
  renderAlert,
  renderResponse,
} from './duis-response.ts';
import { canValidate, schemaFaults } from './test/schema-faults.ts';
import type { WorldDevice } from './world.ts';
import { DEVICE_TYPES } from './world-schema.ts';
import { readXmlBytes, type XmlElement, type XmlLimits } from './xml-reader.ts';
import { verifySignature } from './xml-signature.ts';

const DCC_KEYS = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const S1SP_KEYS = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const SIGNERS: ResponseSigners = {
  dcc: { privateKey: DCC_KEYS.privateKey, issuerName: 'CN=U1, OU=07', serialNumber: 1n },
  s1sp: { privateKey: S1SP_KEYS.privateKey, issuerName: 'CN=U1, OU=07', serialNumber: 2n },
};
const certificates = (reference: object) => {
  const isDcc = 'serialNumber' in reference && reference.serialNumber === 1n;
  return { eui: isDcc ? 'dcc' : 's1sp', publicKey: (isDcc ? DCC_KEYS : S1SP_KEYS).publicKey };
};

const LIMITS: XmlLimits = {
  bytesMax: 2 ** 24,
  depthMax: 32,
  elementsMax: 200_000,
  attributesPerElementMax: 32,
  textCharactersMax: 2 ** 20,
};
const read = (text: string) => readXmlBytes('f.xml', undefined, new TextEncoder().encode(text), LIMITS);

/** Elements of a name anywhere below, in the order of the document. */
function* below(element: XmlElement, local: string): Generator<XmlElement> {
  for (const child of element.children) {
    if (child.local === local) yield child;
    yield* below(child, local);
  }
}
const textsOf = (element: XmlElement, local: string) => [...below(element, local)].map(({ text }) => text);

const EUI = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 8, maxLength: 8 })
  .map((bytes) => bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('-'));
const INSTANT = fc.integer({ min: 0, max: 4_102_444_800_000 });
const SCHEDULE_ID = fc.integer({ min: 0, max: 1_000_000_000_000 });
const REQUEST_ID: fc.Arbitrary<RequestId> = fc.record({
  originator: EUI,
  target: EUI,
  counter: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});
const WH = fc.integer({ min: 0, max: 2 ** 32 - 1 });

const SNAPSHOTS: readonly ReadVariant[] = ['4.1.1', '4.2'];
const READS: readonly ReadVariant[] = ['4.1.1', '4.2', '4.6.1', '4.6.2', '4.8.1', '4.8.3', '4.17'];
const rowsOf = (srv: ReadVariant): fc.Arbitrary<Reading[]> => {
  const stepMs = srv.startsWith('4.8') ? HALF_HOUR_MS : DAY_MS;
  const row = fc.record(
    { activeWh: WH, reactiveVarh: WH, touWh: fc.array(WH, { minLength: 1, maxLength: 48 }) },
    { requiredKeys: ['activeWh'] },
  );
  const rows = fc.array(row, { maxLength: SNAPSHOTS.includes(srv) ? 1 : 31 });
  return fc
    .tuple(INSTANT, rows)
    .map(([startMs, all]) => all.map((one, at) => ({ ...one, timeMs: startMs + at * stepMs })));
};
const READINGS: fc.Arbitrary<Readings> = fc
  .constantFrom(...READS)
  .chain((srv) => fc.tuple(fc.constant(srv), fc.boolean(), rowsOf(srv)))
  .map(([srv, success, rows]) => ({ srv, generation: 'SMETS1' as const, success, rows: success ? rows : [] }));

const TIME = fc.integer({ min: 0, max: DAY_MS - 1 });
const OFFSET = fc.integer({ min: -400, max: 0 });
const SCHEDULE: fc.Arbitrary<Schedule> = fc
  .record(
    {
      id: SCHEDULE_ID,
      userEui: EUI,
      role: fc.constant('MDR' as const),
      service: fc.constant('mhhs' as const),
      deviceId: EUI,
      srv: fc.constantFrom(...(Object.keys(SCHEDULED_BODIES) as ScheduledVariant[])),
      frequency: fc.constantFrom(...FREQUENCIES),
      startDay: fc.integer({ min: 0, max: 40_000 }),
      endDay: fc.integer({ min: 0, max: 40_000 }),
      executionTimeMs: TIME,
      window: fc.record({ startOffsetDays: OFFSET, startTimeMs: TIME, endOffsetDays: OFFSET, endTimeMs: TIME }),
    },
    { requiredKeys: ['id', 'userEui', 'role', 'service', 'deviceId', 'srv', 'frequency', 'startDay', 'window'] },
  )
  .map((schedule) => ({ ...schedule, window: schedule.srv === '4.2' ? null : schedule.window }) as Schedule);

const NAME = fc.string({ unit: 'grapheme', maxLength: 7 }).filter((text) => text.length <= 30);
const MPAN = fc.integer({ min: 1_000_000_000_000, max: 9_999_999_999_999 });
const DEVICE = fc.record(
  {
    id: EUI,
    type: fc.constantFrom(...DEVICE_TYPES),
    esme: fc.boolean(),
    generation: fc.constantFrom('SMETS1', 'SMETS2'),
    status: fc.constantFrom(...SMI_STATUSES),
    importMpan: MPAN,
    exportMpan: MPAN,
    installedDay: fc.constant(0),
    manufacturer: NAME,
    model: NAME,
  },
  { requiredKeys: ['id', 'type', 'esme', 'generation', 'status', 'installedDay', 'manufacturer', 'model'] },
) as fc.Arbitrary<WorldDevice>;

const REFUSALS = [...Object.keys(RESPONSE_CODES), 'E050101', 'E050102', 'E050201', 'E050301'];
const FACTS: fc.Arbitrary<ResponseFacts> = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(...REFUSALS).map((code) => ({ code, content: { kind: 'none' } as ResponseContent })),
      fc
        .oneof<fc.Arbitrary<ResponseContent>[]>(
          fc.uint8Array({ maxLength: 1000 }).map((payload) => ({ kind: 'gbcs', payload })),
          READINGS.map((readings) => ({ kind: 'smets1', readings })),
          SCHEDULE_ID.map((id) => ({ kind: 'schedule-created', id })),
          fc.array(SCHEDULE, { minLength: 1, maxLength: 99 }).map((schedules) => ({ kind: 'schedules', schedules })),
          fc.array(DEVICE, { minLength: 1, maxLength: 17 }).map((devices) => ({ kind: 'inventory', devices })),
        )
        .map((content) => ({ code: 'I0', content })),
    ),
    REQUEST_ID,
    fc.constantFrom(...READS),
    INSTANT,
    fc.option(SCHEDULE_ID, { nil: undefined }),
  )
  .map(([{ code, content }, requestId, read, atMs, scheduleId]) => {
    const srv = content.kind === 'smets1' ? content.readings.srv : srvOf(content, read);
    const isRead = ['none', 'gbcs', 'smets1'].includes(content.kind);
    return { requestId, srv, code, atMs, content, ...(isRead && scheduleId !== undefined ? { scheduleId } : {}) };
  });
function srvOf({ kind }: ResponseContent, read: ReadVariant): ResponseFacts['srv'] {
  if (kind === 'schedule-created') return '5.1';
  if (kind === 'schedules') return '5.2';
  return kind === 'inventory' ? '8.2' : read;
}
const ALERT: fc.Arbitrary<AlertFacts> = fc.record({
  atMs: INSTANT,
  alertCode: fc.constantFrom(ASSUMED_CODES.quarantineAlert.default, ASSUMED_CODES.scheduleRemovalAlert.default),
  alert: fc.oneof(
    fc.record({
      kind: fc.constant('quarantined-request' as const),
      requestId: REQUEST_ID,
      eventRef: fc.bigInt({ min: 0n, max: 10n ** 20n - 1n }),
    }),
    fc.record({ kind: fc.constant('schedule-removal' as const), deviceId: EUI, scheduleId: SCHEDULE_ID }),
  ),
});

test('every Response says of the request what it is the answer to, and carries what it is given', () => {
  fc.assert(
    fc.property(FACTS, fc.boolean(), (facts, isSigned) => {
      const { root } = read(renderResponse(facts, isSigned ? SIGNERS : undefined));
      const { originator, target, counter } = facts.requestId;
      const scheduled = facts.scheduleId !== undefined;
      expect(textsOf(root.children[0], 'RequestID')).toEqual(scheduled ? [] : [formatRequestId(facts.requestId)]);
      expect(textsOf(root, 'ResponseID')).toEqual([`${target}:${originator}:${counter}`]);
      expect(textsOf(root, 'ResponseCode')).toEqual([facts.code]);
      expect(textsOf(root, 'ResponseDateTime')).toEqual([formatInstant(facts.atMs)]);
      expect(new Set(textsOf(root.children[1].children[0], 'ServiceReferenceVariant'))).toEqual(new Set([facts.srv]));
      if (scheduled) expect(textsOf(root, 'DSPScheduleID')).toEqual([String(facts.scheduleId)]);
      if (facts.content.kind === 'smets1') return expectReadings(root, facts.content.readings);
      const [local, texts] = carriedBy(facts.content);
      expect(textsOf(root, local)).toEqual(texts);
    }),
    { numRuns: 300 },
  );
});

/** The texts of the elements by which a content is known again. */
function carriedBy(content: Exclude<ResponseContent, { kind: 'smets1' }>): [local: string, texts: string[]] {
  switch (content.kind) {
    case 'none':
      return ['GBCSPayload', []];
    case 'gbcs':
      return ['GBCSPayload', [Buffer.from(content.payload).toString('base64')]];
    case 'schedule-created':
      return ['DSPScheduleID', [String(content.id)]];
    case 'schedules':
      return ['DSPScheduleID', content.schedules.map(({ id }) => String(id))];
    case 'inventory':
      return ['DeviceID', content.devices.map(({ id }) => id)];
  }
}

const ACTIVE: Readonly<Record<ReadVariant, string>> = {
  '4.1.1': 'Value',
  '4.2': 'Value',
  '4.6.1': 'ElecActiveImportRegisterConsumption',
  '4.6.2': 'ActiveExportRegisterValue',
  '4.8.1': 'PrimaryValue',
  '4.8.3': 'ActiveEnergyExportedValue',
  '4.17': 'Value',
};
function expectReadings(root: XmlElement, { srv, success, rows }: Readings): void {
  const [response] = [...below(root, 'SMETSData')][0].children;
  expect(response.attributes).toMatchObject([{ local: 'MessageSuccess', value: String(success) }]);
  const times = [...below(root, srv === '4.6.2' ? 'TimeStamp' : 'Timestamp')].map(({ text }) => text);
  expect(times).toEqual(rows.map(({ timeMs }) => formatInstant(timeMs)));
  const values = textsOf(response, ACTIVE[srv]);
  const reactive = SNAPSHOTS.includes(srv) ? rows.flatMap(({ reactiveVarh }) => reactiveVarh ?? []) : [];
  expect(values.map(Number)).toEqual([...rows.map(({ activeWh }) => activeWh), ...reactive]);
}

test('a signed Response is by the DCC, the answer of a SMETS1 meter in it by the S1SP, taken out of it too', () => {
  fc.assert(
    fc.property(FACTS, (facts) => {
      const document = read(renderResponse(facts, SIGNERS));
      expect(verifySignature('f.xml', document, certificates)).toEqual({ signer: 'dcc' });
      for (const root of below(document.root, 'SMETS1SignedResponse')) {
        const alone = { root, before: [], after: [] };
        expect(verifySignature('f.xml', alone, certificates)).toEqual({ signer: 's1sp' });
      }
    }),
    { numRuns: 200 },
  );
});

test('an Alert answers no request: it bears no id, and names what it is about', () => {
  fc.assert(
    fc.property(ALERT, (facts) => {
      const { root } = read(renderAlert(facts, SIGNERS));
      const { alert } = facts;
      expect(root.children[0].children.map(({ local }) => local)).toEqual(['ResponseCode', 'ResponseDateTime']);
      expect(textsOf(root, 'ResponseCode')).toEqual(['I0']);
      expect(textsOf(root, 'DCCAlertCode')).toEqual([facts.alertCode]);
      if (alert.kind === 'schedule-removal') {
        expect(textsOf(root, 'DeviceID')).toEqual([alert.deviceId]);
        expect(textsOf(root, 'DSPScheduleID')).toEqual([String(alert.scheduleId)]);
      } else {
        expect(textsOf(root, 'RequestID')).toEqual([formatRequestId(alert.requestId)]);
        expect(textsOf(root, 'QuarantineEventRef')).toEqual([String(alert.eventRef)]);
      }
    }),
    { numRuns: 100 },
  );
});

test('13 months of half-hours of a SMETS1 meter, the most that the schema has, are signed and read back', () => {
  const rows = Array.from({ length: 19_056 }, (_, at) => ({ timeMs: at * HALF_HOUR_MS, activeWh: at }));
  const readings: Readings = { srv: '4.8.1', generation: 'SMETS1', success: true, rows };
  const requestId = { originator: '90-B3-D5-1F-30-01-00-00', target: '00-DB-12-34-56-78-90-A2', counter: 1n };
  const facts: ResponseFacts = { requestId, srv: '4.8.1', code: 'I0', atMs: 0, content: { kind: 'smets1', readings } };
  const document = read(renderResponse(facts, SIGNERS));
  expect(verifySignature('f.xml', document, certificates)).toEqual({ signer: 'dcc' });
  expect(textsOf(document.root, 'PrimaryValue')).toHaveLength(19_056);
});

describe.skipIf(!canValidate)('the schema holds', () => {
  const sampled = <T>(arbitrary: fc.Arbitrary<T>, count: number, seed: number) =>
    fc.sample(arbitrary, { numRuns: count, seed });
  test('for Responses and Alerts of any content, signed and not', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const facts = sampled(FACTS, 400, seed);
    const alerts = sampled(ALERT, 50, seed);
    const documents = [undefined, SIGNERS].flatMap((signers) => [
      ...facts.map((one) => renderResponse(one, signers)),
      ...alerts.map((one) => renderAlert(one, signers)),
    ]);
    const kinds = new Set(
      facts.map(({ content, srv, scheduleId }) => `${content.kind} ${srv} ${scheduleId !== undefined}`),
    );
    expect(kinds.size, `seed ${seed}`).toBeGreaterThan(30);
    expect(schemaFaults('DUIS', documents), `seed ${seed}`).toBe('');
  });

  test('for a refusal with each code, of a request and of an execution', () => {
    const requestId = { originator: '90-B3-D5-1F-30-01-00-00', target: '00-DB-12-34-56-78-90-A2', counter: 1n };
    const documents = REFUSALS.flatMap((code) =>
      [{}, { scheduleId: 7 }].map((schedule) =>
        renderResponse({ requestId, srv: '4.8.1', code, atMs: 0, ...schedule, content: { kind: 'none' } }, SIGNERS),
      ),
    );
    expect(schemaFaults('DUIS', documents)).toBe('');
  });
});
