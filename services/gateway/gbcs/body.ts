import type { DeviceId } from '#core/identifiers.ts';
import type { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type { Envelope } from './envelope.ts';

/** DLMS data-access-result and action-result of one item. */
export const RESULT = { success: 0x00, hardwareFault: 0x01, otherReason: 0xfa } as const;

/** DLMS units. */
export const UNIT = { Wh: 0x1e, varh: 0x20 } as const;

/** First byte of a command's body and of a response's. */
export const ACCESS = { command: 0xd9, response: 0xda } as const;

/** What an action takes or gives: a result of the method that was called. What a get gives: of the attribute read. */
export const CHOICE = { get: 0x01, action: 0x03, getWithRange: 0x04 } as const;

/** What {@link writeProtectionParameters} writes. */
export const PROTECTION_PARAMETERS_BYTES = 52;

/** The parameters of protected data: who encrypts it (in a command: for whom it is to be), its counter, for whom. */
export function writeProtectionParameters(
  to: ByteWriter,
  originator: DeviceId,
  counter: bigint,
  recipient: DeviceId,
): void {
  to.bytes(BEFORE_COUNTER);
  to.u64(counter);
  to.u16(0x0908);
  to.eui(originator);
  to.u16(0x0908);
  to.eui(recipient);
  to.bytes(BEHIND_RECIPIENT);
}

/** Reads them: they repeat what the envelope says. */
export function expectProtectionParameters(from: ByteReader, { originator, counter, recipient }: Envelope): void {
  const parameters = new ByteWriter(PROTECTION_PARAMETERS_BYTES);
  writeProtectionParameters(parameters, originator, counter, recipient);
  from.expect(parameters.buffer, 'the protection parameters, with counter, originator and recipient of the message');
}

const BEFORE_COUNTER = Buffer.from('0101020216020205090904', 'hex');
const BEHIND_RECIPIENT = Buffer.from('09000202160202020901020900', 'hex');
