import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceId } from '#core/identifiers.ts';
import { ROLES, SERVICES } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { deviceIdOf, importMpanOf } from '#fleet-sim/meter.ts';
import { compileModel } from '#load-tests/plan/model.ts';
import type { LoadedScenario } from '#load-tests/scenario/load.ts';
import {
  newServiceRequest,
  REQUEST_KIND,
  SERVICE_REQUEST_BYTES_MAX,
  type ServiceRequestFields,
  writeServiceRequest,
} from '#schemas/service-request.ts';
import type { TopicName } from '#schemas/topics.ts';
import { euiBytes, WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { CompressionTypes, createKafka } from '#services/platform/kafka/client.ts';
import { BATCH_HEADER_BYTES, BatchBuilder, batchBytesAt, lastOffsetOf } from '#services/platform/kafka/record-batch.ts';
import { registerSchemas, type SchemaIds } from '#services/platform/kafka/registry.ts';
import type { ProvidedKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';

/** A source of requests that is none of ours: a gateway, for all that the stream knows. */
const GATEWAY = 7;
/** Of the records that nobody can read: what it numbers does not count on. */
const BROKEN_GATEWAY = 8;
const PARTITION = 1;
const READ_SRV = 4;

type Message = { key: string | null; value: Buffer | null };

/**
 * Writes into every topic that a service reads what none of ours would, by an ordinary kafkajs producer: values that are
 * no values, of other schemas, too long, or missing; requests that are to be refused; MPANs and Users that go.
 */
export async function writeBadInput(
  { brokers, registryUrl }: ProvidedKafka,
  prefix: string,
  { scenario, matrix }: LoadedScenario,
  partitions: number,
  atMs: number,
): Promise<void> {
  const model = compileModel(scenario, matrix);
  const { fleet } = model;
  const schemaIds = await registerSchemas(registryUrl);
  const producer = createKafka(brokers, 'bad-input', createLog('bad-input', 'silent')).producer();
  await producer.connect();
  const send = async (topic: TopicName, messages: Message[], partition = PARTITION) =>
    void (await producer.send({
      topic: prefix + topic,
      compression: CompressionTypes.GZIP,
      messages: messages.map((message) => ({ ...message, partition, timestamp: String(Math.floor(nowMs())) })),
    }));
  const metersOf = (partition: number) =>
    Array.from({ length: fleet.meters }, (_, meter) => meter).filter(
      (meter) => partitionOfMpan(importMpanOf(fleet, meter), partitions) === partition,
    );
  const [known, unregistered, undevised] = metersOf(PARTITION);
  const [elsewhere] = metersOf((PARTITION + 1) % partitions);
  const agent = model.userTable.users[0].eui;
  const registrationKey = String(importMpanOf(fleet, unregistered));
  const inventoryKey = String(importMpanOf(fleet, undevised));
  let position = 0;
  const ask = (meter: number, change: Partial<ServiceRequestFields> = {}, eui = agent, device = deviceIdOf(meter)) =>
    messageOf(schemaIds, eui, device, {
      mpan: importMpanOf(fleet, meter),
      position: ++position,
      counter: 9_000_000_000_000 + position,
      receivedMs: atMs,
      ...change,
    });
  try {
    for (const topic of READ_TOPICS) await send(topic, garbage(topic, schemaIds));
    // In compacted topics the broker itself refuses a record without key.
    for (const topic of TABLE_TOPICS)
      await send(
        topic,
        garbage(topic, schemaIds).filter(({ key }) => key !== null),
      );
    await send('users', [{ key: 'no such User', value: null }], 0);
    await send('registrations', [{ key: registrationKey, value: null }]);
    await send('inventory', [{ key: inventoryKey, value: null }]);
    // Tables are fed beside the requests: what is asked at once may still be decided by what was there before.
    await sleep(APPLIED_WITHIN_MS);
    await send('service-requests.scheduled', [
      ask(unregistered),
      ask(undevised),
      ask(known, {}, agent, '00-11-22-33-44-55-66-77' as DeviceId),
      ask(known, {}, '00-11-22-33-44-55-66-77'),
      ask(known),
      ask(elsewhere),
      ask(known, { mode: ON_DEMAND }),
    ]);
  } finally {
    await producer.disconnect();
  }
}

const READ_TOPICS: readonly TopicName[] = [
  'service-requests.scheduled',
  'service-requests.on-demand',
  'anomaly-checks',
  'device-requests.scheduled',
  'device-requests.on-demand',
  'service-responses',
  'quarantine',
];
const TABLE_TOPICS: readonly TopicName[] = ['registrations', 'inventory', 'schedules', 'users'];
/** Answers of 13 months are as long, and of these, as of their quarantine, only what is needed is read. */
const MAY_BE_LONG: readonly TopicName[] = ['service-responses', 'quarantine'];
const KEY = '1200000000012';
/** Longer than any value that is taken, and shorter than what the broker takes. */
const LONG_BYTES = 300_000;
const APPLIED_WITHIN_MS = 2000;

function garbage(topic: TopicName, schemaIds: SchemaIds): Message[] {
  const framed = (schemaId: number, bytes: number, fill: number) => {
    const value = Buffer.alloc(bytes, fill);
    writeWireHeader(value, 0, schemaId);
    return value;
  };
  return [
    { key: KEY, value: framed(schemaIds[topic], 40, 0xff) },
    { key: KEY, value: framed(schemaIds[topic] + 1000, 40, 1) },
    { key: KEY, value: Buffer.from('no wire header') },
    ...(MAY_BE_LONG.includes(topic) ? [] : [{ key: KEY, value: framed(schemaIds[topic], LONG_BYTES, 2) }]),
    { key: null, value: Buffer.alloc(0) },
    ...(TABLE_TOPICS.includes(topic) ? [] : [{ key: KEY, value: null }]),
  ];
}

function messageOf(
  schemaIds: SchemaIds,
  originator: string,
  device: DeviceId,
  change: Partial<ServiceRequestFields>,
): Message {
  const fields = requestOf(change);
  const value = Buffer.alloc(WIRE_HEADER_BYTES + SERVICE_REQUEST_BYTES_MAX);
  const at = writeWireHeader(value, 0, schemaIds['service-requests.scheduled']);
  const end = writeServiceRequest(value, at, fields, euiBytes(originator), euiBytes(device));
  return { key: String(fields.mpan), value: value.subarray(0, end) };
}

function requestOf(change: Partial<ServiceRequestFields>): ServiceRequestFields {
  const receivedMs = change.receivedMs ?? 0;
  return {
    ...newServiceRequest(),
    kind: REQUEST_KIND.request,
    source: GATEWAY,
    role: ROLES.indexOf('MDR'),
    srv: READ_SRV,
    mode: SCHEDULED,
    service: SERVICES.indexOf('mhhs'),
    windowStartMs: receivedMs - 86_400_000,
    windowEndMs: receivedMs - 86_400_000,
    dueWallMs: nowMs(),
    ...change,
  };
}

/**
 * Appends a batch with a wrong checksum to a partition of a broker that is shut down; false where its files are not
 * here, but in a container. No client could write it: the broker looks at checksums. A disk could.
 */
export function corruptPartition(prefix: string, topic: TopicName): boolean {
  const directory = readdirSync(tmpdir())
    .filter((name) => name.startsWith('mdr-kafka-'))
    .map((name) => join(tmpdir(), name, 'data', `${prefix}${topic}-${PARTITION}`))
    .find((path) => existsSync(path));
  if (directory === undefined) return false;
  const segment = readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1) as string;
  const file = join(directory, segment);
  const log = readFileSync(file);
  let last = 0;
  for (let at = 0; at < log.length; at += batchBytesAt(log, at)) {
    if (batchBytesAt(log, at) === 0) break;
    last = at;
  }
  const batch = brokenBatch();
  batch.writeBigInt64BE(BigInt(lastOffsetOf(log.subarray(last)) + 1), 0);
  log.copy(batch, LEADER_EPOCH_AT, last + LEADER_EPOCH_AT, last + LEADER_EPOCH_AT + 4);
  writeFileSync(file, Buffer.concat([log.subarray(0, last + batchBytesAt(log, last)), batch]));
  return true;
}

const LEADER_EPOCH_AT = 12;

function brokenBatch(): Buffer {
  const value = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);
  const eui = Buffer.alloc(8, 1);
  const fields = requestOf({ source: BROKEN_GATEWAY, position: 1, mpan: Number(KEY), receivedMs: nowMs() });
  const end = writeServiceRequest(value, 0, fields, eui, eui);
  const builder = new BatchBuilder(1024);
  for (let k = 0; k < 3; k++) {
    const at = builder.begin(Math.floor(nowMs()), Buffer.from(KEY), 0, KEY.length);
    builder.end(at + value.copy(builder.buffer, at, 0, end));
  }
  const batch = Buffer.from(builder.finish());
  batch[BATCH_HEADER_BYTES + 30] ^= 0xff;
  return batch;
}
