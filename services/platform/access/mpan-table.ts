import { MPID_CODE_BITS } from '#core/mpid-code.ts';
import type { RegistrationTable } from '#core/registration.ts';
import { DAY_MAX, dayFrom, type SettlementDay } from '#core/settlement-day.ts';

/**
 * What one partition knows of its MPANs, registrations and inventory in one, in shared memory: whichever worker thread
 * has the partition's task reads and changes it. Tasks of one partition never run at the same time, and handing a task
 * over orders memory, so there are no locks.
 *
 * Open addressing by MPAN, a record of 32 bytes: a look-up is one line of the processor's cache.
 *
 *   word 0  MPAN, low 32 bits                  word 4  from | until << 16      first tenure
 *   word 1  MPAN, high 12 bits | flags << 12   word 5  MPID code | role << 19
 *   word 2  Device ID, first half              word 6  from | until << 16      second tenure
 *   word 3  Device ID, second half             word 7  MPID code | role << 19
 *
 *   flags   has device | register | kind | generation | SMI status, 4 bits | has registration | tenures, 2 bits
 *
 * More than two tenures stand in the overflow area, two words each; word 4 is then where they begin, word 5 how many
 * they are, word 6 for how many there is room. Word 1 of a free record is 0. A record whose registration and device
 * are gone keeps its MPAN, so that probes pass over it, until the table is laid out anew.
 *
 * Days are kept in 16 bits from 2000-01-01 on: what was in force before counts from that day, what ends after
 * 2179-06-05 as open.
 *
 * Sequences of changes are not kept. The topics are compacted, so the last record of an MPAN is what a restart finds;
 * a table that judged by sequence would differ from the one restored. Their writers order them.
 */
export class MpanTable {
  #header: Int32Array;
  #words: Int32Array;
  #overflow: Int32Array;
  #shift: number;
  #handle: MpanTableHandle;

  /** Over the memory of a table that `createMpanTable` made or another thread handed over. */
  constructor(handle: MpanTableHandle) {
    this.#handle = handle;
    this.#header = new Int32Array(handle.header);
    this.#words = new Int32Array(handle.records);
    this.#overflow = new Int32Array(handle.overflow);
    this.#shift = shiftOf(this.#words.length / RECORD_WORDS);
  }

  /** To hand to another thread. A new one after growth: hand it on with the partition's next task. */
  get handle(): MpanTableHandle {
    return this.#handle;
  }

