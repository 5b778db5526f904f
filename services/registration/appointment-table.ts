import { MPID_CODE_BITS } from '#core/mpid-code.ts';
import { dayFrom, type SettlementDay } from '#core/settlement-day.ts';
import { type AppointmentList, NO_ETD } from './appointment-list.ts';

/**
 * What one partition knows of its MPANs: the sequence of the last change and every appointment as it was registered. In
 * shared memory: whichever worker thread has the partition's task reads and changes it, one at a time.
 *
 * Open addressing by MPAN, a record of 32 bytes. 43 to 85 bytes an MPAN of one or two appointments, by how full the
 * table is; 8 more for each appointment where there are more than two.
 *
 *   word 0  MPAN, low 32 bits                        word 4  EFD | ETD << 16       first appointment
 *   word 1  MPAN, high 12 bits | appointments << 12  word 5  MPID code | role << 19
 *   word 2  sequence, low 32 bits                    word 6  EFD | ETD << 16       second appointment
 *   word 3  sequence, high 21 bits                   word 7  MPID code | role << 19
 *
 * More than two stand in the overflow area, two words each: word 4 is then where they begin, word 5 for how many there
 * is room. Word 1 of a free record is 0. Records are never taken out: of an MPAN that was removed the sequence is what
 * keeps an older change from bringing it back.
 *
 * Days are kept in 16 bits from 1990-01-01 on; no market had an appointment before.
 */
export class AppointmentTable {
  #header: Int32Array;
  #words: Int32Array;
  #overflow: Int32Array;
  #shift: number;
  #handle: AppointmentTableHandle;

  /** Over the memory of a table that `createAppointmentTable` made or another thread handed over. */
  constructor(handle: AppointmentTableHandle) {
    this.#handle = handle;
    this.#header = new Int32Array(handle.header);
    this.#words = new Int32Array(handle.records);
    this.#overflow = new Int32Array(handle.overflow);
    this.#shift = shiftOf(this.#words.length / RECORD_WORDS);
  }

  /** To hand to another thread. A new one after growth: hand it on with the partition's next task. */
  get handle(): AppointmentTableHandle {
    return this.#handle;
  }

