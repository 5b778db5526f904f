import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_MATRIX, GENERATIONS, srvIndex } from '#core/matrix.ts';
import { DAY_MS, dayFrom, HALF_HOUR_MS, readWindow } from '#core/settlement-day.ts';
import { type Fleet, layOutFleet } from '#fleet-sim/fleet.ts';
import { installedDayOfMeter, loadMeter, newMeter } from '#fleet-sim/meter.ts';
import {
  answerRead,
  answerReadOf,
  type MeterAnswer,
  meterReadsOf,
  newMeterAnswer,
  OUTCOME,
  TOU_REGISTERS_MAX,
} from '#fleet-sim/meter-answer.ts';

const METERS = 2_000_000;
const SMETS2_METER = 17;
const SMETS1_METER = METERS - 17;
const exporting = fleetOf(1);
const importing = fleetOf(0);
const reads = meterReadsOf(DEFAULT_MATRIX);
const shared = newMeterAnswer(reads);
const fresh = newMeterAnswer(reads);

const DAY = dayFrom(2026, 3, 2);
const meters = fc.integer({ min: 0, max: METERS - 1 });
const days = fc.integer({ min: dayFrom(2026, 1, 2), max: dayFrom(2032, 3, 1) });

describe('half-hour profiles', () => {
  test.each([
    ['the exact window of a UTC day returns 48 rows', HALF_HOUR_MS, 48],
    ['00:00 to 00:00 returns 49 rows, both ends included', 0, 49],
    ['a window that begins a millisecond after a stamp leaves it out', HALF_HOUR_MS + 1, 47],
  ])('%s', (_, startOffsetMs, rows) => {
    for (const srv of ['4.8.1', '4.8.3']) {
      const answer = ask(srv, SMETS2_METER, DAY * DAY_MS + startOffsetMs, (DAY + 1) * DAY_MS);
      expect([answer.outcome, answer.rows]).toEqual([OUTCOME.complete, rows]);
    }
  });

  test.each([
    ['2026-03-29', 46],
    ['2026-10-25', 50],
    ['2026-07-01', 48],
  ])('the exact window of local day %s returns %i rows', (text, rows) => {
    const [year, month, day] = text.split('-').map(Number);
    const { startMs, endMs } = readWindow(dayFrom(year, month, day), 'local');
    expect(ask('4.8.1', SMETS2_METER, startMs, endMs, endMs + DAY_MS).rows).toBe(rows);
  });

  test('rows are stamped at the end of each half-hour, oldest first', () => {
    const answer = ask('4.8.1', SMETS2_METER, DAY * DAY_MS + HALF_HOUR_MS, (DAY + 1) * DAY_MS);
    for (let row = 0; row < 48; row++) {
      expect(answer.stampsMs[row]).toBe(DAY * DAY_MS + (row + 1) * HALF_HOUR_MS);
    }
  });

  test("a day's rows sum to the difference of the read log's midnights, and to the consumption log", () => {
    fc.assert(
      fc.property(meters, days, (meter, day) => {
        const atMs = (day + 2) * DAY_MS;
        const { startMs, endMs } = readWindow(day, 'utc');
        const imported = sum(ask('4.8.1', meter, startMs, endMs, atMs), 48);
        const log = ask('4.6.1', meter, day * DAY_MS, endMs, atMs);
        expect(log.rows).toBe(2);
        expect(log.activeWh[1] - log.activeWh[0]).toBe(imported);
        if (meter >= exporting.networks[1].firstMeter) return;
        expect(ask('4.17', meter, endMs, endMs, atMs).activeWh[0]).toBe(imported);
        const exported = sum(ask('4.8.3', meter, startMs, endMs, atMs), 48);
        const exportLog = ask('4.6.2', meter, day * DAY_MS, endMs, atMs);
        expect(exportLog.activeWh[1] - exportLog.activeWh[0]).toBe(exported);
      }),
      { numRuns: 300 },
    );
  });

  test('a long window returns the rows that its days return one by one', () => {
    const long = ask('4.8.1', SMETS2_METER, DAY * DAY_MS + 5 * HALF_HOUR_MS, (DAY + 9) * DAY_MS + 7 * HALF_HOUR_MS);
    const whole = [...long.activeWh.slice(0, long.rows)];
    const pieces: number[] = [];
    for (let stampMs = long.stampsMs[0]; pieces.length < whole.length; stampMs += HALF_HOUR_MS) {
      pieces.push(ask('4.8.1', SMETS2_METER, stampMs, stampMs).activeWh[0]);
    }
    expect(pieces).toEqual(whole);
  });

  test('reactive export of a day is the step of the reactive register, on SMETS2 alone', () => {
    fc.assert(
      fc.property(meters, days, (meter, day) => {
        const { startMs, endMs } = readWindow(day, 'utc');
        const profile = ask('4.8.3', meter, startMs, endMs, endMs);
        expect(profile.hasReactive).toBe(meter < exporting.networks[1].firstMeter);
        if (!profile.hasReactive) return;
        const varh = profile.reactiveVarh.slice(0, 48).reduce((total, value) => total + value, 0);
        const before = ask('4.2', meter, 0, 0, day * DAY_MS).reactiveVarh[0];
        expect(ask('4.2', meter, 0, 0, endMs).reactiveVarh[0] - before).toBe(varh);
      }),
    );
  });
});

