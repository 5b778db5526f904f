import type { DeviceId, RequestId } from '#core/identifiers.ts';
import { FREQUENCIES, type Schedule, type ScheduleWindow } from '#core/schedule.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import {
  BOOLEAN,
  CERTIFICATE,
  COMMAND_VARIANT,
  DATE,
  DATE_TIME,
  DECIMAL,
  type DuisType,
  EUI,
  OFFSET_DAYS,
  oneOf,
  REQUEST_ID,
  SCHEDULE_ID,
  stringOf,
  TIME,
  UPRN,
} from './duis-types.ts';
import { DUIS_NAMESPACE, type ElementSequence, refuseAttributes, sequenceOf, textOf } from './element-sequence.ts';
import { readXml, readXmlBytes, refuseXml, type XmlElement } from './xml-reader.ts';
import { isSignature } from './xml-signature.ts';

/** The DUIS version whose schema the structure of requests is checked against and responses are written for. */
export const DUIS_VERSION = '5.4';

/** A Service Request whose structure is what DUIS_Schema_V5.4.xsd demands of it. Nothing is known yet of who sent it. */
export type DuisRequest = {
  file: string;
  /** As the request states it; other versions than DUIS_VERSION are read by the rules of this one. */
  schemaVersion: string;
  requestId: RequestId;
  commandVariant: number;
  /** As `4.8` and `4.8.1`. */
  serviceReference: string;
  srv: ServiceReferenceVariant;
  body: DuisBody;
  /** Whether a ds:Signature stands in the request. It is not verified. */
  signed: boolean;
};

export type DuisBody =
  | { kind: 'registers'; executionMs?: number }
  /** Both ends inclusive, `startMs <= endMs`. */
  | { kind: 'window'; startMs: number; endMs: number; executionMs?: number }
  | ({ kind: 'create-schedule' } & ScheduleBody)
  | ({ kind: 'read-schedule' | 'delete-schedule' } & ScheduleReference)
  | { kind: 'read-inventory'; by: 'DeviceID' | 'MPxN' | 'UPRN' | 'PropertyFilter'; value: string };

/** DUIS `DSPSchedule`: what a schedule is before it has an id and an owner. */
export type ScheduleBody = Omit<Schedule, 'id' | 'userEui' | 'role' | 'service' | 'srv'> & { srv: ScheduledVariant };
export type ScheduleReference = { scheduleId: number } | { deviceId: DeviceId };

/** The eleven services of MP162 2.4: their DUIS body and what stands in it. */
const BODIES = {
  '4.1.1': { element: 'ReadInstantaneousImportRegisters', read: readRegisters },
  '4.2': { element: 'ReadInstantaneousExportRegisters', read: readRegisters },
  '4.6.1': { element: 'RetrieveImportDailyReadLog', read: readWindowWithCredentials },
  '4.6.2': { element: 'RetrieveExportDailyReadLog', read: readWindow },
  '4.8.1': { element: 'ReadActiveImportProfileData', read: readWindowWithCredentials },
  '4.8.3': { element: 'ReadExportProfileData', read: readWindow },
  '4.17': { element: 'RetrieveDailyConsumptionLog', read: readWindowWithCredentials },
  '5.1': { element: 'CreateSchedule', read: readCreateSchedule },
  '5.2': { element: 'ReadSchedule', read: readReference('read-schedule') },
  '5.3': { element: 'DeleteSchedule', read: readReference('delete-schedule') },
  '8.2': { element: 'ReadInventory', read: readInventory },
} as const satisfies Record<string, { element: string; read: BodyReader }>;
export type ServiceReferenceVariant = keyof typeof BODIES;
const VARIANTS = Object.keys(BODIES) as ServiceReferenceVariant[];
const BODY_ELEMENTS = VARIANTS.map((variant) => BODIES[variant].element);

/** The bodies of 5.1, by the service that they schedule. */
export const SCHEDULED_BODIES = {
  '4.2': 'DSPReadInstantaneousExportRegisters',
  '4.6.1': 'DSPRetrieveImportDailyReadLog',
  '4.6.2': 'DSPRetrieveExportDailyReadLog',
  '4.8.1': 'DSPReadActiveImportProfileData',
  '4.8.3': 'DSPReadExportProfileData',
  '4.17': 'DSPRetrieveDailyConsumptionLog',
} as const satisfies Partial<Record<ServiceReferenceVariant, string>>;
export type ScheduledVariant = keyof typeof SCHEDULED_BODIES;
const SCHEDULED_VARIANTS = Object.keys(SCHEDULED_BODIES) as ScheduledVariant[];

