import { FREQUENCIES } from '#core/schedule.ts';
import type { AvroReader } from '#schemas/avro-binary.ts';

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
    const larger = new ScheduleColumns(createScheduleTable(capacity));
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

export function createScheduleTable(capacity = CAPACITY_AT_FIRST): ScheduleTable {
  return { memory: new SharedArrayBuffer(ScheduleColumns.bytes(capacity)), capacity };
}

/**
 * Applies one value of the topic schedules (schedule-list.avsc); returns the table, which is another where it had to
 * grow. `timeOf` gives the time of day of a schedule that names none: the DCC spreads them. Throws MalformedBinary.
 */
export function applySchedules(
  columns: ScheduleColumns,
  reader: AvroReader,
  timeOf: (id: number) => number,
): ScheduleColumns {
  let table = columns;
  const mpan = reader.long();
  reader.skipLong();
  table.clear(mpan);
  let serial = 0;
  for (let count = reader.long(); count !== 0; count = reader.long()) {
    if (count < 0) {
      count = -count;
      reader.skipLong();
    }
    for (let k = 0; k < count; k++) {
      if (table.isFull) table = table.grown();
      readSchedule(table, table.add(mpan), reader, timeOf, serial++ & 255);
    }
  }
  return table;
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
  table.frequency[at] = Math.min(reader.int(), FREQUENCIES.length - 1);
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