  /** Where the MPAN's record begins, -1 where it was never heard of. */
  find(mpan: number): number {
    const words = this.#words;
    const high = Math.floor(mpan / TWO_32);
    const low = (mpan - high * TWO_32) | 0;
    for (let at = placeOf(low, high, this.#shift); words[at + 1] !== 0; at = this.#next(at)) {
      if (words[at] === low && (words[at + 1] & MPAN_HIGH_MASK) === high) return at;
    }
    return -1;
  }

  /** 0 where no change has come yet. */
  sequence(at: number): number {
    return this.#words[at + 3] * TWO_32 + (this.#words[at + 2] >>> 0);
  }

  /** Lays the MPAN's appointments out in the list. */
  load(at: number, list: AppointmentList): void {
    const count = this.#words[at + 1] >>> COUNT_BIT;
    const isInline = count <= INLINE_MAX;
    const source = isInline ? this.#words : this.#overflow;
    let from = isInline ? at + 4 : this.#words[at + 4];
    for (let k = 0; k < count; k++, from += APPOINTMENT_WORDS) {
      const etd = source[from] >>> 16;
      list.efds[k] = FIRST_DAY + (source[from] & 0xffff);
      list.etds[k] = etd === OPEN ? NO_ETD : FIRST_DAY + etd;
      list.mpids[k] = source[from + 1] & MPID_CODE_MASK;
      list.roles[k] = source[from + 1] >>> MPID_CODE_BITS;
    }
    list.count = count;
  }

  /** Replaces what is known of the MPAN. */
  store(mpan: number, sequence: number, list: AppointmentList): void {
    const at = this.#place(mpan);
    const words = this.#words;
    const before = words[at + 1] >>> COUNT_BIT;
    const room = before > INLINE_MAX ? words[at + 5] : 0;
    words[at + 2] = sequence | 0;
    words[at + 3] = Math.floor(sequence / TWO_32);
    words[at + 1] = (words[at + 1] & MPAN_HIGH_MASK) | (list.count << COUNT_BIT);
    if (list.count <= INLINE_MAX) {
      this.#header[OVERFLOW_LIVE] -= room * APPOINTMENT_WORDS;
      pack(words, at + 4, list);
      return;
    }
    if (room < list.count) {
      this.#header[OVERFLOW_LIVE] -= room * APPOINTMENT_WORDS;
      // Passed over while the area may be laid out anew: there is nothing of it to carry over.
      words[at + 1] &= MPAN_HIGH_MASK;
      words[at + 4] = this.#allocate(list.count);
      words[at + 5] = list.count;
      words[at + 1] |= list.count << COUNT_BIT;
    }
    pack(this.#overflow, words[at + 4], list);
  }

  /** MPANs ever heard of, removed ones among them. */
  get mpans(): number {
    return this.#header[TAKEN];
  }

  /** All memory of the table. */
  get bytes(): number {
    return this.#header.byteLength + this.#words.byteLength + this.#overflow.byteLength;
  }

  #next(at: number): number {
    return at === this.#words.length - RECORD_WORDS ? 0 : at + RECORD_WORDS;
  }

  #place(mpan: number): number {
    const found = this.find(mpan);
    if (found >= 0) return found;
    if (this.#header[TAKEN] >= (this.#words.length / RECORD_WORDS) * LOAD_MAX) this.#grow();
    const high = Math.floor(mpan / TWO_32);
    const low = (mpan - high * TWO_32) | 0;
    let at = placeOf(low, high, this.#shift);
    while (this.#words[at + 1] !== 0) at = this.#next(at);
    this.#words[at] = low;
    this.#words[at + 1] = high;
    this.#header[TAKEN]++;
    return at;
  }

  // A record's place is made of the high bits of its hash, so that walking the old table fills the new one in order.
  #grow(): void {
    const before = this.#words;
    this.#words = new Int32Array(new SharedArrayBuffer(2 * before.byteLength));
    this.#shift--;
    for (let from = 0; from < before.length; from += RECORD_WORDS) {
      if (before[from + 1] === 0) continue;
      let at = placeOf(before[from], before[from + 1] & MPAN_HIGH_MASK, this.#shift);
      while (this.#words[at + 1] !== 0) at = this.#next(at);
      for (let k = 0; k < RECORD_WORDS; k++) this.#words[at + k] = before[from + k];
    }
    this.#handle = { ...this.#handle, records: this.#words.buffer as SharedArrayBuffer };
  }

  #allocate(appointments: number): number {
    const size = appointments * APPOINTMENT_WORDS;
    if (this.#header[OVERFLOW_USED] + size > this.#overflow.length) this.#layOutOverflow(size);
    const from = this.#header[OVERFLOW_USED];
    this.#header[OVERFLOW_USED] += size;
    this.#header[OVERFLOW_LIVE] += size;
    return from;
  }

  #layOutOverflow(size: number): void {
    const words = this.#words;
    const bytes = Math.max(OVERFLOW_WORDS_MIN, 2 * (this.#header[OVERFLOW_LIVE] + size)) * 4;
    const after = new Int32Array(new SharedArrayBuffer(bytes));
    let to = 0;
    for (let at = 0; at < words.length; at += RECORD_WORDS) {
      const count = words[at + 1] >>> COUNT_BIT;
      if (count <= INLINE_MAX) continue;
      const from = words[at + 4];
      words[at + 4] = to;
      words[at + 5] = count;
      for (let k = 0; k < count * APPOINTMENT_WORDS; k++) after[to++] = this.#overflow[from + k];
    }
    this.#overflow = after;
    this.#header[OVERFLOW_USED] = to;
    this.#header[OVERFLOW_LIVE] = to;
    this.#handle = { ...this.#handle, overflow: after.buffer };
  }
}

/** The memory of a table: plain, so that it can be posted to any thread. */
export type AppointmentTableHandle = {
  header: SharedArrayBuffer;
  records: SharedArrayBuffer;
  overflow: SharedArrayBuffer;
};

export function createAppointmentTable(): AppointmentTable {
  return new AppointmentTable({
    header: new SharedArrayBuffer(HEADER_WORDS * 4),
    records: new SharedArrayBuffer(CAPACITY_MIN * RECORD_WORDS * 4),
    overflow: new SharedArrayBuffer(0),
  });
}

/** Days that the table tells apart, both inclusive. */
export const FIRST_DAY: SettlementDay = dayFrom(1990, 1, 1);
export const LAST_DAY: SettlementDay = FIRST_DAY + 65_534;

const TWO_32 = 2 ** 32;
const RECORD_WORDS = 8;
const APPOINTMENT_WORDS = 2;
const INLINE_MAX = 2;
const OPEN = 65_535;
const MPID_CODE_MASK = (1 << MPID_CODE_BITS) - 1;
const MPAN_HIGH_MASK = 0xfff;
const COUNT_BIT = 12;

const TAKEN = 0;
const OVERFLOW_USED = 1;
const OVERFLOW_LIVE = 2;
const HEADER_WORDS = 4;

/** Beyond three quarters a look-up takes more than two probes and a half. */
const LOAD_MAX = 0.75;
const CAPACITY_MIN = 1024;
const OVERFLOW_WORDS_MIN = 1024;

function pack(words: Int32Array, at: number, list: AppointmentList): void {
  for (let k = 0, to = at; k < list.count; k++, to += APPOINTMENT_WORDS) {
    const etd = list.etds[k] === NO_ETD ? OPEN : within(list.etds[k]);
    words[to] = within(list.efds[k]) | (etd << 16);
    words[to + 1] = list.mpids[k] | (list.roles[k] << MPID_CODE_BITS);
  }
}

/** What others have written into the topic may be of any day. */
function within(day: SettlementDay): number {
  return Math.min(Math.max(day, FIRST_DAY), LAST_DAY) - FIRST_DAY;
}

function placeOf(low: number, high: number, shift: number): number {
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return (Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) >>> shift) * RECORD_WORDS;
}

function shiftOf(capacity: number): number {
  return Math.clz32(capacity) + 1;
}
