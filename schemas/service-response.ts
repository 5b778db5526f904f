import { RESPONSE_CODES, type ResponseCode } from '#core/response-codes.ts';
import { type AvroReader, MalformedBinary, writeFixed, writeLong } from './avro-binary.ts';
import { readCounter, writeCounter } from './counter.ts';
import { readDouble, symbol, UNKNOWN_GENERATION, UNKNOWN_ROLE, UNKNOWN_SRV } from './service-request.ts';

/** Positions of the symbols in service-response.avsc. */
export const RESPONSE_KIND = { answer: 0, marker: 1 } as const;
export const RESPONSE_SOURCE = { accessControl: 0, anomaly: 1, fleet: 2 } as const;
const CODES = Object.keys(RESPONSE_CODES) as ResponseCode[];
const UNKNOWN_CODE = CODES.length;

export function codeIndex(code: ResponseCode): number {
  return CODES.indexOf(code);
}

/** Undefined for the symbol UNKNOWN. */
export function codeOf(index: number): ResponseCode | undefined {
  return CODES[index];
}

/** Longest value that {@link writeServiceResponse} writes for an answer of no rows, without the wire header. */
export const RESPONSE_BYTES_MAX = 160;
/** A value of energy in Avro, at most: below 2^32. */
export const RESPONSE_VALUE_BYTES_MAX = 5;

/** A ServiceResponse read in place, its energy values passed over: `rows` counts those of activeWh. Reused. */
export type ServiceResponseFields = {
  kind: number;
  source: number;
  mode: number;
  requestOffset: number;
  mpan: number;
  originatorAt: number;
  deviceAt: number;
  /** The low 49 of its 64 bits, and the others: see counter.ts. */
  counter: number;
  counterTop: number;
  role: number;
  srv: number;
  service: number;
  generation: number;
  code: number;
  fact: number;
  receivedMs: number;
  quarantinedMs: number;
  answeredMs: number;
  platformMs: number;
  sentWallMs: number;
  firstStampMs: number;
  stepMs: number;
  rows: number;
};

export function newServiceResponse(): ServiceResponseFields {
  return {
    kind: 0,
    source: 0,
    mode: 0,
    requestOffset: 0,
    mpan: 0,
    originatorAt: 0,
    deviceAt: 0,
    counter: 0,
    counterTop: 0,
    role: UNKNOWN_ROLE,
    srv: UNKNOWN_SRV,
    service: 0,
    generation: UNKNOWN_GENERATION,
    code: 0,
    fact: 0,
    receivedMs: 0,
    quarantinedMs: 0,
    answeredMs: 0,
    platformMs: 0,
    sentWallMs: 0,
    firstStampMs: 0,
    stepMs: 0,
    rows: 0,
  };
}

/** Reads one ServiceResponse (service-response.avsc). Throws MalformedBinary where the bytes are none. */
export function readServiceResponse(reader: AvroReader, into: ServiceResponseFields): void {
  readResponseHead(reader, into);
  into.rows = passArray(reader);
  passArray(reader);
  passArray(reader);
}

/** The same without its energy: `rows` stays as it was. For those who ask what was answered, and when. */
export function readResponseHead(reader: AvroReader, into: ServiceResponseFields): void {
  into.kind = symbol(reader, 1);
  into.source = symbol(reader, 2);
  into.mode = symbol(reader, 1);
  into.requestOffset = reader.long();
  into.mpan = reader.long();
  into.originatorAt = reader.skip(8);
  into.deviceAt = reader.skip(8);
  readCounter(reader, into);
  into.role = symbol(reader, UNKNOWN_ROLE);
  into.srv = symbol(reader, UNKNOWN_SRV);
  into.service = symbol(reader, 1);
  into.generation = symbol(reader, UNKNOWN_GENERATION);
  into.code = symbol(reader, UNKNOWN_CODE);
  into.fact = reader.int();
  into.receivedMs = reader.long();
  into.quarantinedMs = reader.long();
  into.answeredMs = reader.long();
  into.platformMs = readDouble(reader);
  into.sentWallMs = readDouble(reader);
  into.firstStampMs = reader.long();
  into.stepMs = reader.int();
}

