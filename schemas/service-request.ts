import { type AvroReader, MalformedBinary, writeFixed, writeLong } from './avro-binary.ts';
import { readCounter, writeCounter } from './counter.ts';

/** Positions of the symbols in service-request.avsc. */
export const REQUEST_KIND = { request: 0, marker: 1, release: 2, delete: 3 } as const;
/** The operator answers for Users what is to become of held requests; each gateway has a number of its own below. */
export const SOURCE = { scheduler: 0, users: 1, gateway: 2, operator: 1023 } as const;
/** Positions of the symbols of QuarantineKind in quarantine-event.avsc. */
export const QUARANTINE_KIND = { held: 0, released: 1, deleted: 2 } as const;
/**
 * Of two requests of gateways in one partition with the same RequestID the later is the same request that came to two of
 * them: where it stands within so many offsets of the first, half a minute of what a partition takes, and was received
 * within so much of it by the wall. Gateways know each other's requests after some milliseconds.
 */
export const REPEATED_WITHIN_OFFSETS = 32_768;
export const REPEATED_WITHIN_WALL_MS = 600_000;
/** Symbol UNKNOWN of Srv, Role and Generation. */
export const UNKNOWN_SRV = 11;
export const UNKNOWN_ROLE = 8;
export const UNKNOWN_GENERATION = 2;

/**
 * Whoever takes a source's partition over numbers on from the next multiple of this: a tenure of its own. 2 million
 * takeovers of 4 billion requests each.
 */
export const POSITIONS_A_TENURE = 2 ** 32;

/** Longest value that {@link writeServiceRequest} writes, without the wire header. */
export const SERVICE_REQUEST_BYTES_MAX = 128;

/** A ServiceRequest read in place: EUI-64s are positions in the buffer that was read. Reused from record to record. */
export type ServiceRequestFields = {
  kind: number;
  source: number;
  position: number;
  mpan: number;
  originatorAt: number;
  deviceAt: number;
  /** The low 49 of its 64 bits, and the others: see counter.ts. */
  counter: number;
  counterTop: number;
  role: number;
  /** -1: the originator's own certificate. */
  signerAt: number;
  srv: number;
  scheduledSrv: number;
  mode: number;
  service: number;
  receivedMs: number;
  windowStartMs: number;
  windowEndMs: number;
  dueWallMs: number;
};

export function newServiceRequest(): ServiceRequestFields {
  return {
    kind: 0,
    source: 0,
    position: 0,
    mpan: 0,
    originatorAt: 0,
    deviceAt: 0,
    counter: 0,
    counterTop: 0,
    role: UNKNOWN_ROLE,
    signerAt: -1,
    srv: UNKNOWN_SRV,
    scheduledSrv: UNKNOWN_SRV,
    mode: 0,
    service: 0,
    receivedMs: 0,
    windowStartMs: 0,
    windowEndMs: 0,
    dueWallMs: 0,
  };
}

/** Reads one ServiceRequest (service-request.avsc). Throws MalformedBinary where the bytes are none. */
export function readServiceRequest(reader: AvroReader, into: ServiceRequestFields): void {
  into.kind = symbol(reader, REQUEST_KIND.delete);
  into.source = reader.int();
  into.position = reader.long();
  into.mpan = reader.long();
  into.originatorAt = reader.skip(8);
  into.deviceAt = reader.skip(8);
  readCounter(reader, into);
  into.role = symbol(reader, UNKNOWN_ROLE);
  into.signerAt = symbol(reader, 1) === 1 ? reader.skip(8) : -1;
  into.srv = symbol(reader, UNKNOWN_SRV);
  into.scheduledSrv = symbol(reader, UNKNOWN_SRV);
  into.mode = symbol(reader, 1);
  into.service = symbol(reader, 1);
  into.receivedMs = reader.long();
  into.windowStartMs = reader.long();
  into.windowEndMs = reader.long();
  into.dueWallMs = readDouble(reader);
}

/**
 * Writes one, signed by its originator unless another signer is given; returns the position behind it. EUI-64s: the 8
 * bytes at their positions.
 */
export function writeServiceRequest(
  buffer: Buffer,
  at: number,
  fields: ServiceRequestFields,
  originator: Uint8Array,
  device: Uint8Array,
  originatorAt = 0,
  deviceAt = 0,
  signer: Uint8Array | undefined = undefined,
): number {
  let to = at;
  buffer[to++] = fields.kind << 1;
  to = writeLong(buffer, to, fields.source);
  to = writeLong(buffer, to, fields.position);
  to = writeLong(buffer, to, fields.mpan);
  to = writeFixed(buffer, to, originator, originatorAt, 8);
  to = writeFixed(buffer, to, device, deviceAt, 8);
  to = writeCounter(buffer, to, fields.counter, fields.counterTop);
  buffer[to++] = fields.role << 1;
  buffer[to++] = signer === undefined ? 0 : 2;
  if (signer !== undefined) to = writeFixed(buffer, to, signer, 0, 8);
  buffer[to++] = fields.srv << 1;
  buffer[to++] = fields.scheduledSrv << 1;
  buffer[to++] = fields.mode << 1;
  buffer[to++] = fields.service << 1;
  to = writeLong(buffer, to, fields.receivedMs);
  to = writeLong(buffer, to, fields.windowStartMs);
  to = writeLong(buffer, to, fields.windowEndMs);
  return buffer.writeDoubleLE(fields.dueWallMs, to);
}

const NO_EUI = new Uint8Array(8);

/** Writes a MARKER: no request before `untilMs` follows from this source. */
export function writeMarker(
  buffer: Buffer,
  at: number,
  source: number,
  position: number,
  mode: number,
  untilMs: number,
  wallMs: number,
): number {
  marker.source = source;
  marker.position = position;
  marker.mode = mode;
  marker.receivedMs = untilMs;
  marker.windowStartMs = untilMs;
  marker.windowEndMs = untilMs;
  marker.dueWallMs = wallMs;
  return writeServiceRequest(buffer, at, marker, NO_EUI, NO_EUI);
}

const marker = { ...newServiceRequest(), kind: REQUEST_KIND.marker };

/** An enum or union index. Ours take one byte; whoever writes them longer is understood too. */
export function symbol(reader: AvroReader, max: number): number {
  const { at } = reader;
  const byte = at < reader.end ? reader.buffer[at] : 1;
  if ((byte & 0x81) === 0 && byte >> 1 <= max) {
    reader.at = at + 1;
    return byte >> 1;
  }
  const value = reader.int();
  if (value < 0 || value > max) throw new MalformedBinary(`${value} is none of ${max + 1} symbols`);
  return value;
}

export function readDouble(reader: AvroReader): number {
  return reader.buffer.readDoubleLE(reader.skip(8));
}
