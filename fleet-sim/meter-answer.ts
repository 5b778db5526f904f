import { GENERATIONS, type Matrix } from '#core/matrix.ts';
import { DAY_MS, HALF_HOUR_MS, stampsIn } from '#core/settlement-day.ts';
import type { Fleet } from '#fleet-sim/fleet.ts';
import { HALF_HOURS, HEATING, PART, type Part } from '#fleet-sim/half-hour-shape.ts';
import { loadMeter, type Meter, newMeter, REGISTER, type RegisterIndex } from '#fleet-sim/meter.ts';
import {
  exportRegisterWh,
  exportWithinDayWh,
  type Household,
  importDayWh,
  importRegisterWh,
  importWithinDayWh,
  writeExportIntervals,
  writeImportIntervals,
} from '#fleet-sim/profile.ts';

/**
 * What a meter says to a read that reached it. The first three are well-formed successful responses, told apart
 * because a response in time is not yet the data asked for.
 */
export const OUTCOME = {
  /** Every stamp of the window, or the snapshot. */
  complete: 0,
  /** The meter keeps some stamps of the window only: the others are older than its log, or not yet there. */
  partial: 1,
  /** Success with no entry: the window holds no stamp, or none that the meter keeps. */
  empty: 2,
  /**
   * An export read of a home that does not export (assumption: its meter has no export register configured). The
   * meter's own error: data-access-result 01 in place of data in GBCS (ECS21c, ECS22a; per item 01 and FA in ECS17a).
   */
  noExportRegister: 3,
  /** Meters of this generation have no such log (4.6.2 and 4.17 on SMETS1), or the SRV reads nothing off a meter. */
  notSupported: 4,
  /** Asked at an instant before the meter was installed: nothing is there to answer. */
  notInstalled: 5,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** Registers of the import tariff: register 1 is the day rate (or the only rate), register 2 the night rate. */
export const TOU_REGISTERS_MAX = 2;

/** One answer, written in place by {@link answerRead}: `rows` rows, oldest first, and nothing beyond them. */
export type MeterAnswer = {
  outcome: Outcome;
  rows: number;
  /** UTC ms: the end of the half-hour, the midnight of a daily row, the instant of a snapshot. */
  stampsMs: Float64Array;
  /** Wh: energy of the period in 4.8.1, 4.8.3, 4.17; else the total register, which wraps at 2^32 as on the wire. */
  activeWh: Uint32Array;
  /** Whether `reactiveVarh` is part of the answer: 4.1.1, 4.2 and 4.8.3 of a SMETS2 meter (SMETS1: assumed not). */
  hasReactive: boolean;
  /** varh, in step with `activeWh`. */
  reactiveVarh: Uint32Array;
  /** Time-of-use registers a row, at [row * TOU_REGISTERS_MAX + register]; 0 where the SRV has none. */
  touRegisters: number;
  /** Wh; a row's registers sum to its `activeWh`. */
  touWh: Uint32Array;
};

/** What meters keep for each SRV of a matrix, laid out for {@link answerRead}. */
export type MeterReads = {
  /** Per srv: what is read; undefined where it reads nothing off a meter. */
  reading: readonly (Reading | undefined)[];
  /** At [srv * 2 + generation]: entries that the log holds, the newest; -1 where there is no such log. */
  entriesKept: Int32Array;
  entriesMax: number;
};

type Reading = { register: RegisterIndex; data: 'snapshot' | 'read-log' | 'consumption' | 'profile' };

const READINGS: Readonly<Record<string, Reading>> = {
  '4.1.1': { register: REGISTER.import, data: 'snapshot' },
  '4.2': { register: REGISTER.export, data: 'snapshot' },
  '4.6.1': { register: REGISTER.import, data: 'read-log' },
  '4.6.2': { register: REGISTER.export, data: 'read-log' },
  '4.8.1': { register: REGISTER.import, data: 'profile' },
  '4.8.3': { register: REGISTER.export, data: 'profile' },
  '4.17': { register: REGISTER.import, data: 'consumption' },
};

/** A log holds the days that the matrix says, and no more entries than one answer may carry. */
export function meterReadsOf(matrix: Matrix): MeterReads {
  const reading = matrix.services.map((service) => READINGS[service.srv]);
  const entriesKept = matrix.keptDays.map((days, at) => {
    const srv = Math.floor(at / GENERATIONS.length);
    if (days < 0) return -1;
    const entriesADay = reading[srv]?.data === 'profile' ? HALF_HOURS : 1;
    return Math.min(days * entriesADay, matrix.services[srv].entriesMax ?? Number.POSITIVE_INFINITY);
  });
  return { reading, entriesKept, entriesMax: Math.max(1, ...entriesKept) };
}

/** Room for the longest answer of these reads (19,056 rows by MP162: 0.5 MB); reuse one for all reads of a worker. */
export function newMeterAnswer(reads: MeterReads): MeterAnswer {
  return {
    outcome: OUTCOME.empty,
    rows: 0,
    stampsMs: new Float64Array(reads.entriesMax),
    activeWh: new Uint32Array(reads.entriesMax),
    hasReactive: false,
    reactiveVarh: new Uint32Array(reads.entriesMax),
    touRegisters: 0,
    touWh: new Uint32Array(reads.entriesMax * TOU_REGISTERS_MAX),
  };
}

/**
 * Answers one read of meter `index`: `srv` is an index of the matrix that `reads` was made of, the window is inclusive
 * at both ends (not looked at by a snapshot), `atMs` is when the meter is read. The log holds the newest entries at
 * that instant, none before the installation. Allocates nothing.
 */
export function answerRead(
  reads: MeterReads,
  fleet: Fleet,
  index: number,
  srv: number,
  startMs: number,
  endMs: number,
  atMs: number,
  out: MeterAnswer,
): void {
  loadMeter(fleet, index, scratch);
  answerReadOf(reads, scratch, srv, startMs, endMs, atMs, out);
}

/**
 * {@link answerRead} for a meter made or adjusted by the caller, as a device of a world file is. A home draws its solar
 * panels when it is loaded: to make one export, load it from a fleet whose `exportShare` is 1.
 */
export function answerReadOf(
  reads: MeterReads,
  meter: Meter,
  srv: number,
  startMs: number,
  endMs: number,
  atMs: number,
  out: MeterAnswer,
): void {
  out.rows = 0;
  out.hasReactive = false;
  out.touRegisters = 0;
  const reading = reads.reading[srv];
  const kept = reads.entriesKept[srv * GENERATIONS.length + meter.generation];
  if (reading === undefined || (reading.data !== 'snapshot' && kept < 0)) {
    out.outcome = OUTCOME.notSupported;
  } else if (atMs < meter.installedDay * DAY_MS) {
    out.outcome = OUTCOME.notInstalled;
  } else if (reading.register === REGISTER.export && !meter.exports) {
    out.outcome = OUTCOME.noExportRegister;
  } else if (reading.data === 'snapshot') {
    answerSnapshot(meter, reading.register, atMs, out);
  } else {
    answerLog(meter, reading, kept, startMs, endMs, atMs, out);
  }
}

/** The meter being asked: a read is synchronous, so a thread needs one. */
const scratch = newMeter();
const SMETS2 = GENERATIONS.indexOf('SMETS2');

function answerSnapshot(meter: Meter, register: RegisterIndex, atMs: number, out: MeterAnswer): void {
  out.outcome = OUTCOME.complete;
  out.rows = 1;
  out.stampsMs[0] = atMs;
  if (register === REGISTER.import) writeTouRow(meter, atMs, 0, out);
  else out.activeWh[0] = exportAtWh(meter.home, atMs) - exportRegisterWh(meter.home, meter.installedDay);
  out.hasReactive = meter.generation === SMETS2;
  out.reactiveVarh[0] = out.hasReactive ? Math.floor(out.activeWh[0] * meter.home.reactiveRatio) : 0;
}

function answerLog(
  meter: Meter,
  reading: Reading,
  kept: number,
  startMs: number,
  endMs: number,
  atMs: number,
  out: MeterAnswer,
): void {
  const stepMs = reading.data === 'profile' ? HALF_HOUR_MS : DAY_MS;
  const newest = Math.floor(atMs / stepMs);
  const oldest = Math.max(newest - kept + 1, (meter.installedDay * DAY_MS) / stepMs + 1);
  const first = Math.max(Math.ceil(startMs / stepMs), oldest);
  const last = Math.min(Math.floor(endMs / stepMs), newest);
  out.rows = Math.max(0, last - first + 1);
  if (out.rows === 0) {
    out.outcome = OUTCOME.empty;
    return;
  }
  out.outcome = out.rows === stampsIn(startMs, endMs, stepMs) ? OUTCOME.complete : OUTCOME.partial;
  for (let row = 0; row < out.rows; row++) out.stampsMs[row] = (first + row) * stepMs;
  if (reading.data === 'profile') writeProfile(meter, reading.register, first, out);
  else if (reading.data === 'consumption') writeConsumption(meter.home, first, out);
  else if (reading.register === REGISTER.import) writeImportReadLog(meter, first, out);
  else writeExportReadLog(meter, first, out);
}

/** `firstStamp` in half-hours since the epoch: the END of the first half-hour. */
function writeProfile(meter: Meter, register: RegisterIndex, firstStamp: number, out: MeterAnswer): void {
  let halfHour = firstStamp - 1;
  for (let row = 0; row < out.rows; ) {
    const day = Math.floor(halfHour / HALF_HOURS);
    const from = halfHour - day * HALF_HOURS;
    const end = Math.min(HALF_HOURS, from + out.rows - row);
    if (register === REGISTER.import) writeImportIntervals(meter.home, day, from, end, out.activeWh, row);
    else writeExportIntervals(meter.home, day, from, end, out.activeWh, row);
    row += end - from;
    halfHour += end - from;
  }
  if (register === REGISTER.export && meter.generation === SMETS2) writeReactiveExport(meter, firstStamp, out);
}

/** Reactive energy of a period is the step of the reactive register, so that profile and snapshot agree. */
function writeReactiveExport(meter: Meter, firstStamp: number, out: MeterAnswer): void {
  const ratio = meter.home.reactiveRatio;
  const base = exportRegisterWh(meter.home, meter.installedDay);
  let activeWh = exportAtWh(meter.home, (firstStamp - 1) * HALF_HOUR_MS) - base;
  let reactiveVarh = Math.floor(activeWh * ratio);
  for (let row = 0; row < out.rows; row++) {
    activeWh += out.activeWh[row];
    const after = Math.floor(activeWh * ratio);
    out.reactiveVarh[row] = after - reactiveVarh;
    reactiveVarh = after;
  }
  out.hasReactive = true;
}

function writeConsumption(home: Household, firstMidnight: number, out: MeterAnswer): void {
  for (let row = 0; row < out.rows; row++) out.activeWh[row] = importDayWh(home, firstMidnight + row - 1);
}

function writeImportReadLog(meter: Meter, firstMidnight: number, out: MeterAnswer): void {
  for (let row = 0; row < out.rows; row++) writeTouRow(meter, (firstMidnight + row) * DAY_MS, row, out);
}

function writeExportReadLog(meter: Meter, firstMidnight: number, out: MeterAnswer): void {
  const base = exportRegisterWh(meter.home, meter.installedDay);
  for (let row = 0; row < out.rows; row++) {
    out.activeWh[row] = exportRegisterWh(meter.home, firstMidnight + row) - base;
  }
}

/** A home with storage heaters is on a two-rate tariff, any other on a single rate. */
function writeTouRow(meter: Meter, atMs: number, row: number, out: MeterAnswer): void {
  const nightWh =
    importAtWh(meter.home, PART.night, atMs) - importRegisterWh(meter.home, PART.night, meter.installedDay);
  const dayWh = importAtWh(meter.home, PART.day, atMs) - importRegisterWh(meter.home, PART.day, meter.installedDay);
  const twoRates = meter.home.heating === HEATING.electric;
  out.activeWh[row] = nightWh + dayWh;
  out.touRegisters = twoRates ? 2 : 1;
  out.touWh[row * TOU_REGISTERS_MAX] = twoRates ? dayWh : nightWh + dayWh;
  out.touWh[row * TOU_REGISTERS_MAX + 1] = twoRates ? nightWh : 0;
}

/** A part's running total at any instant: within a half-hour, energy flows evenly. */
function importAtWh(home: Household, part: Part, atMs: number): number {
  const day = Math.floor(atMs / DAY_MS);
  const midnightWh = importRegisterWh(home, part, day);
  if (atMs === day * DAY_MS) return midnightWh;
  const halfHour = Math.floor((atMs - day * DAY_MS) / HALF_HOUR_MS);
  const before = importWithinDayWh(home, part, day, halfHour);
  const after = importWithinDayWh(home, part, day, halfHour + 1);
  return midnightWh + before + Math.floor((after - before) * elapsedOf(atMs));
}

function exportAtWh(home: Household, atMs: number): number {
  const day = Math.floor(atMs / DAY_MS);
  const midnightWh = exportRegisterWh(home, day);
  if (atMs === day * DAY_MS) return midnightWh;
  const halfHour = Math.floor((atMs - day * DAY_MS) / HALF_HOUR_MS);
  const before = exportWithinDayWh(home, day, halfHour);
  const after = exportWithinDayWh(home, day, halfHour + 1);
  return midnightWh + before + Math.floor((after - before) * elapsedOf(atMs));
}

/** Share of its half-hour that has passed at an instant. */
function elapsedOf(atMs: number): number {
  return atMs / HALF_HOUR_MS - Math.floor(atMs / HALF_HOUR_MS);
}
