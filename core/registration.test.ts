import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ROLES } from './matrix.ts';
import {
  APPOINTED_ROLES,
  type Appointment,
  appointmentFor,
  buildRegistrationTable,
  coversDays,
  holderOn,
  resolveAppointments,
  rowsByMpan,
} from './registration.ts';
import { DAY_MAX } from './settlement-day.ts';

const HORIZON = 40;
const MPIDS = ['AGNA', 'AGNB', 'AGNC', 'SUPA'];
const appointment: fc.Arbitrary<Appointment> = fc
  .record({
    mpid: fc.constantFrom(...MPIDS),
    role: fc.constantFrom(...APPOINTED_ROLES),
    efd: fc.integer({ min: 0, max: HORIZON }),
    etd: fc.option(fc.integer({ min: 0, max: HORIZON }), { nil: undefined }),
  })
  .map(({ etd, ...rest }) => (etd === undefined ? rest : { ...rest, etd }));
const appointments = fc.array(appointment, { maxLength: 8 });

/**
 * The naive model: walks the days one by one. On each EFD the appointment given last takes over; it is let go after
 * its ETD.
 */
function holdersByDay(given: readonly Appointment[], role: string): (string | undefined)[] {
  const holders: (string | undefined)[] = [];
  let current: Appointment | undefined;
  for (let day = 0; day <= HORIZON + 1; day++) {
    for (const one of given) {
      if (one.role === role && one.efd === day && (one.etd === undefined || one.etd >= one.efd)) current = one;
    }
    if (current?.etd !== undefined && current.etd < day) current = undefined;
    holders.push(current?.mpid);
  }
  return holders;
}

