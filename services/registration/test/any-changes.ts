import fc from 'fast-check';
import { mpanFrom } from '#core/identifiers.ts';
import { formatDay } from '#core/settlement-day.ts';
import { FIRST_DAY } from '../appointment-table.ts';

export type PlainAppointment = { role: string; mpid: string; efd: number; etd: number | null };
/** Without appointments: a removal. */
export type PlainChange = { mpan: number; sequence: number; appointments: PlainAppointment[] };
export type PlainState = { sequence: number; appointments: PlainAppointment[] };
export type PlainOutcome = 'applied' | 'stale' | 'duplicate' | 'set-aside';

export const MPIDS = ['AGNA', 'AGNB', 'SUPP', 'ZZZZ'];
/** Few, so that changes meet. */
export const MPANS = Array.from({ length: 6 }, (_, k) => mpanFrom(101_234_567_890 + 7_654_321 * k));
const DAY = FIRST_DAY + 13_000;

const appointmentOf: fc.Arbitrary<PlainAppointment> = fc
  .record({
    role: fc.constantFrom('MDR', 'IS', 'ES'),
    mpid: fc.constantFrom(...MPIDS),
    efd: fc.integer({ min: DAY, max: DAY + 12 }),
    days: fc.option(fc.nat({ max: 8 }), { freq: 3 }),
  })
  .map(({ days, ...rest }) => ({ ...rest, etd: days === null ? null : rest.efd + days }));

export const changeOf: fc.Arbitrary<PlainChange> = fc.record({
  mpan: fc.constantFrom(...MPANS),
  sequence: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 2 ** 31, max: 2 ** 52 })),
  appointments: fc.uniqueArray(appointmentOf, { maxLength: 4, selector: ({ role, efd }) => `${role} ${efd}` }),
});

/** The rules of the feed, as plainly as they can be said. */
export class NaiveRegistrations {
  readonly states = new Map<number, PlainState>();

  apply({ mpan, sequence, appointments }: PlainChange): PlainOutcome {
    const before = this.states.get(mpan) ?? { sequence: 0, appointments: [] };
    if (sequence < before.sequence) return 'stale';
    const isGiven = (one: PlainAppointment) =>
      appointments.some(({ role, efd }) => role === one.role && efd === one.efd);
    const kept = appointments.length === 0 ? [] : before.appointments.filter((one) => !isGiven(one));
    const after = sorted([...kept, ...appointments]);
    if (sequence === before.sequence)
      return JSON.stringify(after) === JSON.stringify(before.appointments) ? 'duplicate' : 'set-aside';
    const isBad = appointments.length > 0 && (overlaps(sorted(appointments)) || gapsBeside(after, isGiven));
    if (isBad) return 'set-aside';
    this.states.set(mpan, { sequence, appointments: after });
    return 'applied';
  }
}

/** In the order in which the feed keeps them. */
export function sorted(appointments: readonly PlainAppointment[]): PlainAppointment[] {
  const order = ['IS', 'ES', 'MDR'];
  return [...appointments].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role) || a.efd - b.efd);
}

/** A change as a row of NDJSON. */
export function ndjsonOf({ mpan, sequence, appointments }: PlainChange): string {
  const rest =
    appointments.length === 0
      ? { removed: true }
      : {
          appointments: appointments.map(({ efd, etd, ...one }) => ({
            ...one,
            efd: formatDay(efd),
            ...(etd === null ? {} : { etd: formatDay(etd) }),
          })),
        };
  return JSON.stringify({ mpan: String(mpan), sequence, ...rest });
}

/** The same as rows of CSV, columns as in the documentation. */
export function csvOf({ mpan, sequence, appointments }: PlainChange): string {
  if (appointments.length === 0) return `${mpan},${sequence},REMOVED,,,`;
  return appointments
    .map(({ role, mpid, efd, etd }) =>
      [mpan, sequence, role, mpid, formatDay(efd), etd === null ? '' : formatDay(etd)].join(),
    )
    .join('\n');
}

function overlaps(list: readonly PlainAppointment[]): boolean {
  return list.some(({ role, etd }, k) => etd !== null && list[k + 1]?.role === role && etd >= list[k + 1].efd);
}

function gapsBeside(list: readonly PlainAppointment[], isGiven: (one: PlainAppointment) => boolean): boolean {
  return list.some((one, k) => {
    const next = list[k + 1];
    if (one.etd === null || next?.role !== one.role || one.role === 'ES') return false;
    return one.etd + 1 < next.efd && (isGiven(one) || isGiven(next));
  });
}
