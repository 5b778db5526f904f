import type { FileHandle } from 'node:fs/promises';
import { MdrError } from '#core/errors.ts';
import { APPOINTMENTS_MAX } from './appointment-list.ts';
import { CSV_COLUMNS, type CsvColumns } from './csv-changes.ts';

/** Some twenty thousand rows: 20 ms of a worker. */
const CHUNK_BYTES = 1024 * 1024;
const NEW_LINE = 10;
const COMMA = 44;
const MPAN = CSV_COLUMNS.indexOf('mpan');

/**
 * The next part of a file that ends with a line; where it is CSV, with an MPAN's last row, so that no change is torn.
 * Throws INPUT_INVALID where a line is longer than a chunk.
 */
export async function nextChunk(
  handle: FileHandle,
  at: number,
  size: number,
  columns: CsvColumns | undefined,
): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(Math.min(CHUNK_BYTES, size - at));
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, at + filled);
    if (bytesRead === 0) throw new MdrError('INPUT_UNREADABLE', 'the file has become shorter while it was read');
    filled += bytesRead;
  }
  if (at + bytes.length === size) return bytes.buffer;
  const text = Buffer.from(bytes.buffer);
  const end = text.lastIndexOf(NEW_LINE) + 1;
  if (end === 0)
    throw new MdrError('INPUT_INVALID', `a line that begins at byte ${at} is too long`, [
      { expected: `lines of at most ${CHUNK_BYTES} bytes` },
    ]);
  return bytes.buffer.slice(0, columns === undefined ? end : lastGroup(text, end, columns[MPAN]));
}

/** Where the rows of the last MPAN before `end` begin; `end` where they are more than any change has. */
function lastGroup(text: Buffer, end: number, column: number): number {
  let start = lineBefore(text, end);
  const mpan = fieldAt(text, start, column);
  for (let rows = 1; rows <= APPOINTMENTS_MAX && start > 0; rows++) {
    const before = lineBefore(text, start);
    if (fieldAt(text, before, column) !== mpan) return start;
    start = before;
  }
  return end;
}

/** Where the line begins that ends at `end`. */
function lineBefore(text: Buffer, end: number): number {
  return end < 2 ? 0 : text.lastIndexOf(NEW_LINE, end - 2) + 1;
}

function fieldAt(text: Buffer, line: number, column: number): string {
  let at = line;
  for (let k = 0; k < column; k++) {
    const comma = text.indexOf(COMMA, at);
    if (comma < 0) return '';
    at = comma + 1;
  }
  let end = at;
  while (end < text.length && text[end] !== COMMA && text[end] !== NEW_LINE) end++;
  return text.toString('latin1', at, end);
}
