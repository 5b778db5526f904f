import { SMI_STATUSES, type SmiStatus } from '#core/access-control.ts';
import { parseDeviceId, parseMpan, parseMpid } from '#core/identifiers.ts';
import { GENERATIONS, ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { APPOINTED_ROLES } from '#core/registration.ts';
import { FREQUENCIES } from '#core/schedule.ts';
import { parseDay, parseInstant } from '#core/settlement-day.ts';
import { ASSUMED_CODES, type AssumedCode } from './assumed-codes.ts';
import { SCHEDULED_BODIES } from './duis-request.ts';
import { TIME } from './duis-types.ts';

/** DUIS `DeviceType`. */
export const DEVICE_TYPES = ['ESME', 'GSME', 'GPF', 'CHF', 'HCALCS', 'PPMID', 'IHD', 'CAD'] as const;
export type DeviceType = (typeof DEVICE_TYPES)[number];

const PARTY_CATEGORIES = ['Large Supplier', 'Small Supplier', 'Other SEC Party', 'MDR Party'] as const;

/** The string formats of a world file: what is expected and whether a text is it. */
export const WORLD_FORMATS: Readonly<Record<string, { expected: string; accepts(text: string): boolean }>> = {
  day: { expected: 'a date as 2026-03-02', accepts: (text) => parseDay(text) !== undefined },
  instant: { expected: 'an instant as 2026-03-02T09:00:00Z', accepts: (text) => parseInstant(text) !== undefined },
  time: { expected: 'a time of day in UTC as 00:30:00', accepts: (text) => TIME.parse(text) !== undefined },
  eui: { expected: 'an EUI-64 as 8 hex pairs joined by -', accepts: (text) => parseDeviceId(text) !== undefined },
  mpan: { expected: 'an MPAN of 13 digits', accepts: (text) => parseMpan(text) !== undefined },
  mpid: { expected: 'an MPID of four upper-case letters', accepts: (text) => parseMpid(text) !== undefined },
};

const day = (description: string) => ({ type: 'string', format: 'day', description }) as const;
const list = (items: object, description: string) => ({ type: 'array', items, description }) as const;
const closed = (required: readonly string[], properties: object, description: string) =>
  ({ type: 'object', additionalProperties: false, required, properties, description }) as const;
/** A mapping of settings that may be left out as a whole: each has its own default. */
const withDefaults = (properties: object, description: string) => ({
  ...closed([], properties, description),
  default: {},
});
const perRole = (value: object) => Object.fromEntries(ROLES.map((role) => [role, value]));

const GATES = closed(
  ['ueptOn'],
  {
    accededOn: day('The Party acceded to the SEC.'),
    ueptOn: closed([], perRole(day('UEPT completed for this role.')), 'User Entry Process Testing, by role.'),
    securityAssessments: list(day('An assessment'), 'User Security Assessments: each is current for a year.'),
    privacyAssessments: list(day('An assessment'), 'Privacy Assessments: each is current for a year.'),
    otherUserEquivalent: closed(
      [],
      { security: day('Security, as an Other User.'), privacy: day('Privacy, as an Other User.') },
      'Equivalent assessments undergone as an Other User.',
    ),
    adtDeclaredOn: day('Anomaly Detection Thresholds declared.'),
  },
  'What the User has done to be let in; what is absent has not happened.',
);

const THRESHOLD = closed(
  ['srv', 'count', 'periodSeconds'],
  {
    srv: { type: 'string', enum: SRVS, description: 'The service that is counted.' },
    count: { type: 'integer', minimum: 0, description: 'Requests of a period that pass; the next are quarantined.' },
    periodSeconds: { type: 'integer', minimum: 1, maximum: 31_536_000, description: 'Periods begin at the epoch.' },
  },
  'An Anomaly Detection Threshold.',
);

export const USER = closed(
  ['name', 'eui', 'category', 'roles', 'gates'],
  {
    name: { type: 'string', minLength: 1, description: 'What sentences call the User.' },
    eui: { type: 'string', format: 'eui', description: 'The originator in its RequestIDs.' },
    category: { type: 'string', enum: PARTY_CATEGORIES, description: 'Party Category under the SEC.' },
    roles: closed(
      [],
      perRole(list({ type: 'string', format: 'mpid' }, 'The MPIDs by which registration data names it.')),
      'The roles that it holds.',
    ),
    suspendedFrom: day('The first day on which the User is suspended.'),
    gates: GATES,
    anomalyThresholds: list(THRESHOLD, 'Anomaly Detection Thresholds; a service without one is not counted.'),
  },
  'A User of the DCC.',
);

const DEVICE = closed(
  ['id', 'type', 'generation', 'status'],
  {
    id: { type: 'string', format: 'eui', description: 'Device ID.' },
    type: { type: 'string', enum: DEVICE_TYPES, description: 'DUIS DeviceType; the services read ESME only.' },
    generation: { type: 'string', enum: GENERATIONS, description: 'Technical generation.' },
    status: { type: 'string', enum: SMI_STATUSES, description: 'Status in the Smart Metering Inventory.' },
    importMpan: { type: 'string', format: 'mpan', description: 'MPAN of the import register.' },
    exportMpan: { type: 'string', format: 'mpan', description: 'MPAN of the export register, where the home exports.' },
    installedOn: day('The day from which the meter has readings; 2013-01-01 if absent.'),
    manufacturer: { type: 'string', maxLength: 30, description: 'As 8.2 answers it.' },
    model: { type: 'string', maxLength: 30, description: 'As 8.2 answers it.' },
  },
  'A device of the Smart Metering Inventory.',
);

const REGISTRATION = closed(
  ['mpan', 'appointments'],
  {
    mpan: { type: 'string', format: 'mpan', description: 'The metering point.' },
    appointments: list(
      closed(
        ['mpid', 'role', 'efd'],
        {
          mpid: { type: 'string', format: 'mpid', description: 'Who is appointed.' },
          role: { type: 'string', enum: APPOINTED_ROLES, description: 'MDR: the MDRA. IS, ES: the Suppliers.' },
          efd: day('Effective From Date: the first Settlement Day in force.'),
          etd: day('Effective To Date: the last Settlement Day in force. The next EFD ends it in any case.'),
        },
        'One appointment.',
      ),
      'Every appointment of the MPAN, past, current and future.',
    ),
  },
  'Registration data of one MPAN.',
);

const OFFSET = { type: 'integer', minimum: -400, maximum: 0, description: 'Days before the execution.' };
const SCHEDULE = closed(
  ['id', 'user', 'role', 'device', 'srv', 'frequency', 'startDate'],
  {
    id: { type: 'integer', minimum: 0, maximum: 1_000_000_000_000, description: 'DSPScheduleID.' },
    user: { type: 'string', format: 'eui', description: 'The User that created it.' },
    role: { type: 'string', enum: ROLES, description: 'The role in which it did.' },
    service: { type: 'string', enum: SERVICES, default: 'mhhs', description: 'The service that it was created for.' },
    device: { type: 'string', format: 'eui', description: 'The device that is read.' },
    srv: { type: 'string', enum: Object.keys(SCHEDULED_BODIES), description: 'The service that is scheduled.' },
    frequency: { type: 'string', enum: FREQUENCIES, description: 'DUIS ScheduleFrequency.' },
    startDate: day('ScheduleStartDate.'),
    endDate: day('ScheduleEndDate.'),
    executionTime: { type: 'string', format: 'time', description: 'Absent: the DCC spreads it over the day.' },
    window: closed(
      ['startOffsetDays', 'startTime', 'endOffsetDays', 'endTime'],
      {
        startOffsetDays: OFFSET,
        startTime: { type: 'string', format: 'time', description: 'StartTime.' },
        endOffsetDays: OFFSET,
        endTime: { type: 'string', format: 'time', description: 'EndTime.' },
      },
      'The read window, both ends inclusive; not for 4.2.',
    ),
  },
  'A schedule that stands already.',
);

/** `mdr ask` answers single requests: it tells nobody of schedules removed, and may be asked the same again. */
export type WorldCode = Exclude<AssumedCode, 'scheduleRemovalAlert' | 'duplicateRequest'>;
const { scheduleRemovalAlert: _, duplicateRequest: __, ...WORLD_CODES } = ASSUMED_CODES;
const codes = Object.fromEntries(
  Object.entries(WORLD_CODES).map(([name, { pattern, default: value, says }]) => [
    name,
    { type: 'string', pattern, default: value, description: says },
  ]),
);
const SETTINGS = withDefaults(
  {
    settlementDays: {
      type: 'string',
      enum: ['utc', 'local'],
      default: 'utc',
      description: 'Whose midnights bound a Settlement Day: UTC or Europe/London.',
    },
    mpanCheckDigits: {
      type: 'string',
      enum: ['refuse', 'warn'],
      default: 'refuse',
      description: 'What a wrong MPAN check digit in this file leads to.',
    },
    seed: { type: 'integer', minimum: 0, maximum: 4_294_967_295, default: 1, description: 'Of the simulated meters.' },
    assumedCodes: withDefaults(codes, 'Codes that the DUIS schema lists and whose meaning is assumed.'),
  },
  'Settings of the world.',
);

/** JSON Schema of a world file. `format` values are those of WORLD_FORMATS. */
export const WORLD_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'World of `mdr ask`: the users, devices, registrations and schedules that a Service Request meets',
  ...closed(
    ['users', 'devices', 'registrations'],
    {
      at: { type: 'string', format: 'instant', description: 'When requests are received, unless --at says otherwise.' },
      settings: SETTINGS,
      users: list(USER, 'Users of the DCC.'),
      devices: list(DEVICE, 'The Smart Metering Inventory.'),
      registrations: list(REGISTRATION, 'Registration data.'),
      schedules: list(SCHEDULE, 'Schedules that stand already.'),
    },
    'A world.',
  ),
};

