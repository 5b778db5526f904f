import type { AccessTables } from '#core/access-control.ts';
import { buildDeviceTable, buildUserTable } from '#core/access-tables.ts';
import { createAnomalyCounters } from '#core/anomaly.ts';
import type { DeviceId } from '#core/identifiers.ts';
import { type Matrix, REGISTERS, ROLES, type Role, SERVICES, srvIndex } from '#core/matrix.ts';
import { buildRegistrationTable } from '#core/registration.ts';
import {
  createSchedule,
  createScheduleBook,
  removeOnChange,
  type Schedule,
  type ScheduleBook,
} from '#core/schedule.ts';
import { dayOf } from '#core/settlement-day.ts';
import type { ScheduleBody } from './duis-request.ts';
import type { SharedSecrets } from './gbcs/shared-secrets.ts';
import { seedSecrets } from './pki/seed-secrets.ts';
import { type SimulatedMeters, simulateMeters } from './simulated-meter.ts';
import type { World } from './world.ts';

/** The DCC's desk over one world: what it knows, and what changes from one request to the next. */
export type Desk = {
  world: World;
  matrix: Matrix;
  tables: AccessTables;
  deviceRows: Map<DeviceId, number>;
  schedules: ScheduleBook;
  nextScheduleId: number;
  quarantined: number;
  meters: SimulatedMeters;
  /** Of the meters with Users and broker, from the world's seed. */
  secrets: SharedSecrets;
  /** Commands that the broker has sent for parties unknown to a meter. */
  brokerCommands: number;
};

/** How a request arrives: what DUIS itself does not say. */
export type Receipt = {
  atMs: number;
  /** Sent for MHHS. An MDR's request always is. */
  mhhs: boolean;
  /** The role that the User acts in; undefined: its only one, or of several the one that may do this. */
  role?: Role;
};

export function openDesk(world: World, matrix: Matrix): Desk {
  const { table: registrations } = buildRegistrationTable(world.registrations);
  const schedules = createScheduleBook();
  for (const schedule of world.schedules) createSchedule(schedules, schedule);
  return {
    world,
    matrix,
    tables: {
      matrix,
      convention: world.convention,
      users: buildUserTable(world.users, registrations),
      devices: buildDeviceTable(world.devices, registrations),
      registrations,
      anomaly: createAnomalyCounters(world.users, matrix),
    },
    deviceRows: new Map(world.devices.map(({ id }, row) => [id, row])),
    schedules,
    nextScheduleId: Math.max(0, ...world.schedules.map(({ id }) => id)) + 1,
    quarantined: 0,
    meters: simulateMeters(world, matrix),
    secrets: seedSecrets(world.seed),
    brokerCommands: 0,
  };
}

/**
 * Takes out the schedules whose owner's last appointment for the MPAN has ended by the day of `atMs`, and returns them:
 * the DCC removes them on the change and tells the owner. [DUIS DSPScheduleRemoval]
 */
export function removeEndedSchedules(desk: Desk, atMs: number): Schedule[] {
  const today = dayOf(atMs, desk.world.convention);
  return desk.world.devices.flatMap(({ id }) =>
    removeOnChange(desk.schedules, id, (schedule) => isAppointedFrom(desk, schedule, today)),
  );
}

/** Whether the schedule's owner is appointed on the day or later; a schedule may be there ahead of its EFD. */
function isAppointedFrom({ tables, deviceRows, matrix }: Desk, schedule: Schedule, day: number): boolean {
  const { devices, registrations, users } = tables;
  const device = deviceRows.get(schedule.deviceId) as number;
  const isExport = matrix.register[srvIndex(matrix, schedule.srv)] === REGISTERS.indexOf('export');
  const row = isExport ? devices.exportRow[device] : devices.importRow[device];
  if (row < 0) return true;
  const role = ROLES.indexOf(schedule.role);
  const owner = users.byEui.get(schedule.userEui);
  for (let at = registrations.first[row]; at < registrations.first[row + 1]; at++) {
    const isOwn = registrations.role[at] === role && users.mpidOwner[registrations.mpid[at]] === owner;
    if (isOwn && registrations.until[at] > day) return true;
  }
  return false;
}

/** The schedule that a 5.1 would create next. */
export function draftSchedule(
  desk: Desk,
  body: ScheduleBody,
  owner: { eui: DeviceId; role: Role; service: number },
): Schedule {
  const { frequency, startDay, endDay, executionTimeMs, srv, deviceId, window } = body;
  return {
    id: desk.nextScheduleId,
    userEui: owner.eui,
    role: owner.role,
    service: SERVICES[owner.service],
    deviceId,
    srv,
    frequency,
    startDay,
    ...(endDay === undefined ? {} : { endDay }),
    ...(executionTimeMs === undefined ? {} : { executionTimeMs }),
    window,
  };
}
