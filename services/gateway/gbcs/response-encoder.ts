import { DCC_ACCESS_CONTROL_BROKER, type DeviceId } from '#core/identifiers.ts';
import { TOU_REGISTERS_MAX } from '#fleet-sim/meter-answer.ts';
import { ACCESS, CHOICE, PROTECTION_PARAMETERS_BYTES, RESULT, UNIT, writeProtectionParameters } from './body.ts';
import { ByteWriter, lengthBytes } from './byte-writer.ts';
import { type Envelope, writeEnvelope } from './envelope.ts';
import type { MeterColumns } from './meter-columns.ts';
import { encrypt, KEY_FLAG, macOf, messageKey, TAG_BYTES } from './protection.ts';
import type { SharedSecrets } from './shared-secrets.ts';
import { type Column, GBCS_EPOCH_MS, type RowLayout, type UseCase, wordsOf } from './use-case.ts';

/** What a meter answers, and to whom. */
export type ResponseHead = {
  useCase: UseCase;
  device: DeviceId;
  /** Who asked, and the counter of its request. */
  party: DeviceId;
  partyCounter: bigint;
  /**
   * Where the meter does not know the party (every MDR User): the counter of the broker's command, and the device's own
   * for data encrypted to the party. Neither ever comes twice for one device.
   */
  unknown?: { brokerCounter: bigint; deviceCounter: bigint };
  /** When the meter was read. */
  atMs: number;
};

/**
 * One response of a meter as it stands on the wire, protected and authenticated. `columns` null: the meter's error.
 * Rows are at most those of the longest log.
 */
export function encodeResponse(head: ResponseHead, columns: MeterColumns | null, secrets: SharedSecrets): Buffer {
  if (columns !== null) assertFits(head.useCase, columns);
  const isEncrypted = columns !== null && head.useCase.protection !== undefined;
  const envelope = envelopeOf(head, isEncrypted);
  const plainBytes = columns === null ? 0 : writeData(head.useCase, columns, isEncrypted);
  message.at = 0;
  const coveredAt = isEncrypted
    ? writeEncrypted(head, envelope, plain.buffer.subarray(0, plainBytes), secrets)
    : writePlain(head.useCase, envelope, columns, plainBytes);
  message.u8(NO_SIGNATURE);
  const party = envelope.recipient;
  const key = messageKey(secrets(head.device, party), KEY_FLAG.responseMac, head.device, envelope.counter, party);
  message.bytes(macOf(key, head.device, message.buffer.subarray(coveredAt, message.at)));
  return Buffer.from(message.buffer.subarray(0, message.at));
}

/** 4.8.1: 397 days of 48 half-hours [MMC_Schema_V5.4.xsd]. */
const ROWS_MAX = 19_056;
/** A row of that log in a twin element meter. Daily read logs have longer rows, but 31 of them only. */
const ROW_BYTES_MAX = 12;
const AROUND_ROWS_BYTES_MAX = 1024;
const plain = new ByteWriter(ROWS_MAX * ROW_BYTES_MAX + AROUND_ROWS_BYTES_MAX);
const message = new ByteWriter(plain.buffer.length + AROUND_ROWS_BYTES_MAX);

function assertFits(useCase: UseCase, { rows, hasReactive }: MeterColumns): void {
  if (rows > ROWS_MAX) throw new Error(`${rows} rows are more than a log holds`);
  const isMissing = rows > 0 && !hasReactive && useCase.srv !== '4.2' && useCase.row.columns.includes('reactive');
  if (isMissing) throw new Error(`${useCase.name} carries reactive energy, and there is none`);
}

const NO_SIGNATURE = 0;
const BODY_HEAD_BYTES = 7;
/** A count of data items in front, and after them a count, a choice and a result of each. */
const ONE_ITEM_BYTES = 1 + 3;

function envelopeOf(
  { useCase, device, party, partyCounter, unknown, atMs }: ResponseHead,
  isEncrypted: boolean,
): Envelope {
  const time = useCase.kind === 'registers' ? { timeMs: atMs } : {};
  const common = { kind: 'response', originator: device, code: useCase.code, ...time } as const;
  if (unknown === undefined) return { ...common, counter: partyCounter, recipient: party };
  return {
    ...common,
    counter: unknown.brokerCounter,
    recipient: DCC_ACCESS_CONTROL_BROKER,
    unknownParty: {
      eui: party,
      counter: partyCounter,
      ...(isEncrypted ? { deviceCounter: unknown.deviceCounter } : {}),
    },
  };
}

function writeEncrypted(head: ResponseHead, envelope: Envelope, data: Uint8Array, secrets: SharedSecrets): number {
  const { device, party, unknown } = head;
  const counter = unknown === undefined ? envelope.counter : unknown.deviceCounter;
  const key = messageKey(secrets(device, party), KEY_FLAG.encryption, device, counter, party);
  const { cipherText, tag } = encrypt(key, device, data);
  const protectedBytes = SECURITY_CONTROL.length + data.length + TAG_BYTES;
  const itemBytes = 2 + PROTECTION_PARAMETERS_BYTES + 1 + lengthBytes(protectedBytes) + protectedBytes;
  const coveredAt = writeEnvelope(message, envelope, BODY_HEAD_BYTES + itemBytes + ONE_ITEM_BYTES);
  writeBodyHead(envelope.counter);
  message.u8(1);
  message.u16(0x0202);
  writeProtectionParameters(message, device, envelope.counter, envelope.recipient);
  message.u8(0x09);
  message.length(protectedBytes);
  message.bytes(SECURITY_CONTROL);
  message.bytes(cipherText);
  message.bytes(tag);
  message.bytes(SUCCESS_OF_ACTION);
  return coveredAt;
}

