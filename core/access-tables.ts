import {
  type DeviceTable,
  KIND_ESME,
  KIND_OTHER,
  SMI_STATUSES,
  type SmiStatus,
  type User,
  type UserTable,
} from './access-control.ts';
import { type Fault, MdrError } from './errors.ts';
import type { DeviceId, Mpan } from './identifiers.ts';
import { GENERATIONS, type Generation, ROLES } from './matrix.ts';
import { type Interval, standingIntervals } from './onboarding.ts';
import { type RegistrationTable, rowsByMpan } from './registration.ts';
import { DAY_MAX } from './settlement-day.ts';

export type Device = {
  id: DeviceId;
  esme: boolean;
  generation: Generation;
  status: SmiStatus;
  importMpan?: Mpan;
  exportMpan?: Mpan;
};

/** Throws INPUT_INVALID where two Users share an EUI or an MPID, or where there are more than 32,767. */
export function buildUserTable(users: readonly User[], registrations: RegistrationTable): UserTable {
  const byEui = new Map<DeviceId, number>();
  const byMpid = new Map<string, number>();
  const faults: Fault[] = [];
  if (users.length > USERS_MAX) faults.push({ path: 'users', value: users.length, expected: `at most ${USERS_MAX}` });
  users.forEach((user, index) => {
    if (byEui.has(user.eui))
      faults.push({ path: `users[${index}].eui`, value: user.eui, expected: 'an EUI of its own' });
    byEui.set(user.eui, index);
    for (const mpid of new Set(Object.values(user.roles).flat())) {
      if (byMpid.has(mpid)) faults.push({ path: `users[${index}].roles`, value: mpid, expected: 'an MPID of its own' });
      byMpid.set(mpid, index);
    }
  });
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', 'Users cannot be told apart', faults);
  return {
    users: [...users],
    byEui,
    mpidOwner: Int16Array.from(registrations.mpids, (mpid) => byMpid.get(mpid) ?? -1),
    suspendedFrom: Int32Array.from(users, suspendedFrom),
    holdsRole: Uint8Array.from(users.flatMap((user) => ROLES.map((role) => (user.roles[role] === undefined ? 0 : 1)))),
    ...standings(users),
  };
}

/** Device rows in the order given. An MPAN without registrations counts as none: nobody may read it. */
export function buildDeviceTable(devices: readonly Device[], registrations: RegistrationTable): DeviceTable {
  const rows = rowsByMpan(registrations);
  const rowOf = (mpan: Mpan | undefined): number => (mpan === undefined ? -1 : (rows.get(mpan) ?? -1));
  return {
    kind: Uint8Array.from(devices, ({ esme }) => (esme ? KIND_ESME : KIND_OTHER)),
    generation: Uint8Array.from(devices, ({ generation }) => GENERATIONS.indexOf(generation)),
    status: Uint8Array.from(devices, ({ status }) => SMI_STATUSES.indexOf(status)),
    importRow: Int32Array.from(devices, ({ importMpan }) => rowOf(importMpan)),
    exportRow: Int32Array.from(devices, ({ exportMpan }) => rowOf(exportMpan)),
    ids: devices.map(({ id }) => id),
  };
}

const USERS_MAX = 32_767;

function suspendedFrom({ suspended }: User): number {
  if (typeof suspended === 'number') return suspended;
  return suspended === true ? -DAY_MAX : DAY_MAX;
}

function standings(users: readonly User[]): Pick<UserTable, 'standingFirst' | 'standingFrom' | 'standingUntil'> {
  const standingFirst = new Int32Array(users.length * ROLES.length + 1);
  const intervals: Interval[] = [];
  users.forEach((user, index) => {
    ROLES.forEach((role, at) => {
      if (user.roles[role] !== undefined) intervals.push(...standingIntervals(user, role));
      standingFirst[index * ROLES.length + at + 1] = intervals.length;
    });
  });
  return {
    standingFirst,
    standingFrom: Int32Array.from(intervals, ({ from }) => from),
    standingUntil: Int32Array.from(intervals, ({ until }) => until),
  };
}
