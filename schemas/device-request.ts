import { type AvroReader, writeFixed, writeLong } from './avro-binary.ts';
import {
  newServiceRequest,
  readServiceRequest,
  SERVICE_REQUEST_BYTES_MAX,
  type ServiceRequestFields,
  symbol,
  UNKNOWN_GENERATION,
} from './service-request.ts';

/** Longest value that {@link writeDeviceRequest} writes, without the wire header. */
export const DEVICE_REQUEST_BYTES_MAX = SERVICE_REQUEST_BYTES_MAX + 40;

/** A DeviceRequest read in place. `requestAt` to `requestEnd`: its ServiceRequest as bytes, to be copied as it is. */
export type DeviceRequestFields = {
  request: ServiceRequestFields;
  requestAt: number;
  requestEnd: number;
  generation: number;
  requestOffset: number;
  sourcePartition: number;
  sourceOffset: number;
  quarantinedMs: number;
};

export function newDeviceRequest(): DeviceRequestFields {
  return {
    request: newServiceRequest(),
    requestAt: 0,
    requestEnd: 0,
    generation: UNKNOWN_GENERATION,
    requestOffset: 0,
    sourcePartition: 0,
    sourceOffset: 0,
    quarantinedMs: 0,
  };
}

/** Reads one DeviceRequest (device-request.avsc). Throws MalformedBinary where the bytes are none. */
export function readDeviceRequest(reader: AvroReader, into: DeviceRequestFields): void {
  into.requestAt = reader.at;
  readServiceRequest(reader, into.request);
  into.requestEnd = reader.at;
  into.generation = symbol(reader, UNKNOWN_GENERATION);
  into.requestOffset = reader.long();
  into.sourcePartition = reader.int();
  into.sourceOffset = reader.long();
  into.quarantinedMs = reader.long();
}

/** Writes one round a ServiceRequest's bytes; returns the position behind it. */
export function writeDeviceRequest(
  buffer: Buffer,
  at: number,
  request: Uint8Array,
  requestAt: number,
  requestEnd: number,
  generation: number,
  requestOffset: number,
  sourcePartition: number,
  sourceOffset: number,
  quarantinedMs: number,
): number {
  let to = writeFixed(buffer, at, request, requestAt, requestEnd - requestAt);
  buffer[to++] = generation << 1;
  to = writeLong(buffer, to, requestOffset);
  to = writeLong(buffer, to, sourcePartition);
  to = writeLong(buffer, to, sourceOffset);
  return writeLong(buffer, to, quarantinedMs);
}
