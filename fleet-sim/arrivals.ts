import { MdrError } from '#core/errors.ts';

/**
 * Requests to come: flat arrays, reused from cell to cell. They are added in any order and moved into the order of
 * time once, because they are then read one after the other on every simulated day.
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
  /** Room for sorting: entries in order of time, and the arrays that the sorted ones change places with. */
  order: Int32Array;
  spare: Columns;
};

type Columns = Pick<Arrivals, 'atMs' | 'meter' | 'user' | 'row' | 'flags' | 'fromDay' | 'untilDay'>;

/** The first attempt at a data set that a schedule can fetch: what MP162 section 2.6.4 is about. */
export const FIRST = 1;
/** Asked for again on demand when it fails. */
export const DATA_SET = 2;
export const EVERY_DAY = 32_767;

/** Entries of one list at most; a cell of a hundred thousand meters has a few a meter. */
const ENTRIES_MAX = 1 << 22;
/** Sorting: buckets of 16.4 s, 5,274 in a day, so that a cell's list has about one entry in each. */
const BUCKET_BITS = 14;
const BUCKETS = (86_400_000 >> BUCKET_BITS) + 2;
const bucketEnds = new Int32Array(BUCKETS);

export function createArrivals(entries: number): Arrivals {
  return { size: 0, ...columns(entries), order: new Int32Array(entries), spare: columns(entries) };
}

function columns(entries: number): Columns {
  return {
    atMs: new Float64Array(entries),
    meter: new Int32Array(entries),
    user: new Int16Array(entries),
    row: new Int16Array(entries),
    flags: new Uint8Array(entries),
    fromDay: new Int16Array(entries),
    untilDay: new Int16Array(entries),
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

/**
 * Puts the entries in order of time; equal instants stay in the order they were added in. A counting sort into
 * buckets, then insertion within each: a third of the time of the built-in sort on lists of a cell's size.
 */
export function sortArrivals(list: Arrivals): void {
  const { size, atMs, order } = list;
  bucketEnds.fill(0);
  for (let k = 0; k < size; k++) bucketEnds[(atMs[k] >> BUCKET_BITS) + 1]++;
  for (let bucket = 1; bucket < BUCKETS; bucket++) bucketEnds[bucket] += bucketEnds[bucket - 1];
  for (let k = 0; k < size; k++) order[bucketEnds[atMs[k] >> BUCKET_BITS]++] = k;
  for (let start = 0, bucket = 0; bucket < BUCKETS - 1; bucket++) {
    const end = bucketEnds[bucket];
    if (end - start > INSERTION_MAX) order.subarray(start, end).sort((a, b) => atMs[a] - atMs[b] || a - b);
    else insertRange(order, atMs, start, end);
    start = end;
  }
  moveIntoOrder(list);
}

/** Beyond so many entries in one bucket insertion would be slow: schedules may all be set to one minute. */
const INSERTION_MAX = 64;

function insertRange(order: Int32Array, atMs: Float64Array, start: number, end: number): void {
  for (let k = start + 1; k < end; k++) {
    const entry = order[k];
    const entryAtMs = atMs[entry];
    let hole = k;
    while (hole > start && atMs[order[hole - 1]] > entryAtMs) {
      order[hole] = order[hole - 1];
      hole--;
    }
    order[hole] = entry;
  }
}

function moveIntoOrder(list: Arrivals): void {
  const { size, order, spare, atMs, meter, user, row, flags, fromDay, untilDay } = list;
  for (let place = 0; place < size; place++) {
    const k = order[place];
    spare.atMs[place] = atMs[k];
    spare.meter[place] = meter[k];
    spare.user[place] = user[k];
    spare.row[place] = row[k];
    spare.flags[place] = flags[k];
    spare.fromDay[place] = fromDay[k];
    spare.untilDay[place] = untilDay[k];
  }
  Object.assign(list, spare);
  list.spare = { atMs, meter, user, row, flags, fromDay, untilDay };
}

function grow(list: Arrivals): void {
  const entries = list.atMs.length * 2;
  if (entries > ENTRIES_MAX) throw new MdrError('COULD_NOT_RUN', `more than ${ENTRIES_MAX} requests a day in one cell`);
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
