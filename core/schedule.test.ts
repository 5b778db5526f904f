import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createSchedule,
  createScheduleBook,
  deleteSchedules,
  type Execution,
  executionAfter,
  executions,
  executionTimeOf,
  FREQUENCIES,
  mergedExecutions,
  readSchedules,
  readWindowOf,
  removeOnChange,
  type Schedule,
} from './schedule.ts';
import {
  DAY_MS,
  dayFrom,
  dayOfMonth,
  daysInMonth,
  formatDay,
  formatInstant,
  monthOf,
  parseDay,
  type SettlementDay,
  yearOf,
} from './settlement-day.ts';

function day(text: string): SettlementDay {
  return parseDay(text) as SettlementDay;
}

const USER = '90-B3-D5-1F-30-01-00-00';
const OTHER_USER = '90-B3-D5-1F-30-02-00-00';
const DEVICE = '00-DB-12-34-56-78-90-A0';
const HOUR_MS = 3_600_000;

function schedule(fields: Partial<Schedule> = {}): Schedule {
  return {
    id: 1,
    userEui: USER,
    role: 'MDR',
    service: 'mhhs',
    deviceId: DEVICE,
    srv: '4.8.1',
    frequency: 'Daily',
    startDay: day('2026-03-02'),
    executionTimeMs: HOUR_MS,
    window: { startOffsetDays: -1, startTimeMs: HOUR_MS / 2, endOffsetDays: 0, endTimeMs: 0 },
    ...fields,
  };
}

/** The naive rule, asked of each day alone. */
function executesOn({ frequency, startDay, endDay }: Schedule, d: SettlementDay): boolean {
  if (d < startDay || (endDay !== undefined && d > endDay)) return false;
  if (frequency === 'Daily') return true;
  if (frequency === 'Weekly') return (d - startDay) % 7 === 0;
  const months = (yearOf(d) - yearOf(startDay)) * 12 + monthOf(d) - monthOf(startDay);
  const apart = { Monthly: 1, Quarterly: 3, 'Half-Yearly': 6, Yearly: 12 }[frequency];
  const dueOn = Math.min(dayOfMonth(startDay), daysInMonth(yearOf(d), monthOf(d)));
  return months % apart === 0 && dayOfMonth(d) === dueOn;
}

const START = day('2024-01-01');
const schedules: fc.Arbitrary<Schedule> = fc
  .record({
    id: fc.integer({ min: 0, max: 1e12 }),
    frequency: fc.constantFrom(...FREQUENCIES),
    startDay: fc.integer({ min: START, max: START + 400 }),
    length: fc.option(fc.integer({ min: 0, max: 900 }), { nil: undefined }),
    executionTimeMs: fc.option(fc.integer({ min: 0, max: DAY_MS - 1 }), { nil: undefined }),
  })
  .map(({ id, frequency, startDay, length, executionTimeMs }) => {
    const { executionTimeMs: _, ...rest } = schedule({ id, frequency, startDay });
    return {
      ...rest,
      ...(length !== undefined && { endDay: startDay + length }),
      ...(executionTimeMs !== undefined && { executionTimeMs }),
    };
  });

function listed(one: Schedule, fromMs: number, untilMs: number): number[] {
  const all: number[] = [];
  for (let d = Math.floor(fromMs / DAY_MS) - 1; d <= Math.floor(untilMs / DAY_MS); d++) {
    const executionMs = d * DAY_MS + executionTimeOf(one);
    if (executesOn(one, d) && executionMs >= fromMs && executionMs < untilMs) all.push(executionMs);
  }
  return all;
}

