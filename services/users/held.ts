import type { AvroReader } from '#schemas/avro-binary.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { QUARANTINE_KIND, type ServiceRequestFields, symbol } from '#schemas/service-request.ts';

/** A request that is held in quarantine, with what its User needs to release it. */
export type Held = { atMs: number; request: ServiceRequestFields; originator: Buffer; device: Buffer };

/** Reads a QuarantineEvent (quarantine-event.avsc); undefined where it is no HELD. Throws MalformedBinary. */
export function readHeld(reader: AvroReader): Held | undefined {
  const kind = symbol(reader, QUARANTINE_KIND.deleted);
  const atMs = reader.long();
  const fields = newDeviceRequest();
  readDeviceRequest(reader, fields);
  if (kind !== QUARANTINE_KIND.held) return undefined;
  const { request } = fields;
  const copy = (at: number) => Buffer.from(reader.buffer.subarray(at, at + 8));
  return { atMs, request, originator: copy(request.originatorAt), device: copy(request.deviceAt) };
}