describe('a meter answers only what it keeps', () => {
  const retention = [
    ['4.6.1', 'SMETS2', 31, DAY_MS],
    ['4.6.1', 'SMETS1', 14, DAY_MS],
    ['4.6.2', 'SMETS2', 31, DAY_MS],
    ['4.17', 'SMETS2', 731, DAY_MS],
    ['4.8.1', 'SMETS2', 397 * 48, HALF_HOUR_MS],
    ['4.8.1', 'SMETS1', 397 * 48, HALF_HOUR_MS],
    ['4.8.3', 'SMETS2', 93 * 48, HALF_HOUR_MS],
    ['4.8.3', 'SMETS1', 93 * 48, HALF_HOUR_MS],
  ] as const;

  test.each(retention)('%s on %s keeps the newest %i entries', (srv, generation, entries, stepMs) => {
    const meter = generation === 'SMETS1' ? SMETS1_METER : SMETS2_METER;
    const atMs = dayFrom(2030, 1, 1) * DAY_MS + 12_345;
    const newestMs = Math.floor(atMs / stepMs) * stepMs;
    const oldestMs = newestMs - (entries - 1) * stepMs;
    const all = ask(srv, meter, dayFrom(2012, 1, 1) * DAY_MS, dayFrom(2050, 1, 1) * DAY_MS, atMs);
    expect([all.outcome, all.rows]).toEqual([OUTCOME.partial, entries]);
    expect([all.stampsMs[0], all.stampsMs[entries - 1]]).toEqual([oldestMs, newestMs]);

    expect(ask(srv, meter, oldestMs, oldestMs, atMs).outcome).toBe(OUTCOME.complete);
    const older = ask(srv, meter, oldestMs - stepMs, oldestMs - 1, atMs);
    expect([older.outcome, older.rows]).toEqual([OUTCOME.empty, 0]);
    const across = ask(srv, meter, oldestMs - stepMs, oldestMs, atMs);
    expect([across.outcome, across.rows]).toEqual([OUTCOME.partial, 1]);
  });

  test('nothing is there before its stamp has passed, and it is there in the same millisecond', () => {
    const stampMs = DAY * DAY_MS;
    for (const srv of ['4.6.1', '4.6.2', '4.8.1', '4.8.3', '4.17']) {
      expect(ask(srv, SMETS2_METER, stampMs, stampMs, stampMs - 1).outcome).toBe(OUTCOME.empty);
      expect(ask(srv, SMETS2_METER, stampMs, stampMs, stampMs).outcome).toBe(OUTCOME.complete);
    }
  });

  test('the first entries are those of the first day after installation, with registers from 0', () => {
    const installedMs = installedDayOfMeter(exporting, SMETS2_METER) * DAY_MS;
    const atMs = installedMs + 3 * DAY_MS;
    const profile = ask('4.8.1', SMETS2_METER, 0, atMs, atMs);
    expect([profile.rows, profile.stampsMs[0]]).toEqual([3 * 48, installedMs + HALF_HOUR_MS]);
    const energy = sum(profile, 3 * 48);
    const log = ask('4.6.1', SMETS2_METER, 0, atMs, atMs);
    expect([log.rows, log.stampsMs[0], log.activeWh[2]]).toEqual([3, installedMs + DAY_MS, energy]);
    expect(ask('4.1.1', SMETS2_METER, 0, 0, installedMs).activeWh[0]).toBe(0);
    expect(ask('4.1.1', SMETS2_METER, 0, 0, installedMs - 1).outcome).toBe(OUTCOME.notInstalled);
  });

  test('a window without a stamp, and one turned round, return no entry', () => {
    expect(ask('4.8.1', SMETS2_METER, DAY * DAY_MS + 1, DAY * DAY_MS + 2).outcome).toBe(OUTCOME.empty);
    expect(ask('4.8.1', SMETS2_METER, (DAY + 1) * DAY_MS, DAY * DAY_MS).outcome).toBe(OUTCOME.empty);
    expect(ask('4.6.1', SMETS2_METER, DAY * DAY_MS + 1, (DAY + 1) * DAY_MS - 1).outcome).toBe(OUTCOME.empty);
  });
});

