/**
 * How a day's energy spreads over its 48 UTC half-hours. Every shape is held as cumulative shares of a part of the
 * day, so that a register within the day is one multiplication and the half-hours of the part sum to it exactly.
 *
 * The day has two parts, one for each register of a two-rate tariff: the night part (half-hours 0..13, 00:00 to 07:00
 * UTC) and the day part (14..47). Assumption: off-peak hours are fixed in UTC, as a meter's switching table is.
 */

export const HALF_HOURS = 48;
/** First half-hour of the day part. */
export const DAY_PART_START = 14;
export const PART = { night: 0, day: 1 } as const;
export type Part = (typeof PART)[keyof typeof PART];

export const HEATING = { other: 0, electric: 1 } as const;
export type Heating = (typeof HEATING)[keyof typeof HEATING];

/** 12 months x (weekday, Saturday, Sunday) x (GMT, BST). */
export const DAY_PATTERNS = 72;
/** `month` 0..11; `dayClass` 0 Monday to Friday, 1 Saturday, 2 Sunday. */
export function dayPattern(month: number, dayClass: 0 | 1 | 2, summerTime: boolean): number {
  return (month * 3 + dayClass) * 2 + (summerTime ? 1 : 0);
}

/** Latitudes of the three zones in which the 14 distribution areas lie: south, middle, north of Great Britain. */
export const ZONE_LATITUDES = [51.5, 53.2, 55.9] as const;
/** The solar year in equal bins of about ten days, from 1 January. */
export const SOLAR_BINS = 36;

/**
 * Shares of a part for one row of half-hours: `before[row * 48 + h]` is the share used before half-hour h, and
 * `sway[row * 48 + h]` how far a home's own habits may move that boundary either way. A boundary never moves as far
 * as half of either neighbour, so no half-hour turns negative; the edges of a part, and of daylight, never move.
 */
export type ShapeTable = { before: Float64Array; sway: Float64Array };

/** Rows: heating * DAY_PATTERNS + pattern. Within a row, both parts start from 0 at their first half-hour. */
export const IMPORT_SHAPES: ShapeTable = newShapeTable(2 * DAY_PATTERNS);
/** Share of the day's import in the night part, by the rows of IMPORT_SHAPES. */
export const NIGHT_SHARES = new Float64Array(2 * DAY_PATTERNS);
/** Rows: zone * SOLAR_BINS + bin. One part. */
export const SOLAR_SHAPES: ShapeTable = newShapeTable(ZONE_LATITUDES.length * SOLAR_BINS);

/** Radians of the sun's declination at a phase of the year, 0..1 from 1 January. */
export function solarDeclination(phase: number): number {
  return -0.4091 * Math.cos(2 * Math.PI * (phase + 10 / 365.2425));
}

/** How much of a boundary's smaller neighbour it may move by, as a share: below 0.5. */
const SWAY = 0.45;
/** Clock time of the sun's highest point near 2 degrees west, hours UTC. */
const SOLAR_NOON = 12.13;

fillImportShapes();
fillSolarShapes();

function newShapeTable(rows: number): ShapeTable {
  return { before: new Float64Array(rows * HALF_HOURS), sway: new Float64Array(rows * HALF_HOURS) };
}

function fillImportShapes(): void {
  const weights = new Float64Array(HALF_HOURS);
  for (const heating of [HEATING.other, HEATING.electric]) {
    for (let pattern = 0; pattern < DAY_PATTERNS; pattern++) {
      const row = heating * DAY_PATTERNS + pattern;
      const month = Math.floor(pattern / 6);
      const weekend = Math.floor(pattern / 2) % 3 !== 0;
      const shiftHours = pattern % 2;
      for (let h = 0; h < HALF_HOURS; h++) {
        const localHour = ((h + 0.5) / 2 + shiftHours) % 24;
        weights[h] = householdWeight(localHour, weekend, winterOf(month));
        if (heating === HEATING.electric) weights[h] += storageHeatingWeight(h, winterOf(month));
      }
      NIGHT_SHARES[row] = sum(weights, 0, DAY_PART_START) / sum(weights, 0, HALF_HOURS);
      writePart(IMPORT_SHAPES, row, weights, 0, DAY_PART_START);
      writePart(IMPORT_SHAPES, row, weights, DAY_PART_START, HALF_HOURS);
    }
  }
}

function fillSolarShapes(): void {
  const weights = new Float64Array(HALF_HOURS);
  ZONE_LATITUDES.forEach((latitude, zone) => {
    const phi = (latitude * Math.PI) / 180;
    for (let bin = 0; bin < SOLAR_BINS; bin++) {
      const declination = solarDeclination((bin + 0.5) / SOLAR_BINS);
      for (let h = 0; h < HALF_HOURS; h++) {
        const hourAngle = (((h + 0.5) / 2 - SOLAR_NOON) * Math.PI) / 12;
        const elevation =
          Math.sin(phi) * Math.sin(declination) + Math.cos(phi) * Math.cos(declination) * Math.cos(hourAngle);
        weights[h] = Math.max(0, elevation) ** 1.2;
      }
      writePart(SOLAR_SHAPES, zone * SOLAR_BINS + bin, weights, 0, HALF_HOURS);
    }
  });
}

/** 1 in January, 0 in July. */
function winterOf(month: number): number {
  return 0.5 + 0.5 * Math.cos((2 * Math.PI * month) / 12);
}

/** A home without electric heating: a base load, a morning peak (later at weekends) and an evening peak. */
function householdWeight(localHour: number, weekend: boolean, winter: number): number {
  const morning = weekend ? 0.55 * bell(localHour, 9.5, 1.9) : 0.6 * bell(localHour, 7.5, 1.1);
  const midday = (weekend ? 0.45 : 0.25) * bell(localHour, 13, 2.2);
  const evening = (1 + 0.35 * winter) * bell(localHour, 18.5, 2.3);
  return 0.4 + morning + midday + evening;
}

/** Storage heaters charge in the off-peak hours; about a fifth of the heat is direct, by day. */
function storageHeatingWeight(halfHour: number, winter: number): number {
  return winter * (halfHour < DAY_PART_START ? 4.5 : 0.4);
}

/** A bump of height 1 and standard deviation `spread` hours, on a 24-hour circle. */
function bell(hour: number, centre: number, spread: number): number {
  const apart = Math.abs(hour - centre);
  const distance = Math.min(apart, 24 - apart) / spread;
  return Math.exp(-0.5 * distance * distance);
}

function writePart(table: ShapeTable, row: number, weights: Float64Array, first: number, end: number): void {
  const total = sum(weights, first, end);
  let soFar = 0;
  for (let h = first; h < end; h++) {
    const at = row * HALF_HOURS + h;
    table.before[at] = soFar / total;
    table.sway[at] = h === first ? 0 : (SWAY * Math.min(weights[h - 1], weights[h])) / total;
    soFar += weights[h];
  }
}

function sum(weights: Float64Array, first: number, end: number): number {
  let total = 0;
  for (let h = first; h < end; h++) total += weights[h];
  return total;
}
