/** Days since 1970-01-01. Which instants a day spans is the convention's to say. */
export type SettlementDay = number;

/** Whose midnights bound a Settlement Day: UTC's, or Europe/London's (46 or 50 half-hours when the clock changes). */
export type DayConvention = 'utc' | 'local';

/** `half-hours`: stamped at the END of each period. `daily`: stamped at the UTC midnight that ends the day. */
export type LogKind = 'half-hours' | 'daily';

/** "For ever" among days. */
export const DAY_MAX: SettlementDay = 2 ** 31 - 1;

export const DAY_MS = 86_400_000;
export const HALF_HOUR_MS = 1_800_000;
const HOUR_MS = 3_600_000;

/** Undefined unless the text is a date of the calendar written `2026-03-02`. */
export function parseDay(text: string): SettlementDay | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;
  return dayFrom(year, month, day);
}

export function formatDay(day: SettlementDay): string {
  return `${padded(yearOf(day), 4)}-${padded(monthOf(day), 2)}-${padded(dayOfMonth(day), 2)}`;
}

/** The Settlement Day that an instant falls in; midnight belongs to the day that it begins. */
export function dayOf(instantMs: number, convention: DayConvention): SettlementDay {
  const utcDay = Math.floor(instantMs / DAY_MS);
  return convention === 'utc' ? utcDay : localDay(utcDay, instantMs - utcDay * DAY_MS);
}

/** The instant at which the day begins. */
export function dayStartMs(day: SettlementDay, convention: DayConvention): number {
  const midnightMs = day * DAY_MS;
  return convention === 'local' && isSummer(day, 0) ? midnightMs - HOUR_MS : midnightMs;
}

/** Half-hours of the day: 48, or in local time 46 in spring and 50 in autumn when the clock changes. */
export function intervalsIn(day: SettlementDay, convention: DayConvention): number {
  return (dayStartMs(day + 1, convention) - dayStartMs(day, convention)) / HALF_HOUR_MS;
}

/** The first and the last half-hour stamp of the day, both inclusive. */
export function readWindow(day: SettlementDay, convention: DayConvention): { startMs: number; endMs: number } {
  return { startMs: dayStartMs(day, convention) + HALF_HOUR_MS, endMs: dayStartMs(day + 1, convention) };
}

/**
 * The Settlement Days whose data an inclusive window returns. Daily logs hold UTC days in either convention. A window
 * with no stamp in it (an inverted one included) asks for the days between its two instants, so that it is never
 * mistaken for a request that asks for no day.
 */
export function daysOfWindow(
  startMs: number,
  endMs: number,
  log: LogKind,
  convention: DayConvention,
): { first: SettlementDay; last: SettlementDay } {
  return {
    first: firstDayOfWindow(startMs, endMs, log, convention),
    last: lastDayOfWindow(startMs, endMs, log, convention),
  };
}

/** The first of them alone, without an object: asked of every request of the stream. */
export function firstDayOfWindow(
  startMs: number,
  endMs: number,
  log: LogKind,
  convention: DayConvention,
): SettlementDay {
  const dayConvention = log === 'daily' ? 'utc' : convention;
  const stepMs = log === 'daily' ? DAY_MS : HALF_HOUR_MS;
  if (stampsIn(startMs, endMs, stepMs) === 0) return dayOf(Math.min(startMs, endMs), dayConvention);
  return dayOf((Math.ceil(startMs / stepMs) - 1) * stepMs, dayConvention);
}

/** The last of them alone. */
export function lastDayOfWindow(
  startMs: number,
  endMs: number,
  log: LogKind,
  convention: DayConvention,
): SettlementDay {
  const dayConvention = log === 'daily' ? 'utc' : convention;
  const stepMs = log === 'daily' ? DAY_MS : HALF_HOUR_MS;
  if (stampsIn(startMs, endMs, stepMs) === 0) return dayOf(Math.max(startMs, endMs), dayConvention);
  return dayOf((Math.floor(endMs / stepMs) - 1) * stepMs, dayConvention);
}

