import type { User } from '#core/access-control.ts';
import type { Device } from '#core/access-tables.ts';
import { type Fault, MdrError } from '#core/errors.ts';
import { type DeviceId, hasValidCheckDigit, type Mpan, parseDeviceId, parseMpan } from '#core/identifiers.ts';
import type { Gates } from '#core/onboarding.ts';
import { type Appointment, resolveAppointments } from '#core/registration.ts';
import { SCHEDULES_MAX, type Schedule } from '#core/schedule.ts';
import {
  DAY_MS,
  type DayConvention,
  formatDay,
  parseDay,
  parseInstant,
  type SettlementDay,
} from '#core/settlement-day.ts';
import { TIME } from './duis-types.ts';
import { type DocumentPath, type ReadDocument, readWorldDocument } from './world-document.ts';
import type {
  AssumedCodes,
  DeviceDocument,
  DeviceType,
  RegistrationDocument,
  ScheduleDocument,
  UserDocument,
  WorldDocument,
} from './world-schema.ts';

/** What Service Requests meet: everything that decides what the DCC answers, and the meters that are read. */
export type World = {
  /** When requests are received, where the file says. */
  atMs?: number;
  convention: DayConvention;
  /** Of the simulated meters. */
  seed: number;
  codes: AssumedCodes;
  users: User[];
  devices: WorldDevice[];
  registrations: { mpan: Mpan; appointments: Appointment[] }[];
  schedules: Schedule[];
  /** What is odd in the file without making it useless. */
  warnings: Fault[];
};

export type WorldDevice = Device & {
  type: DeviceType;
  installedDay: SettlementDay;
  manufacturer: string;
  model: string;
};

/** Before the first smart meters of today's inventory, so that a device without a date has all its logs full. */
const INSTALLED_ON_DEFAULT = '2013-01-01';

/** Reads a world file. Throws INPUT_INVALID with every fault at once: of its shape, or of what its parts say together. */
export function readWorld(file: string, text: string): World {
  const document = readWorldDocument(file, text);
  const { world } = document;
  const notes = notesOf(document);
  const appointed = world.registrations.map((registration) => ({
    mpan: parseMpan(registration.mpan) as Mpan,
    appointments: registration.appointments.map(appointmentOf),
  }));
  checkUsers(world.users, notes);
  checkMpans(world, notes);
  checkDevices(world, notes);
  checkAppointments(world, notes);
  appointed.forEach(({ appointments }, at) => {
    for (const { kind, role, day, detail } of resolveAppointments(appointments).findings) {
      notes.warn(['registrations', at, 'appointments'], `no ${kind} in role ${role} at ${formatDay(day)} (${detail})`);
    }
  });
  checkSchedules(world, notes);
  if (notes.faults.length > 0) {
    throw new MdrError('INPUT_INVALID', `${file} contradicts itself`, notes.faults);
  }
  const { settlementDays, seed, assumedCodes } = world.settings;
  return {
    ...(world.at === undefined ? {} : { atMs: parseInstant(world.at) as number }),
    convention: settlementDays,
    seed,
    codes: assumedCodes,
    users: world.users.map(userOf),
    devices: world.devices.map(deviceOf),
    registrations: appointed,
    schedules: (world.schedules ?? []).map(scheduleOf),
    warnings: notes.warnings,
  };
}

export type Notes = {
  faults: Fault[];
  warnings: Fault[];
  fault(path: DocumentPath, expected: string): void;
  warn(path: DocumentPath, expected: string): void;
};

function notesOf({ faultAt }: ReadDocument): Notes {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  return {
    faults,
    warnings,
    fault: (path, expected) => faults.push(faultAt(path, expected)),
    warn: (path, expected) => warnings.push(faultAt(path, expected)),
  };
}

