import avsc from 'avsc';
import { Kafka, logLevel } from 'kafkajs';
import { FACTS } from '#core/access-control.ts';
import { mpanFrom } from '#core/identifiers.ts';
import mp162 from '#core/matrices/mp162-v0.4.json' with { type: 'json' };
import { partitionOfMpan } from '#core/partition.ts';
import { parseDay, readWindow } from '#core/settlement-day.ts';
import { schemaText, TOPICS, type TopicName } from '#schemas/topics.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';

export type Entry = { key: string | null; value: Record<string, unknown> | Buffer | null; atMs: number };
/** A request that was written: where it stands, and its record. */
export type Written = { lane: Lane; partition: number; offset: number; record: Record<string, unknown> };
type Lane = 'scheduled' | 'on-demand';

export const PARTITIONS = 2;
export const DAY = parseDay('2026-03-03') as number;
const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;
/** When the requests of the tests are received, in simulated time. */
export const RECEIVED_MS = DAY * DAY_MS + 6 * HOUR_MS;
/** The wall clock meanwhile: a broker deletes what is older than a week. */
export const WALL_MS = Math.trunc(performance.timeOrigin) - HOUR_MS;

export const ALPHA = Buffer.from('90B3D51F30400000', 'hex');
export const BETA = Buffer.from('90B3D51F30400100', 'hex');
const NOBODY = Buffer.alloc(8);

export function deviceOf(number: number): Buffer {
  const eui = Buffer.from('024D445200000000', 'hex');
  eui.writeUInt32BE(number, 4);
  return eui;
}

/** The MPAN number `number` of those that lie in a partition. */
export function mpanIn(partition: number, number: number): number {
  let found = -1;
  for (let first12 = 100_000_000_000; ; first12++) {
    const mpan = mpanFrom(first12);
    if (partitionOfMpan(mpan, PARTITIONS) === partition && ++found === number) return mpan;
  }
}

/** The topics of a run, written by hand record by record as the services would. */
export class WrittenRun {
  readonly topics: Record<TopicName, Entry[][]>;
  readonly #positions = new Map<string, number>();

  constructor() {
    const names = Object.keys(TOPICS) as TopicName[];
    this.topics = Object.fromEntries(
      names.map((name) => [name, Array.from({ length: PARTITIONS }, () => [] as Entry[])]),
    ) as Record<TopicName, Entry[][]>;
  }

  push(topic: TopicName, partition: number, value: Entry['value'], atMs = WALL_MS, key: string | null = null): number {
    return this.topics[topic][partition].push({ key, value, atMs }) - 1;
  }

  run(fields: Record<string, unknown> = {}): void {
    const value = {
      runId: 'by-hand',
      state: 'ENDED',
      epochMs: DAY * DAY_MS,
      startMs: DAY * DAY_MS,
      endMs: (DAY + 2) * DAY_MS,
      countedStartMs: DAY * DAY_MS,
      countedEndMs: (DAY + 1) * DAY_MS,
      wallEpochMs: WALL_MS,
      speed: 96,
      patienceWallMs: 1000,
      scenario: JSON.stringify({ scenario: { dayConvention: 'utc' }, matrix: mp162 }),
      ...fields,
    };
    this.push('runs', 0, value, WALL_MS, 'run');
  }

  user(eui: Buffer, mpid: string, fields: Record<string, unknown> = {}, atMs = WALL_MS - HOUR_MS): void {
    const value = {
      eui,
      name: mpid,
      category: 'MDR Party',
      roles: [{ role: 'MDR', mpids: [mpid] }],
      suspendedFrom: null,
      accededOn: DAY - 100,
      ueptOn: [{ role: 'MDR', day: DAY - 100 }],
      securityAssessments: [DAY - 100],
      privacyAssessments: [DAY - 100],
      equivalentSecurityOn: null,
      equivalentPrivacyOn: null,
      adtDeclaredOn: DAY - 100,
      anomalyThresholds: [],
      ...fields,
    };
    this.push('users', 0, value, atMs, eui.toString('hex').toUpperCase());
  }

  /** `appointments`: MPID, and the EFD as days from DAY. */
  registration(mpan: number, appointments: readonly [string, number][], atMs = WALL_MS - HOUR_MS, sequence = 1): void {
    const value = {
      mpan,
      sequence,
      appointments: appointments.map(([mpid, from]) => ({ mpid, role: 'MDR', efd: DAY + from, etd: null })),
    };
    this.push('registrations', partitionOfMpan(mpan, PARTITIONS), value, atMs, String(mpan));
  }

  meter(mpan: number, device: Buffer, fields: Record<string, unknown> = {}, atMs = WALL_MS - HOUR_MS): void {
    const value = {
      mpan,
      sequence: 1,
      register: 'IMPORT',
      device,
      kind: 'ESME',
      generation: 'SMETS2',
      status: 'Commissioned',
      ...fields,
    };
    this.push('inventory', partitionOfMpan(mpan, PARTITIONS), value, atMs, String(mpan));
  }

