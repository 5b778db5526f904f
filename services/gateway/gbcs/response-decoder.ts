import type { KeyObject } from 'node:crypto';
import type { Reading, Readings } from '../answer.ts';
import { CHOICE, expectProtectionParameters, RESULT, UNIT } from './body.ts';
import { ByteReader, refuseGbcs } from './byte-reader.ts';
import type { Envelope } from './envelope.ts';
import { decrypt, KEY_FLAG, messageKey, TAG_BYTES } from './protection.ts';
import type { SharedSecrets } from './shared-secrets.ts';
import { type Column, GBCS_EPOCH_MS, type RowLayout, type UseCase, wordsOf } from './use-case.ts';

/**
 * The readings in a response's body, whose MAC has been checked; `from` stands behind the counter. Throws GBCS_REFUSED
 * where it is laid out otherwise than its use case has it, or is not encrypted with the key of device and party.
 */
export function readResponse(from: ByteReader, useCase: UseCase, envelope: Envelope, secrets: SharedSecrets): Readings {
  from.expect(Uint8Array.of(0, 0), 'no service and no time');
  const rows = useCase.srv === '4.2' ? readExportRegisters(from, envelope) : readItem(from, useCase, envelope, secrets);
  return { srv: useCase.srv, generation: 'SMETS2', success: rows.success, rows: rows.rows };
}

type Rows = { success: boolean; rows: Reading[] };
const FAILED: Rows = { success: false, rows: [] };

/** One item and its result: data in the clear, data protected, or null where the meter reports an error. */
function readItem(from: ByteReader, useCase: UseCase, envelope: Envelope, secrets: SharedSecrets): Rows {
  from.expect(Uint8Array.of(1), 'one item');
  const choice = useCase.protection === undefined ? CHOICE.get : CHOICE.action;
  const data = readOptional(from, () =>
    useCase.protection === undefined ? readLog(from, useCase) : readProtected(from, useCase, envelope, secrets),
  );
  from.expect(Uint8Array.of(1, choice), 'one result');
  expectResult(from, data !== undefined);
  return data === undefined ? FAILED : { success: true, rows: data };
}

function expectResult(from: ByteReader, hasData: boolean): void {
  const { at } = from;
  const result = from.u8();
  if (hasData !== (result === RESULT.success)) {
    throw from.refusal('data where the result is success, else none', at, result);
  }
}

function readProtected(from: ByteReader, useCase: UseCase, envelope: Envelope, secrets: SharedSecrets): Reading[] {
  from.expect(Uint8Array.of(0x02, 0x02), 'a structure of two');
  expectProtectionParameters(from, envelope);
  from.expect(Uint8Array.of(0x09), 'an octet string');
  const item = new ByteReader(from.take(from.length()), 'protected item');
  item.expect(SECURITY_CONTROL, 'encrypted, and no counter');
  const cipherText = item.take(Math.max(0, item.left - TAG_BYTES));
  const tag = item.take(TAG_BYTES);
  const plain = decrypt(encryptionKey(envelope, secrets), envelope.originator, cipherText, tag);
  if (plain === undefined) {
    const party = envelope.unknownParty?.eui ?? envelope.recipient;
    throw refuseGbcs(
      'The readings cannot be decrypted',
      `the key agreement key that the readings were encrypted to, of ${party}`,
    );
  }
  const data = new ByteReader(plain, 'decrypted data');
  data.expect(Uint8Array.of(0x02, 0x01), 'a structure of one');
  const rows = useCase.kind === 'registers' ? readImportRegisters(data, envelope) : readLog(data, useCase);
  data.end();
  return rows;
}

function encryptionKey(envelope: Envelope, secrets: SharedSecrets): KeyObject {
  const { originator, recipient, counter, unknownParty } = envelope;
  if (unknownParty === undefined) {
    return messageKey(secrets(originator, recipient), KEY_FLAG.encryption, originator, counter, recipient);
  }
  const { eui, deviceCounter } = unknownParty;
  if (deviceCounter === undefined) {
    throw refuseGbcs('This is not a GBCS message that can be read', "the device's own counter beside encrypted data");
  }
  return messageKey(secrets(originator, eui), KEY_FLAG.encryption, originator, deviceCounter, eui);
}