/** Reads one DUIS Request from a stream of bytes; throws XML_REFUSED. */
export async function readDuisRequest(file: string, chunks: AsyncIterable<Uint8Array>): Promise<DuisRequest> {
  return requestOf(file, (await readXml(file, REQUEST_ROOT, chunks)).root);
}

/** {@link readDuisRequest} of a request that is in memory already. */
export function parseDuisRequest(file: string, bytes: Uint8Array): DuisRequest {
  return requestOf(file, readXmlBytes(file, REQUEST_ROOT, bytes).root);
}

/** The ServiceReference that a variant belongs to: `4.8` of `4.8.1`. */
export function serviceReferenceOf(variant: string): string {
  return variant.split('.').slice(0, 2).join('.');
}

export const REQUEST_ROOT = { uri: DUIS_NAMESPACE, local: 'Request' };

/** The request that a document's root is; throws XML_REFUSED. Its signature is let stand and not looked into. */
export function requestOf(file: string, root: XmlElement): DuisRequest {
  refuseAttributes(file, root, ['schemaVersion']);
  const version = root.attributes.find(({ uri, local }) => uri === '' && local === 'schemaVersion')?.value;
  const schemaVersion = version === undefined ? undefined : DECIMAL.parse(version);
  if (schemaVersion === undefined) {
    throw refuseXml(file, root.line, `the attribute schemaVersion to be ${DECIMAL.expected}`, version);
  }
  const parts = sequenceOf(file, root);
  const header = readHeader(file, parts.element('Header'));
  const body = readBody(file, parts.element('Body'), header.srv);
  const signed = skipSignature(parts);
  parts.end();
  return { file, schemaVersion, ...header, body, signed };
}

function readHeader(file: string, element: XmlElement) {
  const parts = sequenceOf(file, element);
  const requestId = parts.value('RequestID', REQUEST_ID);
  parts.optionalValue('FirstInSequence', BOOLEAN);
  parts.optionalValue('PrecedingServiceRequestID', REQUEST_ID);
  const commandVariant = parts.value('CommandVariant', COMMAND_VARIANT);
  const reference = parts.element('ServiceReference');
  const serviceReference = textOf(file, reference, oneOf([...new Set(VARIANTS.map(serviceReferenceOf))]));
  const srv = parts.value('ServiceReferenceVariant', oneOf(VARIANTS));
  parts.end();
  if (serviceReference !== serviceReferenceOf(srv)) {
    throw refuseXml(file, reference.line, `${serviceReferenceOf(srv)}, the reference of ${srv}`, serviceReference);
  }
  return { requestId, commandVariant, serviceReference, srv };
}

function readBody(file: string, element: XmlElement, srv: ServiceReferenceVariant): DuisBody {
  const parts = sequenceOf(file, element);
  const body = parts.choice(BODY_ELEMENTS);
  if (body.local !== BODIES[srv].element) {
    throw refuseXml(file, body.line, `the body ${BODIES[srv].element} of service ${srv}`, body.name);
  }
  parts.end();
  const inside = sequenceOf(file, body);
  const read = BODIES[srv].read(inside, file, body);
  inside.end();
  return read;
}

function skipSignature(parts: ElementSequence): boolean {
  const next = parts.peek();
  const signed = next !== undefined && isSignature(next);
  if (signed) {
    parts.skip();
  }
  return signed;
}

type BodyReader = (parts: ElementSequence, file: string, element: XmlElement) => DuisBody;

/** DUIS `ReadInstantaneousImportRegisters` and `ReadDataOnDemandOrFutureDated`. */
function readRegisters(parts: ElementSequence): DuisBody {
  return { kind: 'registers', ...readExecution(parts) };
}

/** DUIS `ReadLogFutureDatable`. */
function readWindow(parts: ElementSequence, file: string): DuisBody {
  const execution = readExecution(parts);
  const period = parts.element('ReadLogPeriod');
  const ends = sequenceOf(file, period);
  const startMs = ends.value('StartDateTime', DATE_TIME);
  const endMs = ends.value('EndDateTime', DATE_TIME);
  ends.end();
  if (endMs < startMs) {
    throw refuseXml(file, period.line, 'an EndDateTime not before the StartDateTime');
  }
  return { kind: 'window', startMs, endMs, ...execution };
}

/** DUIS `ReadLogFutureDatableAndURPCredentials`. */
function readWindowWithCredentials(parts: ElementSequence, file: string): DuisBody {
  const body = readWindow(parts, file);
  parts.optionalValue('KAPublicSecurityCredentials', CERTIFICATE);
  return body;
}

