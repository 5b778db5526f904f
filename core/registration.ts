import type { Mpan } from './identifiers.ts';
import { ROLES, type Role } from './matrix.ts';
import { DAY_MAX, type SettlementDay } from './settlement-day.ts';

/** Roles that registration data appoints: MDR is the appointed MDRA, IS and ES the registered Suppliers. */
export const APPOINTED_ROLES = ['MDR', 'IS', 'ES'] as const satisfies readonly Role[];
export type AppointedRole = (typeof APPOINTED_ROLES)[number];

/** As registration data sends it: in force from 00:00 of `efd` to the end of `etd`, or until the next one's EFD. */
export type Appointment = { mpid: string; role: AppointedRole; efd: SettlementDay; etd?: SettlementDay };

/** Days that an appointment is really in force; `until` is exclusive, DAY_MAX when open. */
export type Tenure = { mpid: string; role: AppointedRole; from: SettlementDay; until: SettlementDay };

/** Something odd in one MPAN's appointments: reported, never a reason to drop the record. */
export type Finding = {
  kind: 'overlap' | 'gap' | 'duplicate-efd' | 'inverted';
  role: AppointedRole;
  mpid: string;
  /** The first day that the finding is about. */
  day: SettlementDay;
  detail: string;
};

/**
 * The appointments of all MPANs, flat. Row r's tenures stand at first[r]..first[r+1], ordered by role, then day:
 *
 *   first  [0,    2,          5, ...]
 *   mpid   [a, b, c, d, e, ...]      position in `mpids`
 *   role   [2, 0, 2, 2, 0, ...]      position in ROLES
 *   from   [...]  until [...]        days, until exclusive
 */
export type RegistrationTable = {
  mpans: Float64Array;
  first: Int32Array;
  mpid: Uint16Array;
  role: Uint8Array;
  from: Int32Array;
  until: Int32Array;
  mpids: string[];
};

/** Who holds each role on which days, by the rule that the next EFD always ends the appointment before it. */
export function resolveAppointments(appointments: readonly Appointment[]): { tenures: Tenure[]; findings: Finding[] } {
  const tenures: Tenure[] = [];
  const findings: Finding[] = [];
  for (const role of APPOINTED_ROLES) {
    const inForce = withoutFaults(appointments, role, findings);
    inForce.forEach((appointment, at) => {
      const next = inForce[at + 1] as Appointment | undefined;
      const end = appointment.etd === undefined ? DAY_MAX : appointment.etd + 1;
      const until = next === undefined ? end : Math.min(end, next.efd);
      tenures.push({ mpid: appointment.mpid, role, from: appointment.efd, until });
      if (next !== undefined) findings.push(...seam(appointment, next));
    });
  }
  return { tenures, findings };
}

export function holderOn(tenures: readonly Tenure[], role: Role, day: SettlementDay): Tenure | undefined {
  return tenures.find((tenure) => tenure.role === role && tenure.from <= day && day < tenure.until);
}

/** Lays the resolved appointments out; at most 65,536 MPIDs. Findings name their MPAN. */
export function buildRegistrationTable(rows: readonly { mpan: Mpan; appointments: readonly Appointment[] }[]): {
  table: RegistrationTable;
  findings: (Finding & { mpan: Mpan })[];
} {
  const findings: (Finding & { mpan: Mpan })[] = [];
  const resolved = rows.map(({ mpan, appointments }) => {
    const { tenures, findings: found } = resolveAppointments(appointments);
    for (const finding of found) findings.push({ ...finding, mpan });
    return tenures;
  });
  const total = resolved.reduce((sum, tenures) => sum + tenures.length, 0);
  const table: RegistrationTable = {
    mpans: Float64Array.from(rows, ({ mpan }) => mpan),
    first: new Int32Array(rows.length + 1),
    mpid: new Uint16Array(total),
    role: new Uint8Array(total),
    from: new Int32Array(total),
    until: new Int32Array(total),
    mpids: [],
  };
  fill(table, resolved);
  return { table, findings };
}

