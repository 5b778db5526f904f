import { formatRequestId, type RequestId } from '#core/identifiers.ts';
import type { Schedule } from '#core/schedule.ts';
import { formatDay, formatInstant } from '#core/settlement-day.ts';
import type { ScheduledVariant, ServiceReferenceVariant } from './duis-request.ts';
import type { WorldDevice } from './world.ts';

/** What the DCC answers to one Service Request. */
export type Answer = {
  /** A DUIS ResponseCode, or `quarantine`, which is none: the User is told by an alert. */
  code: string;
  /** The fact that decided, in a sentence. */
  reason: string;
  result: Result;
  /** The Target Response Time that runs from receipt, where access control has accepted. */
  trtSeconds?: number;
  deadlineMs?: number;
};

export type Result =
  | { kind: 'refused' }
  | { kind: 'quarantined'; eventRef: number }
  | { kind: 'readings'; readings: Readings }
  | { kind: 'schedule-created'; id: number }
  | { kind: 'schedules'; schedules: readonly Schedule[] }
  | { kind: 'schedules-deleted'; ids: readonly number[] }
  | { kind: 'inventory'; device: WorldDevice };

/** What a meter answered to a read that reached it. */
export type Readings = {
  srv: ReadVariant;
  generation: 'SMETS1' | 'SMETS2';
  /** False where the meter reported a fault of its own: transport success is not data success. */
  success: boolean;
  /** Oldest first. */
  rows: readonly Reading[];
  /** Of a SMETS2 meter: the message that carries them. */
  gbcsPayload?: Uint8Array;
};
export type ReadVariant = ScheduledVariant | '4.1.1';

/** Wh and varh: of the period that ends at `timeMs`, or of the register at that instant, as the service has it. */
export type Reading = {
  timeMs: number;
  activeWh: number;
  reactiveVarh?: number;
  /** By register of the tariff. */
  touWh?: readonly number[];
  /** By block of the tariff, and in it by register. */
  blockWh?: readonly (readonly number[])[];
  /** Active import of the second element of a twin element meter. */
  secondaryWh?: number;
  secondaryTouWh?: readonly number[];
};

/** One line of `mdr ask --json`. */
export type AnswerRow = {
  file: string;
  requestId: string;
  srv: ServiceReferenceVariant;
  code: string;
  reason: string;
  trtSeconds?: number;
  /** Instant by which the response is due. */
  deadline?: string;
  /** An accepted read's readings. */
  data?: DataRow[];
  /** False where the meter answered with a fault of its own. */
  dataSuccess?: boolean;
  /** Of a SMETS2 meter: the message that carries them, base64. */
  gbcsPayload?: string;
  /** The schedule created, or the ones deleted. */
  scheduleIds?: readonly number[];
  schedules?: ScheduleRow[];
  device?: DeviceRow;
};
export type ScheduleRow = {
  id: number;
  device: string;
  srv: string;
  frequency: string;
  startDate: string;
  endDate?: string;
};
export type DeviceRow = {
  id: string;
  type: string;
  generation: string;
  status: string;
  importMpan?: string;
  exportMpan?: string;
};
/** `time` and, by service, importWh or exportWh of the period, or importRegisterWh or exportRegisterWh at it. */
export type DataRow = { time: string } & Record<string, number | string | readonly (number | readonly number[])[]>;

const DATA_KEYS = {
  '4.1.1': 'importRegisterWh',
  '4.2': 'exportRegisterWh',
  '4.6.1': 'importRegisterWh',
  '4.6.2': 'exportRegisterWh',
  '4.8.1': 'importWh',
  '4.8.3': 'exportWh',
  '4.17': 'importWh',
} as const satisfies Record<ReadVariant, string>;

/** The answer to a request of this file, id and SRV, as a row of JSON. */
export function answerRow(
  request: { file: string; requestId: RequestId; srv: ServiceReferenceVariant },
  { code, reason, result, trtSeconds, deadlineMs }: Answer,
): AnswerRow {
  return {
    file: request.file,
    requestId: formatRequestId(request.requestId),
    srv: request.srv,
    code,
    reason,
    ...(trtSeconds === undefined ? {} : { trtSeconds }),
    ...(deadlineMs === undefined ? {} : { deadline: formatInstant(deadlineMs) }),
    ...resultFields(result),
  };
}

function resultFields(result: Result): Partial<AnswerRow> {
  switch (result.kind) {
    case 'refused':
    case 'quarantined':
      return {};
    case 'readings':
      return readingsFields(result.readings);
    case 'schedule-created':
      return { scheduleIds: [result.id] };
    case 'schedules-deleted':
      return { scheduleIds: result.ids };
    case 'schedules':
      return { schedules: result.schedules.map(scheduleRow) };
    case 'inventory':
      return { device: deviceRow(result.device) };
  }
}

function readingsFields(readings: Readings): Partial<AnswerRow> {
  const { success, gbcsPayload } = readings;
  return {
    dataSuccess: success,
    data: dataRows(readings),
    ...(gbcsPayload === undefined ? {} : { gbcsPayload: Buffer.from(gbcsPayload).toString('base64') }),
  };
}

/** Readings as rows of JSON. */
export function dataRows({ srv, rows }: Pick<Readings, 'srv' | 'rows'>): DataRow[] {
  return rows.map(({ timeMs, activeWh, ...others }) => ({
    time: formatInstant(timeMs),
    [DATA_KEYS[srv]]: activeWh,
    ...others,
  }));
}

function scheduleRow({ id, deviceId, srv, frequency, startDay, endDay }: Schedule): ScheduleRow {
  return {
    id,
    device: deviceId,
    srv,
    frequency,
    startDate: formatDay(startDay),
    ...(endDay === undefined ? {} : { endDate: formatDay(endDay) }),
  };
}

function deviceRow({ id, type, generation, status, importMpan, exportMpan }: WorldDevice): DeviceRow {
  return {
    id,
    type,
    generation,
    status,
    ...(importMpan === undefined ? {} : { importMpan: String(importMpan) }),
    ...(exportMpan === undefined ? {} : { exportMpan: String(exportMpan) }),
  };
}