/** DUIS `FutureDatedAbstractType`. */
function readExecution(parts: ElementSequence): { executionMs?: number } {
  const executionMs = parts.optionalValue('ExecutionDateTime', DATE_TIME);
  return executionMs === undefined ? {} : { executionMs };
}

/** DUIS `DSPSchedule`. */
function readCreateSchedule(parts: ElementSequence, file: string, element: XmlElement): DuisBody {
  const frequency = parts.value('ScheduleFrequency', oneOf(FREQUENCIES));
  const startDay = parts.value('ScheduleStartDate', DATE);
  const endDay = parts.optionalValue('ScheduleEndDate', DATE);
  const executionTimeMs = parts.optionalValue('ScheduleExecutionStartTime', TIME);
  parts.optionalValue('KAPublicSecurityCredential', CERTIFICATE);
  const references = [...new Set(SCHEDULED_VARIANTS.map(serviceReferenceOf))];
  const reference = parts.value('DSPScheduledServiceReference', oneOf(references));
  const srv = parts.value('DSPScheduledServiceReferenceVariant', oneOf(SCHEDULED_VARIANTS));
  const deviceId = parts.value('DeviceID', EUI);
  const read = parts.choice(SCHEDULED_VARIANTS.map((variant) => SCHEDULED_BODIES[variant]));
  if (reference !== serviceReferenceOf(srv) || read.local !== SCHEDULED_BODIES[srv]) {
    const expected = `${SCHEDULED_BODIES[srv]} and reference ${serviceReferenceOf(srv)} to schedule ${srv}`;
    throw refuseXml(file, read.line, expected, `${reference}, ${read.local}`);
  }
  if (endDay !== undefined && endDay < startDay) {
    throw refuseXml(file, element.line, 'a ScheduleEndDate not before the ScheduleStartDate');
  }
  const inside = sequenceOf(file, read);
  const window = srv === '4.2' ? null : readOffsets(inside, file, read);
  inside.end();
  return {
    kind: 'create-schedule',
    frequency,
    startDay,
    ...(endDay === undefined ? {} : { endDay }),
    ...(executionTimeMs === undefined ? {} : { executionTimeMs }),
    srv,
    deviceId,
    window,
  };
}

/** DUIS `ReadLogPeriodOffset`. */
function readOffsets(parts: ElementSequence, file: string, element: XmlElement): ScheduleWindow {
  const startOffsetDays = parts.value('StartDateOffset', OFFSET_DAYS);
  const startTimeMs = parts.value('StartTime', TIME);
  const endOffsetDays = parts.value('EndDateOffset', OFFSET_DAYS);
  const endTimeMs = parts.value('EndTime', TIME);
  if (startOffsetDays * DAY_MS + startTimeMs > endOffsetDays * DAY_MS + endTimeMs) {
    throw refuseXml(file, element.line, 'a window that does not end before it starts');
  }
  return { startOffsetDays, startTimeMs, endOffsetDays, endTimeMs };
}

/** DUIS `ReadSchedule` and `DeleteSchedule`: by id, or all of the User's own for a device. */
function readReference(kind: 'read-schedule' | 'delete-schedule'): BodyReader {
  return (parts, file) => {
    const element = parts.choice(['DSPScheduleID', 'DeviceID']);
    return element.local === 'DeviceID'
      ? { kind, deviceId: textOf(file, element, EUI) }
      : { kind, scheduleId: textOf(file, element, SCHEDULE_ID) };
  };
}

const INVENTORY_KEYS = {
  DeviceID: EUI,
  MPxN: stringOf(1, 13),
  UPRN,
} as const satisfies Record<string, DuisType<string>>;

/** DUIS `ReadInventory`. */
function readInventory(parts: ElementSequence, file: string): DuisBody {
  const element = parts.choice([...Object.keys(INVENTORY_KEYS), 'PropertyFilter']);
  if (element.local === 'PropertyFilter') {
    const filter = sequenceOf(file, element);
    const postCode = filter.value('PostCode', stringOf(6, 8));
    const address = filter.value('AddressIdentifier', stringOf(0, 30));
    filter.end();
    return { kind: 'read-inventory', by: 'PropertyFilter', value: `${postCode} ${address}`.trim() };
  }
  const by = element.local as keyof typeof INVENTORY_KEYS;
  return { kind: 'read-inventory', by, value: textOf(file, element, INVENTORY_KEYS[by]) };
}
