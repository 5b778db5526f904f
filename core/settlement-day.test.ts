import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DAY_MS,
  type DayConvention,
  dayFrom,
  dayOf,
  dayOfMonth,
  dayStartMs,
  daysInMonth,
  daysOfWindow,
  formatDay,
  formatInstant,
  HALF_HOUR_MS,
  intervalsIn,
  monthOf,
  parseDay,
  parseInstant,
  readWindow,
  type SettlementDay,
  stampsIn,
  weekday,
  yearOf,
} from './settlement-day.ts';

const calendars: Record<DayConvention, Intl.DateTimeFormat> = {
  utc: new Intl.DateTimeFormat('en-CA', { timeZone: 'UTC' }),
  local: new Intl.DateTimeFormat('en-CA', { timeZone: 'Europe/London' }),
};
const conventions = fc.constantFrom<DayConvention>('utc', 'local');
// The rule of today holds since 1996.
const FIRST = dayFrom(1996, 1, 1);
const LAST = dayFrom(2037, 12, 31);
const days = fc.integer({ min: FIRST, max: LAST });
const instants = fc.integer({ min: FIRST * DAY_MS, max: LAST * DAY_MS });

function at(text: string): number {
  const instantMs = parseInstant(text);
  if (instantMs === undefined) throw new Error(`not an instant: ${text}`);
  return instantMs;
}

function day(text: string): SettlementDay {
  const parsed = parseDay(text);
  if (parsed === undefined) throw new Error(`not a day: ${text}`);
  return parsed;
}

describe('a day', () => {
  test('is written as the calendar writes it', () => {
    const weekdays = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', weekday: 'short' });
    fc.assert(
      fc.property(fc.integer({ min: -20_000, max: 60_000 }), (d) => {
        const text = calendars.utc.format(d * DAY_MS);
        expect(formatDay(d)).toBe(text);
        expect(parseDay(text)).toBe(d);
        expect(`${yearOf(d)}-${monthOf(d)}-${dayOfMonth(d)}`).toBe(text.split('-').map(Number).join('-'));
        expect(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][weekday(d)]).toBe(weekdays.format(d * DAY_MS));
        expect(formatDay(dayFrom(yearOf(d), monthOf(d), daysInMonth(yearOf(d), monthOf(d))) + 1)).toMatch(/-01$/);
      }),
    );
  });

  test('that the calendar does not have is none', () => {
    for (const text of ['', '2026-02-29', '2026-13-01', '2026-00-10', '2026-04-31', '2026-3-2', '2026-03-02Z']) {
      expect(parseDay(text), text).toBeUndefined();
    }
    expect(formatDay(day('2024-02-29'))).toBe('2024-02-29');
  });

  test('of an instant is the date on the clocks of the convention', () => {
    fc.assert(
      fc.property(instants, conventions, (instantMs, convention) => {
        expect(formatDay(dayOf(instantMs, convention))).toBe(calendars[convention].format(instantMs));
      }),
      { numRuns: 500 },
    );
  });

  test('of local time begins and ends right on every day from 1996 to 2037', () => {
    for (let d = FIRST; d <= LAST; d++) {
      const startMs = dayStartMs(d, 'local');
      if (dayOf(startMs, 'local') !== d || dayOf(startMs - 1, 'local') !== d - 1) expect.fail(formatDay(d));
    }
    for (let year = 1996; year <= 2037; year++) {
      for (const month of [3, 10]) {
        for (let d = dayFrom(year, month, 24); d <= dayFrom(year, month, 31); d++) {
          expect(calendars.local.format(dayStartMs(d, 'local'))).toBe(formatDay(d));
          expect(calendars.local.format(dayStartMs(d, 'local') - 1)).toBe(formatDay(d - 1));
        }
      }
    }
  });

  test.each([
    ['2026-03-02', 48],
    ['2026-03-29', 46],
    ['2026-07-01', 48],
    ['2026-10-25', 50],
    ['2026-12-31', 48],
  ])('%s has %i half-hours in local time and 48 in UTC', (text, intervals) => {
    expect(intervalsIn(day(text), 'local')).toBe(intervals);
    expect(intervalsIn(day(text), 'utc')).toBe(48);
  });
});

