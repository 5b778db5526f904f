import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dayFrom, type SettlementDay } from '#core/settlement-day.ts';
import { CYCLE_DAYS } from '#fleet-sim/climate.ts';
import { HALF_HOURS, HEATING, PART } from '#fleet-sim/half-hour-shape.ts';
import {
  exportRegisterWh,
  exportWithinDayWh,
  HOUSEHOLDS,
  type Household,
  importDayWh,
  importRegisterWh,
  importWithinDayWh,
  loadHousehold,
  newHousehold,
  writeExportIntervals,
  writeImportIntervals,
} from '#fleet-sim/profile.ts';

const homes = fc
  .record({ seed: fc.integer(), meter: fc.integer({ min: 0, max: 29_999_999 }), zone: fc.nat({ max: 2 }) })
  .map(({ seed, meter, zone }) => homeOf(seed, meter, zone));
const days = fc.oneof(
  fc.integer({ min: dayFrom(2013, 1, 1), max: dayFrom(2040, 1, 1) }),
  fc.integer({ min: -CYCLE_DAYS, max: 2 * CYCLE_DAYS }),
  fc.constantFrom(dayFrom(2024, 2, 28), dayFrom(2024, 2, 29), dayFrom(2100, 2, 28), dayFrom(2369, 12, 31), -1),
);

describe('reads agree with each other', () => {
  test("a day's 48 half-hours sum to the difference of its midnight registers", () => {
    fc.assert(
      fc.property(homes, days, (home, day) => {
        const imported = importIntervals(home, day);
        expect(sum(imported)).toBe(importTotal(home, day + 1) - importTotal(home, day));
        expect(sum(imported)).toBe(importDayWh(home, day));
        expect(sum(exportIntervals(home, day))).toBe(exportRegisterWh(home, day + 1) - exportRegisterWh(home, day));
      }),
      { numRuns: 1_000 },
    );
  });

  test('registers within the day are the sums of the half-hours before', () => {
    fc.assert(
      fc.property(homes, days, (home, day) => {
        const imported = importIntervals(home, day);
        const exported = exportIntervals(home, day);
        for (let h = 0; h <= HALF_HOURS; h++) {
          const parts = importWithinDayWh(home, PART.night, day, h) + importWithinDayWh(home, PART.day, day, h);
          expect(parts).toBe(sum(imported.slice(0, h)));
          expect(exportWithinDayWh(home, day, h)).toBe(sum(exported.slice(0, h)));
        }
      }),
    );
  });

  test('a stretch of half-hours is the same read alone or with the whole day', () => {
    fc.assert(
      fc.property(homes, days, fc.nat({ max: 47 }), fc.nat({ max: 48 }), (home, day, a, b) => {
        const [first, end] = [Math.min(a, b), Math.max(a, b)];
        const imported = new Uint32Array(50);
        const exported = new Uint32Array(50);
        writeImportIntervals(home, day, first, end, imported, 1);
        writeExportIntervals(home, day, first, end, exported, 1);
        expect([...imported.slice(1, 1 + end - first)]).toEqual(importIntervals(home, day).slice(first, end));
        expect([...exported.slice(1, 1 + end - first)]).toEqual(exportIntervals(home, day).slice(first, end));
      }),
    );
  });

  test('registers never run back, at midnights or within the day', () => {
    fc.assert(
      fc.property(homes, days, (home, start) => {
        for (let day = start; day < start + 20; day++) {
          for (const part of [PART.night, PART.day]) {
            expect(importRegisterWh(home, part, day + 1)).toBeGreaterThanOrEqual(importRegisterWh(home, part, day));
          }
          expect(exportRegisterWh(home, day + 1)).toBeGreaterThanOrEqual(exportRegisterWh(home, day));
        }
        // A negative half-hour would stand as a huge number in the unsigned column.
        for (const wh of [...importIntervals(home, start), ...exportIntervals(home, start)]) {
          expect(wh).toBeLessThan(100_000);
        }
      }),
    );
  });

  test('a home is what its seed and index make it, not what was read before', () => {
    fc.assert(
      fc.property(homes, days, (home, day) => {
        const again = homeOf(home.seed, home.meter, home.zone);
        importIntervals(homeOf(home.seed + 1, home.meter, 0), day + 1);
        expect(again).toEqual(home);
        expect(importIntervals(again, day)).toEqual(importIntervals(home, day));
      }),
    );
  });

  test('a home that does not export has no export at any time', () => {
    const home = newHousehold();
    loadHousehold(1, 2, 0, false, home);
    for (let day = 20_000; day < 20_400; day++) expect(sum(exportIntervals(home, day))).toBe(0);
  });
});

