/**
 * Everything that is counted, as one flat array of whole numbers: a cell fills its own, and arrays add up. Per
 * counted day (by the day a request was received in):
 *
 *   day   [RECEIVED, DATA, E20, E21, DCC_ONLY, QUARANTINED, OPEN, HALF_HOURS, BUSY_MS, EXCHANGES, refused by code ...]
 *   row   [REQUESTS, WITHIN, WITHOUT_DATA, BREACHES, OPEN, MAX_MS*, limits ...]   for each row of the TRT table
 *   user  [REQUESTS, REFUSED, QUARANTINED, JUDGED, WITHIN, FIRST, FIRST_ON_DEMAND, RE_REQUESTS]   for each User
 *
 * (*) kept elsewhere, since it does not add up.
 */
export const REFUSALS = ['E1', 'E2', 'E3', 'E4', 'E5', 'E11', 'E19'] as const;

export const DAY = {
  received: 0,
  data: 1,
  cannotCommunicate: 2,
  noResponse: 3,
  dccOnly: 4,
  quarantined: 5,
  open: 6,
  halfHours: 7,
  busyMs: 8,
  exchanges: 9,
  refused: 10,
} as const;
const DAY_FIELDS = DAY.refused + REFUSALS.length;

export const ROW = { requests: 0, within: 1, withinWithoutData: 2, breaches: 3, open: 4, limits: 5 } as const;

export const USER = {
  requests: 0,
  refused: 1,
  quarantined: 2,
  judged: 3,
  within: 4,
  first: 5,
  firstOnDemand: 6,
  reRequests: 7,
} as const;
const USER_FIELDS = 8;

export type Counters = {
  days: number;
  rows: number;
  users: number;
  limitsMs: readonly number[];
  rowFields: number;
  /** Offset of the rows and of the Users within a day, and the length of a day. */
  rowsAt: number;
  usersAt: number;
  dayLength: number;
  length: number;
};

export function layOutCounters(size: {
  days: number;
  rows: number;
  users: number;
  limits: readonly number[];
}): Counters {
  const rowFields = ROW.limits + size.limits.length;
  const rowsAt = DAY_FIELDS;
  const usersAt = rowsAt + size.rows * rowFields;
  const dayLength = usersAt + size.users * USER_FIELDS;
  return {
    days: size.days,
    rows: size.rows,
    users: size.users,
    limitsMs: size.limits.map((seconds) => seconds * 1000),
    rowFields,
    rowsAt,
    usersAt,
    dayLength,
    length: size.days * dayLength,
  };
}

export function dayAt(counters: Counters, day: number): number {
  return day * counters.dayLength;
}

export function rowAt(counters: Counters, day: number, row: number): number {
  return day * counters.dayLength + counters.rowsAt + row * counters.rowFields;
}

export function userAt(counters: Counters, day: number, user: number): number {
  return day * counters.dayLength + counters.usersAt + user * USER_FIELDS;
}

export function addInto(total: Float64Array, part: Float64Array): void {
  for (let k = 0; k < part.length; k++) total[k] += part[k];
}
