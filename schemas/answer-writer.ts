import { LONG_BYTES_MAX, writeFixed, writeLong } from './avro-binary.ts';
import type { RequestReader } from './request-reader.ts';

/** What an answer says beside what the request says. */
export type Answer = {
  /** One of RESPONSE_SOURCE. */
  source: number;
  mode: number;
  requestOffset: number;
  /** Position in GENERATIONS, UNKNOWN_GENERATION where the device is not known. */
  generation: number;
  /** Position in RESPONSE_CODES. */
  code: number;
  fact: number;
  quarantinedMs: number;
  answeredMs: number;
  platformMs: number;
  sentWallMs: number;
};

/** Most bytes that an answer without data takes: its numbers, the identity that it repeats, three empty arrays. */
export const ANSWER_BYTES_MAX = 16 * LONG_BYTES_MAX + 64;

/** Writes the `service-response` to a request that has been read, without data; returns the position behind it. */
export function writeAnswer(buffer: Buffer, at: number, request: RequestReader, answer: Answer): number {
  const { identityAt, identityEnd } = request;
  let to = at;
  buffer[to++] = 0;
  buffer[to++] = answer.source << 1;
  buffer[to++] = answer.mode << 1;
  to = writeLong(buffer, to, answer.requestOffset);
  to = writeFixed(buffer, to, request.buffer, identityAt, identityEnd - identityAt);
  buffer[to++] = request.srv << 1;
  buffer[to++] = request.service << 1;
  buffer[to++] = answer.generation << 1;
  buffer[to++] = answer.code << 1;
  buffer[to++] = answer.fact << 1;
  to = writeLong(buffer, to, request.receivedMs);
  to = writeLong(buffer, to, answer.quarantinedMs);
  to = writeLong(buffer, to, answer.answeredMs);
  to = buffer.writeDoubleLE(answer.platformMs, to);
  to = buffer.writeDoubleLE(answer.sentWallMs, to);
  // First stamp, step and the three arrays of rows.
  for (let k = 0; k < 5; k++) buffer[to++] = 0;
  return to;
}
