import { REPEATED_WITHIN_OFFSETS, REPEATED_WITHIN_WALL_MS } from '#schemas/service-request.ts';

/**
 * RequestIDs that gateways have accepted lately for the MPANs of one partition. Two gateways that get the same one
 * within some milliseconds both accept it, for neither has read the other's yet; but both write it into one partition,
 * and here the second is known. What counts is the distance in the log, so that whoever reads it again says the same.
 *
 *   heads    bucket of the hash -> the latest slot of its chain
 *   slots    a ring of as many as there can be within the distance; the oldest is taken out of its chain and used anew
 *            | originator 8 | target 8 | counter 8 | offset 8 | wall instant 8 | next slot of the chain 4 |
 */
export class RecentRequestIds {
  #ids = new Int32Array(0);
  #offsets = new Float64Array(0);
  #wallMs = new Float64Array(0);
  #next = new Int32Array(0);
  #heads = new Int32Array(0);
  #slot = 0;

  /**
   * Remembers the RequestID, unless an earlier request bore it: then true. `originatorAt`: where the originator, the
   * device and, up to `end`, the counter stand. `isForDcc`: the target is the DCC, and the device stands in the body.
   */
  isRepeat(
    buffer: Buffer,
    originatorAt: number,
    end: number,
    isForDcc: boolean,
    offset: number,
    wallMs: number,
  ): boolean {
    // Most partitions see no gateway's request at all.
    if (this.#heads.length === 0) this.#open();
    load(buffer, originatorAt, end, isForDcc);
    const bucket = bucketOf(id, 0);
    const found = this.#find(bucket);
    // What is read again after a restart is known already, by itself.
    if (found >= 0 && this.#offsets[found] >= offset) return false;
    if (
      found >= 0 &&
      offset - this.#offsets[found] <= REPEATED_WITHIN_OFFSETS &&
      Math.abs(wallMs - this.#wallMs[found]) <= REPEATED_WITHIN_WALL_MS
    )
      return true;
    this.#put(bucket, offset, wallMs);
    return false;
  }

  #open(): void {
    this.#ids = new Int32Array(SLOTS * ID_WORDS);
    this.#offsets = new Float64Array(SLOTS).fill(FREE);
    this.#wallMs = new Float64Array(SLOTS);
    this.#next = new Int32Array(SLOTS).fill(NONE);
    this.#heads = new Int32Array(BUCKETS).fill(NONE);
  }

  #find(bucket: number): number {
    const ids = this.#ids;
    for (let slot = this.#heads[bucket]; slot !== NONE; slot = this.#next[slot]) {
      let k = 0;
      while (k < ID_WORDS && ids[slot * ID_WORDS + k] === id[k]) k++;
      if (k === ID_WORDS) return slot;
    }
    return NONE;
  }

  #put(bucket: number, offset: number, wallMs: number): void {
    const slot = this.#slot;
    this.#slot = (slot + 1) % SLOTS;
    if (this.#offsets[slot] !== FREE) this.#unchain(slot);
    this.#ids.set(id, slot * ID_WORDS);
    this.#offsets[slot] = offset;
    this.#wallMs[slot] = wallMs;
    this.#next[slot] = this.#heads[bucket];
    this.#heads[bucket] = slot;
  }

  // The oldest is the last of its chain.
  #unchain(slot: number): void {
    const bucket = bucketOf(this.#ids, slot * ID_WORDS);
    let before = NONE;
    for (let at = this.#heads[bucket]; at !== slot; at = this.#next[at]) before = at;
    if (before === NONE) this.#heads[bucket] = this.#next[slot];
    else this.#next[before] = this.#next[slot];
  }
}

const ID_WORDS = 6;
/** Within the distance there are no more requests than offsets: 1.6 MB a partition. */
const SLOTS = REPEATED_WITHIN_OFFSETS;
const BUCKETS = SLOTS;
const FREE = -1;
const NONE = -1;
const EUI_BYTES = 8;

const id = new Int32Array(ID_WORDS);

function load(buffer: Buffer, originatorAt: number, end: number, isForDcc: boolean): void {
  const deviceAt = originatorAt + EUI_BYTES;
  id[0] = buffer.readInt32LE(originatorAt);
  id[1] = buffer.readInt32LE(originatorAt + 4);
  id[2] = isForDcc ? 0 : buffer.readInt32LE(deviceAt);
  id[3] = isForDcc ? 0 : buffer.readInt32LE(deviceAt + 4);
  let low = 0;
  let high = 0;
  // The counter as Avro has it, seven bits a byte, the lowest first.
  for (let at = deviceAt + EUI_BYTES, shift = 0; at < end; at++, shift += 7) {
    const bits = buffer[at] & 127;
    if (shift < 32) low |= bits << shift;
    if (shift >= 32) high |= bits << (shift - 32);
    else if (shift > 25) high |= bits >>> (32 - shift);
  }
  id[4] = low;
  id[5] = high;
}

function bucketOf(ids: Int32Array, at: number): number {
  let h = 0;
  for (let k = 0; k < ID_WORDS; k++) h = Math.imul(h ^ ids[at + k] ^ (h >>> 15), 0x9e3779b1);
  return (h ^ (h >>> 15)) & (BUCKETS - 1);
}
