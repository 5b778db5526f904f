import avsc from 'avsc';
import { partitionOfKey, partitionOfMpan } from '#core/partition.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { euiBytes, WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { batchOf, framed } from '#services/platform/test/record-streams.ts';
import { ASSUMED_CODES, type AssumedCode } from '../assumed-codes.ts';

/** A world in topics: a meter with an import and an export MPAN, its agent, its Supplier, and an agent that has lapsed. */
export const PARTITIONS = 2;
export const TODAY = 20_514;
export const START_MS = TODAY * DAY_MS + 9 * 3_600_000;
export const AGENT = '90-B3-D5-1F-30-01-00-00';
export const SUPPLIER = '90-B3-D5-1F-30-02-00-00';
export const LAPSED = '90-B3-D5-1F-30-03-00-00';
export const DEVICE = '00-DB-12-34-56-78-90-A0';
export const IMPORT_MPAN = 1_012_345_678_903;
export const EXPORT_MPAN = 1_012_345_678_912;
/** First day of the agent's appointment. */
export const SINCE = TODAY - 30;
export const CODES = Object.fromEntries(
  Object.entries(ASSUMED_CODES).map(([name, { default: code }]) => [name, code]),
) as Record<AssumedCode, string>;

export type Appointment = { mpid: string; role: string; efd: number; etd: number | null };
export type Decoded = Record<string, unknown> & { partition: number };

export async function publishWorld(context: ServiceContext): Promise<void> {
  for (const one of [
    user(AGENT, { MDR: 'AGNA' }),
    user(SUPPLIER, { IS: 'SUPA', ES: 'SUPA' }),
    user(LAPSED, { MDR: 'LAPS' }, { privacyAssessments: [] }),
  ]) {
    const key = one.eui.toString('hex').toUpperCase();
    await put(context, 'users', partitionOfKey(Buffer.from(key), PARTITIONS), key, one);
  }
  for (const [mpan, side, role] of [
    [IMPORT_MPAN, 'IMPORT', 'IS'],
    [EXPORT_MPAN, 'EXPORT', 'ES'],
  ] as const) {
    await register(context, mpan, 1, [
      { mpid: 'AGNA', role: 'MDR', efd: SINCE, etd: null },
      { mpid: 'SUPA', role, efd: SINCE - 500, etd: null },
    ]);
    const meter = { device: euiBytes(DEVICE), kind: 'ESME', generation: 'SMETS2', status: 'Commissioned' };
    const partition = partitionOfMpan(mpan, PARTITIONS);
    await put(context, 'inventory', partition, String(mpan), { mpan, sequence: 1, register: side, ...meter });
  }
}

/** Writes what is registered for an MPAN from now on. */
export async function register(
  context: ServiceContext,
  mpan: number,
  sequence: number,
  appointments: readonly Appointment[],
): Promise<void> {
  const value = { mpan, sequence, appointments };
  await put(context, 'registrations', partitionOfMpan(mpan, PARTITIONS), String(mpan), value);
}
/** Writes one record; resolves with its offset when the broker has it. */
export async function put(
  context: ServiceContext,
  topic: TopicName,
  partition: number,
  key: string,
  value: Record<string, unknown>,
): Promise<number> {
  const record = { key: Buffer.from(key), value: framed(context.schemaIds[topic], typeOf(topic).toBuffer(value)) };
  return await context.outbox.send(topic, partition, batchOf([record], 0), 1);
}

/** All records of a topic, decoded. */
export async function recordsOf({ kafka, settings }: ServiceContext, topic: TopicName): Promise<Decoded[]> {
  const type = typeOf(topic);
  const name = settings.prefix + topic;
  const records: Decoded[] = [];
  const ends = await endOffsets(kafka, name);
  const walk = new BatchWalk('gateway');
  await readPartitions(kafka, {
    partitions: ends.flatMap((untilOffset, partition) =>
      untilOffset === 0 ? [] : [{ topic: name, partition, fromOffset: 0, untilOffset }],
    ),
    onBatch(batch, { partition }) {
      walk.begin({ topic, partition, batches: [batch], fromOffset: 0 });
      while (walk.next()) {
        const { buffer, valueAt, valueLength } = walk.cursor;
        const value = Buffer.from(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength));
        records.push({ ...(type.fromBuffer(value) as Record<string, unknown>), partition });
      }
    },
  }).done;
  return records;
}

function user(eui: string, roles: Record<string, string>, more: Record<string, unknown> = {}) {
  return {
    eui: euiBytes(eui),
    name: eui,
    category: roles.MDR === undefined ? 'Large Supplier' : 'MDR Party',
    roles: Object.entries(roles).map(([role, mpid]) => ({ role, mpids: [mpid] })),
    suspendedFrom: null,
    accededOn: TODAY - 500,
    ueptOn: Object.keys(roles).map((role) => ({ role, day: TODAY - 400 })),
    securityAssessments: [TODAY - 100],
    privacyAssessments: [TODAY - 100],
    equivalentSecurityOn: null,
    equivalentPrivacyOn: null,
    adtDeclaredOn: TODAY - 100,
    anomalyThresholds: [],
    deliveryUrl: null,
    ...more,
  };
}

function typeOf(topic: TopicName): avsc.Type {
  return avsc.Type.forSchema(JSON.parse(schemaText(topic)));
}