  /** A read of the Settlement Day `dataDay` days from DAY; `counter` tells requests of one device apart. */
  request(
    lane: Lane,
    mpan: number,
    device: Buffer,
    originator: Buffer,
    counter: bigint,
    { dataDay = -1, atMs = WALL_MS, ...fields }: { dataDay?: number; atMs?: number } & Record<string, unknown> = {},
  ): Written {
    const partition = partitionOfMpan(mpan, PARTITIONS);
    const source = lane === 'scheduled' ? 0 : 1;
    const { startMs, endMs } = readWindow(DAY + dataDay, 'utc');
    const record = {
      kind: 'REQUEST',
      source,
      position: this.#nextPosition(lane, partition),
      mpan,
      originator,
      device,
      counter,
      role: 'MDR',
      signer: null,
      srv: 'SRV_4_8_1',
      scheduledSrv: 'UNKNOWN',
      mode: lane === 'scheduled' ? 'SCHEDULED' : 'ON_DEMAND',
      service: 'MHHS',
      receivedMs: RECEIVED_MS,
      windowStartMs: startMs,
      windowEndMs: endMs,
      dueWallMs: atMs,
      ...fields,
    };
    const offset = this.push(`service-requests.${lane}`, partition, record, atMs, String(mpan));
    return { lane, partition, offset, record };
  }

  marker(lane: Lane, partition: number, position: number): void {
    const nothing = { mpan: 0, originator: NOBODY, device: NOBODY, counter: 0n, role: 'UNKNOWN', srv: 'UNKNOWN' };
    const record = this.topics[`service-requests.${lane}`][partition][0].value as Record<string, unknown>;
    this.push(`service-requests.${lane}`, partition, { ...record, ...nothing, kind: 'MARKER', position });
  }

  /** Access control lets it through: to its meter, or to the anomaly check (in the partition of its User: 0). */
  accept(request: Written): void {
    if (request.lane === 'scheduled') this.deliver(request);
    else this.check(request);
  }

  check(request: Written, checkPartition = 0): number {
    const { partition, offset } = request;
    return this.push('anomaly-checks', checkPartition, this.deviceRequest(request, partition, offset));
  }

  /** What goes to the meter. Its source: the request itself, or its check. */
  deliver(request: Written, sourceOffset = request.offset, quarantinedMs = 0): void {
    const { lane, partition } = request;
    const sourcePartition = lane === 'scheduled' ? partition : 0;
    const value = { ...this.deviceRequest(request, sourcePartition, sourceOffset), quarantinedMs };
    this.push(`device-requests.${lane}`, partition, value);
  }

  /** Deliveries of a source come in the order of their offsets: for one that was planted at the end. */
  sortDeliveries(lane: Lane, partition: number): void {
    const sourceOf = ({ value }: Entry) => (value as { sourceOffset: number }).sourceOffset;
    this.topics[`device-requests.${lane}`][partition].sort((a, b) => sourceOf(a) - sourceOf(b));
  }

