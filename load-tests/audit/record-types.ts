import avsc from 'avsc';
import { schemaText, subjectOf, TOPICS, type TopicName } from '#schemas/topics.ts';
import { registeredVersions } from '#services/platform/kafka/registry.ts';
import type { RegistrySecurity } from '#services/platform/kafka/security.ts';

/** Records as the audit reads them: enums by their symbols, EUI-64s as bytes, the 64 bits of a counter as 8 characters. */
export type RequestRecord = {
  kind: 'REQUEST' | 'MARKER' | 'RELEASE' | 'DELETE';
  source: number;
  position: number;
  mpan: number;
  originator: Buffer;
  device: Buffer;
  counter: string;
  role: string;
  signer: Buffer | null;
  srv: string;
  scheduledSrv: string;
  mode: ModeSymbol;
  service: string;
  receivedMs: number;
  windowStartMs: number;
  windowEndMs: number;
  dueWallMs: number;
};
export type DeviceRequestRecord = {
  request: RequestRecord;
  generation: string;
  requestOffset: number;
  sourcePartition: number;
  sourceOffset: number;
  quarantinedMs: number;
};
export type ResponseRecord = {
  kind: 'ANSWER' | 'MARKER';
  source: 'ACCESS_CONTROL' | 'ANOMALY' | 'FLEET';
  mode: ModeSymbol;
  requestOffset: number;
  originator: Buffer;
  device: Buffer;
  counter: string;
  srv: string;
  generation: string;
  code: string;
  fact: number;
  quarantinedMs: number;
  answeredMs: number;
  platformMs: number;
  firstStampMs: number;
  stepMs: number;
  activeWh: number[];
};
export type QuarantineRecord = { kind: 'HELD' | 'RELEASED' | 'DELETED'; request: DeviceRequestRecord };
export type BreachRecord = {
  mode: ModeSymbol;
  requestOffset: number;
  originator: Buffer;
  device: Buffer;
  counter: string;
  trtSeconds: number;
  deadlineMs: number;
};
export type RegistrationRecord = {
  mpan: number;
  sequence: number;
  appointments: { mpid: string; role: 'IS' | 'ES' | 'MDR'; efd: number; etd: number | null }[];
};
export type MeteringPointRecord = {
  mpan: number;
  sequence: number;
  register: 'IMPORT' | 'EXPORT';
  device: Buffer;
  kind: 'ESME' | 'OTHER';
  generation: string;
  status: string;
};
export type UserRecord = {
  eui: Buffer;
  name: string;
  category: string;
  roles: { role: string; mpids: string[] }[];
  suspendedFrom: number | null;
  accededOn: number | null;
  ueptOn: { role: string; day: number }[];
  securityAssessments: number[];
  privacyAssessments: number[];
  equivalentSecurityOn: number | null;
  equivalentPrivacyOn: number | null;
  adtDeclaredOn: number | null;
  anomalyThresholds: { srv: string; count: number; periodSeconds: number }[];
};
export type RunRecord = {
  runId: string;
  state: string;
  countedStartMs: number;
  countedEndMs: number;
  speed: number;
  scenario: string;
};
export type DeadLetterRecord = { service: string; topic: string; partition: number; offset: number; reason: string };

export type ModeSymbol = 'SCHEDULED' | 'ON_DEMAND';

type Records = {
  registrations: RegistrationRecord;
  inventory: MeteringPointRecord;
  users: UserRecord;
  runs: RunRecord;
  'service-requests.on-demand': RequestRecord;
  'service-requests.scheduled': RequestRecord;
  'anomaly-checks': DeviceRequestRecord;
  'device-requests.on-demand': DeviceRequestRecord;
  'device-requests.scheduled': DeviceRequestRecord;
  'service-responses': ResponseRecord;
  quarantine: QuarantineRecord;
  'trt-breaches': BreachRecord;
  'dead-letters': DeadLetterRecord;
};
export type AuditedTopic = keyof Records;
/** What became of a change is in registrations; what schedules asked for is in the requests. */
const NOT_AUDITED: ReadonlySet<TopicName> = new Set([
  'schedules',
  'registration-changes',
  'registration-outcomes',
  'gateway-requests',
  'deliveries',
]);
export const AUDITED_TOPICS = (Object.keys(TOPICS) as TopicName[]).filter(
  (name): name is AuditedTopic => !NOT_AUDITED.has(name),
);
export type RecordOf<Topic extends AuditedTopic> = Records[Topic];

