import { mpanFrom } from '#core/identifiers.ts';
import { DEVICE_REQUEST_BYTES_MAX, type DeviceRequestFields, writeDeviceRequest } from '#schemas/device-request.ts';
import {
  newServiceRequest,
  SERVICE_REQUEST_BYTES_MAX,
  type ServiceRequestFields,
  writeServiceRequest,
} from '#schemas/service-request.ts';
import { framed, SCHEMA_IDS } from './record-streams.ts';

export const SOME_MPAN = mpanFrom(123_456_789_012);
export const SOME_EUI = Buffer.from('90B3D51F30000007', 'hex');

/** A value of device-requests, its schema id before it. */
export function deviceRequestValue(
  request: Partial<ServiceRequestFields>,
  {
    generation = 2,
    requestOffset = 0,
    sourcePartition = 0,
    sourceOffset,
    quarantinedMs = 0,
  }: Partial<DeviceRequestFields> & {
    sourceOffset: number;
  },
  device: Uint8Array = SOME_EUI,
): Buffer {
  const inner = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);
  const fields = { ...newServiceRequest(), position: 1, mpan: SOME_MPAN, ...request };
  const end = writeServiceRequest(inner, 0, fields, SOME_EUI, device);
  const value = Buffer.alloc(DEVICE_REQUEST_BYTES_MAX);
  const to = writeDeviceRequest(
    value,
    0,
    inner,
    0,
    end,
    generation,
    requestOffset,
    sourcePartition,
    sourceOffset,
    quarantinedMs,
  );
  return framed(SCHEMA_IDS.deviceRequest, value.subarray(0, to));
}
