/**
 * RequestIDs that were accepted, 24 bytes each: originator, target and counter as they are. Three tables of open
 * addressing, each of a half of the time that is to be remembered: the present half, by the clock, and the two before.
 * So an id is remembered for at least `rememberMs`, and for less than half as long again.
 */
export class RequestIds {
  readonly #halfMs: number;
  readonly #idsMax: number;
  #newer = new IdTable();
  #older = new IdTable();
  #oldest = new IdTable();
  /** Which half of the time `#newer` is of, since the epoch. */
  #half = Number.NEGATIVE_INFINITY;

  /** `idsMax`: in one half of the time; beyond it {@link isFull}. */
  constructor(rememberMs: number, idsMax: number) {
    this.#halfMs = rememberMs / 2;
    this.#idsMax = idsMax;
  }

  /** More would take more memory than was allowed: nothing new may be accepted until time has passed. */
  get isFull(): boolean {
    return this.#newer.size >= this.#idsMax;
  }

  get size(): number {
    return this.#newer.size + this.#older.size + this.#oldest.size;
  }

  /** Remembers the 24 bytes at a position; false where they are known. */
  add(bytes: Buffer, at: number, nowMs: number): boolean {
    this.#turn(nowMs);
    if (this.#older.has(bytes, at) || this.#oldest.has(bytes, at)) return false;
    return this.#newer.add(bytes, at);
  }

  #turn(nowMs: number): void {
    const half = Math.floor(nowMs / this.#halfMs);
    const passed = half - this.#half;
    if (passed <= 0) return;
    this.#oldest = passed === 1 ? this.#older : passed === 2 ? this.#newer : new IdTable();
    this.#older = passed === 1 ? this.#newer : new IdTable();
    this.#newer = new IdTable();
    this.#half = half;
  }
}

export const REQUEST_ID_BYTES = 24;
const ID_WORDS = REQUEST_ID_BYTES / 4;
const CAPACITY_MIN = 1024;

/** A record of zeros is free: no User has the EUI-64 of zeros. */
class IdTable {
  size = 0;
  #words = new Int32Array(CAPACITY_MIN * ID_WORDS);

  has(bytes: Buffer, at: number): boolean {
    load(bytes, at);
    return !this.#isFree(this.#find());
  }

  add(bytes: Buffer, at: number): boolean {
    load(bytes, at);
    if (!this.#isFree(this.#find())) return false;
    if (4 * (this.size + 1) > (3 * this.#words.length) / ID_WORDS) this.#grow();
    load(bytes, at);
    this.#words.set(id, this.#find());
    this.size++;
    return true;
  }

  #find(): number {
    const words = this.#words;
    const mask = words.length / ID_WORDS - 1;
    for (let slot = hashOfId() & mask; ; slot = (slot + 1) & mask) {
      const at = slot * ID_WORDS;
      if (this.#isFree(at) || id.every((word, k) => words[at + k] === word)) return at;
    }
  }

  #isFree(at: number): boolean {
    return this.#words[at] === 0 && this.#words[at + 1] === 0;
  }

  #grow(): void {
    const before = this.#words;
    this.#words = new Int32Array(2 * before.length);
    for (let from = 0; from < before.length; from += ID_WORDS) {
      if (before[from] === 0 && before[from + 1] === 0) continue;
      for (let k = 0; k < ID_WORDS; k++) id[k] = before[from + k];
      this.#words.set(id, this.#find());
    }
  }
}

const id = new Int32Array(ID_WORDS);

function load(bytes: Buffer, at: number): void {
  for (let k = 0; k < ID_WORDS; k++) id[k] = bytes.readInt32BE(at + 4 * k);
}

function hashOfId(): number {
  let h = 0;
  for (let k = 0; k < ID_WORDS; k++) h = Math.imul(h ^ id[k] ^ (h >>> 15), 0x9e3779b1);
  return h ^ (h >>> 15);
}