/** A world file that satisfies WORLD_SCHEMA, defaults filled in. */
export type WorldDocument = {
  at?: string;
  settings: {
    settlementDays: 'utc' | 'local';
    mpanCheckDigits: 'refuse' | 'warn';
    seed: number;
    assumedCodes: AssumedCodes;
  };
  users: UserDocument[];
  devices: DeviceDocument[];
  registrations: RegistrationDocument[];
  schedules?: ScheduleDocument[];
};
export type AssumedCodes = Record<WorldCode, string>;
export type UserDocument = {
  name: string;
  eui: string;
  category: (typeof PARTY_CATEGORIES)[number];
  roles: Partial<Record<(typeof ROLES)[number], string[]>>;
  suspendedFrom?: string;
  gates: {
    accededOn?: string;
    ueptOn: Partial<Record<(typeof ROLES)[number], string>>;
    securityAssessments?: string[];
    privacyAssessments?: string[];
    otherUserEquivalent?: { security?: string; privacy?: string };
    adtDeclaredOn?: string;
  };
  anomalyThresholds?: { srv: (typeof SRVS)[number]; count: number; periodSeconds: number }[];
};
export type DeviceDocument = {
  id: string;
  type: DeviceType;
  generation: (typeof GENERATIONS)[number];
  status: SmiStatus;
  importMpan?: string;
  exportMpan?: string;
  installedOn?: string;
  manufacturer?: string;
  model?: string;
};
export type RegistrationDocument = {
  mpan: string;
  appointments: { mpid: string; role: (typeof APPOINTED_ROLES)[number]; efd: string; etd?: string }[];
};
export type ScheduleDocument = {
  id: number;
  user: string;
  role: (typeof ROLES)[number];
  service: (typeof SERVICES)[number];
  device: string;
  srv: keyof typeof SCHEDULED_BODIES;
  frequency: (typeof FREQUENCIES)[number];
  startDate: string;
  endDate?: string;
  executionTime?: string;
  window?: { startOffsetDays: number; startTime: string; endOffsetDays: number; endTime: string };
};