describe('a meter that has no such register or log says so', () => {
  test.each(['4.2', '4.6.2', '4.8.3'])('%s of a home that does not export is the error of its meter', (srv) => {
    expect(ask(srv, SMETS2_METER, 0, DAY * DAY_MS, DAY * DAY_MS, importing).outcome).toBe(OUTCOME.noExportRegister);
    expect(ask(srv, SMETS2_METER, 0, DAY * DAY_MS, DAY * DAY_MS, exporting).rows).toBeGreaterThan(0);
  });

  test.each(['4.6.2', '4.17'])('%s is not supported on SMETS1, exporting or not', (srv) => {
    for (const fleet of [importing, exporting]) {
      const answer = ask(srv, SMETS1_METER, 0, DAY * DAY_MS, DAY * DAY_MS, fleet);
      expect([answer.outcome, answer.rows]).toEqual([OUTCOME.notSupported, 0]);
    }
  });

  test.each(['5.1', '5.2', '5.3', '8.2'])('%s reads nothing off a meter', (srv) => {
    expect(ask(srv, SMETS2_METER, 0, DAY * DAY_MS).outcome).toBe(OUTCOME.notSupported);
  });
});

describe('registers', () => {
  test('the registers of the tariff sum to the total, in snapshots and logs', () => {
    fc.assert(
      fc.property(meters, days, fc.nat({ max: DAY_MS - 1 }), (meter, day, ms) => {
        expectTouSums(ask('4.1.1', meter, 0, 0, day * DAY_MS + ms));
        expectTouSums(ask('4.6.1', meter, 0, day * DAY_MS, day * DAY_MS));
      }),
    );
  });

  test('snapshots at midnight are the rows of the read log', () => {
    fc.assert(
      fc.property(meters, days, (meter, day) => {
        const atMs = day * DAY_MS;
        const snapshot = ask('4.1.1', meter, 0, 0, atMs).activeWh[0];
        expect(ask('4.6.1', meter, atMs, atMs, atMs).activeWh[0]).toBe(snapshot);
      }),
    );
  });

  test('snapshots never run back, to the millisecond', () => {
    const instants = fc.integer({ min: dayFrom(2026, 1, 1) * DAY_MS, max: dayFrom(2030, 1, 1) * DAY_MS });
    fc.assert(
      fc.property(meters, instants, fc.nat({ max: 4 * HALF_HOUR_MS }), (meter, atMs, laterMs) => {
        for (const srv of ['4.1.1', '4.2']) {
          const { activeWh, reactiveVarh } = ask(srv, meter, 0, 0, atMs);
          const [active, reactive] = [activeWh[0], reactiveVarh[0]];
          const later = ask(srv, meter, 0, 0, atMs + laterMs);
          expect(later.activeWh[0]).toBeGreaterThanOrEqual(active);
          expect(later.reactiveVarh[0]).toBeGreaterThanOrEqual(reactive);
        }
      }),
    );
  });

  test('a snapshot at a half-hour is the midnight register and the half-hours since', () => {
    fc.assert(
      fc.property(meters, days, fc.integer({ min: 1, max: 48 }), (meter, day, halfHours) => {
        const midnightWh = ask('4.1.1', meter, 0, 0, day * DAY_MS).activeWh[0];
        const atMs = day * DAY_MS + halfHours * HALF_HOUR_MS;
        const sinceWh = sum(ask('4.8.1', meter, day * DAY_MS + HALF_HOUR_MS, atMs, atMs), halfHours);
        expect(ask('4.1.1', meter, 0, 0, atMs).activeWh[0]).toBe(midnightWh + sinceWh);
      }),
    );
  });
});

