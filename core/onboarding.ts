import type { Role } from './matrix.ts';
import { DAY_MAX, dayFrom, dayOfMonth, daysInMonth, monthOf, type SettlementDay, yearOf } from './settlement-day.ts';

export type PartyCategory = 'Large Supplier' | 'Small Supplier' | 'Other SEC Party' | 'MDR Party';
export type Party = { category: PartyCategory };

/** What a User has done to be let in, by day. [MP162 2.3, 2.7, 2.8] */
export type Gates = {
  /** Its Party acceded to the SEC. */
  accededOn?: SettlementDay;
  /** User Entry Process Testing completed, per role. */
  ueptOn: Partial<Record<Role, SettlementDay>>;
  /** The first is the initial Full one, the others renew it; in any order. */
  securityAssessments: SettlementDay[];
  privacyAssessments: SettlementDay[];
  /** Equivalent assessments undergone as an Other User: they stand for the initial Full ones. */
  otherUserEquivalent?: { security?: SettlementDay; privacy?: SettlementDay };
  /** Anomaly Detection Thresholds declared. */
  adtDeclaredOn?: SettlementDay;
};

/** The gates in the order in which they are looked at. */
export const GATE_FACTS = [
  'notAcceded',
  'ueptMissing',
  'securityAssessmentLapsed',
  'privacyAssessmentLapsed',
  'adtMissing',
] as const;
export type GateFact = (typeof GATE_FACTS)[number];

export type Interval = { from: SettlementDay; until: SettlementDay };

/** The first gate that keeps the User from acting in the role on this day; undefined when it may act. */
export function standingOn(user: Party & { gates: Gates }, role: Role, day: SettlementDay): GateFact | undefined {
  const { gates } = user;
  if (!hasHappened(gates.accededOn, day)) return 'notAcceded';
  if (!hasHappened(gates.ueptOn[role], day)) return 'ueptMissing';
  if (!securityOf(user).some((assessed) => isCurrent(assessed, day))) return 'securityAssessmentLapsed';
  if (needsPrivacyAssessment(user, role) && !privacyOf(gates).some((assessed) => isCurrent(assessed, day))) {
    return 'privacyAssessmentLapsed';
  }
  return hasHappened(gates.adtDeclaredOn, day) ? undefined : 'adtMissing';
}

/** The same as days in force: disjoint, in order, `until` exclusive. */
export function standingIntervals(user: Party & { gates: Gates }, role: Role): Interval[] {
  const { accededOn, ueptOn, adtDeclaredOn } = user.gates;
  const uept = ueptOn[role];
  if (accededOn === undefined || uept === undefined || adtDeclaredOn === undefined) return [];
  const gatesOpen = [{ from: Math.max(accededOn, uept, adtDeclaredOn), until: DAY_MAX }];
  const secure = intersect(gatesOpen, currency(securityOf(user)));
  return needsPrivacyAssessment(user, role) ? intersect(secure, currency(privacyOf(user.gates))) : secure;
}

/** The day on which an assessment made on `day` is no longer current: the same date next year, 29 February as 1 March. */
export function anniversaryOf(day: SettlementDay): SettlementDay {
  const [year, month, date] = [yearOf(day) + 1, monthOf(day), dayOfMonth(day)];
  return date > daysInMonth(year, month) ? dayFrom(year, month + 1, 1) : dayFrom(year, month, date);
}

/** A Supplier in its own role reads as it does today, its own MDRA or not; in any other role it is an agent. */
export function needsPrivacyAssessment(party: Party, role: Role): boolean {
  return !(isSupplier(party) && (role === 'IS' || role === 'ES'));
}

function isSupplier(party: Party): boolean {
  return party.category === 'Large Supplier' || party.category === 'Small Supplier';
}

// A Supplier's existing User Security Assessment is used; an Other User's equivalent is for those who are not Suppliers.
function securityOf(user: Party & { gates: Gates }): SettlementDay[] {
  const equivalent = user.gates.otherUserEquivalent?.security;
  return equivalent === undefined || isSupplier(user)
    ? user.gates.securityAssessments
    : [equivalent, ...user.gates.securityAssessments];
}

function privacyOf(gates: Gates): SettlementDay[] {
  const equivalent = gates.otherUserEquivalent?.privacy;
  return equivalent === undefined ? gates.privacyAssessments : [equivalent, ...gates.privacyAssessments];
}

function hasHappened(on: SettlementDay | undefined, day: SettlementDay): boolean {
  return on !== undefined && on <= day;
}

function isCurrent(assessed: SettlementDay, day: SettlementDay): boolean {
  return assessed <= day && day < anniversaryOf(assessed);
}

function currency(assessments: SettlementDay[]): Interval[] {
  const merged: Interval[] = [];
  for (const from of assessments.toSorted((a, b) => a - b)) {
    const until = anniversaryOf(from);
    const last = merged.at(-1);
    if (last !== undefined && from <= last.until) last.until = Math.max(last.until, until);
    else merged.push({ from, until });
  }
  return merged;
}

function intersect(a: Interval[], b: Interval[]): Interval[] {
  return a
    .flatMap((x) => b.map((y) => ({ from: Math.max(x.from, y.from), until: Math.min(x.until, y.until) })))
    .filter(({ from, until }) => from < until);
}