/**
 * Whether the User holds the role on every day from `firstDay` to `lastDay`, by one tenure or several that follow on
 * each other. `mpidOwner` gives the User of each MPID, -1 where none. Allocates nothing.
 */
export function coversDays(
  table: RegistrationTable,
  row: number,
  role: number,
  mpidOwner: Int16Array,
  user: number,
  firstDay: SettlementDay,
  lastDay: SettlementDay,
): boolean {
  const end = table.first[row + 1];
  let day = firstDay;
  for (let at = table.first[row]; at < end; at++) {
    if (table.role[at] !== role || table.from[at] > day || table.until[at] <= day) continue;
    if (mpidOwner[table.mpid[at]] !== user) return false;
    day = table.until[at];
    if (day > lastDay) return true;
  }
  return false;
}

/** The tenure in force on a day, for sentences. */
export function appointmentFor(
  table: RegistrationTable,
  row: number,
  role: number,
  day: SettlementDay,
): Tenure | undefined {
  for (let at = table.first[row]; at < table.first[row + 1]; at++) {
    if (table.role[at] === role && table.from[at] <= day && day < table.until[at]) {
      const mpid = table.mpids[table.mpid[at]];
      return { mpid, role: ROLES[role] as AppointedRole, from: table.from[at], until: table.until[at] };
    }
  }
  return undefined;
}

/** Row of each MPAN of the table. */
export function rowsByMpan(table: RegistrationTable): Map<Mpan, number> {
  const rows = new Map<Mpan, number>();
  table.mpans.forEach((mpan, row) => {
    rows.set(mpan, row);
  });
  return rows;
}

// Sorted by EFD, without the inverted ones and without those that a later one of the same EFD replaces.
function withoutFaults(appointments: readonly Appointment[], role: AppointedRole, findings: Finding[]): Appointment[] {
  const kept: Appointment[] = [];
  for (const appointment of appointments.filter((one) => one.role === role).sort((a, b) => a.efd - b.efd)) {
    const { mpid, efd, etd } = appointment;
    const before = kept.at(-1);
    if (etd !== undefined && etd < efd) {
      findings.push({ kind: 'inverted', role, mpid, day: efd, detail: `ETD before EFD: ${mpid} is never in force` });
    } else if (before?.efd === efd) {
      const detail = `${before.mpid} and ${mpid} have the same EFD: ${mpid}, given later, holds`;
      findings.push({ kind: 'duplicate-efd', role, mpid, day: efd, detail });
      kept[kept.length - 1] = appointment;
    } else {
      kept.push(appointment);
    }
  }
  return kept;
}

// What lies between an appointment and the next. An ETD on the day of the next EFD or later is an overlap.
function seam({ role, mpid, etd }: Appointment, next: Appointment): Finding[] {
  if (etd === undefined || etd === next.efd - 1) return [];
  if (etd >= next.efd) {
    const detail = `${mpid} has an ETD on or after the EFD of ${next.mpid}: it ends the day before that EFD`;
    return [{ kind: 'overlap', role, mpid: next.mpid, day: next.efd, detail }];
  }
  // A home may stop exporting, but it always has an MDRA and an Import Supplier.
  if (role === 'ES') return [];
  return [{ kind: 'gap', role, mpid, day: etd + 1, detail: `nobody between ${mpid} and ${next.mpid}` }];
}

const MPIDS_MAX = 65_536;

function fill(table: RegistrationTable, resolved: readonly Tenure[][]): void {
  const mpidIndex = new Map<string, number>();
  let at = 0;
  resolved.forEach((tenures, row) => {
    for (const { mpid, role, from, until } of tenures) {
      let index = mpidIndex.get(mpid);
      if (index === undefined) {
        index = table.mpids.push(mpid) - 1;
        if (index >= MPIDS_MAX) throw new RangeError(`more than ${MPIDS_MAX} MPIDs`);
        mpidIndex.set(mpid, index);
      }
      table.mpid[at] = index;
      table.role[at] = ROLES.indexOf(role);
      table.from[at] = from;
      table.until[at] = until;
      at++;
    }
    table.first[row + 1] = at;
  });
}
