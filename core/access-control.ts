import { type AnomalyCounters, type AnomalyThreshold, countRequest } from './anomaly.ts';
import type { DeviceId } from './identifiers.ts';
import { type Matrix, MODES, NO_REGISTER, ROLES, type Role, SERVICES, SRVS, trtSecondsOf } from './matrix.ts';
import { type Gates, type PartyCategory, standingOn } from './onboarding.ts';
import { coversDays, type RegistrationTable } from './registration.ts';
import type { ResponseCode } from './response-codes.ts';
import { type DayConvention, dayOf, type SettlementDay } from './settlement-day.ts';

/** A DCC User: who sends Service Requests. */
export type User = {
  name: string;
  eui: DeviceId;
  category: PartyCategory;
  /** The roles it acts in and its MPIDs in each. */
  roles: Partial<Record<Role, string[]>>;
  /** True: suspended; a day: suspended from that day. */
  suspended?: boolean | SettlementDay;
  gates: Gates;
  anomalyThresholds: AnomalyThreshold[];
};

/** Users by index. Pair p = user * ROLES.length + role. */
export type UserTable = {
  users: User[];
  byEui: Map<DeviceId, number>;
  /** User of each MPID of the registration table, -1 where no User has it. */
  mpidOwner: Int16Array;
  /** First day of suspension, DAY_MAX where there is none. */
  suspendedFrom: Int32Array;
  /** Per pair: 1 where the User holds the role. */
  holdsRole: Uint8Array;
  /** Per pair, standingFirst[p]..standingFirst[p + 1] in the two below: days on which all onboarding gates are met. */
  standingFirst: Int32Array;
  standingFrom: Int32Array;
  /** Exclusive. */
  standingUntil: Int32Array;
};

/** DUIS `DeviceStatus`. Only Commissioned is compatible with the Service Requests here. */
export const SMI_STATUSES = [
  'Pending',
  'Whitelisted',
  'InstalledNotCommissioned',
  'Commissioned',
  'Decommissioned',
  'Withdrawn',
  'Suspended',
  'Recovery',
  'Recovered',
] as const;
export type SmiStatus = (typeof SMI_STATUSES)[number];

export const KIND_ESME = 0;
export const KIND_OTHER = 1;

/** The Smart Metering Inventory as far as access control asks it, by device row. */
export type DeviceTable = {
  kind: Uint8Array;
  /** Position in GENERATIONS. */
  generation: Uint8Array;
  /** Position in SMI_STATUSES. */
  status: Uint8Array;
  /** Row of the registration table for each register's MPAN, -1 where there is none. */
  importRow: Int32Array;
  exportRow: Int32Array;
  /** Null where a row's number is enough to name the device. */
  ids: string[] | null;
};

export type AccessTables = {
  matrix: Matrix;
  convention: DayConvention;
  users: UserTable;
  devices: DeviceTable;
  registrations: RegistrationTable;
  /** Null where anomalies are detected elsewhere, or not at all. */
  anomaly: AnomalyCounters | null;
};

/** One Service Request as access control sees it. Reused from request to request: all numbers. */
export type AccessRequest = {
  /** Row of the originator in the User table, -1 unknown. */
  user: number;
  /** Position in ROLES, -1 where it is none of them. */
  role: number;
  /** Row of the User that the signer's certificate belongs to, -1 unknown. */
  certificate: number;
  /** Position in the matrix, -1 where the matrix does not have the SRV. */
  srv: number;
  /** For a 5.1 the SRV that it schedules, -1 where the matrix does not have it; ignored for all others. */
  scheduledSrv: number;
  mode: number;
  service: number;
  /** Row of the device table, UNKNOWN_DEVICE, or NO_DEVICE. */
  device: number;
  /** Settlement Days asked for, inclusive. lastDay < firstDay where none is (5.2, 5.3, 8.2). */
  firstDay: SettlementDay;
  lastDay: SettlementDay;
  /** When the DCC received it, or its scheduled execution time. */
  atMs: number;
};

export const UNKNOWN_DEVICE = -1;
/** The request's body names no device (5.2 and 5.3 by schedule id). */
export const NO_DEVICE = -2;

