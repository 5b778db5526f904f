import { OffsetIndex } from './offset-index.ts';

/** Requests that have no answer yet, in flat arrays by index, found by mode and offset in service-requests. */
export class OpenRequests {
  size = 0;
  mode = new Uint8Array(SLOTS_AT_FIRST);
  requestOffset = new Float64Array(SLOTS_AT_FIRST);
  ownOffset = new Float64Array(SLOTS_AT_FIRST);
  mpan = new Float64Array(SLOTS_AT_FIRST);
  /** The low 49 bits, and the others: see schemas/counter.ts. */
  counter = new Float64Array(SLOTS_AT_FIRST);
  counterTop = new Int32Array(SLOTS_AT_FIRST);
  receivedMs = new Float64Array(SLOTS_AT_FIRST);
  quarantinedMs = new Float64Array(SLOTS_AT_FIRST);
  deadlineMs = new Float64Array(SLOTS_AT_FIRST);
  trtSeconds = new Int32Array(SLOTS_AT_FIRST);
  series = new Int32Array(SLOTS_AT_FIRST);
  srv = new Uint8Array(SLOTS_AT_FIRST);
  service = new Uint8Array(SLOTS_AT_FIRST);
  generation = new Uint8Array(SLOTS_AT_FIRST);
  /** 1: its time has run out, or it has none; it is in no wheel then. */
  isBreached = new Uint8Array(SLOTS_AT_FIRST);
  /** 8 bytes each. */
  originator = new Uint8Array(8 * SLOTS_AT_FIRST);
  device = new Uint8Array(8 * SLOTS_AT_FIRST);
  readonly #byOffset: readonly [OffsetIndex, OffsetIndex] = [new OffsetIndex(), new OffsetIndex()];
  #free: number[] = [];
  #used = 0;

  /** Indexes in use are below. */
  get used(): number {
    return this.#used;
  }

  /** Indexes are below. */
  get slots(): number {
    return this.mpan.length;
  }

  add(mode: number, requestOffset: number): number {
    const index = this.#free.pop() ?? this.#used++;
    if (index === this.mpan.length) this.#grow();
    this.mode[index] = mode;
    this.requestOffset[index] = requestOffset;
    this.#byOffset[mode].set(requestOffset, index, this.requestOffset);
    this.size++;
    return index;
  }

  /** -1 where it is not open. */
  find(mode: number, requestOffset: number): number {
    return this.#byOffset[mode].get(requestOffset, this.requestOffset);
  }

  remove(index: number): void {
    this.#byOffset[this.mode[index]].delete(this.requestOffset[index], this.requestOffset);
    // Who walks the arrays knows a free one by it.
    this.deadlineMs[index] = Number.NaN;
    this.#free.push(index);
    this.size--;
  }

  #grow(): void {
    const slots = 2 * this.mpan.length;
    if (slots > OPEN_MAX) throw new RangeError(`more than ${OPEN_MAX} requests are open in one partition`);
    const columns = this as unknown as Record<string, unknown>;
    for (const name of Object.keys(columns)) {
      const column = columns[name];
      if (column instanceof Float64Array) columns[name] = doubled(column, new Float64Array(2 * column.length));
      else if (column instanceof Int32Array) columns[name] = doubled(column, new Int32Array(2 * column.length));
      else if (column instanceof Uint8Array) columns[name] = doubled(column, new Uint8Array(2 * column.length));
    }
  }
}

const SLOTS_AT_FIRST = 1024;
/** In one partition it is a day of half of Great Britain's meters: 1.7 GB. */
const OPEN_MAX = 1 << 24;

function doubled<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
