import { DCC_ACCESS_CONTROL_BROKER, type DeviceId } from '#core/identifiers.ts';
import { DAY_MS, dayFrom, dayOf, dayOfMonth, daysInMonth, monthOf, yearOf } from '#core/settlement-day.ts';
import type { ByteReader } from './byte-reader.ts';
import { type ByteWriter, lengthBytes } from './byte-writer.ts';
import { TAG_BYTES } from './protection.ts';

/** What a message says of itself around its body. */
export type Envelope = {
  kind: 'command' | 'response';
  /** The originator's in a command; a response repeats its command's. */
  counter: bigint;
  originator: DeviceId;
  recipient: DeviceId;
  /** In responses that read registers. */
  timeMs?: number;
  /** Use-case code. */
  code: number;
  /** Who asked, where the meter does not know it: the access control broker then stands as the other party. */
  unknownParty?: UnknownParty;
};
export type UnknownParty = {
  eui: DeviceId;
  /** Of its own request. */
  counter: bigint;
  /** In a response whose data is encrypted to it: the device's own counter for that. */
  deviceCounter?: bigint;
  /** In a command whose answer is to be encrypted to it: its key agreement certificate, DER. */
  certificate?: Uint8Array;
};

/** The device and the party that the message's MAC is between. Commands of known parties carry the broker's MAC. */
export function macParties({ kind, originator, recipient }: Envelope): { device: DeviceId; party: DeviceId } {
  return kind === 'command'
    ? { device: recipient, party: DCC_ACCESS_CONTROL_BROKER }
    : { device: originator, party: recipient };
}

/** Writes all that stands before the body; returns where the part that the MAC covers begins. */
export function writeEnvelope(to: ByteWriter, envelope: Envelope, bodyBytes: number): number {
  const { kind, counter, originator, recipient, timeMs, code, unknownParty } = envelope;
  const otherBytes = otherInformationBytes(unknownParty);
  const timeBytes = timeMs === undefined ? 0 : DATE_TIME_BYTES;
  const covered = 11 + 9 + 9 + 1 + timeBytes + lengthBytes(otherBytes) + otherBytes + lengthBytes(bodyBytes);
  to.bytes(GENERAL_CIPHERING);
  to.length(SECURITY_HEADER.length + covered + bodyBytes + 1 + TAG_BYTES);
  to.bytes(SECURITY_HEADER);
  const coveredAt = to.at;
  to.u8(GENERAL_SIGNING);
  to.u8(9);
  to.u8(MESSAGE_TYPES[kind]);
  to.u64(counter);
  to.u8(8);
  to.eui(originator);
  to.u8(8);
  to.eui(recipient);
  to.u8(timeBytes);
  if (timeMs !== undefined) writeDateTime(to, timeMs);
  to.length(otherBytes);
  to.u16(code);
  if (unknownParty !== undefined) writeUnknownParty(to, unknownParty);
  to.length(bodyBytes);
  return coveredAt;
}

/** Reads what {@link writeEnvelope} writes; the reader then stands at the body. */
export function readEnvelope(from: ByteReader): { envelope: Envelope; coveredAt: number; bodyBytes: number } {
  from.expect(GENERAL_CIPHERING, 'a message with a MAC');
  const rest = from.length();
  const { at } = from;
  if (rest > from.left) throw from.refusal(`${rest} bytes, found ${from.left}: the payload is cut off`, at);
  if (rest < from.left) throw from.refusal(`${rest} bytes, found ${from.left}: there is more than one message`, at);
  from.expect(SECURITY_HEADER, 'security header of an authenticated message');
  const coveredAt = from.at;
  from.expect(Uint8Array.of(GENERAL_SIGNING, 9), 'general signing and a transaction id of 9 bytes');
  const kind = readKind(from);
  const counter = from.u64();
  from.expect(EIGHT, 'length of an EUI-64');
  const originator = from.eui();
  from.expect(EIGHT, 'length of an EUI-64');
  const recipient = from.eui();
  const timeMs = readOptionalDateTime(from);
  const other = readOtherInformation(from, kind);
  const time = timeMs === undefined ? {} : { timeMs };
  return { envelope: { kind, counter, originator, recipient, ...time, ...other }, coveredAt, bodyBytes: from.length() };
}

