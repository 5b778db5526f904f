import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import avsc from 'avsc';
import { SMI_STATUSES } from '#core/access-control.ts';
import { MdrError } from '#core/errors.ts';
import { hasValidCheckDigit, parseDeviceId, parseMpan, parseMpid } from '#core/identifiers.ts';
import { GENERATIONS, REGISTERS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { APPOINTED_ROLES, type Appointment } from '#core/registration.ts';
import { parseDay } from '#core/settlement-day.ts';
import type { TopicName } from '#schemas/topics.ts';
import { euiBytes, WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import { DEAD_VALUE_BYTES_MAX, type DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import type { ServiceContext } from '#services/platform/service.ts';

/** Lines of a file of changes, and what became of them. */
export type FileResult = { file: string; lines: number; applied: number; setAside: number };

type Parsed = { topic: 'registrations' | 'inventory'; mpan: number; value: Buffer } | { fault: string };

const typeOf = (name: string) =>
  avsc.Type.forSchema(JSON.parse(readFileSync(new URL(`../../schemas/${name}.avsc`, import.meta.url), 'utf8')));
const REGISTRATION = typeOf('registration');
const METERING_POINT = typeOf('metering-point');
const RECORDS_A_BATCH_MAX = 2000;
const BATCH_BYTES = 768 * 1024;
const LINE_CHARACTERS_MAX = 64 * 1024;

/**
 * Applies a file of changes line by line, in memory that does not grow with it. A line that cannot be used is set
 * aside in dead-letters with its number and what was expected; the others are applied. Throws INPUT_UNREADABLE.
 */
export async function applyFile(file: string, context: ServiceContext, partitions: number): Promise<FileResult> {
  const { outbox, schemaIds, setAside } = context;
  const result: FileResult = { file, lines: 0, applied: 0, setAside: 0 };
  const waiting = new Map<string, { topic: TopicName; partition: number; rows: { mpan: number; value: Buffer }[] }>();
  const flush = async (key: string) => {
    const { topic, partition, rows } = waiting.get(key) as {
      topic: TopicName;
      partition: number;
      rows: { mpan: number; value: Buffer }[];
    };
    waiting.delete(key);
    const builder = new BatchBuilder(BATCH_BYTES);
    for (const { mpan, value } of rows) {
      const at = builder.begin(Math.floor(nowMs()), Buffer.from(String(mpan)), 0, 13);
      writeWireHeader(builder.buffer, at, schemaIds[topic]);
      builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
    }
    await outbox.send(topic, partition, builder.finish(), builder.count);
  };
  try {
    for await (const line of createInterface({
      input: createReadStream(file, 'utf8'),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      result.lines++;
      if (line.trim() === '') continue;
      const parsed = parseLine(line, result.lines);
      if ('fault' in parsed) {
        result.setAside++;
        await setAside([letterOf(file, result.lines, line, parsed.fault)]);
        continue;
      }
      const { topic, mpan, value } = parsed;
      const partition = partitionOfMpan(mpan, partitions);
      const key = `${topic}/${partition}`;
      const group = waiting.get(key) ?? { topic, partition, rows: [] };
      waiting.set(key, group);
      group.rows.push({ mpan, value });
      result.applied++;
      if (group.rows.length === RECORDS_A_BATCH_MAX) await flush(key);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`);
  }
  for (const key of [...waiting.keys()]) await flush(key);
  return result;
}

function letterOf(file: string, line: number, text: string, fault: string): DeadLetter {
  const value = Buffer.from(text);
  return {
    service: 'registration',
    topic: file,
    partition: 0,
    offset: line,
    reason: 'IMPOSSIBLE_VALUE',
    detail: `${file}:${line}: ${fault}`,
    key: null,
    value: value.subarray(0, DEAD_VALUE_BYTES_MAX),
    valueBytes: value.length,
  };
}

function parseLine(line: string, number: number): Parsed {
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
  return 'appointments' in row ? parseRegistration(row, mpan, number) : parsePoint(row, mpan, number);
}

function parseRegistration(row: Record<string, unknown>, mpan: number, sequence: number): Parsed {
  if (!Array.isArray(row.appointments) || row.appointments.length === 0)
    return { fault: 'appointments: expected a list of at least one' };
  const faults: string[] = [];
  const appointments = row.appointments.map((one: Record<string, unknown>, k): Appointment => {
    const wrong = (field: string, expected: string) =>
      faults.push(`appointments[${k}].${field} is ${JSON.stringify(one?.[field])}, expected ${expected}`);
    const mpid = parseMpid(String(one?.mpid));
    const role = APPOINTED_ROLES.find((name) => name === one?.role);
    const efd = parseDay(String(one?.efd));
    const etd = one?.etd === undefined || one.etd === null ? undefined : parseDay(String(one.etd));
    if (mpid === undefined) wrong('mpid', 'four capital letters');
    if (role === undefined) wrong('role', `one of ${APPOINTED_ROLES.join(', ')}`);
    if (efd === undefined) wrong('efd', 'a date as 2026-03-02');
    if (one?.etd !== undefined && one.etd !== null && etd === undefined) wrong('etd', 'a date as 2026-03-02, or none');
    return { mpid: mpid ?? '', role: role ?? 'MDR', efd: efd ?? 0, ...(etd === undefined ? {} : { etd }) };
  });
  if (faults.length > 0) return { fault: faults.join('; ') };
  const value = REGISTRATION.toBuffer({
    mpan,
    sequence,
    appointments: appointments.map(({ etd = null, ...rest }) => ({ ...rest, etd })),
  });
  return { topic: 'registrations', mpan, value };
}

function parsePoint(row: Record<string, unknown>, mpan: number, sequence: number): Parsed {
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
    sequence,
    register: register.toUpperCase(),
    device: euiBytes(device),
    kind: 'ESME',
    generation,
    status,
  });
  return { topic: 'inventory', mpan, value };
}
