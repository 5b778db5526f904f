import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mpanFrom } from '#core/identifiers.ts';
import { ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { FREQUENCIES, type Schedule, spreadTimeMs } from '#core/schedule.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { euiText } from '#schemas/wire.ts';
import { orderExecutions } from './execution-order.ts';
import { applySchedules, createScheduleTable, NO_WINDOW, ScheduleRows } from './schedule-table.ts';
import { anySchedules, byMpan, DAY, SCHEDULE_LIST, scheduleList } from './test/any-schedules.ts';

const FOR_EVER = 2 ** 31 - 1;
const MPANS = Array.from({ length: 40 }, (_, k) => mpanFrom(100_000_000_000 + 7 * k));

/** What the table holds, by MPAN, oldest first. */
function contents(rows: ScheduleRows): Map<number, Schedule[]> {
  const found = new Map<number, Schedule[]>();
  for (let at = 0; at < rows.used; at++) {
    if (rows.mpan(at) === 0) continue;
    const endDay = rows.endDay(at);
    const hasWindow = rows.windowStartDays(at) !== NO_WINDOW;
    const schedule: Schedule = {
      id: rows.id(at),
      userEui: euiText(Buffer.from(rows.bytes.slice(rows.userAt(at), rows.userAt(at) + 8)), 0),
      deviceId: euiText(Buffer.from(rows.bytes.slice(rows.deviceAt(at), rows.deviceAt(at) + 8)), 0),
      role: ROLES[rows.role(at)],
      service: SERVICES[rows.service(at)],
      srv: SRVS[rows.srv(at)],
      frequency: FREQUENCIES[rows.frequency(at)],
      startDay: rows.startDay(at),
      ...(endDay === FOR_EVER ? {} : { endDay }),
      executionTimeMs: rows.timeMs(at),
      window: hasWindow
        ? {
            startOffsetDays: rows.windowStartDays(at),
            startTimeMs: rows.windowStartMs(at),
            endOffsetDays: rows.windowEndDays(at),
            endTimeMs: rows.windowEndMs(at),
          }
        : null,
    };
    found.set(rows.mpan(at), [...(found.get(rows.mpan(at)) ?? []), schedule]);
  }
  return found;
}

function apply(rows: ScheduleRows, value: Buffer): ScheduleRows {
  return applySchedules(rows, new AvroReader().open(value), spreadTimeMs);
}

describe('the table of schedules', () => {
  test('holds what a Map of lists does, after any additions, replacements and deletions', () => {
    const change = fc.record({ mpan: fc.constantFrom(...MPANS), list: anySchedules(60), isDeleted: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
        let rows = new ScheduleRows(createScheduleTable());
        const naive = new Map<number, Schedule[]>();
        const versions = new Set([rows.version]);
        for (const { mpan, list, isDeleted } of changes) {
          const schedules = list.map(({ schedule }) => schedule);
          if (isDeleted) rows.clear(mpan);
          else rows = apply(rows, scheduleList(mpan, schedules));
          naive.delete(mpan);
          if (!isDeleted && schedules.length > 0)
            naive.set(
              mpan,
              schedules.map((one) => ({ executionTimeMs: spreadTimeMs(one.id), ...one })),
            );
          expect(versions.has(rows.version)).toBe(false);
          versions.add(rows.version);
        }
        const found = contents(rows);
        expect([...found.keys()].sort()).toEqual([...naive.keys()].sort());
        for (const [mpan, schedules] of naive) expect(found.get(mpan)).toEqual(schedules);
        expect(rows.live).toBe([...naive.values()].flat().length);
        expect(orderExecutions(rows).order.length).toBe(rows.live);
      }),
      { numRuns: 60 },
    );
  });

  test('grows without what was deleted, so one MPAN replaced for ever takes no more room', () => {
    let rows = new ScheduleRows(createScheduleTable());
    const [{ schedule }] = fc.sample(anySchedules(1), { numRuns: 100, seed: 1 }).find((all) => all.length > 0) ?? [];
    const value = scheduleList(MPANS[0], [schedule as Schedule]);
    for (let k = 0; k < 10_000; k++) rows = apply(rows, value);
    expect(rows.live).toBe(1);
    expect(rows.table.capacity).toBe(1024);
  });

  test('two tables never have a version in common: an order made for one is not taken for the other', () => {
    const [one, other] = [createScheduleTable(), createScheduleTable()].map((table) => new ScheduleRows(table));
    const value = scheduleList(MPANS[0], []);
    expect(apply(one, value).version).not.toBe(apply(other, value).version);
  });

  test('a value that cannot be used is refused with the field, and has changed nothing', () => {
    const plain = { mpan: MPANS[0], sequence: 0, schedules: [] as unknown[] };
    const schedule = {
      id: 1,
      user: Buffer.alloc(8),
      device: Buffer.alloc(8),
      role: 'MDR',
      service: 'MHHS',
      srv: 'SRV_4_8_1',
      frequency: 'Daily',
      startDay: DAY,
      endDay: null,
      executionTimeMs: 0,
      window: null,
    };
    const window = { startOffsetDays: -1, startTimeMs: 0, endOffsetDays: 0, endTimeMs: 0 };
    const wrong: [object, string][] = [
      [{ ...plain, mpan: 12 }, 'mpan is 12'],
      [
        { ...plain, schedules: [schedule, { ...schedule, executionTimeMs: 86_400_000 }] },
        'executionTimeMs is 86400000',
      ],
      [{ ...plain, schedules: [schedule, { ...schedule, executionTimeMs: -1 }] }, 'executionTimeMs is -1'],
      [{ ...plain, schedules: [{ ...schedule, id: -1 }] }, 'id is -1'],
      [{ ...plain, schedules: Array(256).fill(schedule) }, 'the number of schedules is 256'],
      [
        { ...plain, schedules: [{ ...schedule, window: { ...window, startOffsetDays: -401 } }] },
        'window.startOffsetDays is -401',
      ],
      [
        { ...plain, schedules: [{ ...schedule, window: { ...window, endOffsetDays: 1 } }] },
        'window.endOffsetDays is 1',
      ],
    ];
    const [before] = fc.sample(anySchedules(20), { numRuns: 1, seed: 3 });
    let rows = new ScheduleRows(createScheduleTable());
    for (const list of byMpan(before).values()) rows = apply(rows, scheduleList(MPANS[0], list));
    const version = rows.version;
    for (const [value, message] of wrong) {
      expect(() => apply(rows, SCHEDULE_LIST.toBuffer(value))).toThrow(message);
      expect(rows.version).toBe(version);
    }
    const good = SCHEDULE_LIST.toBuffer({ ...plain, schedules: [schedule, schedule] });
    for (let end = 0; end < good.length; end++) {
      expect(() => apply(rows, good.subarray(0, end))).toThrow(MalformedBinary);
      expect(rows.version).toBe(version);
    }
    expect(() => apply(rows, Buffer.concat([good, Buffer.from([0])]))).toThrow('behind the last field');
  });
});
