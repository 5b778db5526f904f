import { MODES, SERVICES } from '#core/matrix.ts';
import { AvroReader, LONG_BYTES_MAX, MalformedBinary } from './avro-binary.ts';
import { REQUEST_KIND, UNKNOWN_GENERATION, UNKNOWN_ROLE, UNKNOWN_SRV } from './service-request.ts';

/** Gateways that write into one partition, scheduler and simulated Users among them: state is kept for each. */
export const SOURCES_MAX = 1024;
/** Longest value taken, schema id included: some 100 bytes, 200 where every number is written as long as Avro allows. */
export const REQUEST_BYTES_MAX = 256;
export const DEVICE_REQUEST_BYTES_MAX = REQUEST_BYTES_MAX + 5 * LONG_BYTES_MAX;
/** The last instant that the calendars of most languages know: 275760-09-13. */
const INSTANT_MAX_MS = 8.64e15;

/**
 * Reads `service-request` and `device-request` values for those who pass them on: what is decided by is read, what is
 * only carried stays where it stands, the 64 bits of the counter among it, which no double holds. One object reused
 * from record to record. Enums are positions of their symbols, an EUI is the position of its first byte.
 * Reading throws MalformedBinary for what is not Avro of the schema; whether the fields can be is asked afterwards.
 */
export class RequestReader {
  kind: number = REQUEST_KIND.request;
  source = 0;
  position = 0;
  mpan = 0;
  originatorAt = 0;
  deviceAt = 0;
  role = 0;
  /** -1: the originator's certificate. */
  signerAt = -1;
  srv = 0;
  scheduledSrv = 0;
  mode = 0;
  service = 0;
  receivedMs = 0;
  windowStartMs = 0;
  windowEndMs = 0;
  dueWallMs = 0;

  buffer: Buffer = Buffer.alloc(0);
  /** Where the service request stands, for those who copy it as it came. */
  requestAt = 0;
  requestEnd = 0;
  /** Where the fields from `mpan` to `role` stand: a response has the same ones in the same order. */
  identityAt = 0;
  identityEnd = 0;

  /** Where `receivedMs` stands. */
  receivedAt = 0;
  receivedEnd = 0;
  /** Behind the counter: from `originatorAt` to here is the RequestID. */
  requestIdEnd = 0;

  /** Of a device request only. */
  generation = 0;
  requestOffset = 0;
  sourcePartition = 0;
  sourceOffset = 0;
  quarantinedMs = 0;

  readonly #avro = new AvroReader();

  readServiceRequest(buffer: Buffer, at: number, end: number): void {
    this.#open(buffer, at, end);
    this.#readRequest();
    this.#expectEnd();
  }

  readDeviceRequest(buffer: Buffer, at: number, end: number): void {
    const avro = this.#open(buffer, at, end);
    this.#readRequest();
    this.generation = this.#symbol(UNKNOWN_GENERATION + 1);
    this.requestOffset = avro.long();
    this.sourcePartition = avro.int();
    this.sourceOffset = avro.long();
    this.quarantinedMs = avro.long();
    this.#expectEnd();
  }

  /** Undefined where the fields can be as they are. Of a marker only those that it has are looked at. */
  impossibility(): string | undefined {
    if (this.source < 0 || this.source >= SOURCES_MAX)
      return `source is ${this.source}, expected 0 to ${SOURCES_MAX - 1}`;
    if (this.kind !== REQUEST_KIND.marker && (this.mpan < 1e12 || this.mpan >= 1e13))
      return `mpan is ${this.mpan}, expected 13 digits`;
    const positionMin = this.kind === REQUEST_KIND.marker ? 0 : 1;
    if (this.position < positionMin) return `position is ${this.position}, expected at least ${positionMin}`;
    if (!(this.receivedMs >= 0 && this.receivedMs <= INSTANT_MAX_MS))
      return `receivedMs is ${this.receivedMs}, expected 0 to ${INSTANT_MAX_MS}`;
    if (Math.abs(this.windowStartMs) > INSTANT_MAX_MS || Math.abs(this.windowEndMs) > INSTANT_MAX_MS)
      return `the window is ${this.windowStartMs} to ${this.windowEndMs}, expected instants up to ${INSTANT_MAX_MS}`;
    if (!Number.isFinite(this.dueWallMs)) return `dueWallMs is ${this.dueWallMs}, expected a number`;
    return undefined;
  }

  #open(buffer: Buffer, at: number, end: number): AvroReader {
    this.buffer = buffer;
    return this.#avro.open(buffer, at, end);
  }

  #readRequest(): void {
    const avro = this.#avro;
    this.requestAt = avro.at;
    this.kind = this.#symbol(REQUEST_KIND.delete + 1);
    this.source = avro.int();
    this.position = avro.long();
    this.identityAt = avro.at;
    this.mpan = avro.long();
    this.originatorAt = avro.skip(16);
    this.deviceAt = this.originatorAt + 8;
    avro.skipLong();
    this.requestIdEnd = avro.at;
    this.role = this.#symbol(UNKNOWN_ROLE + 1);
    this.identityEnd = avro.at;
    this.signerAt = this.#symbol(2) === 0 ? -1 : avro.skip(8);
    this.srv = this.#symbol(UNKNOWN_SRV + 1);
    this.scheduledSrv = this.#symbol(UNKNOWN_SRV + 1);
    this.mode = this.#symbol(MODES.length);
    this.service = this.#symbol(SERVICES.length);
    this.receivedAt = avro.at;
    this.receivedMs = avro.long();
    this.receivedEnd = avro.at;
    this.windowStartMs = avro.long();
    this.windowEndMs = avro.long();
    this.dueWallMs = this.buffer.readDoubleLE(avro.skip(8));
    this.requestEnd = avro.at;
  }

  // Nearly always one byte; whoever writes it longer is understood too.
  #symbol(symbols: number): number {
    const avro = this.#avro;
    const byte = avro.at < avro.end ? this.buffer[avro.at] : 1;
    if ((byte & 0x81) === 0 && byte < symbols << 1) {
      avro.at++;
      return byte >> 1;
    }
    const symbol = avro.long();
    if (symbol >= 0 && symbol < symbols) return symbol;
    throw new MalformedBinary(`symbol ${symbol} of an enum or union of ${symbols}`);
  }

  #expectEnd(): void {
    const left = this.#avro.end - this.#avro.at;
    if (left !== 0) throw new MalformedBinary(`${left} bytes behind the last field`);
  }
}
