import {
  type AccessRequest,
  type AccessTables,
  dataSrvOf,
  decideAccess,
  FACT,
  FACTS,
  NO_DEVICE,
  UNKNOWN_DEVICE,
} from '#core/access-control.ts';
import type { DeviceId } from '#core/identifiers.ts';
import { DATA_KINDS, MODES, REGISTERS, ROLES, type Role, SERVICES, srvIndex } from '#core/matrix.ts';
import { executionAfter, readWindowOf } from '#core/schedule.ts';
import { DAY_MS, dayOf, daysOfWindow, type SettlementDay } from '#core/settlement-day.ts';
import { type Desk, draftSchedule, type Receipt } from './desk.ts';
import type { DuisRequest, ScheduleBody } from './duis-request.ts';
import type { World } from './world.ts';

/** What access control is to decide on: the request by its rows in the desk's tables and the days that it asks for. */
export function accessRequestOf(desk: Desk, request: DuisRequest, receipt: Receipt): AccessRequest {
  const { matrix, world, tables } = desk;
  const { body } = request;
  const user = tables.users.byEui.get(request.requestId.originator) ?? -1;
  const srv = srvIndex(matrix, request.srv);
  const days = daysAsked(desk, request, srv, receipt.atMs);
  const access: AccessRequest = {
    user,
    role: MDR,
    certificate: user,
    srv,
    scheduledSrv: body.kind === 'create-schedule' ? srvIndex(matrix, body.srv) : -1,
    mode: MODES.indexOf('on-demand'),
    service: MHHS,
    device: deviceRowOf(desk, request),
    firstDay: days.first,
    lastDay: days.last,
    atMs: receipt.atMs,
  };
  const held = world.users[user] === undefined ? [] : (Object.keys(world.users[user].roles) as Role[]);
  const roles = receipt.role === undefined ? held : [receipt.role];
  actInBestRole(
    access,
    roles.map((role) => ROLES.indexOf(role)),
    receipt.mhhs,
    tables,
  );
  return access;
}

/**
 * Of several roles, the one that gets furthest through the steps: a User's EUI does not say in which it acts. Of
 * equals the Supplier of the register that is read, so that a refusal names the appointment which is missing.
 */
function actInBestRole(access: AccessRequest, roles: readonly number[], mhhs: boolean, tables: AccessTables): void {
  const act = (role: number) => {
    access.role = role;
    access.service = role === MDR || mhhs ? MHHS : EXISTING;
  };
  const ofRegister = tables.matrix.register[dataSrvOf(access, tables.matrix)] === EXPORT ? ES : IS;
  let best = roles[0] ?? MDR;
  let furthest = -1;
  for (const role of roles) {
    act(role);
    const fact = decideAccess(access, { ...tables, anomaly: null });
    const reached = fact === FACT.accepted ? FACTS.length : fact;
    if (reached > furthest || (reached === furthest && role === ofRegister)) {
      best = role;
      furthest = reached;
    }
  }
  act(best);
}

function deviceRowOf({ deviceRows, world }: Desk, { requestId, body }: DuisRequest): number {
  switch (body.kind) {
    case 'registers':
    case 'window':
      return deviceRows.get(requestId.target) ?? UNKNOWN_DEVICE;
    case 'create-schedule':
      return deviceRows.get(body.deviceId) ?? UNKNOWN_DEVICE;
    case 'read-schedule':
    case 'delete-schedule':
      return 'deviceId' in body ? (deviceRows.get(body.deviceId) ?? UNKNOWN_DEVICE) : NO_DEVICE;
    case 'read-inventory':
      if (body.by === 'DeviceID') return deviceRows.get(body.value) ?? UNKNOWN_DEVICE;
      // A world knows neither addresses nor UPRNs: no device of it is found by them.
      return body.by === 'MPxN' ? rowOfImportMpan(world, body.value) : UNKNOWN_DEVICE;
  }
}

function rowOfImportMpan({ devices }: World, mpxn: string): number {
  return devices.findIndex(({ importMpan }) => importMpan !== undefined && String(importMpan) === mpxn);
}

type Days = { first: SettlementDay; last: SettlementDay };

function daysAsked(desk: Desk, { body, requestId }: DuisRequest, srv: number, atMs: number): Days {
  const { convention } = desk.world;
  switch (body.kind) {
    case 'registers':
      return { first: dayOf(atMs, convention), last: dayOf(atMs, convention) };
    case 'window':
      return daysOfRead(desk, srv, body.startMs, body.endMs);
    case 'create-schedule':
      return daysOfFirstExecution(desk, body, requestId.originator, atMs);
    default:
      return { first: 0, last: -1 };
  }
}

function daysOfRead({ matrix, world }: Desk, srv: number, startMs: number, endMs: number): Days {
  const daily = DATA_KINDS[matrix.data[srv]] === 'daily-log';
  return daysOfWindow(startMs, endMs, daily ? 'daily' : 'half-hours', world.convention);
}

/** What a schedule reads first is what its User must be appointed for when it creates it. */
function daysOfFirstExecution(desk: Desk, body: ScheduleBody, originator: DeviceId, atMs: number): Days {
  const schedule = draftSchedule(desk, body, { eui: originator, role: 'MDR', service: MHHS });
  const executionMs = executionAfter(schedule, atMs) ?? body.startDay * DAY_MS;
  const { startMs, endMs } = readWindowOf(schedule, executionMs);
  return daysOfRead(desk, srvIndex(desk.matrix, body.srv), startMs, endMs);
}

const MHHS = SERVICES.indexOf('mhhs');
const EXISTING = SERVICES.indexOf('existing');
const MDR = ROLES.indexOf('MDR');
const IS = ROLES.indexOf('IS');
const ES = ROLES.indexOf('ES');
const EXPORT = REGISTERS.indexOf('export');
