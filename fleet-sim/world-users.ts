import type { User, UserTable } from '#core/access-control.ts';
import { buildUserTable } from '#core/access-tables.ts';
import { dayFrom, parseDay } from '#core/settlement-day.ts';
import type { UserSettings } from '#fleet-sim/scenario.ts';

/** Access control's table: MPIDs stand in the order of the Users, so an MPID's index is its User's. */
export function tableOfUsers(settings: readonly UserSettings[], firstDay: string): UserTable {
  const users = settings.map((user, index) => accessUser(user, index, firstDay));
  const mpids = settings.map((user) => user.mpid);
  return buildUserTable(users, { ...NO_REGISTRATIONS, mpids });
}

/** The User `index` of a scenario that starts on `firstDay`, as access control and registration know it. */
export function accessUser(user: UserSettings, index: number, firstDay: string): User {
  const { onboarding, role } = user;
  const dayOrNothing = (text: string | null) => (text === null ? undefined : parseDay(text));
  const daysOf = (texts: readonly string[]) => texts.flatMap((text) => parseDay(text) ?? []);
  const accededOn = dayOrNothing(onboarding.acceded);
  const ueptOn = dayOrNothing(onboarding.uept);
  const adtDeclaredOn = dayOrNothing(onboarding.adtDeclared);
  const suspended = dayOrNothing(onboarding.suspendedFrom);
  return {
    name: user.name,
    eui: `90-B3-D5-1F-30-${(0x4000 + index).toString(16).toUpperCase().replace(/^(..)/, '$1-')}-00`,
    category: role === 'MDR' ? 'MDR Party' : 'Large Supplier',
    roles: { [role]: [user.mpid] },
    ...(suspended === undefined ? {} : { suspended }),
    gates: {
      ...(accededOn === undefined ? {} : { accededOn }),
      ueptOn: ueptOn === undefined ? {} : { [role]: ueptOn },
      securityAssessments:
        onboarding.securityAssessments === undefined ? yearly(firstDay) : daysOf(onboarding.securityAssessments),
      privacyAssessments:
        onboarding.privacyAssessments === undefined ? yearly(firstDay) : daysOf(onboarding.privacyAssessments),
      ...(adtDeclaredOn === undefined ? {} : { adtDeclaredOn }),
    },
    anomalyThresholds: [],
  };
}

const NO_REGISTRATIONS = {
  mpans: new Float64Array(0),
  first: new Int32Array(1),
  mpid: new Uint16Array(0),
  role: new Uint8Array(0),
  from: new Int32Array(0),
  until: new Int32Array(0),
};

/** Assessed on every New Year's Day about the run, which is a year long at most. */
function yearly(firstDay: string): number[] {
  const year = Number(firstDay.slice(0, 4));
  return [-2, -1, 0, 1, 2].map((offset) => dayFrom(year + offset, 1, 1));
}