describe('executions', () => {
  test('are those of the days that a list of all days gives', () => {
    fc.assert(
      fc.property(
        schedules,
        fc.integer({ min: -100 * 24, max: 1200 * 24 }),
        fc.integer({ min: 0, max: 1500 * 24 }),
        (one, hours, length) => {
          const fromMs = START * DAY_MS + hours * HOUR_MS;
          const untilMs = fromMs + length * HOUR_MS;
          expect([...executions(one, fromMs, untilMs)]).toEqual(listed(one, fromMs, untilMs));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('come strictly after the instant asked', () => {
    const one = schedule();
    const first = one.startDay * DAY_MS + HOUR_MS;
    expect(executionAfter(one, 0)).toBe(first);
    expect(executionAfter(one, first - 1)).toBe(first);
    expect(executionAfter(one, first)).toBe(first + DAY_MS);
  });

  test('happen on the end date and not after it', () => {
    const one = schedule({ endDay: day('2026-03-04') });
    const days = [...executions(one, 0, day('2027-01-01') * DAY_MS)].map((ms) => formatInstant(ms));
    expect(days).toEqual(['2026-03-02T01:00:00Z', '2026-03-03T01:00:00Z', '2026-03-04T01:00:00Z']);
    expect(executionAfter(one, day('2026-03-04') * DAY_MS + HOUR_MS)).toBeUndefined();
  });

  test.each([
    ['Monthly', '2026-01-31', ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30', '2026-05-31']],
    ['Quarterly', '2025-11-30', ['2025-11-30', '2026-02-28', '2026-05-30', '2026-08-30', '2026-11-30']],
    ['Half-Yearly', '2025-08-31', ['2025-08-31', '2026-02-28', '2026-08-31', '2027-02-28', '2027-08-31']],
    ['Yearly', '2024-02-29', ['2024-02-29', '2025-02-28', '2026-02-28', '2027-02-28', '2028-02-29']],
    ['Weekly', '2026-03-02', ['2026-03-02', '2026-03-09', '2026-03-16', '2026-03-23', '2026-03-30']],
  ] as const)('%s from %s use the last day of shorter months and do not drift', (frequency, start, expected) => {
    const one = schedule({ frequency, startDay: day(start) });
    const found: string[] = [];
    for (let next = executionAfter(one, 0); found.length < 5; next = executionAfter(one, next as number)) {
      found.push(formatDay(Math.floor((next as number) / DAY_MS)));
    }
    expect(found).toEqual(expected);
  });

  test('without a time are spread evenly over the day, each schedule always at its own', () => {
    const { executionTimeMs: _, ...untimed } = schedule();
    const HOURS = 24;
    const IDS = 24_000;
    const byHour = new Array<number>(HOURS).fill(0);
    for (let id = 0; id < IDS; id++) {
      const timeMs = executionTimeOf({ ...untimed, id });
      expect(executionTimeOf({ ...untimed, id })).toBe(timeMs);
      byHour[Math.floor(timeMs / HOUR_MS)]++;
    }
    // Five standard deviations of a uniform draw.
    const spread = 5 * Math.sqrt(IDS / HOURS);
    for (const count of byHour) expect(Math.abs(count - IDS / HOURS)).toBeLessThan(spread);
  });

  test('of many schedules come in order of time, then id, none missing', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(schedules, { maxLength: 12, selector: ({ id }) => id }),
        fc.integer({ min: -50, max: 900 }),
        (many, offset) => {
          const fromMs = (START + offset) * DAY_MS;
          const untilMs = fromMs + 200 * DAY_MS;
          const merged: [number, number][] = [];
          for (const { schedule: one, executionMs } of mergedExecutions(many, fromMs)) {
            if (executionMs >= untilMs) break;
            merged.push([executionMs, one.id]);
          }
          const expected = many.flatMap((one) =>
            listed(one, fromMs, untilMs).map((ms): [number, number] => [ms, one.id]),
          );
          expect(merged).toEqual(expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]));
        },
      ),
    );
  });

  test('of schedules that have all ended come to an end', () => {
    const ended = [1, 2].map((id) => schedule({ id, endDay: day('2026-03-03') }));
    const all: Execution[] = [...mergedExecutions(ended, 0)];
    expect(all.map(({ schedule: one }) => one.id)).toEqual([1, 2, 1, 2]);
  });
});

describe('the read window of an execution', () => {
  test('stands at the offsets from its UTC day', () => {
    const executionMs = day('2026-03-02') * DAY_MS + 5 * HOUR_MS;
    const { startMs, endMs } = readWindowOf(schedule(), executionMs);
    expect([formatInstant(startMs), formatInstant(endMs)]).toEqual(['2026-03-01T00:30:00Z', '2026-03-02T00:00:00Z']);
  });

  test('reaches back as far as 400 days', () => {
    const far = schedule({ window: { startOffsetDays: -400, startTimeMs: 0, endOffsetDays: -399, endTimeMs: 0 } });
    const { startMs } = readWindowOf(far, day('2026-03-02') * DAY_MS);
    expect(startMs).toBe((dayFrom(2026, 3, 2) - 400) * DAY_MS);
  });

  test('of a snapshot is the instant of execution', () => {
    expect(readWindowOf(schedule({ window: null }), 123)).toEqual({ startMs: 123, endMs: 123 });
  });
});

describe('the schedule book', () => {
  test('takes 99 schedules of a User on a device and refuses the 100th', () => {
    const book = createScheduleBook();
    for (let id = 1; id <= 99; id++) expect(createSchedule(book, schedule({ id }))).toBe(true);
    expect(createSchedule(book, schedule({ id: 100 }))).toBe(false);
    expect(readSchedules(book, USER, { id: 100 })).toEqual([]);
    expect(createSchedule(book, schedule({ id: 101, userEui: OTHER_USER }))).toBe(true);
    expect(createSchedule(book, schedule({ id: 102, deviceId: '00-DB-12-34-56-78-90-A1' }))).toBe(true);
    deleteSchedules(book, USER, { id: 7 });
    expect(createSchedule(book, schedule({ id: 103 }))).toBe(true);
  });

  test('lets a User see and delete only its own', () => {
    const book = createScheduleBook();
    createSchedule(book, schedule({ id: 1 }));
    createSchedule(book, schedule({ id: 2 }));
    createSchedule(book, schedule({ id: 3, userEui: OTHER_USER }));
    const ids = (found: Schedule[]): number[] => found.map(({ id }) => id);
    expect(ids(readSchedules(book, USER, { deviceId: DEVICE }))).toEqual([1, 2]);
    expect(readSchedules(book, USER, { id: 3 })).toEqual([]);
    expect(deleteSchedules(book, USER, { id: 3 })).toEqual([]);
    expect(ids(deleteSchedules(book, USER, { deviceId: DEVICE }))).toEqual([1, 2]);
    expect(ids(readSchedules(book, OTHER_USER, { deviceId: DEVICE }))).toEqual([3]);
    expect(deleteSchedules(book, OTHER_USER, { id: 3 })).toHaveLength(1);
    expect(book).toEqual(createScheduleBook());
  });

  test('removes on a change of appointment what its owner may no longer read, and tells what it removed', () => {
    const book = createScheduleBook();
    createSchedule(book, schedule({ id: 1 }));
    createSchedule(book, schedule({ id: 2, userEui: OTHER_USER }));
    createSchedule(book, schedule({ id: 3, deviceId: '00-DB-12-34-56-78-90-A1' }));
    const removed = removeOnChange(book, DEVICE, ({ userEui }) => userEui === OTHER_USER);
    expect(removed.map(({ id }) => id)).toEqual([1]);
    expect([...book.byId.keys()]).toEqual([2, 3]);
  });

  test('crashes on an id given twice', () => {
    const book = createScheduleBook();
    createSchedule(book, schedule());
    expect(() => createSchedule(book, schedule())).toThrow();
  });
});