  answer(request: Written, code: string, afterMs: number, fields: Record<string, unknown> = {}): void {
    const { record } = request;
    const isProfile = code === 'I0' && (record.srv === 'SRV_4_8_1' || record.srv === 'SRV_4_8_3');
    const answeredMs = (record.receivedMs as number) + afterMs;
    this.#respond(request, {
      source: 'FLEET',
      code,
      answeredMs,
      firstStampMs: isProfile ? record.windowStartMs : 0,
      stepMs: isProfile ? 1_800_000 : 0,
      activeWh: isProfile ? Array.from({ length: 48 }, (_, k) => 100 + k) : [],
      ...fields,
    });
  }

  refuse(request: Written, fact: number, fields: Record<string, unknown> = {}): void {
    const { receivedMs } = request.record;
    this.#respond(request, {
      source: 'ACCESS_CONTROL',
      code: FACTS[fact].code,
      fact,
      answeredMs: receivedMs,
      ...fields,
    });
  }

  /** The fleet has finished everything before an instant. */
  fleetMarker(partition: number, untilMs: number): void {
    const request = {
      lane: 'scheduled' as const,
      partition,
      offset: 0,
      record: { mpan: 0, originator: NOBODY, device: NOBODY, counter: 0n },
    };
    this.#respond(request, { kind: 'MARKER', source: 'FLEET', answeredMs: untilMs });
  }

  hold(request: Written): void {
    this.#quarantine('HELD', request, 0);
  }

  /** The User says process; what waited goes to its meter. Returns the source of the delivery. */
  askRelease(request: Written): number {
    return this.#answerQuarantine('RELEASE', request);
  }

  /** The User says delete. */
  askDeletion(request: Written): void {
    this.#answerQuarantine('DELETE', request);
  }

  #answerQuarantine(kind: 'RELEASE' | 'DELETE', request: Written): number {
    const { partition, record } = request;
    const said = { ...record, kind, position: this.#nextPosition('on-demand', partition) };
    const offset = this.push('service-requests.on-demand', partition, said);
    return this.check({ ...request, offset, record: said });
  }

  release(request: Written, quarantinedMs: number): void {
    this.#quarantine('RELEASED', request, quarantinedMs);
  }

  delete(request: Written, quarantinedMs: number): void {
    this.#quarantine('DELETED', request, quarantinedMs);
  }

  breach({ lane, partition, offset, record }: Written, trtSeconds: number, quarantinedMs = 0): void {
    this.push('trt-breaches', partition, {
      ...record,
      mode: lane === 'scheduled' ? 'SCHEDULED' : 'ON_DEMAND',
      requestOffset: offset,
      generation: 'SMETS2',
      quarantinedMs,
      trtSeconds,
      deadlineMs: (record.receivedMs as number) + trtSeconds * 1000 + quarantinedMs,
      answered: true,
    });
  }

  deadLetter(topic: TopicName, partition: number, offset: number): void {
    const value = { service: 'access-control', topic, partition, offset, reason: 'UNDECODABLE', detail: 'cut off' };
    this.push('dead-letters', 0, { ...value, key: null, value: null, valueBytes: 3, wallMs: WALL_MS });
  }

  deviceRequest(request: Written, sourcePartition: number, sourceOffset: number): Record<string, unknown> {
    const { offset, record } = request;
    return {
      request: record,
      generation: 'SMETS2',
      requestOffset: offset,
      sourcePartition,
      sourceOffset,
      quarantinedMs: 0,
    };
  }

  #quarantine(kind: string, request: Written, quarantinedMs: number): void {
    const of = { ...this.deviceRequest(request, request.partition, request.offset), quarantinedMs };
    this.push('quarantine', request.partition, { kind, atMs: RECEIVED_MS + quarantinedMs, request: of });
  }

  #respond({ lane, partition, offset, record }: Written, fields: Record<string, unknown>): void {
    this.push('service-responses', partition, {
      kind: 'ANSWER',
      requestOffset: offset,
      role: 'MDR',
      srv: 'UNKNOWN',
      service: 'MHHS',
      receivedMs: RECEIVED_MS,
      ...record,
      mode: lane === 'scheduled' ? 'SCHEDULED' : 'ON_DEMAND',
      generation: 'SMETS2',
      code: 'I0',
      fact: 0,
      quarantinedMs: 0,
      platformMs: 5,
      sentWallMs: WALL_MS,
      firstStampMs: 0,
      stepMs: 0,
      activeWh: [],
      reactiveVarh: [],
      touWh: [],
      ...fields,
      ...(fields.kind === undefined ? { kind: 'ANSWER' } : {}),
    });
  }

  #nextPosition(lane: Lane, partition: number): number {
    const key = `${lane}/${partition}`;
    const position = (this.#positions.get(key) ?? 0) + 1;
    this.#positions.set(key, position);
    return position;
  }
}

/**
 * Writes runs to a broker, each under a prefix of its own. Its clients are new ones each time: kafkajs asks for the
 * metadata of all topics that a client has ever seen, and fails where one was erased since.
 */
export async function createWriter(brokers: string[], registryUrl: string) {
  const ids = await registerSchemas(registryUrl);
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  return {
    /** Creates the topics and fills them. */
    async write(run: WrittenRun, prefix: string): Promise<void> {
      const admin = kafka.admin();
      await admin.connect();
      // A broker at work may not know a topic yet when its creation is acknowledged.
      const create = () => ensureTopics(admin, prefix, PARTITIONS, { create: true });
      await create().catch(create);
      await admin.disconnect();
      await this.fill(run, prefix);
    },
    async fill({ topics }: WrittenRun, prefix: string): Promise<void> {
      // A send that is repeated, as where a partition has no leader yet, is to write nothing twice.
      const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
      await producer.connect();
      for (const [topic, partitions] of Object.entries(topics) as [TopicName, Entry[][]][]) {
        const messages = partitions.flatMap((entries, partition) =>
          entries.map(({ key, value, atMs }) => ({
            key,
            partition,
            timestamp: String(atMs),
            value: value === null || Buffer.isBuffer(value) ? value : encode(topic, ids[topic], value),
          })),
        );
        if (messages.length > 0) await producer.send({ topic: prefix + topic, messages });
      }
      await producer.disconnect();
    },
    async erase(prefix: string): Promise<void> {
      const admin = kafka.admin();
      await admin.connect();
      await admin.deleteTopics({ topics: Object.keys(TOPICS).map((topic) => prefix + topic) });
      await admin.disconnect();
    },
  };
}

/** A counter is 64 bits, so longs are taken as BigInts too. */
const longs = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer(value: number | bigint) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return bytes;
  },
  fromJSON: (value: unknown) => value,
  toJSON: (value: unknown) => value,
  isValid: (value: unknown) => typeof value === 'bigint' || Number.isSafeInteger(value),
  compare: () => 0,
});
const types = new Map<TopicName, avsc.Type>();

function encode(topic: TopicName, schemaId: number, value: Record<string, unknown>): Buffer {
  let type = types.get(topic);
  if (type === undefined) {
    type = avsc.Type.forSchema(JSON.parse(schemaText(topic)), { registry: { long: longs } });
    types.set(topic, type);
  }
  const header = Buffer.alloc(5);
  header.writeUInt32BE(schemaId, 1);
  return Buffer.concat([header, type.toBuffer(value)]);
}