/** What decided, in the order of the steps. */
export const FACT = {
  accepted: 0,
  userUnknown: 1,
  userSuspended: 2,
  certificateMismatch: 3,
  roleNotHeld: 4,
  notAcceded: 5,
  ueptMissing: 6,
  securityAssessmentLapsed: 7,
  privacyAssessmentLapsed: 8,
  adtMissing: 9,
  srvUnknown: 10,
  roleNotEligible: 11,
  serviceNotEligible: 12,
  modeNotEligible: 13,
  generationNotEligible: 14,
  deviceUnknown: 15,
  deviceStatus: 16,
  notAnEsme: 17,
  noMpan: 18,
  notAppointed: 19,
  quarantined: 20,
} as const;
export type Fact = (typeof FACT)[keyof typeof FACT];
/** A quarantined request is neither accepted nor refused: its User is told, and answers. */
export type AccessAnswer = ResponseCode | 'quarantine';

/** Step and answer of each fact, by its number. */
export const FACTS: readonly { fact: keyof typeof FACT; step: 0 | 1 | 2 | 3 | 4 | 5 | 6; code: AccessAnswer }[] = [
  { fact: 'accepted', step: 0, code: 'I99' },
  { fact: 'userUnknown', step: 1, code: 'E1' },
  { fact: 'userSuspended', step: 1, code: 'E1' },
  { fact: 'certificateMismatch', step: 1, code: 'E1' },
  { fact: 'roleNotHeld', step: 1, code: 'E1' },
  { fact: 'notAcceded', step: 2, code: 'E3' },
  { fact: 'ueptMissing', step: 2, code: 'E3' },
  { fact: 'securityAssessmentLapsed', step: 2, code: 'E3' },
  { fact: 'privacyAssessmentLapsed', step: 2, code: 'E3' },
  { fact: 'adtMissing', step: 2, code: 'E3' },
  { fact: 'srvUnknown', step: 3, code: 'E2' },
  { fact: 'roleNotEligible', step: 3, code: 'E2' },
  { fact: 'serviceNotEligible', step: 3, code: 'E2' },
  { fact: 'modeNotEligible', step: 3, code: 'E2' },
  { fact: 'generationNotEligible', step: 3, code: 'E2' },
  { fact: 'deviceUnknown', step: 4, code: 'E19' },
  { fact: 'deviceStatus', step: 4, code: 'E5' },
  { fact: 'notAnEsme', step: 4, code: 'E11' },
  { fact: 'noMpan', step: 5, code: 'E4' },
  { fact: 'notAppointed', step: 5, code: 'E4' },
  { fact: 'quarantined', step: 6, code: 'quarantine' },
];

/**
 * The six steps in order; the first failure decides. Allocates nothing. Step 6 counts the request, so a request is to
 * be decided once.
 */
export function decideAccess(request: AccessRequest, tables: AccessTables): Fact {
  const day = dayOf(request.atMs, tables.convention);
  return (
    authenticate(request, tables.users, day) ||
    checkStanding(request, tables.users, day) ||
    checkEligibility(request, tables) ||
    checkDevice(request, tables) ||
    checkRegistration(request, tables) ||
    checkAnomaly(request, tables)
  );
}

export function responseCode(fact: Fact): AccessAnswer {
  return FACTS[fact].code;
}

/** The SRV whose data a request is after: a schedule is checked for what it will read. -1 where unknown. */
export function dataSrvOf(request: AccessRequest, matrix: Matrix): number {
  return isCreateSchedule(request, matrix) ? request.scheduledSrv : request.srv;
}

/** Why an SRV may not be used so; `generation` -1 asks for any. FACT.accepted where it may. */
export function eligibilityOf(
  matrix: Matrix,
  srv: number,
  generation: number,
  mode: number,
  service: number,
  role: number,
): Fact {
  if (srv < 0) return FACT.srvUnknown;
  if (generation >= 0 && trtSecondsOf(matrix, srv, generation, mode, service, role) >= 0) return FACT.accepted;
  if (generation < 0 && isEligibleSomewhere(matrix, srv, mode, service, role)) return FACT.accepted;
  return ineligibility(matrix, srv, mode, service, role);
}

const SCHEDULED = MODES.indexOf('scheduled');
const ON_DEMAND = MODES.indexOf('on-demand');
const COMMISSIONED = SMI_STATUSES.indexOf('Commissioned');
const IMPORT = 0;