/** Bytes that are no value of their topic. */
export class Unreadable extends Error {}

/** Reads one topic's values, as the schemas that the registry has of it say they were written. */
export type Decoder<Topic extends AuditedTopic> = (buffer: Buffer, at: number, length: number) => RecordOf<Topic>;

/** Asks the registry for every schema that values of the topic were written with. */
export async function createDecoder<Topic extends AuditedTopic>(
  registryUrl: string,
  topic: Topic,
  security: RegistrySecurity = {},
): Promise<Decoder<Topic>> {
  const reader = avsc.Type.forSchema(readersSchema(topic), { typeHook: exactLong });
  const resolvers = new Map<number, ReturnType<avsc.Type['createResolver']>>();
  for (const { id, schema } of await registeredVersions(registryUrl, subjectOf(topic), security)) {
    resolvers.set(id, reader.createResolver(avsc.Type.forSchema(JSON.parse(schema))));
  }
  return (buffer, at, length) => {
    if (length < WIRE_HEADER_BYTES || buffer[at] !== 0) throw new Unreadable('it does not begin with a schema id');
    const id = buffer.readUInt32BE(at + 1);
    const resolver = resolvers.get(id);
    if (resolver === undefined) throw new Unreadable(`schema ${id} is none of ${subjectOf(topic)}`);
    const end = at + length;
    let decoded: { value: unknown; offset: number };
    try {
      decoded = reader.decode(buffer, at + WIRE_HEADER_BYTES, resolver);
    } catch (error) {
      throw new Unreadable((error as Error).message);
    }
    if (decoded.offset !== end) throw new Unreadable('its fields are not as long as the value');
    return decoded.value as RecordOf<Topic>;
  };
}

const WIRE_HEADER_BYTES = 5;

/** Passed over: an answer's reactive energy and registers say nothing about the ledger. */
const NOT_READ = ['reactiveVarh', 'touWh'];

type AvroSchema = { type: unknown; name?: string; fields?: AvroField[] };
type AvroField = { name: string; type: unknown; default?: unknown };

/** The schema of our own files without what is not read. Counters are marked: a double does not hold 64 bits. */
function readersSchema(topic: TopicName): avsc.Schema {
  const strip = (schema: unknown): unknown => {
    if (Array.isArray(schema)) return schema.map(strip);
    if (typeof schema !== 'object' || schema === null) return schema;
    const { fields, ...rest } = schema as AvroSchema;
    if (fields === undefined) return { ...rest, type: strip(rest.type) };
    const read = fields.filter(({ name }) => !NOT_READ.includes(name));
    return {
      ...rest,
      fields: read.map((field) => ({ ...field, type: field.name === 'counter' ? COUNTER : strip(field.type) })),
    };
  };
  return strip(JSON.parse(schemaText(topic))) as avsc.Schema;
}

const COUNTER = { type: 'long', isCounter: true };

const counterType = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.toString('latin1', 0, 8),
  toBuffer: () => unused(),
  fromJSON: () => unused(),
  toJSON: () => unused(),
  isValid: (value: unknown) => typeof value === 'string',
  compare: () => unused(),
});

function exactLong(schema: unknown): avsc.Type | undefined {
  const isCounter = typeof schema === 'object' && schema !== null && 'isCounter' in schema;
  return isCounter ? counterType : undefined;
}

function unused(): never {
  throw new Error('counters are only read');
}
