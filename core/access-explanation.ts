import {
  type AccessRequest,
  type AccessTables,
  dataSrvOf,
  eligibilityOf,
  FACT,
  type Fact,
  SMI_STATUSES,
  type User,
} from './access-control.ts';
import { GENERATIONS, type Matrix, MODES, NO_REGISTER, REGISTERS, ROLES, type Role, SERVICES } from './matrix.ts';
import { anniversaryOf } from './onboarding.ts';
import { type AppointedRole, appointmentFor, type Tenure } from './registration.ts';
import { DAY_MAX, dayOf, formatDay, type SettlementDay } from './settlement-day.ts';

/** The sentence that names what decided: the User, the MPAN, the day, the appointment. */
export function explainDecision(fact: Fact, request: AccessRequest, tables: AccessTables): string {
  switch (fact) {
    case FACT.accepted:
      return acceptance(request, tables);
    case FACT.userUnknown:
      return 'The originator of the request is not a User of the DCC';
    case FACT.userSuspended:
    case FACT.certificateMismatch:
    case FACT.roleNotHeld:
      return authentication(fact, request, tables);
    case FACT.notAcceded:
    case FACT.ueptMissing:
    case FACT.securityAssessmentLapsed:
    case FACT.privacyAssessmentLapsed:
    case FACT.adtMissing:
      return standing(fact, request, tables);
    case FACT.srvUnknown:
    case FACT.roleNotEligible:
    case FACT.serviceNotEligible:
    case FACT.modeNotEligible:
    case FACT.generationNotEligible:
      return eligibility(fact, request, tables);
    case FACT.deviceUnknown:
      return 'The device is not in the Smart Metering Inventory';
    case FACT.deviceStatus:
      return `Device ${deviceName(request, tables)} is ${SMI_STATUSES[tables.devices.status[request.device]]}, not Commissioned`;
    case FACT.notAnEsme:
      return `Device ${deviceName(request, tables)} is not an Electricity Smart Metering Equipment`;
    case FACT.noMpan:
      return `Device ${deviceName(request, tables)} has no registered ${registerOf(request, tables)} MPAN, which ${srvName(dataSrvOf(request, tables.matrix), tables.matrix)} reads`;
    case FACT.notAppointed:
      return registration(request, tables);
    case FACT.quarantined:
      return quarantine(request, tables);
  }
}

const ROLE_TITLES: Record<AppointedRole, string> = {
  MDR: 'the MDRA',
  IS: 'the Import Supplier',
  ES: 'the Export Supplier',
};

function acceptance(request: AccessRequest, tables: AccessTables): string {
  const { matrix, registrations } = tables;
  const what = `${userName(request, tables)} may send ${srvName(request.srv, matrix)} as ${ROLES[request.role]}`;
  if (matrix.register[dataSrvOf(request, matrix)] === NO_REGISTER) return what;
  const row = registrationRow(request, tables);
  const tenure = appointmentFor(registrations, row, request.role, request.firstDay) as Tenure;
  const days = daysAsked(request.firstDay, request.lastDay);
  return `${what}: ${tenure.mpid} is ${ROLE_TITLES[tenure.role]} of MPAN ${registrations.mpans[row]} on ${days}`;
}

function authentication(fact: Fact, request: AccessRequest, tables: AccessTables): string {
  const name = userName(request, tables);
  if (fact === FACT.roleNotHeld) {
    return `${name} does not hold ${request.role < 0 ? 'the role it acts in' : `the role ${ROLES[request.role]}`}`;
  }
  if (fact === FACT.certificateMismatch) {
    const signer = tables.users.users[request.certificate] as User | undefined;
    return `The request of ${name} is signed with a certificate of ${signer === undefined ? 'no User' : `User ${signer.name}`}`;
  }
  const from = tables.users.suspendedFrom[request.user];
  return from === -DAY_MAX ? `${name} is suspended` : `${name} is suspended from ${formatDay(from)}`;
}

function standing(fact: Fact, request: AccessRequest, tables: AccessTables): string {
  const { gates } = tables.users.users[request.user];
  const role = ROLES[request.role];
  const day = dayOf(request.atMs, tables.convention);
  const what = `${userName(request, tables)} may not act as ${role} on ${formatDay(day)}`;
  switch (fact) {
    case FACT.notAcceded:
      return `${what}: its Party ${notYet('acceded to the SEC', 'accedes to the SEC', gates.accededOn)}`;
    case FACT.ueptMissing:
      return `${what}: it ${notYet(`completed User Entry Process Testing for ${role}`, `completes User Entry Process Testing for ${role}`, gates.ueptOn[role])}`;
    case FACT.adtMissing:
      return `${what}: it ${notYet('declared Anomaly Detection Thresholds', 'declares Anomaly Detection Thresholds', gates.adtDeclaredOn)}`;
    case FACT.securityAssessmentLapsed:
      return `${what}: ${lapse('User Security Assessment', gates.securityAssessments, gates.otherUserEquivalent?.security, day)}`;
    default:
      return `${what}: ${lapse('Privacy Assessment', gates.privacyAssessments, gates.otherUserEquivalent?.privacy, day)}`;
  }
}