/** How many multiples of the step lie in the inclusive window. */
export function stampsIn(startMs: number, endMs: number, stepMs: number): number {
  return Math.max(0, Math.floor(endMs / stepMs) - Math.ceil(startMs / stepMs) + 1);
}

/** `2026-03-02T00:30:00Z`, with `.123` only where there are milliseconds. */
export function formatInstant(instantMs: number): string {
  const day = Math.floor(instantMs / DAY_MS);
  const ms = instantMs - day * DAY_MS;
  const time = [HOUR_MS, 60_000, 1000].map((unitMs, at) => padded(Math.floor(ms / unitMs) % (at === 0 ? 24 : 60), 2));
  const fraction = ms % 1000 === 0 ? '' : `.${padded(ms % 1000, 3)}`;
  return `${formatDay(day)}T${time.join(':')}${fraction}Z`;
}

/** Undefined unless the text is an ISO instant in UTC (`Z`); digits below the millisecond are cut off. */
export function parseInstant(text: string): number | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  const day = match === null ? undefined : parseDay(match[1]);
  if (match === null || day === undefined) return undefined;
  const ms = Number((match[5] ?? '').slice(0, 3).padEnd(3, '0'));
  return day * DAY_MS + Number(match[2]) * HOUR_MS + Number(match[3]) * 60_000 + Number(match[4]) * 1000 + ms;
}

/** 0 is Monday. */
export function weekday(day: SettlementDay): number {
  return (((day + 3) % 7) + 7) % 7;
}

/** 1..31. */
export function dayOfMonth(day: SettlementDay): number {
  return day - dayFrom(yearOf(day), monthOf(day), 1) + 1;
}

/** 1..12. */
export function monthOf(day: SettlementDay): number {
  const shifted = shiftedMonth(day);
  return shifted < 10 ? shifted + 3 : shifted - 9;
}

export function yearOf(day: SettlementDay): number {
  return shiftedYear(day) + (shiftedMonth(day) >= 10 ? 1 : 0);
}

export function daysInMonth(year: number, month: number): number {
  if (month === 2) return isLeapYear(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** The day of a civil date; the date must exist. */
export function dayFrom(year: number, month: number, day: number): SettlementDay {
  const y = month > 2 ? year : year - 1;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

// Civil dates are reckoned in years that begin on 1 March, so that the leap day is the last of its year.
function shiftedYear(day: SettlementDay): number {
  const z = day + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  return era * 400 + yearOfEraOf(dayOfEra);
}

function shiftedMonth(day: SettlementDay): number {
  const z = day + 719_468;
  const dayOfEra = z - Math.floor(z / 146_097) * 146_097;
  const yearOfEra = yearOfEraOf(dayOfEra);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  return Math.floor((5 * dayOfYear + 2) / 153);
}

function yearOfEraOf(dayOfEra: number): number {
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  return Math.floor((dayOfEra - leapDays) / 365);
}

function isLeapYear(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

// In summer the last hour of a UTC day is the next day's first. Takes small integers: access control asks this of
// every request, and an instant handed to a call would be boxed.
function localDay(utcDay: SettlementDay, utcMsOfDay: number): SettlementDay {
  return utcMsOfDay >= DAY_MS - HOUR_MS && isSummer(utcDay, 1) ? utcDay + 1 : utcDay;
}

// British Summer Time runs from 01:00Z on the last Sunday of March to 01:00Z on the last Sunday of October. `change` is
// 0 at the midnight that begins the day and 1 after 01:00Z; shifted months 0 to 11 are March to February.
function isSummer(day: SettlementDay, change: 0 | 1): boolean {
  const shifted = shiftedMonth(day);
  if (shifted === 0) return day + change > lastSundayOf(shiftedYear(day), 3);
  if (shifted === 7) return day + change <= lastSundayOf(shiftedYear(day), 10);
  return shifted < 7;
}

function lastSundayOf(year: number, month: number): SettlementDay {
  const last = dayFrom(year, month, 31);
  return last - ((weekday(last) + 1) % 7);
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