export function checkUsers(users: readonly UserDocument[], notes: Notes): void {
  const euis = onlyOnce('EUI', notes);
  const names = onlyOnce('name', notes);
  const mpids = onlyOnce('MPID of one User', notes);
  users.forEach((user, at) => {
    euis(['users', at, 'eui'], user.eui.toUpperCase());
    names(['users', at, 'name'], user.name);
    const own = new Set<string>();
    for (const [role, held] of Object.entries(user.roles)) {
      held.forEach((mpid, index) => {
        if (!own.has(mpid)) mpids(['users', at, 'roles', role, index], mpid);
        own.add(mpid);
      });
    }
    const counted = onlyOnce('threshold of a service', notes);
    user.anomalyThresholds?.forEach(({ srv }, index) => {
      counted(['users', at, 'anomalyThresholds', index, 'srv'], srv);
    });
  });
}

function checkMpans({ devices, registrations, settings }: WorldDocument, notes: Notes): void {
  const check = (path: DocumentPath, text: string | undefined) => {
    if (text === undefined || hasValidCheckDigit(Number(text))) return;
    const say = settings.mpanCheckDigits === 'refuse' ? notes.fault : notes.warn;
    say(path, 'an MPAN whose last digit is its check digit (settings.mpanCheckDigits: warn lets it pass)');
  };
  devices.forEach(({ importMpan, exportMpan }, at) => {
    check(['devices', at, 'importMpan'], importMpan);
    check(['devices', at, 'exportMpan'], exportMpan);
  });
  registrations.forEach(({ mpan }, at) => {
    check(['registrations', at, 'mpan'], mpan);
  });
}

function checkDevices({ devices, registrations }: WorldDocument, notes: Notes): void {
  const ids = onlyOnce('Device ID', notes);
  const mpans = onlyOnce('MPAN of one register', notes);
  const registered = new Set(registrations.map(({ mpan }) => mpan));
  devices.forEach((device, at) => {
    ids(['devices', at, 'id'], device.id.toUpperCase());
    for (const key of ['importMpan', 'exportMpan'] as const) {
      const mpan = device[key];
      if (mpan === undefined) continue;
      mpans(['devices', at, key], mpan);
      if (device.type === 'ESME' && !registered.has(mpan)) {
        notes.warn(['devices', at, key], 'an MPAN of the registrations: nobody may read this one');
      }
    }
  });
}

function checkAppointments({ users, registrations }: WorldDocument, notes: Notes): void {
  const mpans = onlyOnce('MPAN', notes);
  const known = new Set(users.flatMap(({ roles }) => Object.values(roles).flat()));
  registrations.forEach(({ mpan, appointments }, at) => {
    mpans(['registrations', at, 'mpan'], mpan);
    appointments.forEach(({ mpid }, index) => {
      if (!known.has(mpid)) {
        notes.warn(['registrations', at, 'appointments', index, 'mpid'], 'an MPID of one of the users');
      }
    });
  });
}

function checkSchedules({ users, devices, schedules }: WorldDocument, notes: Notes): void {
  const ids = onlyOnce('schedule id', notes);
  const euis = new Set(users.map(({ eui }) => eui.toUpperCase()));
  const deviceIds = new Set(devices.map(({ id }) => id.toUpperCase()));
  const counts = new Map<string, number>();
  schedules?.forEach((schedule, at) => {
    const path = ['schedules', at];
    ids([...path, 'id'], String(schedule.id));
    if (!euis.has(schedule.user.toUpperCase())) notes.fault([...path, 'user'], 'the EUI of one of the users');
    if (!deviceIds.has(schedule.device.toUpperCase())) notes.fault([...path, 'device'], 'the id of one of the devices');
    if (schedule.endDate !== undefined && schedule.endDate < schedule.startDate) {
      notes.fault([...path, 'endDate'], 'a date not before startDate');
    }
    const owned = `${schedule.user} ${schedule.device}`.toUpperCase();
    counts.set(owned, (counts.get(owned) ?? 0) + 1);
    if (counts.get(owned) === SCHEDULES_MAX + 1) notes.fault(path, `at most ${SCHEDULES_MAX} of a User for a device`);
    const { window } = schedule;
    if ((window === undefined) !== (schedule.srv === '4.2')) {
      notes.fault(path, 'a window, except for 4.2, which reads registers');
    }
    if (window !== undefined && offsetMs(window, 'end') < offsetMs(window, 'start')) {
      notes.fault([...path, 'window'], 'a window that does not end before it starts');
    }
  });
}

