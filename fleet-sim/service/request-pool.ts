import type { DeviceRequestFields } from '#schemas/device-request.ts';

/**
 * What the fleet must remember of each open request to answer it: a row of 128 bytes each, two lines of the processor's
 * cache, since a million are open and they are answered in another order than they came. Freed rows are used again; the
 * memory doubles up to a limit.
 */
export class RequestPool {
  /** Requests open at present. */
  open = 0;
  /** Bytes of all rows: `originatorAt` and `deviceAt` point into it. */
  bytes = new Uint8Array(ROW_BYTES * ROWS_AT_FIRST);
  #doubles = new Float64Array(this.bytes.buffer);
  #ints = new Int32Array(this.bytes.buffer);
  #free = NONE;
  #used = 0;

  take(): number {
    let index = this.#free;
    if (index === NONE) {
      index = this.#used++;
      if (ROW_BYTES * index === this.bytes.length) this.#grow();
    } else {
      this.#free = this.#ints[32 * index + INT.next];
    }
    this.open++;
    return index;
  }

  /** Fills a row with a request read off `buffer`. `ownOffset`: in device-requests of its lane, committed once answered. */
  put(
    index: number,
    { request, requestOffset, generation, quarantinedMs }: DeviceRequestFields,
    buffer: Buffer,
    mode: number,
    ownOffset: number,
    takenWallMs: number,
  ): void {
    const doubles = this.#doubles;
    const double = 16 * index;
    doubles[double + DOUBLE.requestOffset] = requestOffset;
    doubles[double + DOUBLE.ownOffset] = ownOffset;
    doubles[double + DOUBLE.mpan] = request.mpan;
    doubles[double + DOUBLE.counter] = request.counter;
    doubles[double + DOUBLE.receivedMs] = request.receivedMs;
    doubles[double + DOUBLE.windowStartMs] = request.windowStartMs;
    doubles[double + DOUBLE.windowEndMs] = request.windowEndMs;
    doubles[double + DOUBLE.quarantinedMs] = quarantinedMs;
    doubles[double + DOUBLE.dueWallMs] = request.dueWallMs;
    doubles[double + DOUBLE.takenWallMs] = takenWallMs;
    this.#ints[32 * index + INT.counterTop] = request.counterTop;
    this.#ints[32 * index + INT.meter] = buffer.readInt32BE(request.deviceAt + 4);
    const { bytes } = this;
    const byte = ROW_BYTES * index;
    for (let k = 0; k < 8; k++) {
      bytes[byte + BYTE.originator + k] = buffer[request.originatorAt + k];
      bytes[byte + BYTE.device + k] = buffer[request.deviceAt + k];
    }
    bytes[byte + BYTE.role] = request.role;
    bytes[byte + BYTE.srv] = request.srv;
    bytes[byte + BYTE.mode] = mode;
    bytes[byte + BYTE.service] = request.service;
    bytes[byte + BYTE.generation] = generation;
  }

  release(index: number): void {
    this.#ints[32 * index + INT.next] = this.#free;
    this.#free = index;
    this.open--;
  }

  requestOffset(index: number): number {
    return this.#doubles[16 * index + DOUBLE.requestOffset];
  }

  ownOffset(index: number): number {
    return this.#doubles[16 * index + DOUBLE.ownOffset];
  }

  mpan(index: number): number {
    return this.#doubles[16 * index + DOUBLE.mpan];
  }

  /** The low 49 bits; `counterTop` has the others: see schemas/counter.ts. */
  counter(index: number): number {
    return this.#doubles[16 * index + DOUBLE.counter];
  }

  counterTop(index: number): number {
    return this.#ints[32 * index + INT.counterTop];
  }

  receivedMs(index: number): number {
    return this.#doubles[16 * index + DOUBLE.receivedMs];
  }

  windowStartMs(index: number): number {
    return this.#doubles[16 * index + DOUBLE.windowStartMs];
  }

  windowEndMs(index: number): number {
    return this.#doubles[16 * index + DOUBLE.windowEndMs];
  }

  quarantinedMs(index: number): number {
    return this.#doubles[16 * index + DOUBLE.quarantinedMs];
  }

  dueWallMs(index: number): number {
    return this.#doubles[16 * index + DOUBLE.dueWallMs];
  }

  takenWallMs(index: number): number {
    return this.#doubles[16 * index + DOUBLE.takenWallMs];
  }

  /** Fleet index of the meter, the second half of its Device ID; of a device that is none of the fleet's, any number. */
  meter(index: number): number {
    return this.#ints[32 * index + INT.meter] >>> 0;
  }

  /** Where in `bytes` the EUI-64 stands. */
  originatorAt(index: number): number {
    return ROW_BYTES * index + BYTE.originator;
  }

  deviceAt(index: number): number {
    return ROW_BYTES * index + BYTE.device;
  }

  role(index: number): number {
    return this.bytes[ROW_BYTES * index + BYTE.role];
  }

  /** Symbol of the schema's Srv. */
  srv(index: number): number {
    return this.bytes[ROW_BYTES * index + BYTE.srv];
  }

  mode(index: number): number {
    return this.bytes[ROW_BYTES * index + BYTE.mode];
  }

  service(index: number): number {
    return this.bytes[ROW_BYTES * index + BYTE.service];
  }

  generation(index: number): number {
    return this.bytes[ROW_BYTES * index + BYTE.generation];
  }

  #grow(): void {
    const rows = (2 * this.bytes.length) / ROW_BYTES;
    if (rows > OPEN_REQUESTS_MAX)
      throw new RangeError(`more than ${OPEN_REQUESTS_MAX} requests are open in one partition`);
    const larger = new Uint8Array(ROW_BYTES * rows);
    larger.set(this.bytes);
    this.bytes = larger;
    this.#doubles = new Float64Array(larger.buffer);
    this.#ints = new Int32Array(larger.buffer);
  }
}

const ROW_BYTES = 128;
/** Where a row's fields stand, each counted in its own size. */
const DOUBLE = {
  requestOffset: 0,
  ownOffset: 1,
  mpan: 2,
  counter: 3,
  receivedMs: 4,
  windowStartMs: 5,
  windowEndMs: 6,
  quarantinedMs: 7,
  dueWallMs: 8,
  takenWallMs: 9,
} as const;
const BYTE = { originator: 80, device: 88, role: 104, srv: 105, mode: 106, service: 107, generation: 108 } as const;
const INT = { meter: 24, next: 25, counterTop: 28 } as const;
const NONE = -1;
const ROWS_AT_FIRST = 1024;
/** In one partition: a day of a quarter of Great Britain's meters, and as many again. 2.1 GB. */
export const OPEN_REQUESTS_MAX = 1 << 24;
