import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { GENERATIONS, SRVS } from '#core/matrix.ts';
import { TOU_REGISTERS_MAX } from '#fleet-sim/meter-answer.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { codeOf, newServiceResponse, readResponseHead, type ServiceResponseFields } from '#schemas/service-response.ts';
import type { Reading } from '../answer.ts';

/** A ServiceResponse with its energy. */
export type ResponseContent = {
  head: ServiceResponseFields;
  srv: (typeof SRVS)[number];
  code: string;
  generation: (typeof GENERATIONS)[number] | undefined;
  rows: Reading[];
};

/** Reads one, without its schema id. Throws MalformedBinary where the bytes are none. */
export function readResponseContent(value: Buffer): ResponseContent {
  const reader = new AvroReader().open(value);
  const head = newServiceResponse();
  readResponseHead(reader, head);
  const active = longs(reader);
  const reactive = longs(reader);
  const tou = longs(reader);
  const rows = active.map((activeWh, k): Reading => {
    const registers = tou.slice(k * TOU_REGISTERS_MAX, (k + 1) * TOU_REGISTERS_MAX);
    return {
      timeMs: head.firstStampMs + k * head.stepMs,
      activeWh,
      ...(k < reactive.length ? { reactiveVarh: reactive[k] } : {}),
      ...(registers.length > 0 ? { touWh: registers } : {}),
    };
  });
  return {
    head,
    srv: SRVS[head.srv],
    code: codeOf(head.code) ?? 'E21',
    generation: GENERATIONS[head.generation],
    rows,
  };
}

/** The services that the DCC answers itself: their RequestIDs are for it, and the device stands in the body. */
export const FOR_DCC: ReadonlySet<string> = new Set(['5.1', '5.2', '5.3', '8.2']);
export const DCC_TARGET = Buffer.from(DCC_ACCESS_CONTROL_BROKER.replaceAll('-', ''), 'hex');

function longs(reader: AvroReader): number[] {
  const values: number[] = [];
  for (let block = reader.long(); block !== 0; block = reader.long()) {
    if (block < 0) reader.skipLong();
    for (let left = Math.abs(block); left > 0; left--) values.push(reader.long());
  }
  return values;
}
