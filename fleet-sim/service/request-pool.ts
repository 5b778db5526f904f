/**
 * What the fleet must remember of each open request to answer it, in flat arrays by index: 110 bytes a request. Freed
 * indexes are used again; the arrays double up to a limit.
 */
export class RequestPool {
  /** Requests open at present. */
  open = 0;
  requestOffset = new Float64Array(ENTRIES_AT_FIRST);
  /** Offset in device-requests of the lane: what is committed once it is answered. */
  ownOffset = new Float64Array(ENTRIES_AT_FIRST);
  mpan = new Float64Array(ENTRIES_AT_FIRST);
  /** The low 49 bits, and the others: see schemas/counter.ts. */
  counter = new Float64Array(ENTRIES_AT_FIRST);
  counterTop = new Int32Array(ENTRIES_AT_FIRST);
  receivedMs = new Float64Array(ENTRIES_AT_FIRST);
  windowStartMs = new Float64Array(ENTRIES_AT_FIRST);
  windowEndMs = new Float64Array(ENTRIES_AT_FIRST);
  quarantinedMs = new Float64Array(ENTRIES_AT_FIRST);
  dueWallMs = new Float64Array(ENTRIES_AT_FIRST);
  takenWallMs = new Float64Array(ENTRIES_AT_FIRST);
  /** Fleet index of the meter. */
  meter = new Int32Array(ENTRIES_AT_FIRST);
  /** 8 bytes each. */
  originator = new Uint8Array(8 * ENTRIES_AT_FIRST);
  device = new Uint8Array(8 * ENTRIES_AT_FIRST);
  role = new Uint8Array(ENTRIES_AT_FIRST);
  /** Symbol of the schema's Srv. */
  srv = new Uint8Array(ENTRIES_AT_FIRST);
  mode = new Uint8Array(ENTRIES_AT_FIRST);
  service = new Uint8Array(ENTRIES_AT_FIRST);
  generation = new Uint8Array(ENTRIES_AT_FIRST);
  #next = new Int32Array(ENTRIES_AT_FIRST);
  #free = NONE;
  #used = 0;

  take(): number {
    let index = this.#free;
    if (index === NONE) {
      index = this.#used++;
      if (index === this.mpan.length) this.#grow();
    } else {
      this.#free = this.#next[index];
    }
    this.open++;
    return index;
  }

  release(index: number): void {
    this.#next[index] = this.#free;
    this.#free = index;
    this.open--;
  }

  #grow(): void {
    const length = 2 * this.mpan.length;
    if (length > OPEN_REQUESTS_MAX)
      throw new RangeError(`more than ${OPEN_REQUESTS_MAX} requests are open in one partition`);
    const columns = this as unknown as Record<string, unknown>;
    for (const name of Object.keys(columns)) {
      const column = columns[name];
      if (column instanceof Float64Array) columns[name] = doubled(column, new Float64Array(2 * column.length));
      else if (column instanceof Int32Array) columns[name] = doubled(column, new Int32Array(2 * column.length));
      else if (column instanceof Uint8Array) columns[name] = doubled(column, new Uint8Array(2 * column.length));
    }
    this.#next = doubled(this.#next, new Int32Array(length));
  }
}

function doubled<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

const NONE = -1;
const ENTRIES_AT_FIRST = 1024;
/** In one partition: a day of a quarter of Great Britain's meters, and as many again. 1.8 GB. */
export const OPEN_REQUESTS_MAX = 1 << 24;