/** A date and time of 12 bytes in UTC, to the second, as DLMS has it: year, month, day, weekday, hh, mm, ss, ... */
export function writeDateTime(to: ByteWriter, timeMs: number): void {
  const day = dayOf(timeMs, 'utc');
  const seconds = Math.floor((timeMs - day * DAY_MS) / 1000);
  to.u16(yearOf(day));
  to.u8(monthOf(day));
  to.u8(dayOfMonth(day));
  to.u8(NOT_SPECIFIED);
  to.u8(Math.floor(seconds / 3600));
  to.u8(Math.floor(seconds / 60) % 60);
  to.u8(seconds % 60);
  to.u8(0);
  to.u16(DEVIATION_NOT_SPECIFIED);
  to.u8(NOT_SPECIFIED);
}

export function readDateTime(from: ByteReader): number {
  const { at } = from;
  const [year, month, day] = [from.u16(), from.u8(), from.u8()];
  from.u8();
  const [hours, minutes, seconds, hundredths] = [from.u8(), from.u8(), from.u8(), from.u8()];
  const deviation = from.u16();
  from.u8();
  const isDate = year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month);
  const isTime = hours <= 23 && minutes <= 59 && seconds <= 59 && (hundredths <= 99 || hundredths === NOT_SPECIFIED);
  if (!isDate || !isTime || (deviation !== DEVIATION_NOT_SPECIFIED && deviation !== 0)) {
    throw from.refusal('a date and time in UTC', at, from.bytes.toString('hex', at, from.at).toUpperCase());
  }
  const ms = hundredths === NOT_SPECIFIED ? 0 : hundredths * 10;
  return dayFrom(year, month, day) * DAY_MS + (hours * 3600 + minutes * 60 + seconds) * 1000 + ms;
}

const GENERAL_CIPHERING = Uint8Array.of(0xdd, 0, 0, 0, 0, 0, 0);
const SECURITY_HEADER = Uint8Array.of(0x11, 0, 0, 0, 0);
const GENERAL_SIGNING = 0xdf;
const MESSAGE_TYPES = { command: 1, response: 2 } as const;
const EIGHT = Uint8Array.of(8);
const DATE_TIME_BYTES = 12;
const NOT_SPECIFIED = 0xff;
const DEVIATION_NOT_SPECIFIED = 0x8000;
const CODE_BYTES = 2;
const PARTY_BYTES = 16;
const COUNTER_BYTES = 8;

function readKind(from: ByteReader): Envelope['kind'] {
  const { at } = from;
  const type = from.u8();
  if (type === MESSAGE_TYPES.command) return 'command';
  if (type === MESSAGE_TYPES.response) return 'response';
  throw from.refusal('1, a command, or 2, a response (alerts carry no readings)', at, type);
}

function readOptionalDateTime(from: ByteReader): number | undefined {
  const { at } = from;
  const length = from.u8();
  if (length === 0) return undefined;
  if (length !== DATE_TIME_BYTES) throw from.refusal('a date and time of 0 or 12 bytes', at, length);
  return readDateTime(from);
}

function otherInformationBytes(party: UnknownParty | undefined): number {
  if (party === undefined) return CODE_BYTES;
  const counter = party.deviceCounter === undefined ? 0 : COUNTER_BYTES;
  return CODE_BYTES + PARTY_BYTES + counter + (party.certificate?.length ?? 0);
}

function writeUnknownParty(to: ByteWriter, { eui, counter, deviceCounter, certificate }: UnknownParty): void {
  to.eui(eui);
  to.u64(counter);
  if (deviceCounter !== undefined) to.u64(deviceCounter);
  if (certificate !== undefined) to.bytes(certificate);
}

function readOtherInformation(from: ByteReader, kind: Envelope['kind']): Pick<Envelope, 'code' | 'unknownParty'> {
  const { at } = from;
  const bytes = from.length();
  const extra = bytes - CODE_BYTES - PARTY_BYTES;
  const isKnown = bytes === CODE_BYTES || extra === 0 || (kind === 'command' ? extra > 0 : extra === COUNTER_BYTES);
  if (!isKnown) throw from.refusal(`other information of a ${kind}: 2, 18 or 26 bytes`, at, bytes);
  const code = from.u16();
  if (bytes === CODE_BYTES) return { code };
  const party = { eui: from.eui(), counter: from.u64() };
  if (extra === 0) return { code, unknownParty: party };
  return kind === 'command'
    ? { code, unknownParty: { ...party, certificate: from.take(extra) } }
    : { code, unknownParty: { ...party, deviceCounter: from.u64() } };
}