function writePlain(useCase: UseCase, envelope: Envelope, columns: MeterColumns | null, dataBytes: number): number {
  const results = resultsOf(useCase, columns);
  const data = columns === null ? NULL_DATA.subarray(0, results.length) : plain.buffer.subarray(0, dataBytes);
  const bodyBytes = BODY_HEAD_BYTES + 1 + data.length + 1 + 2 * results.length;
  const coveredAt = writeEnvelope(message, envelope, bodyBytes);
  writeBodyHead(envelope.counter);
  message.u8(results.length);
  message.bytes(data);
  message.u8(results.length);
  const choice = useCase.protection === undefined ? CHOICE.get : CHOICE.action;
  for (const result of results) {
    message.u8(choice);
    message.u8(result);
  }
  return coveredAt;
}

function writeBodyHead(counter: bigint): void {
  message.u8(ACCESS.response);
  message.u32(0x2000_0000 | Number(counter & 0xff_ffffn));
  message.u16(0);
}

/** ECS17a has a value and a scaler with its unit for each of two registers; the others have one item. */
function resultsOf(useCase: UseCase, columns: MeterColumns | null): readonly number[] {
  if (useCase.srv !== '4.2') return columns === null ? [RESULT.hardwareFault] : [RESULT.success];
  const active = columns === null ? REGISTER_MISSING : REGISTER_READ;
  return [...active, ...(columns?.hasReactive ? REGISTER_READ : REGISTER_MISSING)];
}

const REGISTER_READ = [RESULT.success, RESULT.success];
const REGISTER_MISSING = [RESULT.hardwareFault, RESULT.otherReason];
const NULL_DATA = Buffer.alloc(4);
const SUCCESS_OF_ACTION = Uint8Array.of(1, CHOICE.action, RESULT.success);
const SECURITY_CONTROL = Uint8Array.of(0x31, 0, 0, 0, 0);

/** Writes the data in the clear to `plain` and returns its length. */
function writeData(useCase: UseCase, columns: MeterColumns, isProtected: boolean): number {
  plain.at = 0;
  if (isProtected) plain.u16(0x0201);
  if (useCase.kind !== 'registers') writeLog(useCase, columns);
  else if (useCase.protection === undefined) writeExportRegisters(columns);
  else writeImportRegisters(columns);
  return plain.at;
}

function writeImportRegisters({ activeWh, reactiveVarh, secondaryWh }: MeterColumns): void {
  plain.u8(0x02);
  plain.u8(secondaryWh === undefined ? 4 : 5);
  writeRegister(activeWh[0], UNIT.Wh);
  writeRegister(reactiveVarh[0], UNIT.varh);
  if (secondaryWh !== undefined) writeNumber(secondaryWh[0]);
}

function writeExportRegisters({ activeWh, reactiveVarh, hasReactive }: MeterColumns): void {
  writeRegister(activeWh[0], UNIT.Wh);
  if (hasReactive) writeRegister(reactiveVarh[0], UNIT.varh);
  else plain.u16(0);
}

function writeRegister(value: number, unit: number): void {
  writeNumber(value);
  plain.u32(0x0202_0f00);
  plain.u16(0x1600 | unit);
}

function writeNumber(value: number): void {
  plain.u8(0x06);
  plain.u32(value);
}

function writeLog(useCase: UseCase, columns: MeterColumns): void {
  const layout = layoutOf(useCase, columns);
  plain.u8(0x13);
  plain.bytes(layout.typeDescription);
  plain.length(columns.rows * layout.words * 4);
  for (let row = 0; row < columns.rows; row++) {
    for (const column of layout.columns) writeColumn(column, columns, row);
  }
}

function layoutOf({ row, twinRow }: UseCase, { secondaryWh }: MeterColumns): RowLayout {
  return secondaryWh !== undefined && twinRow !== undefined ? twinRow : row;
}

function writeColumn(column: Column, columns: MeterColumns, row: number): void {
  if (column === 'time') plain.u32((columns.stampsMs[row] - GBCS_EPOCH_MS) / 1000);
  else if (column === 'active') plain.u32(columns.activeWh[row]);
  else if (column === 'reactive') plain.u32(columns.reactiveVarh[row]);
  else if (column === 'secondary') plain.u32(columns.secondaryWh?.[row] ?? 0);
  else if (column === 'tou') writeTariff(columns, row, wordsOf('tou'));
  else if (column === 'secondaryTou') writeSecondaryTariff(columns, row);
  else writeBlocks(columns, row);
}

/** All of the second element is of one rate. */
function writeSecondaryTariff({ secondaryWh }: MeterColumns, row: number): void {
  plain.u32(secondaryWh?.[row] ?? 0);
  plain.zeros((wordsOf('secondaryTou') - 1) * 4);
}

/** All energy is in the first of the four blocks, so that blocks and registers both add up to the total. */
function writeBlocks(columns: MeterColumns, row: number): void {
  const registers = wordsOf('blocks') / 4;
  writeTariff(columns, row, registers);
  plain.zeros(3 * registers * 4);
}

function writeTariff({ touRegisters, touWh }: MeterColumns, row: number, registers: number): void {
  for (let k = 0; k < touRegisters; k++) plain.u32(touWh[row * TOU_REGISTERS_MAX + k]);
  plain.zeros((registers - touRegisters) * 4);
}
