import type { SettlementDay } from '#core/settlement-day.ts';
import { dayOfCycle, importSeries, theClimate, totalBefore } from '#fleet-sim/climate.ts';
import { draw32, drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import {
  DAY_PART_START,
  DAY_PATTERNS,
  HALF_HOURS,
  HEATING,
  type Heating,
  IMPORT_SHAPES,
  PART,
  type Part,
  type ShapeTable,
  SOLAR_BINS,
  SOLAR_SHAPES,
} from '#fleet-sim/half-hour-shape.ts';

/**
 * A home's active energy in whole Wh as two import registers (night and day part) and one export register, each a
 * function of (home, UTC day, half-hour) alone. A register at midnight is the closed-form running total of season,
 * weekday and weather, moved by a bounded draw of that midnight; the energy of a day is the difference of two
 * midnights, and half-hours divide exactly that. So reads agree with each other on every day, and none needs history.
 *
 *     register(d)                                          register(d + 1)
 *     |-- floor(total(d) + draw(d)) ------------------------|
 *     |   h0  |   h1  |  ...  boundaries at floor(energy(d) * share(h)), moved by draws of the half-hour  |
 *
 * A draw never moves a midnight or a boundary by half of what lies on either side of it: registers never run back.
 * All figures below are assumptions; none decides an outcome, they only make the data plausible.
 */
export const HOUSEHOLDS = {
  /** Mean over all homes; the spread between homes is lognormal. */
  annualImportKwhMean: 2700,
  annualImportLogSd: 0.5,
  /** Homes heated by storage heaters: they have a two-rate tariff and use more. */
  electricHeatingShare: 0.09,
  electricHeatingUseRatio: 2.2,
  /** Solar export of a home that exports: panels, sunlight, and what the home does not use itself. */
  panelKwpMin: 2,
  panelKwpMax: 5.5,
  annualKwhPerKwp: [980, 900, 820],
  exportedShareMin: 0.35,
  exportedShareMax: 0.75,
  /** Reactive energy per active energy. */
  reactiveRatioMin: 0.05,
  reactiveRatioMax: 0.3,
} as const;

/** One home's constants; filled by {@link loadHousehold}, reused from home to home. */
export type Household = {
  seed: number;
  meter: number;
  heating: Heating;
  /** Mean use of a day, Wh. */
  importDayWh: number;
  /** Mean export of a day, Wh; 0 where the home does not export. */
  exportDayWh: number;
  /** Index in ZONE_LATITUDES. */
  zone: number;
  reactiveRatio: number;
};

export function newHousehold(): Household {
  return { seed: 0, meter: 0, heating: HEATING.other, importDayWh: 0, exportDayWh: 0, zone: 0, reactiveRatio: 0 };
}

/** Draws the constants of one meter's home into `into`. */
export function loadHousehold(seed: number, meter: number, zone: number, exports: boolean, into: Household): void {
  into.seed = seed;
  into.meter = meter;
  into.zone = zone;
  into.heating = trait(seed, meter, TRAIT.heating) < HOUSEHOLDS.electricHeatingShare ? HEATING.electric : HEATING.other;
  into.importDayWh = MEAN_DAY_WH[into.heating] * lognormal(seed, meter, HOUSEHOLDS.annualImportLogSd);
  into.exportDayWh = exports ? exportDayWhOf(seed, meter, zone) : 0;
  into.reactiveRatio = between(
    HOUSEHOLDS.reactiveRatioMin,
    HOUSEHOLDS.reactiveRatioMax,
    trait(seed, meter, TRAIT.reactive),
  );
}

/** Running total of a part's import at the UTC midnight that begins the day, Wh, from an arbitrary origin. */
export function importRegisterWh(home: Household, part: Part, day: SettlementDay): number {
  const before = theClimate().importBefore[importSeries(home.heating, part)];
  const bits = draw32(home.seed, home.meter, day * CHANNELS + CHANNEL.importMidnight, PURPOSE.profile);
  const sway = (part === PART.night ? bits >>> 16 : bits & 0xffff) / 32768 - 1;
  return Math.floor(home.importDayWh * (totalBefore(before, day) + sway * midnightSway(before, day)));
}

/** Running total of export at the UTC midnight that begins the day, Wh, from an arbitrary origin. */
export function exportRegisterWh(home: Household, day: SettlementDay): number {
  const before = theClimate().exportBefore[home.zone];
  const bits = draw32(home.seed, home.meter, day * CHANNELS + CHANNEL.exportMidnight, PURPOSE.profile);
  return Math.floor(home.exportDayWh * (totalBefore(before, day) + (bits / TWO_31 - 1) * midnightSway(before, day)));
}

/** Import of a whole UTC day, Wh. */
export function importDayWh(home: Household, day: SettlementDay): number {
  return partDayWh(home, PART.night, day) + partDayWh(home, PART.day, day);
}

/** Import of a part within the day before half-hour `halfHour` (0..48) begins, Wh. */
export function importWithinDayWh(home: Household, part: Part, day: SettlementDay, halfHour: number): number {
  const first = part === PART.night ? 0 : DAY_PART_START;
  if (halfHour <= first) return 0;
  const partWh = partDayWh(home, part, day);
  if (halfHour >= (part === PART.night ? DAY_PART_START : HALF_HOURS)) return partWh;
  return boundaryWh(IMPORT_SHAPES, importRow(home, day), halfHour, partWh, importBits(home, day));
}

/** Export within the day before half-hour `halfHour` (0..48) begins, Wh. */
export function exportWithinDayWh(home: Household, day: SettlementDay, halfHour: number): number {
  const dayWh = exportRegisterWh(home, day + 1) - exportRegisterWh(home, day);
  return halfHour >= HALF_HOURS
    ? dayWh
    : boundaryWh(SOLAR_SHAPES, solarRow(home, day), halfHour, dayWh, exportBits(home, day));
}

/** Writes the import of half-hours `first` (0..47) to `end` (exclusive, at most 48) of a UTC day from `values[at]` on. */
export function writeImportIntervals(
  home: Household,
  day: SettlementDay,
  first: number,
  end: number,
  values: Uint32Array,
  at: number,
): void {
  const row = importRow(home, day);
  const bits = importBits(home, day);
  const nightEnd = Math.min(end, DAY_PART_START);
  if (first < nightEnd) {
    const wh = partDayWh(home, PART.night, day);
    writePart(IMPORT_SHAPES, row, wh, bits, first, nightEnd, DAY_PART_START, values, at);
  }
  const dayFirst = Math.max(first, DAY_PART_START);
  if (dayFirst < end) {
    const wh = partDayWh(home, PART.day, day);
    writePart(IMPORT_SHAPES, row, wh, bits, dayFirst, end, HALF_HOURS, values, at + dayFirst - first);
  }
}

/** As {@link writeImportIntervals}, for export. */
export function writeExportIntervals(
  home: Household,
  day: SettlementDay,
  first: number,
  end: number,
  values: Uint32Array,
  at: number,
): void {
  const wh = exportRegisterWh(home, day + 1) - exportRegisterWh(home, day);
  writePart(SOLAR_SHAPES, solarRow(home, day), wh, exportBits(home, day), first, end, HALF_HOURS, values, at);
}

const TWO_31 = 2147483648;
const TWO_32 = 4294967296;
/** Occasions of a home's draws: a channel for each day, and traits far above any day. */
const CHANNELS = 4;
const CHANNEL = { importMidnight: 0, importBoundaries: 1, exportMidnight: 2, exportBoundaries: 3 } as const;
const TRAIT = { heating: 0, sizeA: 1, sizeB: 2, panels: 3, exported: 4, reactive: 5 } as const;
const TRAIT_OCCASION = 0x40000000;
/** How far a midnight's draw may move the register, as a share of the smaller day beside it: below 0.5. */
const MIDNIGHT_SWAY = 0.45;
const DAYS_A_YEAR = 365.2425;

const OTHER_DAY_WH =
  (HOUSEHOLDS.annualImportKwhMean * 1000) /
  DAYS_A_YEAR /
  (1 + HOUSEHOLDS.electricHeatingShare * (HOUSEHOLDS.electricHeatingUseRatio - 1));
const MEAN_DAY_WH = [OTHER_DAY_WH, OTHER_DAY_WH * HOUSEHOLDS.electricHeatingUseRatio] as const;

function partDayWh(home: Household, part: Part, day: SettlementDay): number {
  return importRegisterWh(home, part, day + 1) - importRegisterWh(home, part, day);
}

/** The largest move of a midnight, in mean days: a share of the smaller of the days on either side. */
function midnightSway(before: Float64Array, day: SettlementDay): number {
  const today = dayOfCycle(day);
  const yesterday = dayOfCycle(day - 1);
  return MIDNIGHT_SWAY * Math.min(before[today + 1] - before[today], before[yesterday + 1] - before[yesterday]);
}

function importRow(home: Household, day: SettlementDay): number {
  return home.heating * DAY_PATTERNS + theClimate().pattern[dayOfCycle(day)];
}

function solarRow(home: Household, day: SettlementDay): number {
  return home.zone * SOLAR_BINS + theClimate().solarBin[dayOfCycle(day)];
}

function importBits(home: Household, day: SettlementDay): number {
  return draw32(home.seed, home.meter, day * CHANNELS + CHANNEL.importBoundaries, PURPOSE.profile);
}

function exportBits(home: Household, day: SettlementDay): number {
  return draw32(home.seed, home.meter, day * CHANNELS + CHANNEL.exportBoundaries, PURPOSE.profile);
}

/** Whole Wh used within a part before half-hour `halfHour`, which is not the part's end. */
function boundaryWh(table: ShapeTable, row: number, halfHour: number, partWh: number, dayBits: number): number {
  const at = row * HALF_HOURS + halfHour;
  return Math.floor(partWh * (table.before[at] + table.sway[at] * boundarySway(dayBits, halfHour)));
}

/** -1..1 for a half-hour out of the day's one draw: two rounds suffice, and 48 full draws would double the cost. */
function boundarySway(dayBits: number, halfHour: number): number {
  let h = Math.imul(dayBits ^ Math.imul(halfHour + 1, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return (h ^ (h >>> 16)) / TWO_31;
}

function writePart(
  table: ShapeTable,
  row: number,
  partWh: number,
  dayBits: number,
  first: number,
  end: number,
  partEnd: number,
  values: Uint32Array,
  at: number,
): void {
  let before = boundaryWh(table, row, first, partWh, dayBits);
  for (let h = first; h < end; h++) {
    const after = h + 1 === partEnd ? partWh : boundaryWh(table, row, h + 1, partWh, dayBits);
    values[at + h - first] = after - before;
    before = after;
  }
}

function trait(seed: number, meter: number, number: number): number {
  return drawUnit(seed, meter, TRAIT_OCCASION + number, PURPOSE.profile);
}

/** Lognormal with mean 1 (Box-Muller; the first draw is taken from (0, 1]). */
function lognormal(seed: number, meter: number, logSd: number): number {
  const a = (draw32(seed, meter, TRAIT_OCCASION + TRAIT.sizeA, PURPOSE.profile) + 1) / TWO_32;
  const b = trait(seed, meter, TRAIT.sizeB);
  const normal = Math.sqrt(-2 * Math.log(a)) * Math.cos(2 * Math.PI * b);
  return Math.exp(logSd * normal - 0.5 * logSd * logSd);
}

function exportDayWhOf(seed: number, meter: number, zone: number): number {
  const kwp = between(HOUSEHOLDS.panelKwpMin, HOUSEHOLDS.panelKwpMax, trait(seed, meter, TRAIT.panels));
  const share = between(HOUSEHOLDS.exportedShareMin, HOUSEHOLDS.exportedShareMax, trait(seed, meter, TRAIT.exported));
  return (kwp * HOUSEHOLDS.annualKwhPerKwp[zone] * share * 1000) / DAYS_A_YEAR;
}

function between(min: number, max: number, unit: number): number {
  return min + (max - min) * unit;
}