/** Remembers where each value was first, and faults the second. */
function onlyOnce(what: string, notes: Notes): (path: DocumentPath, value: string) => void {
  const seen = new Set<string>();
  return (path, value) => {
    if (seen.has(value)) notes.fault(path, `each ${what} once`);
    seen.add(value);
  };
}

function offsetMs(window: NonNullable<ScheduleDocument['window']>, end: 'start' | 'end'): number {
  return window[`${end}OffsetDays`] * DAY_MS + timeMs(window[`${end}Time`]);
}

export function userOf(user: UserDocument): User {
  return {
    name: user.name,
    eui: deviceIdOf(user.eui),
    category: user.category,
    roles: user.roles,
    ...(user.suspendedFrom === undefined ? {} : { suspended: dayOf(user.suspendedFrom) }),
    gates: gatesOf(user.gates),
    anomalyThresholds: user.anomalyThresholds ?? [],
  };
}

function gatesOf(gates: UserDocument['gates']): Gates {
  const { accededOn, adtDeclaredOn, otherUserEquivalent: other } = gates;
  return {
    ...(accededOn === undefined ? {} : { accededOn: dayOf(accededOn) }),
    ueptOn: Object.fromEntries(Object.entries(gates.ueptOn).map(([role, on]) => [role, dayOf(on)])),
    securityAssessments: (gates.securityAssessments ?? []).map(dayOf),
    privacyAssessments: (gates.privacyAssessments ?? []).map(dayOf),
    otherUserEquivalent: {
      ...(other?.security === undefined ? {} : { security: dayOf(other.security) }),
      ...(other?.privacy === undefined ? {} : { privacy: dayOf(other.privacy) }),
    },
    ...(adtDeclaredOn === undefined ? {} : { adtDeclaredOn: dayOf(adtDeclaredOn) }),
  };
}

function deviceOf(device: DeviceDocument): WorldDevice {
  return {
    id: deviceIdOf(device.id),
    type: device.type,
    esme: device.type === 'ESME',
    generation: device.generation,
    status: device.status,
    ...(device.importMpan === undefined ? {} : { importMpan: Number(device.importMpan) }),
    ...(device.exportMpan === undefined ? {} : { exportMpan: Number(device.exportMpan) }),
    installedDay: dayOf(device.installedOn ?? INSTALLED_ON_DEFAULT),
    manufacturer: device.manufacturer ?? '',
    model: device.model ?? '',
  };
}

function appointmentOf({ mpid, role, efd, etd }: RegistrationDocument['appointments'][number]): Appointment {
  return { mpid, role, efd: dayOf(efd), ...(etd === undefined ? {} : { etd: dayOf(etd) }) };
}

function scheduleOf(schedule: ScheduleDocument): Schedule {
  const { window } = schedule;
  return {
    id: schedule.id,
    userEui: deviceIdOf(schedule.user),
    role: schedule.role,
    service: schedule.service,
    deviceId: deviceIdOf(schedule.device),
    srv: schedule.srv,
    frequency: schedule.frequency,
    startDay: dayOf(schedule.startDate),
    ...(schedule.endDate === undefined ? {} : { endDay: dayOf(schedule.endDate) }),
    ...(schedule.executionTime === undefined ? {} : { executionTimeMs: timeMs(schedule.executionTime) }),
    window:
      window === undefined
        ? null
        : {
            startOffsetDays: window.startOffsetDays,
            startTimeMs: timeMs(window.startTime),
            endOffsetDays: window.endOffsetDays,
            endTimeMs: timeMs(window.endTime),
          },
  };
}

// The schema's formats have let through only what these can read.
function dayOf(text: string): SettlementDay {
  return parseDay(text) as SettlementDay;
}

function timeMs(text: string): number {
  return TIME.parse(text) as number;
}

function deviceIdOf(text: string): DeviceId {
  return parseDeviceId(text) as DeviceId;
}
