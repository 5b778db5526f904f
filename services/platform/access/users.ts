import type { User, UserTable } from '#core/access-control.ts';
import { buildUserTable } from '#core/access-tables.ts';
import type { Fault } from '#core/errors.ts';
import { ROLES, type Role } from '#core/matrix.ts';
import { MPID_CODES, mpidCodeOf } from '#core/mpid-code.ts';
import type { PartyCategory } from '#core/onboarding.ts';
import { partitionOfKey } from '#core/partition.ts';
import type { RegistrationTable } from '#core/registration.ts';
import type { UserRecord as AnyUserRecord } from '#services/platform/user-feed.ts';

/** What access control takes of a User. */
export type UserRecord = Omit<AnyUserRecord, 'deliveryUrl'>;

/** All Users of the platform, as one partition's worker asks for them. */
export type UserDirectory = {
  /** core's table. Its `mpidOwner` is empty: a row of the MPAN table brings its own, from `ownerOfMpid`. */
  table: UserTable;
  /** User of each MPID code, -1 where none has it. */
  ownerOfMpid: Int16Array;
  euis: EuiIndex;
  /** Key of each User's records in anomaly-checks, 16 bytes each, and their partition. */
  checkKeys: Uint8Array;
  checkPartition: Uint8Array;
  /** What is wrong with the records. The Users are there, without what cannot be. */
  faults: Fault[];
};

/**
 * The Users in order of their EUIs, so that every worker has the same numbers. Two records of one EUI cannot be: they
 * are of one key. Of two Users with the same MPID the first keeps it.
 */
export function buildUserDirectory(records: Iterable<UserRecord>, partitions: number): UserDirectory {
  const faults: Fault[] = [];
  const sorted = [...records].sort((a, b) => Buffer.compare(a.eui, b.eui));
  const ownerOfMpid = new Int16Array(MPID_CODES).fill(-1);
  const users = sorted.map((record, user) => userOf(record, user, ownerOfMpid, faults));
  const keys = sorted.map(({ eui }) => checkKeyOf(eui, 0));
  return {
    table: buildUserTable(users, NO_REGISTRATIONS),
    ownerOfMpid,
    euis: new EuiIndex(sorted.map(({ eui }) => eui)),
    checkKeys: Buffer.concat(keys),
    checkPartition: Uint8Array.from(keys, (key) => partitionOfKey(key, partitions)),
    faults,
  };
}

export const CHECK_KEY_BYTES = 16;

/** The User's key in anomaly-checks: its EUI-64 in hexadecimal digits, upper case. */
export function checkKeyOf(bytes: Uint8Array, euiAt: number): Buffer {
  const eui = Buffer.from(bytes.buffer, bytes.byteOffset + euiAt, 8);
  return Buffer.from(eui.toString('hex').toUpperCase(), 'latin1');
}

/** Open addressing by EUI-64: two halves and the User's number a slot, -1 where free. */
export class EuiIndex {
  readonly #slots: Int32Array;
  readonly #mask: number;

  constructor(euis: readonly Uint8Array[]) {
    let capacity = 16;
    while (capacity < 2 * euis.length) capacity *= 2;
    this.#mask = capacity - 1;
    this.#slots = new Int32Array(3 * capacity).fill(-1);
    euis.forEach((eui, user) => {
      const first = halfAt(eui, 0);
      const second = halfAt(eui, 4);
      let at = hashOf(first, second) & this.#mask;
      while (this.#slots[3 * at + 2] >= 0) at = (at + 1) & this.#mask;
      this.#slots.set([first, second, user], 3 * at);
    });
  }

  /** The User whose EUI stands there, -1 where there is none. */
  find(bytes: Uint8Array, at: number): number {
    const slots = this.#slots;
    const first = halfAt(bytes, at);
    const second = halfAt(bytes, at + 4);
    for (let slot = hashOf(first, second) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const user = slots[3 * slot + 2];
      if (user < 0 || (slots[3 * slot] === first && slots[3 * slot + 1] === second)) return user;
    }
  }
}

const NO_REGISTRATIONS: RegistrationTable = {
  mpans: new Float64Array(0),
  first: new Int32Array(1),
  mpid: new Uint16Array(0),
  role: new Uint8Array(0),
  from: new Int32Array(0),
  until: new Int32Array(0),
  mpids: [],
};

const CATEGORIES: readonly PartyCategory[] = ['Large Supplier', 'Small Supplier', 'Other SEC Party', 'MDR Party'];

function userOf(record: UserRecord, user: number, ownerOfMpid: Int16Array, faults: Fault[]): User {
  const path = `user ${record.name}`;
  const roles: User['roles'] = {};
  for (const { role, mpids } of record.roles) {
    if (!isRole(role)) faults.push({ path: `${path}.roles`, value: role, expected: ROLES.join(', ') });
    else {
      const own = mpids.filter((mpid) => ownsMpid(mpid, user, ownerOfMpid, faults, `${path}.roles.${role}`));
      roles[role] = [...(roles[role] ?? []), ...own];
    }
  }
  const category = CATEGORIES.find((one) => one === record.category);
  if (category === undefined)
    faults.push({ path: `${path}.category`, value: record.category, expected: CATEGORIES.join(', ') });
  return {
    name: record.name,
    eui: Buffer.from(record.eui).toString('hex').toUpperCase().match(/../g)!.join('-'),
    // A Party of no category that is known has the strictest gates.
    category: category ?? 'MDR Party',
    roles,
    ...(record.suspendedFrom === null ? {} : { suspended: record.suspendedFrom }),
    gates: gatesOf(record),
    anomalyThresholds: record.anomalyThresholds,
  };
}

function ownsMpid(mpid: string, user: number, ownerOfMpid: Int16Array, faults: Fault[], path: string): boolean {
  const code = mpidCodeOf(mpid);
  if (code < 0) faults.push({ path, value: mpid, expected: 'four capital letters' });
  else if (ownerOfMpid[code] >= 0 && ownerOfMpid[code] !== user)
    faults.push({ path, value: mpid, expected: 'an MPID that no other User has' });
  else ownerOfMpid[code] = user;
  return code >= 0 && ownerOfMpid[code] === user;
}

function gatesOf(record: UserRecord): User['gates'] {
  const { accededOn, adtDeclaredOn, equivalentSecurityOn, equivalentPrivacyOn } = record;
  return {
    ...(accededOn === null ? {} : { accededOn }),
    ueptOn: Object.fromEntries(record.ueptOn.map(({ role, day }) => [role, day])),
    securityAssessments: record.securityAssessments,
    privacyAssessments: record.privacyAssessments,
    otherUserEquivalent: {
      ...(equivalentSecurityOn === null ? {} : { security: equivalentSecurityOn }),
      ...(equivalentPrivacyOn === null ? {} : { privacy: equivalentPrivacyOn }),
    },
    ...(adtDeclaredOn === null ? {} : { adtDeclaredOn }),
  };
}

function isRole(role: string): role is Role {
  return (ROLES as readonly string[]).includes(role);
}

function halfAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

function hashOf(first: number, second: number): number {
  const mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}