describe('appointments', () => {
  test('put in force whom a walk through the days puts in force', () => {
    fc.assert(
      fc.property(appointments, (given) => {
        const { tenures } = resolveAppointments(given);
        for (const role of APPOINTED_ROLES) {
          const holders = holdersByDay(given, role);
          for (let day = 0; day < holders.length; day++) {
            expect(holderOn(tenures, role, day)?.mpid, `${role} on day ${day}`).toBe(holders[day]);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('without an ETD end on the day of the next EFD', () => {
    const { tenures, findings } = resolveAppointments([
      { mpid: 'AGNB', role: 'MDR', efd: 20 },
      { mpid: 'AGNA', role: 'MDR', efd: 10 },
    ]);
    expect(tenures).toEqual([
      { mpid: 'AGNA', role: 'MDR', from: 10, until: 20 },
      { mpid: 'AGNB', role: 'MDR', from: 20, until: DAY_MAX },
    ]);
    expect(findings).toEqual([]);
  });

  test('of one MPID may follow on each other', () => {
    const { tenures, findings } = resolveAppointments([
      { mpid: 'AGNA', role: 'MDR', efd: 10, etd: 19 },
      { mpid: 'AGNA', role: 'MDR', efd: 20 },
    ]);
    expect(tenures.map(({ from, until }) => [from, until])).toEqual([
      [10, 20],
      [20, DAY_MAX],
    ]);
    expect(findings).toEqual([]);
  });

  test.each<[string, Appointment[], { kind: string; role: string; mpid: string; day: number }[]]>([
    [
      'an ETD on the EFD of the next is an overlap',
      [
        { mpid: 'AGNA', role: 'MDR', efd: 10, etd: 20 },
        { mpid: 'AGNB', role: 'MDR', efd: 20 },
      ],
      [{ kind: 'overlap', role: 'MDR', mpid: 'AGNB', day: 20 }],
    ],
    [
      'a day without an MDRA is a gap',
      [
        { mpid: 'AGNA', role: 'MDR', efd: 10, etd: 18 },
        { mpid: 'AGNB', role: 'MDR', efd: 20 },
      ],
      [{ kind: 'gap', role: 'MDR', mpid: 'AGNA', day: 19 }],
    ],
    [
      'a day without an Import Supplier is a gap',
      [
        { mpid: 'SUPA', role: 'IS', efd: 10, etd: 18 },
        { mpid: 'SUPB', role: 'IS', efd: 20 },
      ],
      [{ kind: 'gap', role: 'IS', mpid: 'SUPA', day: 19 }],
    ],
    [
      'a day without an Export Supplier is none: exporting may pause',
      [
        { mpid: 'SUPA', role: 'ES', efd: 10, etd: 18 },
        { mpid: 'SUPB', role: 'ES', efd: 20 },
      ],
      [],
    ],
    [
      'two of one EFD are told, and the later given holds',
      [
        { mpid: 'AGNA', role: 'MDR', efd: 10 },
        { mpid: 'AGNB', role: 'MDR', efd: 10 },
      ],
      [{ kind: 'duplicate-efd', role: 'MDR', mpid: 'AGNB', day: 10 }],
    ],
    [
      'an ETD before the EFD is told',
      [{ mpid: 'AGNA', role: 'MDR', efd: 10, etd: 9 }],
      [{ kind: 'inverted', role: 'MDR', mpid: 'AGNA', day: 10 }],
    ],
    [
      'roles do not end each other',
      [
        { mpid: 'AGNA', role: 'MDR', efd: 10 },
        { mpid: 'SUPA', role: 'IS', efd: 15 },
      ],
      [],
    ],
  ])('%s', (_, given, expected) => {
    const { findings } = resolveAppointments(given);
    expect(findings.map(({ kind, role, mpid, day }) => ({ kind, role, mpid, day }))).toEqual(expected);
  });

  test('have a finding for each day on which two ask to be in force, and for each gap before a next one', () => {
    fc.assert(
      fc.property(appointments, (given) => {
        const { findings, tenures } = resolveAppointments(given);
        for (const { kind, role, day } of findings) {
          const claims = given.filter((one) => one.role === role && one.efd <= day && day <= (one.etd ?? DAY_MAX));
          if (kind === 'gap') expect(holderOn(tenures, role, day)).toBeUndefined();
          if (kind === 'overlap' || kind === 'duplicate-efd') expect(claims.length).toBeGreaterThan(1);
          if (kind === 'inverted') expect(given.some((one) => one.efd === day && (one.etd ?? day) < day)).toBe(true);
        }
      }),
    );
  });
});

describe('the registration table', () => {
  const rows = fc.array(appointments, { minLength: 1, maxLength: 6 });

  test('authorises a window only for who holds the role on each of its days', () => {
    // User 0 has two MPIDs, SUPA belongs to nobody.
    const owners: Record<string, number> = { AGNA: 0, AGNB: 1, AGNC: 0, SUPA: -1 };
    const ends = fc.integer({ min: 0, max: HORIZON });
    fc.assert(
      fc.property(rows, fc.constantFrom(0, 1, 2), ends, ends, (given, user, a, b) => {
        const { table } = buildRegistrationTable(
          given.map((list, at) => ({ mpan: 1_000_000_000_000 + at, appointments: list })),
        );
        const mpidOwner = Int16Array.from(table.mpids, (mpid) => owners[mpid]);
        const [firstDay, lastDay] = [Math.min(a, b), Math.max(a, b)];
        given.forEach((list, row) => {
          for (const role of APPOINTED_ROLES) {
            const holders = holdersByDay(list, role).slice(firstDay, lastDay + 1);
            const held = holders.every((mpid) => mpid !== undefined && owners[mpid] === user);
            const roleAt = ROLES.indexOf(role);
            expect(coversDays(table, row, roleAt, mpidOwner, user, firstDay, lastDay)).toBe(held);
            expect(appointmentFor(table, row, roleAt, firstDay)?.mpid).toBe(holders[0]);
          }
        });
      }),
      { numRuns: 500 },
    );
  });

  test('lets the outgoing MDRA read the days before the change, the incoming one those from it on, and neither both', () => {
    const { table } = buildRegistrationTable([
      {
        mpan: 1012345678901,
        appointments: [
          { mpid: 'AGNA', role: 'MDR', efd: 0 },
          { mpid: 'AGNB', role: 'MDR', efd: 100 },
        ],
      },
    ]);
    const owner = Int16Array.of(0, 1);
    const mdr = ROLES.indexOf('MDR');
    const may = (user: number, first: number, last: number): boolean =>
      coversDays(table, 0, mdr, owner, user, first, last);
    expect([may(0, 99, 99), may(0, 100, 100), may(0, 99, 100)]).toEqual([true, false, false]);
    expect([may(1, 99, 99), may(1, 100, 100), may(1, 99, 100)]).toEqual([false, true, false]);
    expect(may(1, 100, 5000)).toBe(true);
  });

  test('finds rows by MPAN and findings by theirs', () => {
    const { table, findings } = buildRegistrationTable([
      { mpan: 1000000000003, appointments: [] },
      { mpan: 1000000000001, appointments: [{ mpid: 'AGNA', role: 'MDR', efd: 5, etd: 4 }] },
    ]);
    expect(rowsByMpan(table)).toEqual(
      new Map([
        [1000000000003, 0],
        [1000000000001, 1],
      ]),
    );
    expect(findings).toEqual([expect.objectContaining({ mpan: 1000000000001, kind: 'inverted' })]);
    expect(coversDays(table, 0, ROLES.indexOf('MDR'), Int16Array.of(0), 0, 5, 5)).toBe(false);
  });

  test('refuses more MPIDs than it can number', () => {
    const letters = (n: number): string =>
      [17576, 676, 26, 1].map((place) => String.fromCharCode(65 + (Math.floor(n / place) % 26))).join('');
    const many = Array.from({ length: 65_537 }, (_, at) => ({
      mpan: at,
      appointments: [{ mpid: letters(at), role: 'MDR' as const, efd: 0 }],
    }));
    expect(() => buildRegistrationTable(many)).toThrow(RangeError);
  });
});
