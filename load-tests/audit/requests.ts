import { type Matrix, MODES, ROLES, SERVICES } from '#core/matrix.ts';
import type { Place } from './findings.ts';
import type { ModeSymbol, RequestRecord } from './record-types.ts';
import type { Users } from './users.ts';
import { hexOf, withDashes } from './users.ts';

/** What was seen of a request, as bits. */
export const SEEN = {
  /** In anomaly-checks. */
  checked: 1,
  /** In device-requests, and not as a replay. */
  delivered: 2,
  /** In device-requests as what the fleet takes for a replay. */
  dropped: 4,
  held: 8,
  released: 16,
  /** In dead-letters, on whichever topic of its way. */
  setAside: 32,
  /** Answered with rows outside the window asked for. */
  outside: 64,
  deleted: 128,
} as const;

export const NO_ANSWER = -1;
/** Position in GENERATIONS; this where no record said one. */
export const NO_GENERATION = -1;

/**
 * Every request of one partition and what became of it: a column a field, an index a request, both lanes together in
 * the order in which they are read. About 300 bytes a request, half of them its RequestID and the map by it.
 */
export class Requests {
  count = 0;
  /** RequestID: the bytes of originator, device and counter as 24 characters. */
  readonly ids: string[] = [];
  /** The last request of each RequestID. */
  readonly byId = new Map<string, number>();
  /** Another request of the same RequestID, -1 for none. */
  readonly sameId: Int32Array;
  readonly mode: Uint8Array;
  readonly offset: Float64Array;
  readonly position: Float64Array;
  readonly mpan: Float64Array;
  /** Of Users; -1 unknown. */
  readonly user: Int32Array;
  /** Of Users that signed it. */
  readonly signer: Int32Array;
  /** Positions in ROLES, the matrix and SERVICES, -1 unknown. */
  readonly role: Int8Array;
  readonly srv: Int8Array;
  readonly scheduledSrv: Int8Array;
  readonly service: Int8Array;
  readonly receivedMs: Float64Array;
  readonly windowStartMs: Float64Array;
  readonly windowEndMs: Float64Array;
  /** Wall clock at which the request was written, and at which the first record about its decision was. */
  readonly writtenMs: Float64Array;
  readonly decidedMs: Float64Array;

  readonly seen: Uint8Array;
  readonly generation: Int8Array;
  readonly quarantinedMs: Float64Array;
  /** Offset of its first delivery in device-requests. */
  readonly deliveredAt: Float64Array;
  /** Of the first answer: its offset in service-responses, NO_ANSWER for none. */
  readonly answeredAt: Float64Array;
  readonly answeredMs: Float64Array;
  readonly platformMs: Float64Array;
  /** Positions in SOURCES and in `codes`. */
  readonly source: Uint8Array;
  readonly code: Uint8Array;
  readonly fact: Int16Array;
  readonly codes: string[] = [];

  readonly #partition: number;
  readonly #srvOfSymbol: ReadonlyMap<string, number>;
  /** Index by offset in each lane, -1 where no request stands. */
  readonly #indexes: readonly [Int32Array, Int32Array];

  constructor(partition: number, lanes: readonly [number, number], matrix: Matrix) {
    const room = lanes[0] + lanes[1];
    this.#partition = partition;
    this.#srvOfSymbol = new Map(matrix.services.map(({ srv }, at) => [`SRV_${srv.replaceAll('.', '_')}`, at]));
    this.#indexes = [new Int32Array(lanes[0]).fill(-1), new Int32Array(lanes[1]).fill(-1)];
    this.sameId = new Int32Array(room).fill(-1);
    this.mode = new Uint8Array(room);
    this.offset = new Float64Array(room);
    this.position = new Float64Array(room);
    this.mpan = new Float64Array(room);
    this.user = new Int32Array(room);
    this.signer = new Int32Array(room);
    this.role = new Int8Array(room);
    this.srv = new Int8Array(room);
    this.scheduledSrv = new Int8Array(room);
    this.service = new Int8Array(room);
    this.receivedMs = new Float64Array(room);
    this.windowStartMs = new Float64Array(room);
    this.windowEndMs = new Float64Array(room);
    this.writtenMs = new Float64Array(room);
    this.decidedMs = new Float64Array(room).fill(Number.POSITIVE_INFINITY);
    this.seen = new Uint8Array(room);
    this.generation = new Int8Array(room).fill(NO_GENERATION);
    this.quarantinedMs = new Float64Array(room);
    this.deliveredAt = new Float64Array(room).fill(NO_ANSWER);
    this.answeredAt = new Float64Array(room).fill(NO_ANSWER);
    this.answeredMs = new Float64Array(room);
    this.platformMs = new Float64Array(room);
    this.source = new Uint8Array(room);
    this.code = new Uint8Array(room);
    this.fact = new Int16Array(room);
  }