describe('profiles are plausible', () => {
  const sample = Array.from({ length: 4_000 }, (_, n) => homeOf(5, n * 7_001, n % 3));
  const annualKwh = sample.map((home) => yearKwh(home, 2026));

  test('mean annual use is within 5 % of the setting', () => {
    expect(mean(annualKwh) / HOUSEHOLDS.annualImportKwhMean).toBeGreaterThan(0.95);
    expect(mean(annualKwh) / HOUSEHOLDS.annualImportKwhMean).toBeLessThan(1.05);
  });

  test('the middle home uses less than the mean, and a tenth of homes twice as much as another tenth or more', () => {
    const sorted = annualKwh.toSorted((a, b) => a - b);
    expect(sorted[2_000]).toBeLessThan(mean(annualKwh));
    expect(sorted[3_600] / sorted[400]).toBeGreaterThan(2);
    expect(sorted[3_600] / sorted[400]).toBeLessThan(10);
  });

  test('homes heated by electricity are the share asked for and use more', () => {
    const electric = annualKwh.filter((_, n) => sample[n].heating === HEATING.electric);
    expect(electric.length / sample.length).toBeCloseTo(HOUSEHOLDS.electricHeatingShare, 1);
    expect(mean(electric)).toBeGreaterThan(1.8 * mean(annualKwh));
  });

  test('a winter month takes more than a summer month', () => {
    for (const home of sample.slice(0, 50)) expect(monthWh(home, 2026, 1)).toBeGreaterThan(monthWh(home, 2026, 7));
  });

  test('evening is above morning, and both above the small hours, by local time in winter and summer', () => {
    const homesOther = sample.filter((home) => home.heating === HEATING.other).slice(0, 400);
    for (const [monday, shift] of [
      [dayFrom(2026, 1, 12), 0],
      [dayFrom(2026, 7, 6), 2],
    ]) {
      const shape = meanIntervals(homesOther, monday);
      const evening = shape[37 - shift];
      const morning = shape[15 - shift];
      const small = shape[6 - shift];
      expect(evening).toBeGreaterThan(1.2 * morning);
      expect(morning).toBeGreaterThan(1.3 * small);
    }
  });

  test('a storage-heated home takes most of a winter day in the night part', () => {
    const storage = sample.filter((home) => home.heating === HEATING.electric).slice(0, 100);
    const shape = meanIntervals(storage, dayFrom(2026, 1, 12));
    expect(sum(shape.slice(0, 14))).toBeGreaterThan(sum(shape.slice(14)));
  });

  test('weekend mornings peak later, and weekends take more', () => {
    const homesOther = sample.filter((home) => home.heating === HEATING.other).slice(0, 400);
    const weekday = meanIntervals(homesOther, dayFrom(2026, 1, 14));
    const sunday = meanIntervals(homesOther, dayFrom(2026, 1, 18));
    expect(weekday[14]).toBeGreaterThan(weekday[19]);
    expect(sunday[19]).toBeGreaterThan(sunday[14]);
    let [week, weekend] = [0, 0];
    for (let day = dayFrom(2026, 1, 5); day < dayFrom(2026, 12, 28); day += 7) {
      week += importDayWh(homesOther[0], day + 2);
      weekend += importDayWh(homesOther[0], day + 6);
    }
    expect(weekend).toBeGreaterThan(week);
  });

  test('export is zero at midnight and full at noon, longer in summer than in winter', () => {
    const [early, noon] = [12, 24].map((h) =>
      mean(sample.slice(0, 200).map((home) => exportIntervals(home, dayFrom(2026, 6, 20))[h])),
    );
    expect(noon).toBeGreaterThan(2 * early);
    for (const home of sample.slice(0, 200)) {
      const summer = exportIntervals(home, dayFrom(2026, 6, 20));
      const winter = exportIntervals(home, dayFrom(2026, 12, 20));
      expect([summer[0], summer[1], summer[47], winter[0], winter[12], winter[36]]).toEqual([0, 0, 0, 0, 0, 0]);
      const lit = (halfHours: number[]) => halfHours.filter((wh) => wh > 0).length;
      expect(lit(summer)).toBeGreaterThan(lit(winter) + 8);
    }
  });

  test('days differ from home to home and from day to day', () => {
    const [a, b] = [sample[0], sample[1]];
    const ratios = new Set<number>();
    for (let day = 20_500; day < 20_530; day++)
      ratios.add(Math.round((100 * importDayWh(a, day)) / importDayWh(b, day)));
    expect(ratios.size).toBeGreaterThan(15);
  });
});

function homeOf(seed: number, meter: number, zone: number): Household {
  const home = newHousehold();
  loadHousehold(seed, meter, zone, true, home);
  return home;
}

function importTotal(home: Household, day: SettlementDay): number {
  return importRegisterWh(home, PART.night, day) + importRegisterWh(home, PART.day, day);
}

function importIntervals(home: Household, day: SettlementDay): number[] {
  const values = new Uint32Array(HALF_HOURS);
  writeImportIntervals(home, day, 0, HALF_HOURS, values, 0);
  return [...values];
}

function exportIntervals(home: Household, day: SettlementDay): number[] {
  const values = new Uint32Array(HALF_HOURS);
  writeExportIntervals(home, day, 0, HALF_HOURS, values, 0);
  return [...values];
}

function meanIntervals(of: Household[], day: SettlementDay): number[] {
  const total = new Array<number>(HALF_HOURS).fill(0);
  for (const home of of)
    importIntervals(home, day).forEach((wh, h) => {
      total[h] += wh / of.length;
    });
  return total;
}

function yearKwh(home: Household, year: number): number {
  return (importTotal(home, dayFrom(year + 1, 1, 1)) - importTotal(home, dayFrom(year, 1, 1))) / 1000;
}

function monthWh(home: Household, year: number, month: number): number {
  return importTotal(home, dayFrom(year, month + 1, 1)) - importTotal(home, dayFrom(year, month, 1));
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: number[]): number {
  return sum(values) / values.length;
}
