/**
 * Which offsets of one partition are done, as a watermark and a bitmap above it:
 *
 *   done done done | done open done done open ...
 *                  ^ low: everything below is done
 *
 * One bit an offset from `low` to the highest; the room for what has become done below `low` is used again. Naive model:
 * a Set of numbers (test).
 */
export class OffsetSet {
  /** Lowest offset that is not done; a restart reads from here. */
  low: number;
  #base: number;
  #words: Uint32Array;

  constructor(low = 0) {
    this.low = low;
    this.#base = Math.floor(low / 32) * 32;
    this.#words = new Uint32Array(1024);
    // Offsets of the first word that lie below `low` are done.
    this.#words[0] = low % 32 === 0 ? 0 : (2 ** (low % 32) - 1) >>> 0;
  }

  has(offset: number): boolean {
    if (offset < this.low) return true;
    const at = offset - this.#base;
    const word = Math.floor(at / 32);
    return word < this.#words.length && (this.#words[word] & (1 << (at & 31))) !== 0;
  }

  /** Marks an offset done; false when it was. */
  add(offset: number): boolean {
    if (offset < this.low) return false;
    const at = offset - this.#base;
    const word = Math.floor(at / 32);
    if (word >= this.#words.length) {
      this.#makeRoom(word);
      return this.add(offset);
    }
    const bit = 1 << (at & 31);
    if ((this.#words[word] & bit) !== 0) return false;
    this.#words[word] |= bit;
    if (offset === this.low) this.#raise();
    return true;
  }

  /** Marks every offset from `from` up to but not including `until` done. */
  addRange(from: number, until: number): void {
    for (let offset = Math.max(from, this.low); offset < until; offset++) this.add(offset);
  }

  /** Takes everything below an offset as done, and forgets it. */
  raiseTo(low: number): void {
    if (low <= this.low) return;
    this.low = low;
    if (low - this.#base >= 32 * this.#words.length) {
      this.#words.fill(0);
      this.#base = Math.floor(low / 32) * 32;
    }
    this.#raise();
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  #raise(): void {
    const words = this.#words;
    let at = this.low - this.#base;
    // Word by word where all of one is done; bit by bit from the middle of one and to its end.
    for (let word = Math.floor(at / 32); word < words.length; word = Math.floor(at / 32)) {
      if (words[word] === FULL) at = 32 * (word + 1);
      else if ((words[word] & (1 << (at & 31))) !== 0) at++;
      else break;
    }
    this.low = this.#base + at;
  }

  #makeRoom(word: number): void {
    const done = Math.floor((this.low - this.#base) / 32);
    const needed = word - done + 1;
    const words = new Uint32Array(Math.max(this.#words.length, 2 ** Math.ceil(Math.log2(needed + 1))));
    words.set(this.#words.subarray(done));
    this.#words = words;
    this.#base += done * 32;
  }
}

const FULL = 0xffff_ffff;
