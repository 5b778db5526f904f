import { ROLES, type Role, SERVICES, SRVS } from '#core/matrix.ts';
import { FREQUENCIES, type Schedule } from '#core/schedule.ts';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { euiBytes, euiText, WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import { typeWithCounters } from '#services/platform/counter-type.ts';
import { BATCH_HEADER_BYTES, BatchBuilder, RECORD_OVERHEAD_BYTES_MAX } from '#services/platform/kafka/record-batch.ts';

/** A schedule as the schemas have it. */
export type ScheduleRecord = {
  id: number;
  user: Buffer;
  device: Buffer;
  role: string;
  service: string;
  srv: string;
  frequency: string;
  startDay: number;
  endDay: number | null;
  executionTimeMs: number | null;
  window: { startOffsetDays: number; startTimeMs: number; endOffsetDays: number; endTimeMs: number } | null;
};
export type ScheduleListRecord = { mpan: number; sequence: number; schedules: ScheduleRecord[] };
/** As gateway-request.avsc has it. */
export type GatewayRequestRecord = {
  mpan: number;
  originator: Buffer;
  target: Buffer;
  counter: bigint;
  receivedMs: number;
  schedule: ScheduleRecord | null;
  scheduleId: number | null;
  device: Buffer | null;
};
export type InventoryRecord = {
  device: Buffer;
  kind: string;
  generation: string;
  status: string;
  importMpan: number | null;
  exportMpan: number | null;
};
/** As delivery.avsc has it. */
export type DeliveryRecord = {
  kind: 'RESPONSE' | 'QUARANTINED_REQUEST' | 'SCHEDULE_REMOVAL';
  user: Buffer;
  atMs: number;
  partition: number;
  mode: 'SCHEDULED' | 'ON_DEMAND';
  requestOffset: number;
  device: Buffer;
  target: Buffer;
  counter: bigint;
  responseOffset: number;
  response: Buffer | null;
  code: string | null;
  scheduleId: number | null;
  schedules: ScheduleRecord[];
  inventory: InventoryRecord | null;
  sentWallMs: number;
};
type Records = {
  'gateway-requests': GatewayRequestRecord;
  deliveries: DeliveryRecord;
  schedules: ScheduleListRecord;
};
export type GatewayTopic = keyof Records & TopicName;

const TYPES = {
  'gateway-requests': typeWithCounters(schemaText('gateway-requests')),
  deliveries: typeWithCounters(schemaText('deliveries')),
  schedules: typeWithCounters(schemaText('schedules')),
};

/** One record as a batch of its topic. */
export function encodeRecord<T extends GatewayTopic>(
  topic: T,
  key: string,
  record: Records[T],
  schemaId: number,
): Uint8Array {
  const value = TYPES[topic].toBuffer(record);
  const keyBytes = Buffer.from(key, 'latin1');
  const bytes = BATCH_HEADER_BYTES + RECORD_OVERHEAD_BYTES_MAX + keyBytes.length + WIRE_HEADER_BYTES + value.length;
  const builder = new BatchBuilder(bytes);
  const at = builder.begin(Math.floor(nowMs()), keyBytes, 0, keyBytes.length);
  const from = writeWireHeader(builder.buffer, at, schemaId);
  builder.end(from + value.copy(builder.buffer, from));
  return builder.finish();
}

/** A value behind its schema id; undefined where it is none of the topic's. */
export function decodeRecord<T extends GatewayTopic>(topic: T, value: Buffer): Records[T] | undefined {
  try {
    // avsc's buffers are views: a copy outlives the batch.
    return TYPES[topic].fromBuffer(Buffer.from(value.subarray(WIRE_HEADER_BYTES))) as Records[T];
  } catch {
    return undefined;
  }
}

export function scheduleRecord(schedule: Schedule): ScheduleRecord {
  const { id, userEui, deviceId, role, service, srv, frequency, startDay, endDay, executionTimeMs, window } = schedule;
  return {
    id,
    user: euiBytes(userEui),
    device: euiBytes(deviceId),
    role,
    service: service === 'mhhs' ? 'MHHS' : 'EXISTING',
    srv: `SRV_${srv.replaceAll('.', '_')}`,
    frequency: frequency.replace('-', ''),
    startDay,
    endDay: endDay ?? null,
    executionTimeMs: executionTimeMs ?? null,
    window,
  };
}

export function scheduleOf(record: ScheduleRecord): Schedule {
  const { id, user, device, role, service, srv, frequency, startDay, endDay, executionTimeMs, window } = record;
  return {
    id,
    userEui: euiText(user, 0),
    deviceId: euiText(device, 0),
    role: role as Role,
    service: SERVICES.find((one) => one === service.toLowerCase()) ?? 'mhhs',
    srv: srvText(srv),
    frequency: FREQUENCIES.find((one) => one.replace('-', '') === frequency) ?? 'Daily',
    startDay,
    ...(endDay === null ? {} : { endDay }),
    ...(executionTimeMs === null ? {} : { executionTimeMs }),
    window,
  };
}

/** `4.8.1` of `SRV_4_8_1`. */
export function srvText(symbol: string): string {
  return symbol.slice('SRV_'.length).replaceAll('_', '.');
}

/** Key of a User's records: 16 hexadecimal digits. */
export function userKey(eui: Buffer): string {
  return eui.toString('hex').toUpperCase();
}

/** Ids of schedules that the gateway has made lie above those of the simulated fleet, and below DUIS's 10^12. */
export const SCHEDULE_IDS_FROM = 500_000_000_000;
const PARTITIONS_MAX = 16;

/** The id of the schedule that the request at an offset creates: the same however often it is done. */
export function scheduleIdOf(partition: number, requestOffset: number): number {
  return SCHEDULE_IDS_FROM + requestOffset * PARTITIONS_MAX + partition;
}

export const ROLE_SYMBOLS: readonly string[] = ROLES;
export const SRV_SYMBOLS: readonly string[] = SRVS.map((srv) => `SRV_${srv.replaceAll('.', '_')}`);