  /** Takes a request at an offset of its lane. */
  add(record: RequestRecord, mode: number, offset: number, writtenMs: number, users: Users): number {
    const index = this.count++;
    const id = idOf(record);
    const same = this.byId.get(id);
    if (same !== undefined) this.sameId[index] = same;
    this.byId.set(id, index);
    this.ids.push(id);
    this.#indexes[mode][offset] = index;
    this.mode[index] = mode;
    this.offset[index] = offset;
    this.position[index] = record.position;
    this.mpan[index] = record.mpan;
    this.user[index] = users.find(record.originator);
    this.signer[index] = record.signer === null ? this.user[index] : users.find(record.signer);
    this.role[index] = (ROLES as readonly string[]).indexOf(record.role);
    this.srv[index] = this.#srvOfSymbol.get(record.srv) ?? -1;
    this.scheduledSrv[index] = this.#srvOfSymbol.get(record.scheduledSrv) ?? -1;
    this.service[index] = (SERVICES as readonly string[]).indexOf(record.service.toLowerCase());
    this.receivedMs[index] = record.receivedMs;
    this.windowStartMs[index] = record.windowStartMs;
    this.windowEndMs[index] = record.windowEndMs;
    this.writtenMs[index] = writtenMs;
    return index;
  }

  /** The request at an offset of a lane, -1 where there is none. */
  at(mode: number, offset: number): number {
    return this.#indexes[mode][offset] ?? -1;
  }

  /** Whether the request is for the device of these 8 characters. */
  isFor(index: number, device: string): boolean {
    return this.ids[index].startsWith(device, 8);
  }

  has(index: number, bit: number): boolean {
    return (this.seen[index] & bit) !== 0;
  }

  isAnswered(index: number): boolean {
    return this.answeredAt[index] !== NO_ANSWER;
  }

  codeOf(index: number): string {
    return this.codes[this.code[index]];
  }

  /** Position of a code in `codes`. */
  codeNumber(code: string): number {
    const known = this.codes.indexOf(code);
    return known >= 0 ? known : this.codes.push(code) - 1;
  }

  place(index: number): Place {
    const mode = this.mode[index];
    return {
      requestId: idText(this.ids[index]),
      mode: MODES[mode],
      topic: `service-requests.${MODES[mode]}`,
      partition: this.#partition,
      offset: this.offset[index],
    };
  }
}

export const SOURCES = ['ACCESS_CONTROL', 'ANOMALY', 'FLEET'] as const;
export const ACCESS_CONTROL = SOURCES.indexOf('ACCESS_CONTROL');
export const ANOMALY = SOURCES.indexOf('ANOMALY');
export const FLEET = SOURCES.indexOf('FLEET');

export function modeOf(symbol: ModeSymbol): number {
  return symbol === 'SCHEDULED' ? MODES.indexOf('scheduled') : MODES.indexOf('on-demand');
}

export function idOf({ originator, device, counter }: { originator: Buffer; device: Buffer; counter: string }): string {
  return originator.toString('latin1', 0, 8) + device.toString('latin1', 0, 8) + counter;
}

/** A RequestID as Users write it; the counter as the unsigned number that it is. */
export function idText(id: string): string {
  const bytes = Buffer.from(id, 'latin1');
  const eui = (at: number) => withDashes(hexOf(bytes.subarray(at, at + 8)));
  return `${eui(0)}:${eui(8)}:${bytes.readBigUInt64LE(16)}`;
}
