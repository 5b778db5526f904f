import avsc from 'avsc';
import fc from 'fast-check';
import { mpanFrom } from '#core/identifiers.ts';
import { ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { FREQUENCIES, type Schedule } from '#core/schedule.ts';
import { DAY_MS, parseDay } from '#core/settlement-day.ts';
import { schemaText } from '#schemas/topics.ts';
import { euiBytes } from '#schemas/wire.ts';

export const SCHEDULE_LIST = avsc.Type.forSchema(JSON.parse(schemaText('schedules')));
export const DAY = parseDay('2027-02-27') as number;

/** A schedule and the MPAN that it reads. */
export type OnMpan = { mpan: number; schedule: Schedule };

const MPANS = [100_000_000_001, 100_000_000_002, 234_567_890_123, 999_999_999_998].map(mpanFrom);

/** Instants are few, so that many schedules share one: at both ends of the day, and anywhere. */
const timeOfDay = fc.oneof(
  fc.constantFrom(0, 1, 3_600_000, DAY_MS - 1),
  fc.integer({ min: 0, max: DAY_MS - 1 }),
  fc.constant(undefined),
);
const dayNear = fc.integer({ min: DAY - 40, max: DAY + 6 });
const window = fc.option(
  fc.record({
    startOffsetDays: fc.integer({ min: -400, max: 0 }),
    startTimeMs: fc.integer({ min: 0, max: DAY_MS - 1 }),
    endOffsetDays: fc.integer({ min: -400, max: 0 }),
    endTimeMs: fc.integer({ min: 0, max: DAY_MS - 1 }),
  }),
  { nil: null },
);

/** Schedules of all frequencies on a few MPANs, each id once. */
export function anySchedules(maxLength: number): fc.Arbitrary<OnMpan[]> {
  const one = fc.record({
    mpan: fc.constantFrom(...MPANS),
    id: fc.integer({ min: 0, max: 1e12 }),
    role: fc.constantFrom(...ROLES),
    service: fc.constantFrom(...SERVICES),
    srv: fc.constantFrom(...SRVS),
    frequency: fc.constantFrom(...FREQUENCIES),
    startDay: dayNear,
    endDay: fc.option(dayNear, { nil: undefined }),
    executionTimeMs: timeOfDay,
    window,
    user: fc.nat(255),
  });
  return fc.uniqueArray(one, { maxLength, selector: ({ id }) => id }).map((all) =>
    all.map(({ mpan, user, endDay, executionTimeMs, ...rest }) => ({
      mpan,
      schedule: {
        ...rest,
        userEui: euiOf(user),
        deviceId: euiOf(1000 + user),
        ...(endDay === undefined ? {} : { endDay }),
        ...(executionTimeMs === undefined ? {} : { executionTimeMs }),
      },
    })),
  );
}

function euiOf(number: number): string {
  return (number.toString(16).padStart(16, '0').toUpperCase().match(/../g) as string[]).join('-');
}

/** A value of the topic schedules, as avsc writes it. */
export function scheduleList(mpan: number, schedules: readonly Schedule[]): Buffer {
  return SCHEDULE_LIST.toBuffer({
    mpan,
    sequence: 0,
    schedules: schedules.map((one) => ({
      id: one.id,
      user: euiBytes(one.userEui),
      device: euiBytes(one.deviceId),
      role: one.role,
      service: one.service === 'mhhs' ? 'MHHS' : 'EXISTING',
      srv: `SRV_${one.srv.replaceAll('.', '_')}`,
      frequency: one.frequency.replace('-', ''),
      startDay: one.startDay,
      endDay: one.endDay ?? null,
      executionTimeMs: one.executionTimeMs ?? null,
      window: one.window,
    })),
  });
}

/** By MPAN, each MPAN's in their order. */
export function byMpan(all: readonly OnMpan[]): Map<number, Schedule[]> {
  const lists = new Map<number, Schedule[]>();
  for (const { mpan, schedule } of all) {
    const list = lists.get(mpan);
    if (list === undefined) lists.set(mpan, [schedule]);
    else list.push(schedule);
  }
  return lists;
}
