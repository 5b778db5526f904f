import type { DeviceId } from './identifiers.ts';
import type { Role, Service } from './matrix.ts';
import { DAY_MS, dayFrom, dayOfMonth, daysInMonth, monthOf, type SettlementDay, yearOf } from './settlement-day.ts';

/** DUIS `ScheduleFrequency`. */
export const FREQUENCIES = ['Daily', 'Weekly', 'Monthly', 'Quarterly', 'Half-Yearly', 'Yearly'] as const;
export type Frequency = (typeof FREQUENCIES)[number];

/** DUIS `ReadLogPeriodOffset`: days before the day of execution (-400..0) and UTC times of day in ms. */
export type ScheduleWindow = {
  startOffsetDays: number;
  startTimeMs: number;
  endOffsetDays: number;
  endTimeMs: number;
};

export const OFFSET_DAYS_MIN = -400;
/** Schedules that one User may have on one device. */
export const SCHEDULES_MAX = 99;

/** What a 5.1 created (DUIS `DSPSchedule`). Days and times are UTC. */
export type Schedule = {
  /** DUIS `scheduleID`, 0..10^12. */
  id: number;
  userEui: DeviceId;
  role: Role;
  /** The service that the 5.1 was sent for: its executions count as that. */
  service: Service;
  deviceId: DeviceId;
  srv: string;
  frequency: Frequency;
  startDay: SettlementDay;
  /** The last day on which it may execute. */
  endDay?: SettlementDay;
  /** After midnight; absent: the DCC spreads executions over the day. */
  executionTimeMs?: number;
  /** Null for a snapshot (DUIS `DSPReadData`). */
  window: ScheduleWindow | null;
};

export type Execution = { schedule: Schedule; executionMs: number };

/** The first execution after an instant, undefined once the schedule has ended. Lists nothing. */
export function executionAfter(schedule: Schedule, afterMs: number): number | undefined {
  const timeMs = executionTimeOf(schedule);
  const fromDay = Math.floor((afterMs - timeMs) / DAY_MS) + 1;
  const day = nextExecutionDay(schedule.frequency, schedule.startDay, fromDay);
  return schedule.endDay !== undefined && day > schedule.endDay ? undefined : day * DAY_MS + timeMs;
}

/** Executions from `fromMs` (inclusive) until `untilMs` (exclusive). */
export function* executions(schedule: Schedule, fromMs: number, untilMs: number): Generator<number> {
  let next = executionAfter(schedule, fromMs - 1);
  while (next !== undefined && next < untilMs) {
    yield next;
    next = executionAfter(schedule, next);
  }
}

/** The inclusive window that an execution asks the meter for; the execution's instant twice for a snapshot. */
export function readWindowOf(schedule: Schedule, executionMs: number): { startMs: number; endMs: number } {
  const { window } = schedule;
  if (window === null) return { startMs: executionMs, endMs: executionMs };
  const day = Math.floor(executionMs / DAY_MS);
  return {
    startMs: (day + window.startOffsetDays) * DAY_MS + window.startTimeMs,
    endMs: (day + window.endOffsetDays) * DAY_MS + window.endTimeMs,
  };
}

/** Executions of many schedules from `fromMs` on in order of time, then id; for ever where one has no end. */
export function* mergedExecutions(schedules: Iterable<Schedule>, fromMs: number): Generator<Execution> {
  const heap: Execution[] = [];
  for (const schedule of schedules) {
    const executionMs = executionAfter(schedule, fromMs - 1);
    if (executionMs !== undefined) heap.push({ schedule, executionMs });
  }
  heap.sort(compareExecutions);
  while (heap.length > 0) {
    const { schedule, executionMs } = heap[0];
    yield { schedule, executionMs };
    const next = executionAfter(schedule, executionMs);
    if (next === undefined) {
      const last = heap.pop() as Execution;
      if (heap.length > 0) heap[0] = last;
    } else {
      heap[0].executionMs = next;
    }
    sink(heap);
  }
}

/** UTC milliseconds after midnight: its own time, or a whole second drawn from its id. */
export function executionTimeOf(schedule: Schedule): number {
  return schedule.executionTimeMs ?? spreadTimeMs(schedule.id);
}

/** The time of day, UTC ms, that the DCC gives a schedule which names none: a whole second drawn from its id. */
export function spreadTimeMs(id: number): number {
  return (hashOf(id) % 86_400) * 1000;
}

/** Whether a schedule executes on a day, by its frequency and its first and last day. */
export function executesOn(
  frequency: Frequency,
  startDay: SettlementDay,
  endDay: SettlementDay,
  day: SettlementDay,
): boolean {
  return day >= startDay && day <= endDay && nextExecutionDay(frequency, startDay, day) === day;
}