describe('an answer is made of its arguments alone', () => {
  test('the same read says the same in a fresh answer and in one used for other reads', () => {
    fc.assert(
      fc.property(meters, days, fc.constantFrom('4.1.1', '4.2', '4.6.1', '4.8.1', '4.8.3'), (meter, day, srv) => {
        ask('4.8.3', METERS - 1 - meter, 0, day * DAY_MS, day * DAY_MS);
        const used = rowsOf(ask(srv, meter, (day - 2) * DAY_MS, day * DAY_MS, day * DAY_MS));
        expect(rowsOf(ask(srv, meter, (day - 2) * DAY_MS, day * DAY_MS, day * DAY_MS, exporting, fresh))).toEqual(used);
      }),
    );
  });

  test('a meter adjusted by the caller answers as adjusted', () => {
    const meter = newMeter();
    loadMeter(exporting, SMETS2_METER, meter);
    meter.installedDay = dayFrom(2014, 1, 1);
    meter.generation = GENERATIONS.indexOf('SMETS1');
    const atMs = dayFrom(2014, 3, 11) * DAY_MS;
    answerReadOf(reads, meter, srvIndex(DEFAULT_MATRIX, '4.6.1'), atMs - 2 * DAY_MS, atMs, atMs, shared);
    expect([shared.outcome, shared.rows]).toEqual([OUTCOME.complete, 3]);
  });
});

function ask(
  srv: string,
  meter: number,
  startMs: number,
  endMs: number,
  atMs = dayFrom(2026, 4, 1) * DAY_MS,
  fleet: Fleet = exporting,
  out: MeterAnswer = shared,
): MeterAnswer {
  answerRead(reads, fleet, meter, srvIndex(DEFAULT_MATRIX, srv), startMs, endMs, atMs, out);
  return out;
}

function rowsOf(answer: MeterAnswer): unknown {
  const { outcome, rows, hasReactive, touRegisters } = answer;
  const reactive = hasReactive ? [...answer.reactiveVarh.slice(0, rows)] : [];
  return {
    outcome,
    rows,
    reactive,
    touRegisters,
    stamps: [...answer.stampsMs.slice(0, rows)],
    active: [...answer.activeWh.slice(0, rows)],
    tou: touRegisters === 0 ? [] : [...answer.touWh.slice(0, rows * TOU_REGISTERS_MAX)],
  };
}

function expectTouSums(answer: MeterAnswer): void {
  expect(answer.rows).toBeGreaterThan(0);
  for (let row = 0; row < answer.rows; row++) {
    let total = 0;
    for (let tou = 0; tou < answer.touRegisters; tou++) total += answer.touWh[row * TOU_REGISTERS_MAX + tou];
    expect(total).toBe(answer.activeWh[row]);
  }
}

function sum(answer: MeterAnswer, rows: number): number {
  expect(answer.rows).toBe(rows);
  return answer.activeWh.slice(0, rows).reduce((total, wh) => total + wh, 0);
}

function fleetOf(exportShare: number): Fleet {
  return layOutFleet({
    seed: 23,
    meters: METERS,
    metersPerCell: 10_000,
    exportShare,
    networks: [
      { name: 'South', generation: 'SMETS2', share: 2 },
      { name: 'S1SP', generation: 'SMETS1', share: 1 },
    ],
  });
}
