/**
 * How figures are written in the report: one way for page, charts and terminal. Times are UTC. The spaces inside a
 * figure are no-break spaces.
 */

export const MISSING = '\u2013';
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const grouped = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });

/** `30,000,000`. Estimates of a sampled run need not be whole: they are rounded. */
export function formatCount(count: number): string {
  return Number.isFinite(count) ? grouped.format(count) : MISSING;
}

/** At most four characters, for the cells of a chart: `7`, `980`, `1.2k`, `45k`, `3.1M`. */
export function formatCompact(count: number): string {
  for (const [unit, size] of [
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (count < size * 0.9995) continue;
    const scaled = count / size;
    return `${trimmed(scaled, scaled < 9.95 ? 1 : 0)}${unit}`;
  }
  return formatCount(Math.ceil(count));
}

const SHARE_DIGITS_MAX = 8;

/**
 * A share of 0..1 as `99.97 %`, with more digits where two would say 100 % of what is not all, or 0 % of what is not
 * nothing.
 */
export function formatShare(share: number | null, digits = 2): string {
  const percent = percentOf(share, digits);
  return percent === MISSING ? MISSING : `${percent}\u00a0%`;
}

/** `99.71 to 99.86 %`. */
export function formatShareInterval([low, high]: readonly [number, number], digits = 2): string {
  return `${percentOf(low, digits)} to ${percentOf(high, digits)}\u00a0%`;
}

function percentOf(share: number | null, digits: number): string {
  if (share === null || !Number.isFinite(share)) return MISSING;
  if (share === 0 || share === 1) return String(share * 100);
  for (let places = digits; places < SHARE_DIGITS_MAX; places++) {
    const text = (share * 100).toFixed(places);
    if ((share > 1 || Number(text) !== 100) && Number(text) !== 0) return text;
  }
  return share < 0.5 ? '<0.0000001' : '>99.9999999';
}

/** `0.42 s`, `12.3 s`, `5,600 s`, `2.4 h`, `24 h`: seconds up to two hours, as the TRTs are given. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return MISSING;
  if (seconds >= 7200) return `${trimmed(seconds / 3600, 1)}\u00a0h`;
  if (seconds >= 100) return `${grouped.format(seconds)}\u00a0s`;
  return `${trimmed(seconds, seconds < 10 ? 2 : 1)}\u00a0s`;
}

/** Time of the platform, from milliseconds: `0.4 ms`, `85 ms`, `1.25 s`. */
export function formatDelay(ms: number): string {
  if (!Number.isFinite(ms)) return MISSING;
  return ms < 999.5 ? `${trimmed(ms, ms < 10 ? 1 : 0)}\u00a0ms` : formatSeconds(ms / 1000);
}

/** How long the run itself took: `7.4 s`, `2 min 5 s`, `15 min`, `1 h 12 min`. */
export function formatWallTime(seconds: number): string {
  if (seconds < 60) return `${trimmed(seconds, 1)}\u00a0s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return twoUnits(Math.floor(whole / 60), 'min', whole % 60, 's');
  return twoUnits(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  const text = `${large}\u00a0${largeUnit}`;
  return small === 0 ? text : `${text} ${small}\u00a0${smallUnit}`;
}

export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (bytes >= size) return `${trimmed(bytes / size, bytes / size < 10 ? 1 : 0)}\u00a0${unit}`;
  }
  return `${grouped.format(bytes)}\u00a0B`;
}

/** A measured number of unknown unit: whole ones grouped, others with six significant digits. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  if (Number.isInteger(value) || Math.abs(value) >= 1e6) return formatCount(value);
  return String(Number(value.toPrecision(6)));
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `17:00`. */
export function formatTimeOfDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 16);
}

/** `2 Mar`. */
export function formatDate(atMs: number): string {
  const date = new Date(atMs);
  return `${date.getUTCDate()}\u00a0${MONTHS[date.getUTCMonth()]}`;
}

/** `2 Mar, 17:00`. */
export function formatInstant(atMs: number): string {
  return `${formatDate(atMs)}, ${formatTimeOfDay(atMs)}`;
}

/** `Mon 2 Mar`. */
export function formatWeekday(atMs: number): string {
  return `${WEEKDAYS[new Date(atMs).getUTCDay()]}\u00a0${formatDate(atMs)}`;
}

/** `Mon 2 Mar 2026` of `2026-03-02`; text that is no day is given back as it is. */
export function formatDay(day: string): string {
  const atMs = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(atMs) ? day : `${formatWeekday(atMs)}\u00a0${new Date(atMs).getUTCFullYear()}`;
}

/** `2 Mar, 17:00 to 18:00`, or with both dates where it ends on another day. */
export function formatPeriod(startMs: number, endMs: number): string {
  const start = formatInstant(startMs);
  if (endMs - startMs === HOUR_MS && formatTimeOfDay(endMs) === '00:00') return `${start} to 24:00`;
  const sameDay = Math.floor(startMs / DAY_MS) === Math.floor(endMs / DAY_MS);
  return sameDay ? `${start} to ${formatTimeOfDay(endMs)}` : `${start} to ${formatInstant(endMs)}`;
}

/** `4.8.1 on SMETS2 (on demand, existing)`. */
export function nameOfRow(row: { srv: string; generation: string; mode: string; service: string }): string {
  return `${row.srv} on ${row.generation} (${modeName(row.mode)}, ${serviceName(row.service)})`;
}

export function modeName(mode: string): string {
  return mode === 'on-demand' ? 'on demand' : mode;
}

export function serviceName(service: string): string {
  return service === 'mhhs' ? 'MHHS' : service;
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
