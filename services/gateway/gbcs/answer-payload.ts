import type { DeviceId, RequestId } from '#core/identifiers.ts';
import type { Role } from '#core/matrix.ts';
import type { Readings } from '../answer.ts';
import { columnsOf } from './meter-columns.ts';
import { encodeResponse } from './response-encoder.ts';
import type { SharedSecrets } from './shared-secrets.ts';
import { USE_CASES } from './use-case.ts';

/** The counters of one command that the access control broker sends for a party that the meter does not know. */
export type BrokerCounters = () => { brokerCounter: bigint; deviceCounter: bigint };

/**
 * The GBCS payload of a SMETS2 meter's answer to a request. A Supplier's key is in the meter; an MDR User is an unknown
 * remote party to it. [GBCS]
 */
export function payloadOf(
  { originator, counter }: RequestId,
  { device, role, atMs }: { device: DeviceId; role: Role; atMs: number },
  { srv, success, rows }: Pick<Readings, 'srv' | 'success' | 'rows'>,
  secrets: SharedSecrets,
  brokerCounters: BrokerCounters,
): Uint8Array {
  const unknown = role === 'MDR' ? { unknown: brokerCounters() } : {};
  const head = { useCase: USE_CASES[srv], device, party: originator, partyCounter: counter, ...unknown, atMs };
  return encodeResponse(head, success ? columnsOf(rows) : null, secrets);
}

/**
 * Counters that rise with the instant of receipt and from one command to the next: 65,536 a millisecond. The meter's own
 * counter is in step with the broker's.
 */
export function countersFrom(atMs: number, sequence: number): ReturnType<BrokerCounters> {
  const counter = BigInt(Math.floor(atMs)) * 65_536n + BigInt(sequence % 65_536);
  return { brokerCounter: counter, deviceCounter: counter };
}
