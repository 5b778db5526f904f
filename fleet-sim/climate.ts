import { dayStartMs, monthOf, type SettlementDay, weekday } from '#core/settlement-day.ts';
import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import {
  DAY_PATTERNS,
  dayPattern,
  type Heating,
  NIGHT_SHARES,
  PART,
  type Part,
  SOLAR_BINS,
  solarDeclination,
  ZONE_LATITUDES,
} from '#fleet-sim/half-hour-shape.ts';

/**
 * What all homes share on a day: season, weekday, cold spells and cloud. Held as running totals over the 400 years
 * (146,097 days, a whole number of weeks) after which the Gregorian calendar repeats, so that a register at any
 * midnight is one look-up for any day, past or far. About 8 MB, made once in about 0.1 s when a meter is first read.
 * The weather is one fixed synthetic series, the same for every seed (assumption): seeds vary homes, not the climate.
 */
export type Climate = {
  /** By heating * 2 + part: a home's use before each day of the cycle, in its own mean days. */
  importBefore: readonly Float64Array[];
  /** By zone: a home's export before each day of the cycle, in its own mean days. */
  exportBefore: readonly Float64Array[];
  /** By day of the cycle: the row of half-hour shapes (see `dayPattern`). */
  pattern: Uint8Array;
  /** By day of the cycle: the solar bin. */
  solarBin: Uint8Array;
};

export const CYCLE_DAYS = 146_097;

let climate: Climate | undefined;

export function theClimate(): Climate {
  climate ??= makeClimate();
  return climate;
}

/** The day's place in the cycle, 0..CYCLE_DAYS-1. */
export function dayOfCycle(day: SettlementDay): number {
  const place = day % CYCLE_DAYS;
  return place < 0 ? place + CYCLE_DAYS : place;
}

/** Running total before a day, over all cycles. */
export function totalBefore(before: Float64Array, day: SettlementDay): number {
  const place = dayOfCycle(day);
  return before[place] + ((day - place) / CYCLE_DAYS) * before[CYCLE_DAYS];
}

/** Index of the series of a heating class and part in `importBefore`. */
export function importSeries(heating: Heating, part: Part): number {
  return heating * 2 + part;
}

/** Winter against summer, the pull of a cold spell in midwinter, and the weekend, each as a share of a mean day. */
const SEASONS = [
  { swing: 0.2, cold: 0.05, weekend: 1.08 },
  { swing: 0.62, cold: 0.25, weekend: 1.04 },
] as const;
/** The coldest day of the year follows the shortest one by about four weeks. */
const COLDEST_DAY = 18;
const YEAR_DAYS = 365.2425;
/** Subjects of the weather's draws: the cold of the country, then one cloud cover a zone. */
const WEATHER_SEED = 0;
const COLD_SUBJECT = 0;
const COLD_SPELL_DAYS = 5;

function makeClimate(): Climate {
  const pattern = new Uint8Array(CYCLE_DAYS);
  const solarBin = new Uint8Array(CYCLE_DAYS);
  for (let day = 0; day < CYCLE_DAYS; day++) {
    pattern[day] = patternOf(day);
    solarBin[day] = Math.floor(yearPhase(day) * SOLAR_BINS);
  }
  return { importBefore: importTotals(pattern), exportBefore: exportTotals(), pattern, solarBin };
}

/** A UTC day counts as summer time when it ends in summer time: all but one hour of the day of a change does. */
function patternOf(day: SettlementDay): number {
  const week = weekday(day);
  const summerTime = dayStartMs(day + 1, 'local') < dayStartMs(day + 1, 'utc');
  return dayPattern(monthOf(day) - 1, week < 5 ? 0 : week === 5 ? 1 : 2, summerTime);
}

function importTotals(pattern: Uint8Array): Float64Array[] {
  const series: Float64Array[] = [];
  const coldness = coldSpells();
  SEASONS.forEach((season, heating) => {
    const night = new Float64Array(CYCLE_DAYS + 1);
    const day = new Float64Array(CYCLE_DAYS + 1);
    for (let d = 0; d < CYCLE_DAYS; d++) {
      const winter = Math.cos((2 * Math.PI * (d - COLDEST_DAY)) / YEAR_DAYS);
      const weekend = Math.floor(pattern[d] / 2) % 3 === 0 ? 1 : season.weekend;
      const use = (1 + season.swing * winter) * weekend * (1 + season.cold * Math.max(0, winter) * coldness[d]);
      const nightUse = use * NIGHT_SHARES[heating * DAY_PATTERNS + pattern[d]];
      night[d + 1] = night[d] + nightUse;
      day[d + 1] = day[d] + use - nightUse;
    }
    const scale = CYCLE_DAYS / (night[CYCLE_DAYS] + day[CYCLE_DAYS]);
    series[heating * 2 + PART.night] = scaled(night, scale);
    series[heating * 2 + PART.day] = scaled(day, scale);
  });
  return series;
}

/** -1..1 a day, a moving mean of draws so that cold comes in spells. */
function coldSpells(): Float64Array {
  const coldness = new Float64Array(CYCLE_DAYS);
  let spell = 0;
  for (let back = 1; back <= COLD_SPELL_DAYS; back++) spell += weatherDraw(COLD_SUBJECT, -back);
  for (let d = 0; d < CYCLE_DAYS; d++) {
    spell += weatherDraw(COLD_SUBJECT, d) - weatherDraw(COLD_SUBJECT, d - COLD_SPELL_DAYS);
    coldness[d] = Math.max(-1, Math.min(1, (spell / COLD_SPELL_DAYS - 0.5) * 4));
  }
  return coldness;
}

/** Sunlight on a level surface for the day length of the latitude, through a cloud cover drawn by day and zone. */
function exportTotals(): Float64Array[] {
  const series = ZONE_LATITUDES.map(() => new Float64Array(CYCLE_DAYS + 1));
  const sinPhi = ZONE_LATITUDES.map((latitude) => Math.sin((latitude * Math.PI) / 180));
  for (let d = 0; d < CYCLE_DAYS; d++) {
    const sinDelta = Math.sin(solarDeclination(yearPhase(d)));
    for (let zone = 0; zone < series.length; zone++) {
      const level = sinPhi[zone] * sinDelta;
      const swing = Math.sqrt((1 - sinPhi[zone] ** 2) * (1 - sinDelta ** 2));
      const sunset = Math.acos(-level / swing);
      const light = sunset * level + swing * Math.sin(sunset);
      series[zone][d + 1] = series[zone][d] + light * (0.25 + 0.75 * weatherDraw(1 + zone, d));
    }
  }
  return series.map((before) => scaled(before, CYCLE_DAYS / before[CYCLE_DAYS]));
}

/** In place. */
function scaled(before: Float64Array, factor: number): Float64Array {
  for (let d = 0; d <= CYCLE_DAYS; d++) before[d] *= factor;
  return before;
}

function weatherDraw(subject: number, day: SettlementDay): number {
  return draw32(WEATHER_SEED, subject, dayOfCycle(day), PURPOSE.profile) / 4294967296;
}

/** 0..1 through the solar year, 0 at the start of 1970. */
function yearPhase(day: SettlementDay): number {
  const years = (dayOfCycle(day) + 0.5) / YEAR_DAYS;
  return years - Math.floor(years);
}