function readImportRegisters(from: ByteReader, envelope: Envelope): Reading[] {
  from.expect(Uint8Array.of(0x02), 'a structure');
  const { at } = from;
  const items = from.u8();
  if (items !== 4 && items !== 5) throw from.refusal('4 items, or 5 of a twin element meter', at, items);
  const activeWh = readRegister(from, UNIT.Wh);
  const reactiveVarh = readRegister(from, UNIT.varh);
  const secondary = items === 5 ? { secondaryWh: readNumber(from) } : {};
  return [{ timeMs: timeOf(envelope), activeWh, reactiveVarh, ...secondary }];
}

/** ECS17a: four items, some of which the meter may not have. */
function readExportRegisters(from: ByteReader, envelope: Envelope): Rows {
  from.expect(Uint8Array.of(4), 'four items');
  const activeWh = readOptional(from, () => readNumber(from));
  const activeUnit = readOptional(from, () => readUnit(from, UNIT.Wh));
  const reactiveVarh = readOptional(from, () => readNumber(from));
  const reactiveUnit = readOptional(from, () => readUnit(from, UNIT.varh));
  from.expect(Uint8Array.of(4), 'four results');
  for (const item of [activeWh, activeUnit, reactiveVarh, reactiveUnit]) {
    from.expect(Uint8Array.of(CHOICE.get), 'the result of a get');
    expectResult(from, item !== undefined);
  }
  if (activeWh === undefined) return FAILED;
  const reactive = reactiveVarh === undefined ? {} : { reactiveVarh };
  return { success: reactiveVarh !== undefined, rows: [{ timeMs: timeOf(envelope), activeWh, ...reactive }] };
}

function readOptional<T>(from: ByteReader, read: () => T): T | undefined {
  if (from.bytes[from.at] !== 0) return read();
  from.expect(NULL, 'null');
  return undefined;
}

function timeOf({ timeMs }: Envelope): number {
  if (timeMs !== undefined) return timeMs;
  throw refuseGbcs('This is not a GBCS message that can be read', 'a date and time beside registers');
}

function readRegister(from: ByteReader, unit: number): number {
  const value = readNumber(from);
  readUnit(from, unit);
  return value;
}

function readNumber(from: ByteReader): number {
  from.expect(Uint8Array.of(0x06), 'an unsigned number of 32 bits');
  return from.u32();
}

function readUnit(from: ByteReader, unit: number): true {
  from.expect(Uint8Array.of(0x02, 0x02, 0x0f, 0x00, 0x16, unit), 'scaler 0 and the unit of the register');
  return true;
}

function readLog(from: ByteReader, { row, twinRow }: UseCase): Reading[] {
  from.expect(Uint8Array.of(0x13), 'a compact array');
  const { at } = from;
  const layout = [row, twinRow].find(
    (one): one is RowLayout => one !== undefined && from.bytes.subarray(at).indexOf(one.typeDescription) === 0,
  );
  if (layout === undefined) throw from.refusal('rows of single or twin element meters of this use case', at);
  from.take(layout.typeDescription.length);
  const bytes = from.length();
  if (bytes % (4 * layout.words) !== 0) throw from.refusal(`rows of ${4 * layout.words} bytes`, at, bytes);
  const rows = new ByteReader(from.take(bytes), 'rows');
  return Array.from({ length: bytes / (4 * layout.words) }, () => readRow(rows, layout));
}

function readRow(from: ByteReader, { columns }: RowLayout): Reading {
  const reading: { -readonly [K in keyof Reading]: Reading[K] } = { timeMs: 0, activeWh: 0 };
  for (const column of columns) {
    const words = Array.from({ length: wordsOf(column) }, () => from.u32());
    readColumn(reading, column, words);
  }
  return reading;
}

function readColumn(reading: { -readonly [K in keyof Reading]: Reading[K] }, column: Column, words: number[]): void {
  switch (column) {
    case 'time':
      reading.timeMs = GBCS_EPOCH_MS + words[0] * 1000;
      break;
    case 'active':
      reading.activeWh = words[0];
      break;
    case 'reactive':
      reading.reactiveVarh = words[0];
      break;
    case 'secondary':
      reading.secondaryWh = words[0];
      break;
    case 'tou':
      reading.touWh = words;
      break;
    case 'secondaryTou':
      reading.secondaryTouWh = words;
      break;
    case 'blocks':
      reading.blockWh = [0, 8, 16, 24].map((from) => words.slice(from, from + 8));
      break;
  }
}

const NULL = Uint8Array.of(0);
const SECURITY_CONTROL = Uint8Array.of(0x31, 0, 0, 0, 0);
