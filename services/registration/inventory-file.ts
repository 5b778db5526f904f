import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import avsc from 'avsc';
import { SMI_STATUSES } from '#core/access-control.ts';
import { MdrError } from '#core/errors.ts';
import { hasValidCheckDigit, parseDeviceId, parseMpan } from '#core/identifiers.ts';
import { GENERATIONS, REGISTERS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { euiBytes, WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { lettersOf } from './set-aside.ts';

/** Lines of a file of metering points, and what became of them. */
export type FileResult = { file: string; lines: number; applied: number; setAside: number };

type Parsed = { mpan: number; value: Buffer } | { fault: string };

const METERING_POINT = avsc.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../schemas/metering-point.avsc', import.meta.url), 'utf8')),
);
const RECORDS_A_BATCH_MAX = 2000;
const BATCH_BYTES = 768 * 1024;
const LINE_CHARACTERS_MAX = 64 * 1024;

/**
 * Puts the metering points of a file into the inventory, line by line, in memory that does not grow with it. A line
 * that cannot be used is set aside in dead-letters with its number and what was expected; the others are applied.
 * Throws INPUT_UNREADABLE.
 */
export async function applyInventoryFile(file: string, context: ServiceContext): Promise<FileResult> {
  const { outbox, schemaIds, setAside, settings } = context;
  const result: FileResult = { file, lines: 0, applied: 0, setAside: 0 };
  const waiting = Array.from({ length: settings.partitions }, (): { mpan: number; value: Buffer }[] => []);
  const flush = async (partition: number) => {
    const rows = waiting[partition].splice(0);
    if (rows.length === 0) return;
    const builder = new BatchBuilder(BATCH_BYTES);
    for (const { mpan, value } of rows) {
      const at = builder.begin(Math.floor(nowMs()), Buffer.from(String(mpan)), 0, 13);
      writeWireHeader(builder.buffer, at, schemaIds.inventory);
      builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
    }
    await outbox.send('inventory', partition, builder.finish(), builder.count);
  };
  try {
    for await (const line of createInterface({
      input: createReadStream(file, 'utf8'),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      result.lines++;
      if (line.trim() === '') continue;
      const parsed = parseLine(line);
      if ('fault' in parsed) {
        result.setAside++;
        await setAside(lettersOf(file, [{ line: result.lines, reason: parsed.fault, row: line }]));
        continue;
      }
      const partition = partitionOfMpan(parsed.mpan, settings.partitions);
      result.applied++;
      if (waiting[partition].push(parsed) === RECORDS_A_BATCH_MAX) await flush(partition);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`);
  }
  for (const partition of waiting.keys()) await flush(partition);
  return result;
}

function parseLine(line: string): Parsed {
  if (line.length > LINE_CHARACTERS_MAX) return { fault: `expected at most ${LINE_CHARACTERS_MAX} characters` };
  let row: Record<string, unknown>;
  try {
    row = JSON.parse(line) as Record<string, unknown>;
  } catch (error) {
    return { fault: `expected JSON: ${(error as Error).message}` };
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return { fault: 'expected a JSON object' };
  const mpan = parseMpan(String(row.mpan));
  if (mpan === undefined || !hasValidCheckDigit(mpan))
    return { fault: `mpan is ${JSON.stringify(row.mpan)}, expected 13 digits of which the last checks the others` };
  return parsePoint(row, mpan);
}

function parsePoint(row: Record<string, unknown>, mpan: number): Parsed {
  const device = parseDeviceId(String(row.device));
  const register = REGISTERS.find((name) => name === row.register);
  const generation = GENERATIONS.find((name) => name === row.generation);
  const status = SMI_STATUSES.find((name) => name === row.status);
  const faults = [
    device === undefined && `device is ${JSON.stringify(row.device)}, expected a Device ID as 00-DB-12-34-56-78-90-A0`,
    register === undefined && `register is ${JSON.stringify(row.register)}, expected one of ${REGISTERS.join(', ')}`,
    generation === undefined &&
      `generation is ${JSON.stringify(row.generation)}, expected one of ${GENERATIONS.join(', ')}`,
    status === undefined && `status is ${JSON.stringify(row.status)}, expected one of ${SMI_STATUSES.join(', ')}`,
  ].filter((fault) => fault !== false);
  if (device === undefined || register === undefined || faults.length > 0) return { fault: faults.join('; ') };
  const value = METERING_POINT.toBuffer({
    mpan,
    sequence: 0,
    register: register.toUpperCase(),
    device: euiBytes(device),
    kind: 'ESME',
    generation,
    status,
  });
  return { mpan, value };
}