function notYet(past: string, present: string, on: SettlementDay | undefined): string {
  return on === undefined ? `has not ${past}` : `only ${present} on ${formatDay(on)}`;
}

function lapse(
  name: string,
  assessments: readonly SettlementDay[],
  equivalent: SettlementDay | undefined,
  day: SettlementDay,
): string {
  const made = [...assessments, ...(equivalent === undefined ? [] : [equivalent])].filter(
    (assessed) => assessed <= day,
  );
  if (made.length === 0) return `it has no ${name} yet`;
  const latest = Math.max(...made);
  return `its ${name} of ${formatDay(latest)} was current until ${formatDay(anniversaryOf(latest) - 1)}`;
}

function eligibility(fact: Fact, request: AccessRequest, tables: AccessTables): string {
  const { matrix, devices } = tables;
  const { role, service } = request;
  const generation = request.device >= 0 ? devices.generation[request.device] : -1;
  const own = eligibilityOf(matrix, request.srv, generation, request.mode, service, role) === fact;
  if (fact === FACT.srvUnknown) {
    const subject = own ? 'The Service Request' : 'What the schedule is to read';
    return `${subject} is not among the Service Requests of ${matrix.name}`;
  }
  const name = srvName(own ? request.srv : request.scheduledSrv, matrix);
  const mode = own && MODES[request.mode] === 'on-demand' ? 'on demand' : 'scheduled';
  const purpose = SERVICES[service] === 'mhhs' ? 'MHHS' : 'existing services';
  if (fact === FACT.roleNotEligible) return `Role ${ROLES[role]} may not use ${name}`;
  if (fact === FACT.serviceNotEligible) return `Role ${ROLES[role]} may not use ${name} for ${purpose}`;
  if (fact === FACT.modeNotEligible) return `${name} is not available ${mode} to role ${ROLES[role]} for ${purpose}`;
  const device = `device ${deviceName(request, tables)} is ${GENERATIONS[generation]}`;
  return `${name} is not available ${mode} on ${GENERATIONS[generation]} for ${purpose}: ${device}`;
}

function registration(request: AccessRequest, tables: AccessTables): string {
  const { registrations, users } = tables;
  const row = registrationRow(request, tables);
  const role = ROLES[request.role];
  const day = firstDayNotHeld(request, tables, row);
  const who = (users.users[request.user].roles[role] as string[]).join('/') || userName(request, tables);
  const title = isAppointed(role) ? ROLE_TITLES[role] : `appointed in role ${role}`;
  const what = `${who} is not ${title} of MPAN ${registrations.mpans[row]} on Settlement Day ${formatDay(day)}`;
  const holder = appointmentFor(registrations, row, request.role, day);
  if (holder === undefined) return `${what}: nobody is`;
  const until = holder.until === DAY_MAX ? '' : ` to ${formatDay(holder.until - 1)}`;
  return `${what}: ${holder.mpid} is, from ${formatDay(holder.from)}${until}`;
}

function firstDayNotHeld(request: AccessRequest, { registrations, users }: AccessTables, row: number): SettlementDay {
  let day = request.firstDay;
  for (;;) {
    const tenure = appointmentFor(registrations, row, request.role, day);
    if (tenure === undefined) return day;
    if (users.mpidOwner[registrations.mpids.indexOf(tenure.mpid)] !== request.user) return day;
    day = tenure.until;
  }
}

function quarantine(request: AccessRequest, tables: AccessTables): string {
  const srv = tables.matrix.services[request.srv].srv;
  const thresholds = tables.users.users[request.user].anomalyThresholds;
  const threshold = thresholds.find((one) => one.srv === srv);
  const declared = threshold === undefined ? '' : ` of ${threshold.count} in ${threshold.periodSeconds} s`;
  return `${userName(request, tables)} has exceeded its Anomaly Detection Threshold for ${srv}${declared}: process or delete`;
}

function registrationRow(request: AccessRequest, tables: AccessTables): number {
  const { importRow, exportRow } = tables.devices;
  return registerOf(request, tables) === 'import' ? importRow[request.device] : exportRow[request.device];
}

function registerOf(request: AccessRequest, { matrix }: AccessTables): string {
  return REGISTERS[matrix.register[dataSrvOf(request, matrix)]];
}

function userName(request: AccessRequest, tables: AccessTables): string {
  return `User ${tables.users.users[request.user].name}`;
}

function deviceName(request: AccessRequest, { devices }: AccessTables): string {
  return devices.ids === null ? `in row ${request.device}` : devices.ids[request.device];
}

function srvName(srv: number, matrix: Matrix): string {
  const { srv: number, name } = matrix.services[srv];
  return `${number} (${name})`;
}

function daysAsked(firstDay: SettlementDay, lastDay: SettlementDay): string {
  const first = `Settlement Day ${formatDay(firstDay)}`;
  return lastDay <= firstDay ? first : `every Settlement Day from ${formatDay(firstDay)} to ${formatDay(lastDay)}`;
}

function isAppointed(role: Role): role is AppointedRole {
  return role in ROLE_TITLES;
}
