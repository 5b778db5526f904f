/**
 * Which MPANs a device has, by its Device ID: two of the inventory's records, in one. Open addressing, 24 bytes a device
 * and at most three quarters full, so 32 to 64 bytes of memory a device.
 *
 *   word 0  Device ID, first half      word 2  import MPAN, low 32 bits    word 4  export MPAN, low 32 bits
 *   word 1  Device ID, second half     word 3  high 12 bits | taken        word 5  high 12 bits
 *
 * An MPAN of 0 is none. A device that has lost both keeps its record, for its ID is nearly always given MPANs again.
 */
export class DeviceIndex {
  #words = new Int32Array(RECORD_WORDS * CAPACITY_MIN);
  #devices = 0;

  get devices(): number {
    return this.#devices;
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  /** MPAN of the device's register (0 import, 1 export); 0 where it has none or is not known. */
  mpan(first: number, second: number, register: number): number {
    const at = this.#find(first, second);
    const words = this.#words;
    if (words[at + 3] === 0) return 0;
    const to = at + 2 + 2 * register;
    return (words[to + 1] & HIGH_MASK) * 2 ** 32 + (words[to] >>> 0);
  }

  has(first: number, second: number): boolean {
    return this.#words[this.#find(first, second) + 3] !== 0;
  }

  set(first: number, second: number, register: number, mpan: number): void {
    let at = this.#find(first, second);
    if (this.#words[at + 3] === 0) {
      if (this.#devices + 1 > (this.#words.length / RECORD_WORDS) * LOAD_MAX) {
        this.#grow();
        at = this.#find(first, second);
      }
      this.#words[at] = first;
      this.#words[at + 1] = second;
      this.#words[at + 3] = TAKEN;
      this.#devices++;
    }
    this.#write(at, register, mpan);
  }

  /** Takes the MPAN from the device, unless it has another by now. */
  clear(first: number, second: number, register: number, mpan: number): void {
    if (this.mpan(first, second, register) === mpan) this.#write(this.#find(first, second), register, 0);
  }

  #write(at: number, register: number, mpan: number): void {
    const to = at + 2 + 2 * register;
    const high = Math.floor(mpan / 2 ** 32);
    this.#words[to] = (mpan - high * 2 ** 32) | 0;
    this.#words[to + 1] = register === 0 ? high | TAKEN : high;
  }

  // The device's record, or the free one where it would stand.
  #find(first: number, second: number): number {
    const words = this.#words;
    const mask = words.length / RECORD_WORDS - 1;
    for (let slot = hashOf(first, second) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * RECORD_WORDS;
      if (words[at + 3] === 0 || (words[at] === first && words[at + 1] === second)) return at;
    }
  }

  #grow(): void {
    const before = this.#words;
    this.#words = new Int32Array(2 * before.length);
    for (let from = 0; from < before.length; from += RECORD_WORDS) {
      if (before[from + 3] !== 0)
        this.#words.set(before.subarray(from, from + RECORD_WORDS), this.#find(before[from], before[from + 1]));
    }
  }
}

const RECORD_WORDS = 6;
const HIGH_MASK = 0xfff;
const TAKEN = 1 << 12;
const CAPACITY_MIN = 1024;
/** Beyond three quarters a look-up takes more than two probes and a half. */
const LOAD_MAX = 0.75;

function hashOf(first: number, second: number): number {
  const mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}