function authenticate(request: AccessRequest, users: UserTable, day: SettlementDay): Fact {
  const user = request.user;
  if (user < 0) return FACT.userUnknown;
  if (day >= users.suspendedFrom[user]) return FACT.userSuspended;
  if (request.certificate !== user) return FACT.certificateMismatch;
  if (request.role < 0 || users.holdsRole[user * ROLES.length + request.role] === 0) return FACT.roleNotHeld;
  return FACT.accepted;
}

function checkStanding(request: AccessRequest, users: UserTable, day: SettlementDay): Fact {
  const pair = request.user * ROLES.length + request.role;
  const end = users.standingFirst[pair + 1];
  for (let at = users.standingFirst[pair]; at < end; at++) {
    if (users.standingFrom[at] <= day && day < users.standingUntil[at]) return FACT.accepted;
  }
  const gate = standingOn(users.users[request.user], ROLES[request.role], day);
  if (gate === undefined) throw new Error('the standing intervals of the User table do not agree with its gates');
  return FACT[gate];
}

function checkEligibility(request: AccessRequest, { matrix, devices }: AccessTables): Fact {
  const generation = request.device >= 0 ? devices.generation[request.device] : -1;
  const { srv, mode, service, role } = request;
  const fact = eligibilityOf(matrix, srv, generation, mode, service, role);
  if (fact !== FACT.accepted || !isCreateSchedule(request, matrix)) return fact;
  return eligibilityOf(matrix, request.scheduledSrv, generation, SCHEDULED, service, role);
}

function checkDevice(request: AccessRequest, { devices }: AccessTables): Fact {
  const device = request.device;
  if (device === NO_DEVICE) return FACT.accepted;
  if (device < 0) return FACT.deviceUnknown;
  if (devices.status[device] !== COMMISSIONED) return FACT.deviceStatus;
  return devices.kind[device] === KIND_ESME ? FACT.accepted : FACT.notAnEsme;
}

function checkRegistration(request: AccessRequest, tables: AccessTables): Fact {
  const { matrix, devices, registrations, users } = tables;
  const register = matrix.register[dataSrvOf(request, matrix)];
  if (register === NO_REGISTER) return FACT.accepted;
  const { device, role, user, firstDay, lastDay } = request;
  if (device < 0) throw new Error('a request for the data of a register names no device');
  const row = register === IMPORT ? devices.importRow[device] : devices.exportRow[device];
  if (row < 0) return FACT.noMpan;
  const covered = coversDays(registrations, row, role, users.mpidOwner, user, firstDay, lastDay);
  return covered ? FACT.accepted : FACT.notAppointed;
}

function checkAnomaly(request: AccessRequest, { anomaly }: AccessTables): Fact {
  if (anomaly === null || request.mode !== ON_DEMAND) return FACT.accepted;
  return countRequest(anomaly, request.user, request.srv, request.atMs) ? FACT.quarantined : FACT.accepted;
}

function isCreateSchedule(request: AccessRequest, matrix: Matrix): boolean {
  return request.srv >= 0 && matrix.srv[request.srv] === CREATE_SCHEDULE;
}

const CREATE_SCHEDULE = SRVS.indexOf('5.1');

function isEligibleSomewhere(matrix: Matrix, srv: number, mode: number, service: number, role: number): boolean {
  return (
    trtSecondsOf(matrix, srv, 0, mode, service, role) >= 0 || trtSecondsOf(matrix, srv, 1, mode, service, role) >= 0
  );
}

// The narrowest wording that is true: whatever no other choice of the later ones could mend.
function ineligibility(matrix: Matrix, srv: number, mode: number, service: number, role: number): Fact {
  if (isEligibleSomewhere(matrix, srv, mode, service, role)) return FACT.generationNotEligible;
  for (let m = 0; m < MODES.length; m++) {
    if (isEligibleSomewhere(matrix, srv, m, service, role)) return FACT.modeNotEligible;
  }
  for (let m = 0; m < MODES.length; m++) {
    for (let s = 0; s < SERVICES.length; s++) {
      if (isEligibleSomewhere(matrix, srv, m, s, role)) return FACT.serviceNotEligible;
    }
  }
  return FACT.roleNotEligible;
}
