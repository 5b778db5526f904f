/**
 * The counter of a simulated User's RequestID. DUIS leaves it to the User, an unsigned 64-bit number; ours carries all
 * that the User must know of its request when the response comes, so that Users keep no memory of what they asked.
 *
 *     bit   48..41   40..30        29..28   27..19   18..12   11..0
 *           serial   dataDay + 1   flags    day      row      draw ordinal
 *                                           '------- occasion -------'
 *
 * The occasion is what a plan draws the request's fate by, so both draw the same.
 */
export type RequestFacts = {
  /** Simulated day on which the request is made. */
  day: number;
  /** Row of the TRT table. */
  row: number;
  /** Tells requests of one meter, row and day apart; the low 5 bits count re-requests. */
  ordinal: number;
  /** The Settlement Day asked for, as a simulated day: -1 is the day before the first. */
  dataDay: number;
  /** FIRST and DATA_SET of fleet-sim/arrivals.ts. */
  flags: number;
  /** Tells requests apart that are the same in all else. */
  serial: number;
};

export const DAYS = 512;
export const ROWS = 128;
export const ORDINALS = 4096;
export const DATA_DAY_MIN = -1;
export const DATA_DAY_MAX = 2046;
export const FLAGS = 4;
export const SERIALS = 256;

const OCCASIONS = DAYS * ROWS * ORDINALS;
const DATA_DAYS = DATA_DAY_MAX - DATA_DAY_MIN + 1;
/** All counters are below. */
export const COUNTERS = OCCASIONS * FLAGS * DATA_DAYS * SERIALS;
if (OCCASIONS !== 2 ** 28 || COUNTERS !== 2 ** 49) throw new Error('the layout of the counter is not as drawn');

/** Tells the draws of a meter's requests apart: 28 bits of day, row (or kind of other traffic) and ordinal. */
export function occasionOf(day: number, row: number, ordinal: number): number {
  return ((day & (DAYS - 1)) << 19) | ((row & (ROWS - 1)) << 12) | (ordinal & (ORDINALS - 1));
}

/** Re-requests for the data of several days may fall on one day: each has draws of its own. Undoes itself. */
export function drawOrdinal(ordinal: number, dataDay: number): number {
  return ordinal ^ ((dataDay & 63) << 5);
}

export function packRequestCounter({ day, row, ordinal, dataDay, flags, serial }: RequestFacts): number {
  return requestCounter(day, row, ordinal, dataDay, flags, serial);
}

/** {@link packRequestCounter} without an object. */
export function requestCounter(
  day: number,
  row: number,
  ordinal: number,
  dataDay: number,
  flags: number,
  serial: number,
): number {
  if (!isWholeBelow(day, DAYS)) throw new Error(`day ${day}`);
  if (!isWholeBelow(row, ROWS)) throw new Error(`row ${row}`);
  if (!isWholeBelow(ordinal, ORDINALS)) throw new Error(`ordinal ${ordinal}`);
  if (!isWholeBelow(dataDay - DATA_DAY_MIN, DATA_DAYS)) throw new Error(`data day ${dataDay}`);
  if (!isWholeBelow(flags, FLAGS)) throw new Error(`flags ${flags}`);
  if (!isWholeBelow(serial, SERIALS)) throw new Error(`serial ${serial}`);
  const high = (serial << 13) | ((dataDay - DATA_DAY_MIN) << 2) | flags;
  return high * OCCASIONS + occasionOf(day, row, drawOrdinal(ordinal, dataDay));
}

export function unpackInto(counter: number, out: RequestFacts): void {
  if (!Number.isInteger(counter) || counter < 0 || counter >= COUNTERS) throw new Error(`counter ${counter}`);
  const high = Math.floor(counter / OCCASIONS);
  const occasion = counter - high * OCCASIONS;
  out.flags = high & (FLAGS - 1);
  out.dataDay = ((high >> 2) & (DATA_DAYS - 1)) + DATA_DAY_MIN;
  out.serial = high >> 13;
  out.day = occasion >> 19;
  out.row = (occasion >> 12) & (ROWS - 1);
  out.ordinal = drawOrdinal(occasion & (ORDINALS - 1), out.dataDay);
}

/** The 28 bits that the request's draws are told apart by. */
export function occasionOfCounter(counter: number): number {
  return counter % OCCASIONS;
}

function isWholeBelow(value: number, limit: number): boolean {
  return (value | 0) === value && value >= 0 && value < limit;
}
