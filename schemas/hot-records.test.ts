import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { AvroReader } from './avro-binary.ts';
import { newDeviceRequest, readDeviceRequest, writeDeviceRequest } from './device-request.ts';
import {
  newServiceRequest,
  readServiceRequest,
  type ServiceRequestFields,
  writeServiceRequest,
} from './service-request.ts';
import {
  newServiceResponse,
  readServiceResponse,
  type ServiceResponseFields,
  writeServiceResponse,
} from './service-response.ts';
import { euiBytes, euiText, writeMpanKey } from './wire.ts';

const typeOf = (name: string) =>
  avsc.Type.forSchema(JSON.parse(readFileSync(new URL(`${name}.avsc`, import.meta.url), 'utf8')));
const REQUEST = typeOf('service-request');
const DEVICE_REQUEST = typeOf('device-request');
const RESPONSE = typeOf('service-response');
const enumOf = (type: avsc.Type, path: string[]): string[] => {
  let at = type as unknown as { fields?: { name: string; type: avsc.Type }[]; symbols: string[] };
  for (const name of path) at = at.fields?.find((field) => field.name === name)?.type as unknown as typeof at;
  return at.symbols;
};

const eui = fc.uint8Array({ minLength: 8, maxLength: 8 });
// avsc takes no larger ones.
const safe = fc.integer({ min: 0, max: 2 ** 53 - 2 });
const ms = fc.integer({ min: 0, max: 4e12 });
// Of 53 bits: all of them are counter.test.ts's.
const COUNTER = { counter: fc.integer({ min: 0, max: 2 ** 49 - 2 }), counterTop: fc.nat(15) };
const request = fc.record({
  kind: fc.nat(3),
  source: fc.nat(100),
  position: safe,
  mpan: fc.integer({ min: 1e12, max: 1e13 - 1 }),
  ...COUNTER,
  role: fc.nat(8),
  srv: fc.nat(11),
  scheduledSrv: fc.nat(11),
  mode: fc.nat(1),
  service: fc.nat(1),
  receivedMs: ms,
  windowStartMs: ms,
  windowEndMs: ms,
  dueWallMs: fc.double({ noNaN: true, min: 0, max: 4e12 }),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function asAvsc(fields: Request, originator: Uint8Array, device: Uint8Array, signer: Uint8Array | null) {
  const symbolOf = (name: string, index: number) => enumOf(REQUEST, [name])[index];
  const { counterTop, ...rest } = fields;
  return {
    ...rest,
    counter: counterTop * 2 ** 49 + fields.counter,
    kind: symbolOf('kind', fields.kind),
    role: symbolOf('role', fields.role),
    srv: symbolOf('srv', fields.srv),
    scheduledSrv: symbolOf('scheduledSrv', fields.scheduledSrv),
    mode: symbolOf('mode', fields.mode),
    service: symbolOf('service', fields.service),
    originator: Buffer.from(originator),
    device: Buffer.from(device),
    signer: signer === null ? null : { 'mdr.Eui': Buffer.from(signer) },
  };
}

describe('records of the hot path are written and read as avsc does', () => {
  test('a ServiceRequest', () => {
    fc.assert(
      fc.property(request, eui, eui, (fields, originator, device) => {
        const buffer = Buffer.alloc(300);
        const end = writeServiceRequest(buffer, 0, { ...newServiceRequest(), ...fields }, originator, device);
        expect(buffer.subarray(0, end)).toEqual(REQUEST.toBuffer(asAvsc(fields, originator, device, null)));
      }),
    );
    fc.assert(
      fc.property(request, eui, eui, fc.option(eui), (fields, originator, device, signer) => {
        const wrapped = avscBuffer(REQUEST, asAvsc(fields, originator, device, signer));
        const into: ServiceRequestFields = newServiceRequest();
        const reader = new AvroReader().open(wrapped);
        readServiceRequest(reader, into);
        expect(reader.at).toBe(wrapped.length);
        const { originatorAt, deviceAt, signerAt, ...rest } = into;
        expect(rest).toEqual(fields);
        expect(wrapped.subarray(originatorAt, originatorAt + 8)).toEqual(Buffer.from(originator));
        expect(wrapped.subarray(deviceAt, deviceAt + 8)).toEqual(Buffer.from(device));
        expect(signerAt < 0 ? null : wrapped.subarray(signerAt, signerAt + 8)).toEqual(signer && Buffer.from(signer));
      }),
    );
  });

  test('a DeviceRequest round a ServiceRequest', () => {
    const tail = fc.record({
      generation: fc.nat(2),
      requestOffset: safe,
      sourcePartition: fc.nat(15),
      sourceOffset: safe,
      quarantinedMs: safe,
    });
    fc.assert(
      fc.property(request, eui, eui, tail, (fields, originator, device, rest) => {
        const inner = REQUEST.toBuffer(asAvsc(fields, originator, device, null));
        const buffer = Buffer.alloc(400);
        const { generation, requestOffset, sourcePartition, sourceOffset, quarantinedMs } = rest;
        const end = writeDeviceRequest(
          buffer,
          3,
          inner,
          0,
          inner.length,
          generation,
          requestOffset,
          sourcePartition,
          sourceOffset,
          quarantinedMs,
        );
        const written = buffer.subarray(3, end);
        const symbols = enumOf(DEVICE_REQUEST, ['generation']);
        expect(written).toEqual(
          DEVICE_REQUEST.toBuffer({
            ...rest,
            generation: symbols[generation],
            request: asAvsc(fields, originator, device, null),
          }),
        );
        const into = newDeviceRequest();
        readDeviceRequest(new AvroReader().open(buffer, 3, end), into);
        expect(into).toMatchObject(rest);
        expect(into.request).toMatchObject(fields);
        expect(buffer.subarray(into.requestAt, into.requestEnd)).toEqual(inner);
      }),
    );
  });

  test('a ServiceResponse with its energy', () => {
    const values = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 60 });
    const response = fc.record({
      kind: fc.nat(1),
      source: fc.nat(2),
      mode: fc.nat(1),
      requestOffset: safe,
      mpan: fc.integer({ min: 1e12, max: 1e13 - 1 }),
      ...COUNTER,
      role: fc.nat(8),
      srv: fc.nat(11),
      service: fc.nat(1),
      generation: fc.nat(2),
      code: fc.nat(15),
      fact: fc.nat(20),
      receivedMs: ms,
      quarantinedMs: safe,
      answeredMs: ms,
      platformMs: fc.double({ noNaN: true, min: 0, max: 1e9 }),
      sentWallMs: fc.double({ noNaN: true, min: 0, max: 4e12 }),
      firstStampMs: ms,
      stepMs: fc.nat(86_400_000),
    });
    fc.assert(
      fc.property(response, eui, eui, values, values, values, (fields, originator, device, active, reactive, tou) => {
        const buffer = Buffer.alloc(2000);
        const written: ServiceResponseFields = {
          ...newServiceResponse(),
          ...fields,
          rows: active.length,
        };
        const end = writeServiceResponse(
          buffer,
          0,
          written,
          originator,
          0,
          device,
          0,
          Uint32Array.from(active),
          Uint32Array.from(reactive),
          reactive.length,
          Uint32Array.from(tou),
          tou.length,
        );
        const symbolOf = (name: string, index: number) => enumOf(RESPONSE, [name])[index];
        const { counterTop, ...plain } = fields;
        const expected = {
          ...plain,
          counter: counterTop * 2 ** 49 + fields.counter,
          originator: Buffer.from(originator),
          device: Buffer.from(device),
          activeWh: active,
          reactiveVarh: reactive,
          touWh: tou,
          kind: symbolOf('kind', fields.kind),
          source: symbolOf('source', fields.source),
          mode: symbolOf('mode', fields.mode),
          role: symbolOf('role', fields.role),
          srv: symbolOf('srv', fields.srv),
          service: symbolOf('service', fields.service),
          generation: symbolOf('generation', fields.generation),
          code: symbolOf('code', fields.code),
        };
        expect(buffer.subarray(0, end)).toEqual(RESPONSE.toBuffer(expected));
        const into = newServiceResponse();
        const reader = new AvroReader().open(buffer, 0, end);
        readServiceResponse(reader, into);
        expect(reader.at).toBe(end);
        expect(into).toMatchObject({ ...fields, rows: active.length });
      }),
    );
  });

  test('codes stand in the order of the schema', () => {
    expect(enumOf(RESPONSE, ['code'])).toEqual([...Object.keys(RESPONSE_CODES), 'UNKNOWN']);
  });

  test('keys are the 13 digits of the MPAN, EUI-64s read back as written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1e12, max: 1e13 - 1 }), (mpan) => {
        const buffer = Buffer.alloc(13);
        writeMpanKey(buffer, 0, mpan);
        expect(buffer.toString()).toBe(String(mpan));
      }),
    );
    expect(euiText(euiBytes('90-B3-D5-1F-30-00-00-02'), 0)).toBe('90-B3-D5-1F-30-00-00-02');
  });
});

/** avsc takes a union of null and a fixed either wrapped or not, by whether it is ambiguous. */
function avscBuffer(type: avsc.Type, value: { signer: unknown }): Buffer {
  const { signer } = value;
  const plain = signer === null ? null : (signer as { 'mdr.Eui': Buffer })['mdr.Eui'];
  return type.isValid(value) ? type.toBuffer(value) : type.toBuffer({ ...value, signer: plain });
}
