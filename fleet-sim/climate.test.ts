import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dayFrom } from '#core/settlement-day.ts';
import { CYCLE_DAYS, importSeries, theClimate, totalBefore } from '#fleet-sim/climate.ts';
import {
  DAY_PART_START,
  DAY_PATTERNS,
  dayPattern,
  HALF_HOURS,
  HEATING,
  IMPORT_SHAPES,
  PART,
  type ShapeTable,
  SOLAR_BINS,
  SOLAR_SHAPES,
  ZONE_LATITUDES,
} from '#fleet-sim/half-hour-shape.ts';

const climate = theClimate();
const days = fc.integer({ min: -200_000, max: 2_000_000 });

describe('the days that all homes share', () => {
  test('a running total rises every day, across the ends of the 400-year cycle too', () => {
    const series = [...climate.importBefore, ...climate.exportBefore];
    fc.assert(
      fc.property(fc.oneof(days, fc.constantFrom(-1, CYCLE_DAYS - 1, 2 * CYCLE_DAYS - 1)), (day) => {
        for (const before of series) expect(totalBefore(before, day + 1)).toBeGreaterThan(totalBefore(before, day));
      }),
    );
  });

  test('the mean day is 1 for import, over both parts, and for export in every zone', () => {
    for (const heating of [HEATING.other, HEATING.electric]) {
      const night = climate.importBefore[importSeries(heating, PART.night)][CYCLE_DAYS];
      const day = climate.importBefore[importSeries(heating, PART.day)][CYCLE_DAYS];
      expect((night + day) / CYCLE_DAYS).toBeCloseTo(1, 9);
    }
    for (const before of climate.exportBefore) expect(before[CYCLE_DAYS] / CYCLE_DAYS).toBeCloseTo(1, 9);
  });

  test('a day has the pattern of its month, weekday and clock', () => {
    const cases: [number, number, number, Parameters<typeof dayPattern>][] = [
      [2026, 3, 2, [2, 0, false]],
      [2026, 3, 28, [2, 1, false]],
      [2026, 3, 29, [2, 2, true]],
      [2026, 10, 24, [9, 1, true]],
      [2026, 10, 25, [9, 2, false]],
      [2024, 2, 29, [1, 0, false]],
    ];
    for (const [year, month, day, pattern] of cases) {
      expect(climate.pattern[dayFrom(year, month, day)]).toBe(dayPattern(...pattern));
    }
  });

  test('June has more than four times the sunlight of December, and the north fewer in winter than the south', () => {
    const sun = (zone: number, month: number) => {
      const before = climate.exportBefore[zone];
      return before[dayFrom(2026, month + 1, 1)] - before[dayFrom(2026, month, 1)];
    };
    for (let zone = 0; zone < ZONE_LATITUDES.length; zone++) expect(sun(zone, 6)).toBeGreaterThan(4 * sun(zone, 11));
    let north = 0;
    let south = 0;
    for (let year = 1970; year < 2370; year++) {
      const [from, to] = [dayFrom(year, 11, 1), dayFrom(year, 12, 1)];
      north += climate.exportBefore[2][to] - climate.exportBefore[2][from];
      south += climate.exportBefore[0][to] - climate.exportBefore[0][from];
    }
    expect(north).toBeLessThan(south);
  });
});

describe('half-hour shapes', () => {
  test('boundaries keep their order however far habits move them', () => {
    for (let row = 0; row < 2 * DAY_PATTERNS; row++) {
      expectOrdered(IMPORT_SHAPES, row, 0, DAY_PART_START);
      expectOrdered(IMPORT_SHAPES, row, DAY_PART_START, HALF_HOURS);
    }
    for (let row = 0; row < ZONE_LATITUDES.length * SOLAR_BINS; row++) expectOrdered(SOLAR_SHAPES, row, 0, HALF_HOURS);
  });

  test('daylight at midsummer lasts longer in the north, at midwinter in the south', () => {
    const daylight = (zone: number, bin: number) => {
      const at = (zone * SOLAR_BINS + bin) * HALF_HOURS;
      return SOLAR_SHAPES.before.slice(at, at + HALF_HOURS).filter((share) => share > 0 && share < 1 - 1e-12).length;
    };
    expect(daylight(2, 17)).toBeGreaterThan(daylight(0, 17));
    expect(daylight(2, 35)).toBeLessThan(daylight(0, 35));
    expect(daylight(0, 17) / 2).toBeGreaterThan(15);
    expect(daylight(0, 35) / 2).toBeLessThan(9);
  });
});

function expectOrdered(table: ShapeTable, row: number, first: number, end: number): void {
  const at = row * HALF_HOURS;
  expect(table.before[at + first] + table.sway[at + first]).toBe(0);
  for (let h = first; h < end; h++) {
    const after = h + 1 === end ? 1 : table.before[at + h + 1] - table.sway[at + h + 1];
    expect(after - table.before[at + h] - table.sway[at + h]).toBeGreaterThanOrEqual(-1e-12);
  }
}
