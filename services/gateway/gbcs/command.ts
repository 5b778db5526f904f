import type { DeviceId } from '#core/identifiers.ts';
import { ACCESS, CHOICE, writeProtectionParameters } from './body.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { type Envelope, macParties, readDateTime, writeDateTime, writeEnvelope } from './envelope.ts';
import { KEY_FLAG, macOf, messageKey } from './protection.ts';
import type { SharedSecrets } from './shared-secrets.ts';
import { type CosemObject, EXPORT_REGISTERS, GBCS_EPOCH_MS, type UseCase } from './use-case.ts';

/** What a command asks for: registers as they stand, or the rows of a log from one instant to another, both included. */
export type CommandBody = { startMs?: number; endMs?: number };

/**
 * The command of a read as it stands on the wire. `envelope` is of kind `command`; its MAC is the access control
 * broker's. A window is needed by the use cases that read a log, and by no other.
 */
export function encodeCommand(
  useCase: UseCase,
  envelope: Omit<Envelope, 'kind' | 'code'>,
  window: { startMs: number; endMs: number } | undefined,
  secrets: SharedSecrets,
): Buffer {
  if ((useCase.kind === 'registers') !== (window === undefined)) throw new Error(`${useCase.name} and its window`);
  const whole: Envelope = { ...envelope, kind: 'command', code: useCase.code };
  const body = new ByteWriter(COMMAND_BYTES_MAX);
  writeBody(body, useCase, whole, window);
  const message = new ByteWriter(COMMAND_BYTES_MAX + (envelope.unknownParty?.certificate?.length ?? 0));
  const coveredAt = writeEnvelope(message, whole, body.at);
  message.bytes(body.buffer.subarray(0, body.at));
  message.u8(0);
  const { device, party } = macParties(whole);
  const { originator, counter, recipient } = whole;
  const key = messageKey(secrets(device, party), KEY_FLAG.commandMac, originator, counter, recipient);
  message.bytes(macOf(key, originator, message.buffer.subarray(coveredAt, message.at)));
  return message.buffer.subarray(0, message.at);
}

/** Reads a command's body; `from` stands behind the counter. Throws GBCS_REFUSED where it is no read of its use case. */
export function readCommand(from: ByteReader, useCase: UseCase, envelope: Envelope): CommandBody {
  const window = useCase.kind === 'registers' ? undefined : windowOf(from, useCase);
  const expected = new ByteWriter(COMMAND_BYTES_MAX);
  writeBody(expected, useCase, envelope, window);
  from.expect(expected.buffer.subarray(BODY_HEAD_BYTES, expected.at), `a command of ${useCase.name}`);
  return window ?? {};
}

/** The longest, a protected read of a log, is 183 bytes without the certificate of a party. */
const COMMAND_BYTES_MAX = 512;
const BODY_HEAD_BYTES = 5;

type Window = { startMs: number; endMs: number };

function writeBody(to: ByteWriter, useCase: UseCase, envelope: Envelope, window: Window | undefined): void {
  to.u8(ACCESS.command);
  to.u32(0x2000_0000 | Number(envelope.counter & 0xff_ffffn));
  to.u8(0);
  if (useCase.protection !== undefined) writeProtectedRead(to, useCase, useCase.protection, envelope, window);
  else if (window !== undefined) writeLogRead(to, useCase.object, window);
  else writeRegisterReads(to);
}

function writeRegisterReads(to: ByteWriter): void {
  to.u8(EXPORT_REGISTERS.length);
  for (const object of EXPORT_REGISTERS) {
    to.u8(CHOICE.get);
    writeObject(to, object);
  }
  to.u8(EXPORT_REGISTERS.length);
  to.zeros(EXPORT_REGISTERS.length);
}

/** A get with a range of the log's clock column. */
function writeLogRead(to: ByteWriter, object: CosemObject, { startMs, endMs }: Window): void {
  to.u8(1);
  to.u8(CHOICE.getWithRange);
  writeObject(to, object);
  to.bytes(RANGE_OF_CLOCK);
  for (const ms of [startMs, endMs]) {
    to.u8(0x06);
    to.u32((ms - GBCS_EPOCH_MS) / 1000);
  }
  to.bytes(ALL_COLUMNS);
  to.u8(1);
  to.u8(0);
}

/** The method of a data protection object that gives attributes encrypted: which, of what window, and for whom. */
function writeProtectedRead(
  to: ByteWriter,
  { object }: UseCase,
  protection: Uint8Array,
  envelope: Envelope,
  window: Window | undefined,
): void {
  to.u8(1);
  to.u8(CHOICE.action);
  to.u16(DATA_PROTECTION_CLASS);
  to.bytes(protection);
  to.u8(1);
  to.bytes(ONE_OBJECT);
  to.u16(object.classId);
  to.u16(0x0906);
  to.bytes(object.obis);
  to.u8(0x0f);
  to.u8(object.attribute);
  to.bytes(WHOLE_ATTRIBUTE);
  if (window === undefined) {
    to.bytes(UNRESTRICTED);
  } else {
    to.bytes(RESTRICTED_BY_TIME);
    for (const ms of [window.startMs, window.endMs]) {
      to.u16(0x090c);
      writeDateTime(to, ms);
    }
  }
  writeProtectionParameters(to, encryptedFor(envelope), envelope.counter, envelope.recipient);
}

function encryptedFor({ originator, unknownParty }: Envelope): DeviceId {
  return unknownParty?.eui ?? originator;
}

function writeObject(to: ByteWriter, { classId, obis, attribute }: CosemObject): void {
  to.u16(classId);
  to.bytes(obis);
  to.u8(attribute);
}

/** Looks for the window where it stands; what stands round it is compared afterwards. */
function windowOf(from: ByteReader, useCase: UseCase): Window {
  const ahead = new ByteReader(from.bytes, 'payload');
  ahead.at = from.at + (useCase.protection === undefined ? RANGE_AT : RESTRICTION_AT);
  if (useCase.protection !== undefined) {
    const startMs = readDateTime(ahead);
    ahead.take(2);
    return { startMs, endMs: readDateTime(ahead) };
  }
  const startMs = GBCS_EPOCH_MS + ahead.u32() * 1000;
  ahead.take(1);
  return { startMs, endMs: GBCS_EPOCH_MS + ahead.u32() * 1000 };
}

const DATA_PROTECTION_CLASS = 30;
/** Selector 1, a range: of column 0-0:94.44.100.255 of class 1, attribute 2, all of it. */
const RANGE_OF_CLOCK = Buffer.from('0102040204120001090600005E2C64FF0F02120000', 'hex');
const ALL_COLUMNS = Uint8Array.of(0x01, 0x00);
const ONE_OBJECT = Buffer.from('0102020101020512', 'hex');
const WHOLE_ATTRIBUTE = Buffer.from('1200000202', 'hex');
const UNRESTRICTED = Uint8Array.of(0x16, 0x00, 0x00);
const RESTRICTED_BY_TIME = Uint8Array.of(0x16, 0x01, 0x02, 0x02);
/** Where the first instant of a window stands behind the counter: in a get with a range, and in a protected read. */
const RANGE_AT = 12 + RANGE_OF_CLOCK.length + 1;
const RESTRICTION_AT = 12 + ONE_OBJECT.length + 12 + WHOLE_ATTRIBUTE.length + RESTRICTED_BY_TIME.length + 2;
