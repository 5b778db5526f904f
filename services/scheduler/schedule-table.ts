import { ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { FREQUENCIES, OFFSET_DAYS_MIN } from '#core/schedule.ts';
import { DAY_MAX, DAY_MS } from '#core/settlement-day.ts';
import { type AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';

/**
 * The schedules of one partition, in shared memory: 64 bytes a schedule, one line of the processor's cache, since a day
 * executes them in another order than they lie in; and 8 an MPAN. One task of a partition runs at a time, whichever
 * worker has it, so there are no locks.
 *
 *   header   used, dead, version
 *   rows     by schedule: mpan (0: deleted), id, user, device, and what `ROW` names
 *   heads    open addressing by MPAN: its newest schedule + 1; older ones by `previous`
 */
export type ScheduleTable = { memory: SharedArrayBuffer; capacity: number };

export const NO_WINDOW = -32_768;
/** A day beyond all others: a schedule without an end. */
const FOR_EVER = 2 ** 31 - 1;
const HEADER_BYTES = 64;
const ROW_BYTES = 64;
/** Where a row's fields stand, each counted in its own size: bytes, 16 bits, 32 bits, doubles. */
const ROW = {
  double: { mpan: 0, id: 1 },
  byte: { user: 16, device: 24, srv: 60, role: 61, frequencyAndService: 62, serial: 63 },
  int: { timeMs: 8, startDay: 9, endDay: 10, windowStartMs: 11, windowEndMs: 12, previous: 13 },
  short: { windowStartDays: 28, windowEndDays: 29 },
} as const;
/** Their numbers in the list tell the executions of one MPAN apart. */
const SCHEDULES_ON_MPAN_MAX = 255;
const CAPACITY_AT_FIRST = 1024;

/** The rows of a table, read over its memory; cheap to make, so a task makes its own. */
export class ScheduleRows {
  readonly table: ScheduleTable;
  /** Bytes of all rows: `userAt` and `deviceAt` point into it. */
  readonly bytes: Uint8Array;
  readonly #header: Float64Array;
  readonly #doubles: Float64Array;
  readonly #ints: Int32Array;
  readonly #shorts: Int16Array;
  readonly #heads: Int32Array;

  constructor(table: ScheduleTable) {
    this.table = table;
    const { memory, capacity } = table;
    this.#header = new Float64Array(memory, 0, HEADER_BYTES / 8);
    const rowsBytes = ROW_BYTES * capacity;
    this.bytes = new Uint8Array(memory, HEADER_BYTES, rowsBytes);
    this.#doubles = new Float64Array(memory, HEADER_BYTES, rowsBytes / 8);
    this.#ints = new Int32Array(memory, HEADER_BYTES, rowsBytes / 4);
    this.#shorts = new Int16Array(memory, HEADER_BYTES, rowsBytes / 2);
    this.#heads = new Int32Array(memory, HEADER_BYTES + rowsBytes, 2 * capacity);
  }

  static memoryBytes(capacity: number): number {
    return HEADER_BYTES + capacity * (ROW_BYTES + 8);
  }

  /** 0: deleted. */
  mpan(at: number): number {
    return this.#doubles[8 * at + ROW.double.mpan];
  }

  id(at: number): number {
    return this.#doubles[8 * at + ROW.double.id];
  }

  /** Where in `bytes` the EUI-64 of its User stands. */
  userAt(at: number): number {
    return ROW_BYTES * at + ROW.byte.user;
  }

  deviceAt(at: number): number {
    return ROW_BYTES * at + ROW.byte.device;
  }

  /** Time of day, ms. */
  timeMs(at: number): number {
    return this.#ints[16 * at + ROW.int.timeMs];
  }

  startDay(at: number): number {
    return this.#ints[16 * at + ROW.int.startDay];
  }

  endDay(at: number): number {
    return this.#ints[16 * at + ROW.int.endDay];
  }

  /** Days before that of the execution, as negative numbers; NO_WINDOW where it reads for the moment. */
  windowStartDays(at: number): number {
    return this.#shorts[32 * at + ROW.short.windowStartDays];
  }

  windowStartMs(at: number): number {
    return this.#ints[16 * at + ROW.int.windowStartMs];
  }

  windowEndDays(at: number): number {
    return this.#shorts[32 * at + ROW.short.windowEndDays];
  }

  windowEndMs(at: number): number {
    return this.#ints[16 * at + ROW.int.windowEndMs];
  }

  /** Position in SRVS, and so on with ROLES, SERVICES and FREQUENCIES. */
  srv(at: number): number {
    return this.bytes[ROW_BYTES * at + ROW.byte.srv];
  }

  role(at: number): number {
    return this.bytes[ROW_BYTES * at + ROW.byte.role];
  }

  service(at: number): number {
    return this.bytes[ROW_BYTES * at + ROW.byte.frequencyAndService] & 15;
  }

  frequency(at: number): number {
    return this.bytes[ROW_BYTES * at + ROW.byte.frequencyAndService] >> 4;
  }

  /** Its number among those of its MPAN. */
  serial(at: number): number {
    return this.bytes[ROW_BYTES * at + ROW.byte.serial];
  }

  /** Places taken, deleted ones included. */
  get used(): number {
    return this.#header[0];
  }

  get live(): number {
    return this.#header[0] - this.#header[1];
  }

  /** Changes with every change: whoever keeps an order by time makes it anew. */
  get version(): number {
    return this.#header[2];
  }

  get isFull(): boolean {
    return this.used === this.table.capacity;
  }

  beginVersions(version: number): void {
    this.#header[2] = version;
  }

  /** Deletes all schedules on an MPAN. */
  clear(mpan: number): void {
    const slot = this.#slotOf(mpan);
    for (let at = this.#heads[slot] - 1; at >= 0; at = this.#previous(at)) {
      if (this.mpan(at) === mpan) {
        this.#doubles[8 * at + ROW.double.mpan] = 0;
        this.#header[1]++;
      }
    }
    this.#header[2]++;
  }

  /** A place for one more schedule on an MPAN; the caller fills the rest of the row. */
  add(mpan: number): number {
    const at = this.#header[0]++;
    const slot = this.#slotOf(mpan);
    this.#ints[16 * at + ROW.int.previous] = this.#heads[slot] - 1;
    this.#heads[slot] = at + 1;
    this.#doubles[8 * at + ROW.double.mpan] = mpan;
    this.#header[2]++;
    return at;
  }

  /** Fills a row with a schedule as it stands in a list (schedule-list.avsc). */
  fill(at: number, reader: AvroReader, timeOf: (id: number) => number, serial: number): void {
    const { bytes } = this;
    const [int, short, byte] = [16 * at, 32 * at, ROW_BYTES * at];
    const ints = this.#ints;
    const id = reader.long();
    this.#doubles[8 * at + ROW.double.id] = id;
    const { buffer } = reader;
    const euis = reader.skip(16);
    for (let k = 0; k < 16; k++) bytes[byte + ROW.byte.user + k] = buffer[euis + k];
    bytes[byte + ROW.byte.role] = reader.int();
    const service = reader.int();
    bytes[byte + ROW.byte.srv] = reader.int();
    bytes[byte + ROW.byte.frequencyAndService] = (reader.int() << 4) | service;
    ints[int + ROW.int.startDay] = reader.int();
    ints[int + ROW.int.endDay] = reader.int() === 0 ? FOR_EVER : reader.int();
    ints[int + ROW.int.timeMs] = reader.int() === 0 ? timeOf(id) : reader.int();
    bytes[byte + ROW.byte.serial] = serial;
    if (reader.int() === 0) {
      this.#shorts[short + ROW.short.windowStartDays] = NO_WINDOW;
      return;
    }
    this.#shorts[short + ROW.short.windowStartDays] = reader.int();
    ints[int + ROW.int.windowStartMs] = reader.int();
    this.#shorts[short + ROW.short.windowEndDays] = reader.int();
    ints[int + ROW.int.windowEndMs] = reader.int();
  }

  /** Twice the room, without what was deleted. */
  grown(): ScheduleRows {
    const capacity = Math.max(CAPACITY_AT_FIRST, this.live * 2);
    const larger = new ScheduleRows(emptyTable(capacity));
    for (let from = 0; from < this.used; from++) {
      const mpan = this.mpan(from);
      if (mpan === 0) continue;
      const to = larger.add(mpan);
      const previous = larger.#previous(to);
      larger.bytes.set(this.bytes.subarray(ROW_BYTES * from, ROW_BYTES * (from + 1)), ROW_BYTES * to);
      larger.#ints[16 * to + ROW.int.previous] = previous;
    }
    larger.#header[2] = this.version + 1;
    return larger;
  }

  #previous(at: number): number {
    return this.#ints[16 * at + ROW.int.previous];
  }

  /** The slot of the MPAN, or the empty one where it belongs. Deleted schedules keep theirs until the table grows. */
  #slotOf(mpan: number): number {
    const heads = this.#heads;
    let slot = hashOf(mpan) % heads.length;
    while (heads[slot] !== 0 && !this.#holds(heads[slot] - 1, mpan)) slot = slot + 1 === heads.length ? 0 : slot + 1;
    return slot;
  }

  // A deleted schedule has no MPAN any more: its slot then belongs to whoever still stands in its chain, or to nobody.
  #holds(first: number, mpan: number): boolean {
    for (let at = first; at >= 0; at = this.#previous(at)) if (this.mpan(at) === mpan) return true;
    return false;
  }
}

/** An empty table. Its versions are those of no other table of this process: an order is made for a version. */
export function createScheduleTable(): ScheduleTable {
  const table = emptyTable(CAPACITY_AT_FIRST);
  new ScheduleRows(table).beginVersions(++tablesCreated * VERSIONS_A_TABLE);
  return table;
}

function emptyTable(capacity: number): ScheduleTable {
  return { memory: new SharedArrayBuffer(ScheduleRows.memoryBytes(capacity)), capacity };
}

let tablesCreated = 0;
/** Changes that a table can see. 2^21 tables have as many each within the integers of a double. */
const VERSIONS_A_TABLE = 2 ** 32;

/**
 * Applies one value of the topic schedules (schedule-list.avsc); returns the table, which is another where it had to
 * grow. `timeOf` gives the time of day of a schedule that names none: the DCC spreads them. Throws MalformedBinary, and
 * has changed nothing then.
 */
export function applySchedules(rows: ScheduleRows, reader: AvroReader, timeOf: (id: number) => number): ScheduleRows {
  const from = reader.at;
  checkSchedules(reader);
  reader.at = from;
  let table = rows;
  const mpan = reader.long();
  reader.skipLong();
  table.clear(mpan);
  let serial = 0;
  for (let count = blockLength(reader); count > 0; count = blockLength(reader)) {
    for (let k = 0; k < count; k++) {
      if (table.isFull) table = table.grown();
      table.fill(table.add(mpan), reader, timeOf, serial++);
    }
  }
  return table;
}

/** Reads a value to its end without keeping any of it: what cannot be used must not have changed half of a table. */
function checkSchedules(reader: AvroReader): void {
  within('mpan', reader.long(), 1e12, 1e13 - 1);
  reader.skipLong();
  let schedules = 0;
  for (let count = blockLength(reader); count > 0; count = blockLength(reader)) {
    schedules += count;
    within('the number of schedules', schedules, 0, SCHEDULES_ON_MPAN_MAX);
    for (let k = 0; k < count; k++) {
      within('id', reader.long(), 0, Number.MAX_SAFE_INTEGER);
      reader.skip(16);
      within('role', reader.int(), 0, ROLES.length);
      within('service', reader.int(), 0, SERVICES.length - 1);
      within('srv', reader.int(), 0, SRVS.length);
      within('frequency', reader.int(), 0, FREQUENCIES.length - 1);
      within('startDay', reader.int(), -DAY_MAX, DAY_MAX);
      if (isPresent(reader)) reader.int();
      if (isPresent(reader)) within('executionTimeMs', reader.int(), 0, DAY_MS - 1);
      if (!isPresent(reader)) continue;
      for (const side of ['start', 'end']) {
        within(`window.${side}OffsetDays`, reader.int(), OFFSET_DAYS_MIN, 0);
        within(`window.${side}TimeMs`, reader.int(), 0, DAY_MS);
      }
    }
  }
  if (reader.at !== reader.end) throw new MalformedBinary(`${reader.end - reader.at} bytes behind the last field`);
}

function within(field: string, value: number, min: number, max: number): void {
  if (value < min || value > max) throw new MalformedBinary(`${field} is ${value}, expected ${min} to ${max}`);
}

/** Which branch of a union of null and something. */
function isPresent(reader: AvroReader): boolean {
  const branch = reader.int();
  within('the branch of a union', branch, 0, 1);
  return branch === 1;
}

/** Items of an array's next block, 0 behind its last. */
function blockLength(reader: AvroReader): number {
  const count = reader.long();
  if (count >= 0) return count;
  reader.skipLong();
  return -count;
}

function hashOf(mpan: number): number {
  let h = Math.imul(mpan % 2 ** 32, 0x9e3779b1) ^ Math.imul(Math.floor(mpan / 2 ** 32), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 16), 0x2c1b3c6d);
  return (h ^ (h >>> 15)) >>> 0;
}