/** All schedules in force, by id and by device. */
export type ScheduleBook = { byId: Map<number, Schedule>; byDevice: Map<DeviceId, Schedule[]> };

/** DUIS 5.2 and 5.3 name one schedule, or a device and so all own schedules on it. */
export type ScheduleSelector = { id: number } | { deviceId: DeviceId };

export function createScheduleBook(): ScheduleBook {
  return { byId: new Map(), byDevice: new Map() };
}

/** 5.1. False when the User already has 99 on this device: nothing is created then. */
export function createSchedule(book: ScheduleBook, schedule: Schedule): boolean {
  if (book.byId.has(schedule.id)) throw new Error(`schedule ${schedule.id} exists`);
  if (readSchedules(book, schedule.userEui, { deviceId: schedule.deviceId }).length >= SCHEDULES_MAX) return false;
  book.byId.set(schedule.id, schedule);
  const onDevice = book.byDevice.get(schedule.deviceId);
  if (onDevice === undefined) book.byDevice.set(schedule.deviceId, [schedule]);
  else onDevice.push(schedule);
  return true;
}

/** 5.2: a User sees only its own. */
export function readSchedules(book: ScheduleBook, userEui: DeviceId, selector: ScheduleSelector): Schedule[] {
  const named = 'id' in selector ? one(book.byId.get(selector.id)) : (book.byDevice.get(selector.deviceId) ?? []);
  return named.filter((schedule) => schedule.userEui === userEui);
}

/** 5.3: a User deletes only its own. Returns what was deleted. */
export function deleteSchedules(book: ScheduleBook, userEui: DeviceId, selector: ScheduleSelector): Schedule[] {
  const deleted = readSchedules(book, userEui, selector);
  for (const schedule of deleted) remove(book, schedule);
  return deleted;
}

/**
 * Takes out the schedules on a device whose owner may not go on reading after a change of appointment, and returns
 * them for the alerts (DUIS `DSPScheduleRemoval`).
 */
export function removeOnChange(
  book: ScheduleBook,
  deviceId: DeviceId,
  isStillAppointed: (schedule: Schedule) => boolean,
): Schedule[] {
  const removed = (book.byDevice.get(deviceId) ?? []).filter((schedule) => !isStillAppointed(schedule));
  for (const schedule of removed) remove(book, schedule);
  return removed;
}

const MONTHS_APART = { Monthly: 1, Quarterly: 3, 'Half-Yearly': 6, Yearly: 12 } as const;

function nextExecutionDay(frequency: Frequency, startDay: SettlementDay, fromDay: SettlementDay): SettlementDay {
  if (fromDay <= startDay) return startDay;
  if (frequency === 'Daily') return fromDay;
  if (frequency === 'Weekly') return startDay + Math.ceil((fromDay - startDay) / 7) * 7;
  const apart = MONTHS_APART[frequency];
  const months = (yearOf(fromDay) - yearOf(startDay)) * 12 + monthOf(fromDay) - monthOf(startDay);
  const steps = Math.floor(months / apart);
  const day = monthsLater(startDay, steps * apart);
  return day >= fromDay ? day : monthsLater(startDay, (steps + 1) * apart);
}

// Reckoned from the start day each time, so that a schedule begun on the 31st returns to the 31st after a February.
function monthsLater(startDay: SettlementDay, months: number): SettlementDay {
  const monthsSinceYear0 = yearOf(startDay) * 12 + monthOf(startDay) - 1 + months;
  const year = Math.floor(monthsSinceYear0 / 12);
  const month = monthsSinceYear0 - year * 12 + 1;
  return dayFrom(year, month, Math.min(dayOfMonth(startDay), daysInMonth(year, month)));
}

function hashOf(id: number): number {
  let h = Math.imul(id % 2 ** 32, 0x9e3779b1) ^ Math.imul(Math.floor(id / 2 ** 32), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 16), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

function compareExecutions(a: Execution, b: Execution): number {
  return a.executionMs - b.executionMs || a.schedule.id - b.schedule.id;
}

// Restores the binary heap after its first element has changed.
function sink(heap: Execution[]): void {
  let at = 0;
  for (;;) {
    let least = at;
    for (let child = 2 * at + 1; child <= 2 * at + 2 && child < heap.length; child++) {
      if (compareExecutions(heap[child], heap[least]) < 0) least = child;
    }
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least], heap[at]];
    at = least;
  }
}

function one(schedule: Schedule | undefined): Schedule[] {
  return schedule === undefined ? [] : [schedule];
}

function remove(book: ScheduleBook, schedule: Schedule): void {
  book.byId.delete(schedule.id);
  const left = (book.byDevice.get(schedule.deviceId) ?? []).filter((other) => other !== schedule);
  if (left.length === 0) book.byDevice.delete(schedule.deviceId);
  else book.byDevice.set(schedule.deviceId, left);
}