describe('a read window', () => {
  test.each([
    ['in winter', '2026-03-02', 'local', '2026-03-02T00:30:00Z', '2026-03-03T00:00:00Z', 48],
    ['in summer', '2026-07-01', 'local', '2026-06-30T23:30:00Z', '2026-07-01T23:00:00Z', 48],
    ['when the clock goes forward', '2026-03-29', 'local', '2026-03-29T00:30:00Z', '2026-03-29T23:00:00Z', 46],
    ['when the clock goes back', '2026-10-25', 'local', '2026-10-24T23:30:00Z', '2026-10-26T00:00:00Z', 50],
    ['in UTC', '2026-07-01', 'utc', '2026-07-01T00:30:00Z', '2026-07-02T00:00:00Z', 48],
  ] as const)('%s runs from the first stamp of the day to its last', (_, text, convention, start, end, stamps) => {
    const window = readWindow(day(text), convention);
    expect([formatInstant(window.startMs), formatInstant(window.endMs)]).toEqual([start, end]);
    expect(stampsIn(window.startMs, window.endMs, HALF_HOUR_MS)).toBe(stamps);
  });

  test('asks for its own day and no other', () => {
    fc.assert(
      fc.property(days, conventions, (d, convention) => {
        const { startMs, endMs } = readWindow(d, convention);
        expect(daysOfWindow(startMs, endMs, 'half-hours', convention)).toEqual({ first: d, last: d });
        expect(stampsIn(startMs, endMs, HALF_HOUR_MS)).toBe(intervalsIn(d, convention));
      }),
    );
  });

  test('from midnight to midnight has 49 stamps, and so asks for the day before too', () => {
    const [startMs, endMs] = [at('2026-03-02T00:00:00Z'), at('2026-03-03T00:00:00Z')];
    expect(stampsIn(startMs, endMs, HALF_HOUR_MS)).toBe(49);
    expect(daysOfWindow(startMs, endMs, 'half-hours', 'utc')).toEqual({
      first: day('2026-03-01'),
      last: day('2026-03-02'),
    });
  });

  test('of a daily log that is stamped at one midnight asks for the UTC day that ended then', () => {
    const midnightMs = at('2026-07-02T00:00:00Z');
    for (const convention of ['utc', 'local'] as const) {
      const asked = daysOfWindow(midnightMs, midnightMs, 'daily', convention);
      expect(asked).toEqual({ first: day('2026-07-01'), last: day('2026-07-01') });
    }
  });

  test('asks for the days of the stamps that it lists, or of its ends where it lists none', () => {
    const lengths = fc.oneof(fc.integer({ min: 0, max: 4 * DAY_MS }), fc.integer({ min: 0, max: 2 * HALF_HOUR_MS }));
    fc.assert(
      fc.property(
        instants,
        lengths,
        fc.constantFrom('half-hours' as const, 'daily' as const),
        conventions,
        fc.boolean(),
        (anyMs, length, log, convention, onStamp) => {
          const stepMs = log === 'daily' ? DAY_MS : HALF_HOUR_MS;
          const startMs = onStamp ? anyMs - (anyMs % HALF_HOUR_MS) : anyMs;
          const endMs = startMs + length;
          const stamps: number[] = [];
          for (let t = Math.floor(startMs / stepMs) * stepMs; t <= endMs; t += stepMs) if (t >= startMs) stamps.push(t);
          // Each stamp holds the period before it; its middle lies safely inside the day.
          const held = stamps.length > 0 ? stamps.map((t) => t - stepMs / 2) : [startMs, endMs];
          const calendar = calendars[log === 'daily' ? 'utc' : convention];
          const { first, last } = daysOfWindow(startMs, endMs, log, convention);
          expect(stampsIn(startMs, endMs, stepMs)).toBe(stamps.length);
          expect(formatDay(first)).toBe(calendar.format(held[0]));
          expect(formatDay(last)).toBe(calendar.format(held[held.length - 1]));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('that ends before it starts still asks for days, so it can never pass for a request of none', () => {
    const [later, earlier] = [at('2026-03-05T12:00:00Z'), at('2026-03-02T12:00:00Z')];
    expect(daysOfWindow(later, earlier, 'half-hours', 'utc')).toEqual({
      first: day('2026-03-02'),
      last: day('2026-03-05'),
    });
  });
});

describe('an instant', () => {
  test('parses to what it was formatted from', () => {
    fc.assert(
      fc.property(instants, (instantMs) => {
        expect(parseInstant(formatInstant(instantMs))).toBe(instantMs);
      }),
    );
  });

  test('is ISO in UTC, in whole milliseconds', () => {
    expect(formatInstant(at('2014-10-01T09:30:00.00Z'))).toBe('2014-10-01T09:30:00Z');
    expect(at('2026-03-02T00:00:00.1239Z') - at('2026-03-02T00:00:00Z')).toBe(123);
    expect(formatInstant(at('2026-03-02T23:59:59.007Z'))).toBe('2026-03-02T23:59:59.007Z');
    for (const text of [
      '2026-03-02',
      '2026-03-02T00:00:00',
      '2026-03-02T24:00:00Z',
      '2026-02-30T00:00:00Z',
      '2026-03-02T00:00:00+01:00',
    ]) {
      expect(parseInstant(text), text).toBeUndefined();
    }
  });
});
