import { ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { FREQUENCIES, OFFSET_DAYS_MIN } from '#core/schedule.ts';
import { DAY_MAX, DAY_MS } from '#core/settlement-day.ts';
import { type AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';

/**
 * The schedules of one partition, flat in shared memory: 56 bytes a schedule and 8 an MPAN. One task of a partition
 * runs at a time, whichever worker has it, so there are no locks.
 *
 *   header   used, dead, MPAN slots used
 *   columns  by schedule: mpan, id, device, user, time of day, days, window, SRV and so on; mpan 0: deleted
 *   heads    open addressing by MPAN: its newest schedule + 1; older ones by `previous`
 */
export type ScheduleTable = { memory: SharedArrayBuffer; capacity: number };

export const NO_WINDOW = -32_768;
/** A day beyond all others: a schedule without an end. */
const FOR_EVER = 2 ** 31 - 1;
const HEADER_BYTES = 64;
/** Their numbers in the list tell the executions of one MPAN apart. */
const SCHEDULES_ON_MPAN_MAX = 255;
const CAPACITY_AT_FIRST = 1024;

/** The columns of a table as typed arrays over its memory; cheap to make, so a task makes its own. */
export class ScheduleColumns {
  readonly table: ScheduleTable;
  readonly #header: Float64Array;
  readonly mpan: Float64Array;
  readonly id: Float64Array;
  readonly user: Uint8Array;
  readonly device: Uint8Array;
  readonly timeMs: Int32Array;
  readonly startDay: Int32Array;
  readonly endDay: Int32Array;
  readonly windowStartMs: Int32Array;
  readonly windowEndMs: Int32Array;
  readonly previous: Int32Array;
  readonly #heads: Int32Array;
  readonly windowStartDays: Int16Array;
  readonly windowEndDays: Int16Array;
  readonly srv: Uint8Array;
  readonly role: Uint8Array;
  readonly service: Uint8Array;
  readonly frequency: Uint8Array;
  readonly serial: Uint8Array;

  constructor(table: ScheduleTable) {
    this.table = table;
    const { memory, capacity } = table;
    let at = 0;
    const take = (bytes: number) => {
      const from = at;
      at += bytes;
      return from;
    };
    this.#header = new Float64Array(memory, take(HEADER_BYTES), 8);
    this.mpan = new Float64Array(memory, take(8 * capacity), capacity);
    this.id = new Float64Array(memory, take(8 * capacity), capacity);
    this.user = new Uint8Array(memory, take(8 * capacity), 8 * capacity);
    this.device = new Uint8Array(memory, take(8 * capacity), 8 * capacity);
    this.timeMs = new Int32Array(memory, take(4 * capacity), capacity);
    this.startDay = new Int32Array(memory, take(4 * capacity), capacity);
    this.endDay = new Int32Array(memory, take(4 * capacity), capacity);
    this.windowStartMs = new Int32Array(memory, take(4 * capacity), capacity);
    this.windowEndMs = new Int32Array(memory, take(4 * capacity), capacity);
    this.previous = new Int32Array(memory, take(4 * capacity), capacity);
    this.#heads = new Int32Array(memory, take(8 * capacity), 2 * capacity);
    this.windowStartDays = new Int16Array(memory, take(2 * capacity), capacity);
    this.windowEndDays = new Int16Array(memory, take(2 * capacity), capacity);
    this.srv = new Uint8Array(memory, take(capacity), capacity);
    this.role = new Uint8Array(memory, take(capacity), capacity);
    this.service = new Uint8Array(memory, take(capacity), capacity);
    this.frequency = new Uint8Array(memory, take(capacity), capacity);
    this.serial = new Uint8Array(memory, take(capacity), capacity);
  }

  static bytes(capacity: number): number {
    return HEADER_BYTES + capacity * (4 * 8 + 6 * 4 + 8 + 2 * 2 + 5);
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
    for (let at = this.#heads[slot] - 1; at >= 0; at = this.previous[at]) {
      if (this.mpan[at] === mpan) {
        this.mpan[at] = 0;
        this.#header[1]++;
      }
    }
    this.#header[2]++;
  }

  /** A place for one more schedule on an MPAN; the caller fills the other columns. */
  add(mpan: number): number {
    const at = this.#header[0]++;
    const slot = this.#slotOf(mpan);
    this.previous[at] = this.#heads[slot] - 1;
    this.#heads[slot] = at + 1;
    this.mpan[at] = mpan;
    this.#header[2]++;
    return at;
  }

  /** Twice the room, without what was deleted. */
  grown(): ScheduleColumns {
    const capacity = Math.max(CAPACITY_AT_FIRST, this.live * 2);
    const larger = new ScheduleColumns(emptyTable(capacity));
    for (let from = 0; from < this.used; from++) {
      if (this.mpan[from] === 0) continue;
      const to = larger.add(this.mpan[from]);
      larger.id[to] = this.id[from];
      for (let k = 0; k < 8; k++) {
        larger.user[8 * to + k] = this.user[8 * from + k];
        larger.device[8 * to + k] = this.device[8 * from + k];
      }
      larger.timeMs[to] = this.timeMs[from];
      larger.startDay[to] = this.startDay[from];
      larger.endDay[to] = this.endDay[from];
      larger.windowStartMs[to] = this.windowStartMs[from];
      larger.windowEndMs[to] = this.windowEndMs[from];
      larger.windowStartDays[to] = this.windowStartDays[from];
      larger.windowEndDays[to] = this.windowEndDays[from];
      larger.srv[to] = this.srv[from];
      larger.role[to] = this.role[from];
      larger.service[to] = this.service[from];
      larger.frequency[to] = this.frequency[from];
      larger.serial[to] = this.serial[from];
    }
    larger.#header[2] = this.version + 1;
    return larger;
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
    for (let at = first; at >= 0; at = this.previous[at]) if (this.mpan[at] === mpan) return true;
    return false;
  }
}

/** An empty table. Its versions are those of no other table of this process: an order is made for a version. */
export function createScheduleTable(): ScheduleTable {
  const table = emptyTable(CAPACITY_AT_FIRST);
  new ScheduleColumns(table).beginVersions(++tablesCreated * VERSIONS_A_TABLE);
  return table;
}

function emptyTable(capacity: number): ScheduleTable {
  return { memory: new SharedArrayBuffer(ScheduleColumns.bytes(capacity)), capacity };
}

let tablesCreated = 0;
/** Changes that a table can see. 2^21 tables have as many each within the integers of a double. */
const VERSIONS_A_TABLE = 2 ** 32;

/**
 * Applies one value of the topic schedules (schedule-list.avsc); returns the table, which is another where it had to
 * grow. `timeOf` gives the time of day of a schedule that names none: the DCC spreads them. Throws MalformedBinary, and
 * has changed nothing then.
 */
export function applySchedules(
  columns: ScheduleColumns,
  reader: AvroReader,
  timeOf: (id: number) => number,
): ScheduleColumns {
  const from = reader.at;
  checkSchedules(reader);
  reader.at = from;
  let table = columns;
  const mpan = reader.long();
  reader.skipLong();
  table.clear(mpan);
  let serial = 0;
  for (let count = blockLength(reader); count > 0; count = blockLength(reader)) {
    for (let k = 0; k < count; k++) {
      if (table.isFull) table = table.grown();
      readSchedule(table, table.add(mpan), reader, timeOf, serial++);
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

function readSchedule(
  table: ScheduleColumns,
  at: number,
  reader: AvroReader,
  timeOf: (id: number) => number,
  serial: number,
): void {
  const { buffer } = reader;
  table.id[at] = reader.long();
  const user = reader.skip(8);
  const device = reader.skip(8);
  for (let k = 0; k < 8; k++) {
    table.user[8 * at + k] = buffer[user + k];
    table.device[8 * at + k] = buffer[device + k];
  }
  table.role[at] = reader.int();
  table.service[at] = reader.int();
  table.srv[at] = reader.int();
  table.frequency[at] = reader.int();
  table.startDay[at] = reader.int();
  table.endDay[at] = reader.int() === 0 ? FOR_EVER : reader.int();
  table.timeMs[at] = reader.int() === 0 ? timeOf(table.id[at]) : reader.int();
  table.serial[at] = serial;
  if (reader.int() === 0) {
    table.windowStartDays[at] = NO_WINDOW;
    return;
  }
  table.windowStartDays[at] = reader.int();
  table.windowStartMs[at] = reader.int();
  table.windowEndDays[at] = reader.int();
  table.windowEndMs[at] = reader.int();
}

function hashOf(mpan: number): number {
  let h = Math.imul(mpan % 2 ** 32, 0x9e3779b1) ^ Math.imul(Math.floor(mpan / 2 ** 32), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 16), 0x2c1b3c6d);
  return (h ^ (h >>> 15)) >>> 0;
}
