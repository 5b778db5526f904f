/**
 * Requests to come, in order of time: flat arrays and an order over them, reused from cell to cell.
 *
 *   atMs  ms after midnight of the day     meter  of the cell     user  who asks
 *   row   of the TRT table                 flags  FIRST, DATA_SET
 *   fromDay, untilDay  simulated days on which the entry is made, for a list that repeats daily
 */
export type Arrivals = {
  size: number;
  atMs: Float64Array;
  meter: Int32Array;
  user: Int16Array;
  row: Int16Array;
  flags: Uint8Array;
  fromDay: Int16Array;
  untilDay: Int16Array;
  /** Entries in order of time, once sorted. */
  order: Int32Array;
  keys: Float64Array;
};

/** The first attempt at a data set that a schedule can fetch: what MP162 section 2.6.4 is about. */
export const FIRST = 1;
/** Asked for again on demand when it fails. */
export const DATA_SET = 2;
export const EVERY_DAY = 32_767;

/** An index fits in the low bits of a key whose high bits are the time: 2^22 x 86,400,000 < 2^53. */
const INDEX_SPAN = 1 << 22;

export function createArrivals(entries: number): Arrivals {
  return {
    size: 0,
    atMs: new Float64Array(entries),
    meter: new Int32Array(entries),
    user: new Int16Array(entries),
    row: new Int16Array(entries),
    flags: new Uint8Array(entries),
    fromDay: new Int16Array(entries),
    untilDay: new Int16Array(entries),
    order: new Int32Array(entries),
    keys: new Float64Array(entries),
  };
}

/** Adds a request; `atMs` a whole number of ms after midnight. */
export function addArrival(
  list: Arrivals,
  atMs: number,
  meter: number,
  user: number,
  row: number,
  flags: number,
  fromDay = 0,
  untilDay = EVERY_DAY,
): void {
  if (list.size === list.atMs.length) grow(list);
  const k = list.size++;
  list.atMs[k] = atMs;
  list.meter[k] = meter;
  list.user[k] = user;
  list.row[k] = row;
  list.flags[k] = flags;
  list.fromDay[k] = fromDay;
  list.untilDay[k] = untilDay;
}

/** Fills `order`; equal instants stay in the order they were added in. */
export function sortArrivals(list: Arrivals): void {
  const keys = list.keys.subarray(0, list.size);
  for (let k = 0; k < list.size; k++) keys[k] = list.atMs[k] * INDEX_SPAN + k;
  keys.sort();
  for (let k = 0; k < list.size; k++) list.order[k] = keys[k] % INDEX_SPAN;
}

function grow(list: Arrivals): void {
  const entries = list.atMs.length * 2;
  if (entries > INDEX_SPAN) throw new Error(`more than ${INDEX_SPAN} requests a day in one cell`);
  const longer = createArrivals(entries);
  longer.atMs.set(list.atMs);
  longer.meter.set(list.meter);
  longer.user.set(list.user);
  longer.row.set(list.row);
  longer.flags.set(list.flags);
  longer.fromDay.set(list.fromDay);
  longer.untilDay.set(list.untilDay);
  Object.assign(list, longer, { size: list.size });
}