  /** Where the MPAN's record begins, -1 where there is none. */
  find(mpan: number): number {
    const words = this.#words;
    const high = Math.floor(mpan / 2 ** 32);
    const low = (mpan - high * 2 ** 32) | 0;
    const last = words.length - RECORD_WORDS;
    let at = (hashOf(low, high) >>> this.#shift) * RECORD_WORDS;
    for (;;) {
      const second = words[at + 1];
      if (second === 0) return -1;
      if (words[at] === low && (second & MPAN_HIGH_MASK) === high) return at;
      at = at === last ? 0 : at + RECORD_WORDS;
    }
  }

  hasDevice(at: number): boolean {
    return (this.#words[at + 1] & HAS_DEVICE) !== 0;
  }

  hasRegistration(at: number): boolean {
    return (this.#words[at + 1] & HAS_REGISTRATION) !== 0;
  }

  /** Whether this is the MPAN's device, given as the two halves of its EUI-64. */
  isDevice(at: number, first: number, second: number): boolean {
    const words = this.#words;
    return (words[at + 1] & HAS_DEVICE) !== 0 && words[at + 2] === first && words[at + 3] === second;
  }

  /** The two halves of the device's EUI-64. */
  deviceFirst(at: number): number {
    return this.#words[at + 2];
  }

  deviceSecond(at: number): number {
    return this.#words[at + 3];
  }

  /** Position in REGISTERS. */
  register(at: number): number {
    return (this.#words[at + 1] >>> REGISTER_BIT) & 1;
  }

  kind(at: number): number {
    return (this.#words[at + 1] >>> KIND_BIT) & 1;
  }

  /** Position in GENERATIONS. */
  generation(at: number): number {
    return (this.#words[at + 1] >>> GENERATION_BIT) & 1;
  }

  /** Position in SMI_STATUSES. */
  status(at: number): number {
    return (this.#words[at + 1] >>> STATUS_BIT) & 15;
  }

  /**
   * Lays the MPAN's tenures out as row 0 of a registration table whose MPIDs are numbered within the row; `mpidCodes`
   * takes the code of each. Returns how many there are. All arrays hold `longestRow` or more.
   */
  copyTenures(at: number, row: RegistrationTable, mpidCodes: Int32Array): number {
    const kept = (this.#words[at + 1] >>> TENURES_BIT) & TENURES_OVERFLOW;
    const isOverflow = kept === TENURES_OVERFLOW;
    const source = isOverflow ? this.#overflow : this.#words;
    const count = isOverflow ? this.#words[at + 5] : kept;
    let from = isOverflow ? this.#words[at + 4] : at + 4;
    for (let k = 0; k < count; k++, from += TENURE_WORDS) {
      const days = source[from];
      const holder = source[from + 1];
      const until = days >>> 16;
      row.from[k] = FIRST_DAY + (days & 0xffff);
      row.until[k] = until === OPEN_END ? DAY_MAX : FIRST_DAY + until;
      row.role[k] = holder >>> MPID_CODE_BITS;
      row.mpid[k] = k;
      mpidCodes[k] = holder & MPID_CODE_MASK;
    }
    row.first[1] = count;
    return count;
  }

  setDevice(mpan: number, device: PackedDevice): void {
    const at = this.#place(mpan);
    const words = this.#words;
    if ((words[at + 1] & HAS_DEVICE) === 0) this.#header[DEVICES]++;
    if ((words[at + 1] & IS_LIVE) === 0) this.#header[LIVE]++;
    words[at + 1] = (words[at + 1] & ~DEVICE_FLAGS) | HAS_DEVICE | device.flags;
    words[at + 2] = device.first;
    words[at + 3] = device.second;
  }

  removeDevice(mpan: number): void {
    const at = this.find(mpan);
    if (at < 0 || !this.hasDevice(at)) return;
    this.#header[DEVICES]--;
    this.#words[at + 1] &= ~(DEVICE_FLAGS | HAS_DEVICE);
    this.#words[at + 2] = 0;
    this.#words[at + 3] = 0;
    if (!this.hasRegistration(at)) this.#header[LIVE]--;
  }

  /** Replaces the MPAN's tenures by the first `count` of the list, which is packed as by `packTenure`. */
  setTenures(mpan: number, packed: Int32Array, count: number): void {
    const at = this.#place(mpan);
    const words = this.#words;
    if ((words[at + 1] & HAS_REGISTRATION) === 0) this.#header[REGISTRATIONS]++;
    if ((words[at + 1] & IS_LIVE) === 0) this.#header[LIVE]++;
    if (count > this.#header[LONGEST_ROW]) this.#header[LONGEST_ROW] = count;
    if (count > TENURES_INLINE) {
      this.#setOverflow(at, packed, count);
      return;
    }
    this.#dropOverflow(at);
    for (let k = 0; k < count * TENURE_WORDS; k++) words[at + 4 + k] = packed[k];
    words[at + 1] = (words[at + 1] & ~TENURES_MASK) | HAS_REGISTRATION | (count << TENURES_BIT);
  }

  removeRegistration(mpan: number): void {
    const at = this.find(mpan);
    if (at < 0 || !this.hasRegistration(at)) return;
    this.#dropOverflow(at);
    this.#header[REGISTRATIONS]--;
    this.#words[at + 1] &= ~(TENURES_MASK | HAS_REGISTRATION);
    if (!this.hasDevice(at)) this.#header[LIVE]--;
  }

  /** Most tenures that an MPAN has had: what scratch rows must have room for. */
  get longestRow(): number {
    return this.#header[LONGEST_ROW];
  }

  /** MPANs with a registration or a device. */
  get mpans(): number {
    return this.#header[LIVE];
  }

  get registrations(): number {
    return this.#header[REGISTRATIONS];
  }

  get devices(): number {
    return this.#header[DEVICES];
  }

  /** All memory of the table. */
  get bytes(): number {
    return this.#header.byteLength + this.#words.byteLength + this.#overflow.byteLength;
  }

  // The MPAN's record, made where there is none.
  #place(mpan: number): number {
    const found = this.find(mpan);
    if (found >= 0) return found;
    if (this.#header[TAKEN] >= (this.#words.length / RECORD_WORDS) * LOAD_MAX) this.#grow();
    const high = Math.floor(mpan / 2 ** 32);
    const low = (mpan - high * 2 ** 32) | 0;
    const at = freeRecord(this.#words, this.#shift, low, high);
    this.#words[at] = low;
    this.#words[at + 1] = high;
    this.#header[TAKEN]++;
    return at;
  }

  #setOverflow(at: number, packed: Int32Array, count: number): void {
    const isOverflow = (this.#words[at + 1] & TENURES_MASK) === TENURES_MASK;
    if (!isOverflow || this.#words[at + 6] < count) {
      this.#dropOverflow(at);
      // Marked as none while the area may be laid out anew: there is nothing of it to carry over.
      this.#words[at + 1] &= ~TENURES_MASK;
      this.#words[at + 4] = this.#allocate(count);
      this.#words[at + 6] = count;
    }
    const from = this.#words[at + 4];
    for (let k = 0; k < count * TENURE_WORDS; k++) this.#overflow[from + k] = packed[k];
    this.#words[at + 5] = count;
    this.#words[at + 1] |= HAS_REGISTRATION | TENURES_MASK;
  }

  #dropOverflow(at: number): void {
    if ((this.#words[at + 1] & TENURES_MASK) !== TENURES_MASK) return;
    this.#header[OVERFLOW_LIVE] -= this.#words[at + 6] * TENURE_WORDS;
  }

  #allocate(tenures: number): number {
    const size = tenures * TENURE_WORDS;
    if (this.#header[OVERFLOW_USED] + size > this.#overflow.length) this.#growOverflow(size);
    const from = this.#header[OVERFLOW_USED];
    this.#header[OVERFLOW_USED] += size;
    this.#header[OVERFLOW_LIVE] += size;
    return from;
  }

  // Twice the room, or as much as there is where records of MPANs that are gone have filled it. A record's place is
  // made of the high bits of its hash, so that walking the old table fills the new one nearly in order.
  #grow(): void {
    const live = this.#header[LIVE];
    let capacity = this.#words.length / RECORD_WORDS;
    while (live > capacity / 2) capacity *= 2;
    const before = this.#words;
    const after = new Int32Array(new SharedArrayBuffer(capacity * RECORD_WORDS * 4));
    const shift = shiftOf(capacity);
    for (let from = 0; from < before.length; from += RECORD_WORDS) {
      const second = before[from + 1];
      if ((second & IS_LIVE) === 0) continue;
      const at = freeRecord(after, shift, before[from], second & MPAN_HIGH_MASK);
      for (let k = 0; k < RECORD_WORDS; k++) after[at + k] = before[from + k];
    }
    this.#words = after;
    this.#shift = shift;
    this.#header[TAKEN] = live;
    this.#handle = { ...this.#handle, records: after.buffer };
  }

  #growOverflow(size: number): void {
    const after = new Int32Array(
      new SharedArrayBuffer(Math.max(OVERFLOW_WORDS_MIN, 2 * (this.#header[OVERFLOW_LIVE] + size)) * 4),
    );
    const words = this.#words;
    let to = 0;
    for (let at = 0; at < words.length; at += RECORD_WORDS) {
      if ((words[at + 1] & TENURES_MASK) !== TENURES_MASK) continue;
      const from = words[at + 4];
      words[at + 4] = to;
      words[at + 6] = words[at + 5];
      for (let k = 0; k < words[at + 5] * TENURE_WORDS; k++) after[to++] = this.#overflow[from + k];
    }
    this.#overflow = after;
    this.#header[OVERFLOW_USED] = to;
    this.#header[OVERFLOW_LIVE] = to;
    this.#handle = { ...this.#handle, overflow: after.buffer };
  }
}

/** The memory of a table: plain, so that it can be posted to any thread. */
export type MpanTableHandle = {
  header: SharedArrayBuffer;
  records: SharedArrayBuffer;
  overflow: SharedArrayBuffer;
};

/** An empty table with room for so many MPANs before it grows. */
export function createMpanTable(mpans = 0): MpanTable {
  let capacity = CAPACITY_MIN;
  while (capacity * LOAD_MAX < mpans) capacity *= 2;
  return new MpanTable({
    header: new SharedArrayBuffer(HEADER_WORDS * 4),
    records: new SharedArrayBuffer(capacity * RECORD_WORDS * 4),
    overflow: new SharedArrayBuffer(0),
  });
}

/** What the table keeps of a device: its EUI-64 in two halves, the rest packed by `deviceFlags`. */
export type PackedDevice = { first: number; second: number; flags: number };

export function deviceFlags(register: number, kind: number, generation: number, status: number): number {
  return (register << REGISTER_BIT) | (kind << KIND_BIT) | (generation << GENERATION_BIT) | (status << STATUS_BIT);
}

/** Writes tenure number `k` of a list for `setTenures`; `until` is exclusive, DAY_MAX when open. */
export function packTenure(
  packed: Int32Array,
  k: number,
  mpidCode: number,
  role: number,
  from: SettlementDay,
  until: SettlementDay,
): void {
  packed[k * TENURE_WORDS] = clampDay(from, OPEN_END - 1) | (clampDay(until, OPEN_END) << 16);
  packed[k * TENURE_WORDS + 1] = mpidCode | (role << MPID_CODE_BITS);
}

/** The first day that the table tells apart. */
export const FIRST_DAY: SettlementDay = dayFrom(2000, 1, 1);
export const TENURE_WORDS = 2;

const RECORD_WORDS = 8;
const TENURES_INLINE = 2;
const OPEN_END = 65_535;
const MPID_CODE_MASK = (1 << MPID_CODE_BITS) - 1;

const MPAN_HIGH_MASK = 0xfff;
const HAS_DEVICE = 1 << 12;
const REGISTER_BIT = 13;
const KIND_BIT = 14;
const GENERATION_BIT = 15;
const STATUS_BIT = 16;
const HAS_REGISTRATION = 1 << 20;
const TENURES_BIT = 21;
/** In place of a number of tenures: they stand in the overflow area. */
const TENURES_OVERFLOW = 3;
const TENURES_MASK = TENURES_OVERFLOW << TENURES_BIT;
const DEVICE_FLAGS = deviceFlags(1, 1, 1, 15);
const IS_LIVE = HAS_DEVICE | HAS_REGISTRATION;

// Words of the header. `taken` counts records that are not free, those of MPANs that are gone among them.
const TAKEN = 0;
const REGISTRATIONS = 1;
const DEVICES = 2;
const OVERFLOW_USED = 3;
const OVERFLOW_LIVE = 4;
const LONGEST_ROW = 5;
const LIVE = 6;
const HEADER_WORDS = 8;

/** Beyond three quarters a look-up takes more than two probes and a half. */
const LOAD_MAX = 0.75;
const CAPACITY_MIN = 1024;
const OVERFLOW_WORDS_MIN = 1024;

function hashOf(low: number, high: number): number {
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
}

function shiftOf(capacity: number): number {
  return Math.clz32(capacity) + 1;
}

function freeRecord(words: Int32Array, shift: number, low: number, high: number): number {
  let at = (hashOf(low, high) >>> shift) * RECORD_WORDS;
  while (words[at + 1] !== 0) at = at === words.length - RECORD_WORDS ? 0 : at + RECORD_WORDS;
  return at;
}

function clampDay(day: SettlementDay, max: number): number {
  return Math.min(Math.max(day - FIRST_DAY, 0), max);
}
