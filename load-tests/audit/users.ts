import type { User, UserTable } from '#core/access-control.ts';
import { buildUserTable } from '#core/access-tables.ts';
import { type Matrix, ROLES, type Role, srvIndex } from '#core/matrix.ts';
import type { PartyCategory } from '#core/onboarding.ts';
import type { RegistrationTable } from '#core/registration.ts';
import type { FaultKind, Findings } from './findings.ts';
import { addVersion, type History, type InForce, inForceBetween } from './histories.ts';
import { type Log, reportUnreadable } from './log.ts';
import type { UserRecord } from './record-types.ts';

/** A declared threshold; undefined where the User has declared none for the SRV. */
export type Threshold = { count: number; periodMs: number } | undefined;

/** All Users and what each of them was at any time. */
export class Users {
  readonly #histories: History<User>[] = [];
  readonly #euis: string[] = [];
  readonly #byEui = new Map<string, number>();
  #isCompacted = false;

  /** Reads them from all partitions: a User acts everywhere. */
  static async read(log: Log, faults: Findings<FaultKind>, setAside: ReadonlySet<string>): Promise<Users> {
    const users = new Users();
    for (let partition = 0; partition < log.partitions; partition++) {
      const onUnreadable = reportUnreadable(faults, setAside, 'users', partition);
      const { isCompacted } = await log.read(
        'users',
        partition,
        ({ value, key, writtenMs }) => {
          const eui = value === null ? key.toUpperCase() : hexOf(value.eui);
          addVersion(users.#historyOf(eui), writtenMs, 0, value === null ? undefined : userOf(value));
        },
        onUnreadable,
      );
      users.#isCompacted ||= isCompacted;
    }
    return users;
  }

  /** Number of the User with this EUI-64, -1 where there never was one. */
  find(eui: Buffer): number {
    return this.#byEui.get(hexOf(eui)) ?? -1;
  }

  /** Its EUI-64 as `00-DB-12-34-56-78-90-A0`. */
  nameOf(user: number): string {
    return withDashes(this.#euis[user]);
  }

  inForceBetween(user: number, startMs: number, endMs: number): InForce<User> {
    return inForceBetween(user < 0 ? undefined : this.#histories[user], startMs, endMs, user >= 0 && this.#isCompacted);
  }

  /** Every threshold that the User has ever declared for the SRV, each once. */
  thresholdsOf(user: number, srv: number, matrix: Matrix): Threshold[] {
    const found = new Map<string, Threshold>();
    for (const { value } of this.#histories[user].versions) {
      const declared = value?.anomalyThresholds.find((one) => srvIndex(matrix, one.srv) === srv);
      const threshold =
        declared === undefined ? undefined : { count: declared.count, periodMs: declared.periodSeconds * 1000 };
      if (value !== undefined) found.set(JSON.stringify(threshold) ?? '', threshold);
    }
    return [...found.values()];
  }

  #historyOf(eui: string): History<User> {
    let user = this.#byEui.get(eui);
    if (user === undefined) {
      user = this.#euis.push(eui) - 1;
      this.#byEui.set(eui, user);
      this.#histories.push({ versions: [], sequence: 0 });
    }
    return this.#histories[user];
  }
}

/** core's table of one User alone, with the MPIDs of a registration table: a decision asks for no other. */
export function tableOfUser(user: User | undefined, registrations: RegistrationTable): UserTable {
  return buildUserTable(user === undefined ? [] : [user], registrations);
}

export function hexOf(eui: Buffer): string {
  return eui.toString('hex').toUpperCase();
}

export function withDashes(hex: string): string {
  return (hex.match(/../g) ?? []).join('-');
}

const CATEGORIES: readonly PartyCategory[] = ['Large Supplier', 'Small Supplier', 'Other SEC Party', 'MDR Party'];

function userOf(record: UserRecord): User {
  const roles: User['roles'] = {};
  for (const { role, mpids } of record.roles) if (isRole(role)) roles[role] = [...(roles[role] ?? []), ...mpids];
  return {
    name: record.name,
    eui: withDashes(hexOf(record.eui)),
    // The strictest gates where the category is none.
    category: CATEGORIES.find((category) => category === record.category) ?? 'MDR Party',
    roles,
    ...(record.suspendedFrom === null ? {} : { suspended: record.suspendedFrom }),
    gates: {
      ...(record.accededOn === null ? {} : { accededOn: record.accededOn }),
      ueptOn: Object.fromEntries(record.ueptOn.map(({ role, day }) => [role, day])),
      securityAssessments: record.securityAssessments,
      privacyAssessments: record.privacyAssessments,
      otherUserEquivalent: {
        ...(record.equivalentSecurityOn === null ? {} : { security: record.equivalentSecurityOn }),
        ...(record.equivalentPrivacyOn === null ? {} : { privacy: record.equivalentPrivacyOn }),
      },
      ...(record.adtDeclaredOn === null ? {} : { adtDeclaredOn: record.adtDeclaredOn }),
    },
    anomalyThresholds: record.anomalyThresholds,
  };
}

function isRole(role: string): role is Role {
  return (ROLES as readonly string[]).includes(role);
}