/** Writes one, with the first `rows` of `activeWh` and so many of the others; returns the position behind it. */
export function writeServiceResponse(
  buffer: Buffer,
  at: number,
  fields: ServiceResponseFields,
  originator: Uint8Array,
  originatorAt: number,
  device: Uint8Array,
  deviceAt: number,
  activeWh: Uint32Array,
  reactiveVarh: Uint32Array,
  reactiveRows: number,
  touWh: Uint32Array,
  touValues: number,
): number {
  let to = at;
  buffer[to++] = fields.kind << 1;
  buffer[to++] = fields.source << 1;
  buffer[to++] = fields.mode << 1;
  to = writeLong(buffer, to, fields.requestOffset);
  to = writeLong(buffer, to, fields.mpan);
  to = writeFixed(buffer, to, originator, originatorAt, 8);
  to = writeFixed(buffer, to, device, deviceAt, 8);
  to = writeCounter(buffer, to, fields.counter, fields.counterTop);
  buffer[to++] = fields.role << 1;
  buffer[to++] = fields.srv << 1;
  buffer[to++] = fields.service << 1;
  buffer[to++] = fields.generation << 1;
  buffer[to++] = fields.code << 1;
  to = writeLong(buffer, to, fields.fact);
  to = writeLong(buffer, to, fields.receivedMs);
  to = writeLong(buffer, to, fields.quarantinedMs);
  to = writeLong(buffer, to, fields.answeredMs);
  to = buffer.writeDoubleLE(fields.platformMs, to);
  to = buffer.writeDoubleLE(fields.sentWallMs, to);
  to = writeLong(buffer, to, fields.firstStampMs);
  to = writeLong(buffer, to, fields.stepMs);
  to = writeArray(buffer, to, activeWh, fields.rows);
  to = writeArray(buffer, to, reactiveVarh, reactiveRows);
  return writeArray(buffer, to, touWh, touValues);
}

const NO_VALUES = new Uint32Array(0);
const NO_EUI = new Uint8Array(8);

/** Writes an answer that carries no energy. */
export function writePlainResponse(
  buffer: Buffer,
  at: number,
  fields: ServiceResponseFields,
  originator: Uint8Array,
  originatorAt: number,
  device: Uint8Array,
  deviceAt: number,
): number {
  fields.rows = 0;
  fields.firstStampMs = 0;
  fields.stepMs = 0;
  return writeServiceResponse(
    buffer,
    at,
    fields,
    originator,
    originatorAt,
    device,
    deviceAt,
    NO_VALUES,
    NO_VALUES,
    0,
    NO_VALUES,
    0,
  );
}

/** Writes a MARKER: no answer before `untilMs` follows from the fleet. */
export function writeResponseMarker(buffer: Buffer, at: number, untilMs: number, wallMs: number): number {
  marker.receivedMs = untilMs;
  marker.answeredMs = untilMs;
  marker.sentWallMs = wallMs;
  return writePlainResponse(buffer, at, marker, NO_EUI, 0, NO_EUI, 0);
}

const marker = { ...newServiceResponse(), kind: RESPONSE_KIND.marker, source: RESPONSE_SOURCE.fleet };

function writeArray(buffer: Buffer, at: number, values: Uint32Array, count: number): number {
  let to = at;
  if (count > 0) {
    to = writeLong(buffer, to, count);
    for (let k = 0; k < count; k++) {
      const value = values[k];
      // Most half-hours hold less than 8,192 Wh: two bytes, written here.
      if (value < 64) buffer[to++] = value << 1;
      else if (value < 8192) {
        buffer[to++] = ((value << 1) & 127) | 128;
        buffer[to++] = value >> 6;
      } else to = writeLong(buffer, to, value);
    }
  }
  buffer[to++] = 0;
  return to;
}

/** Passes over an array of longs in blocks; returns how many there were. */
function passArray(reader: AvroReader): number {
  let values = 0;
  for (let count = reader.long(); count !== 0; count = reader.long()) {
    if (count < 0) {
      count = -count;
      reader.skip(reader.length());
    } else {
      if (count > reader.end - reader.at) throw new MalformedBinary(`an array of ${count} values in fewer bytes`);
      for (let k = 0; k < count; k++) reader.skipLong();
    }
    values += count;
  }
  return values;
}
