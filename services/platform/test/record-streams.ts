import avsc from 'avsc';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchBuilder, BatchCursor } from '../kafka/record-batch.ts';
import type { FinishedBatch } from '../step-output.ts';

export const SCHEMA_IDS = {
  serviceRequest: 11,
  deviceRequest: 0x01020304,
  serviceResponse: 13,
  quarantineEvent: 14,
  registration: 15,
  meteringPoint: 16,
};

export const types = {
  serviceRequest: typeOf('service-requests.on-demand'),
  deviceRequest: typeOf('anomaly-checks'),
  serviceResponse: typeOf('service-responses'),
  quarantineEvent: typeOf('quarantine'),
  registration: typeOf('registrations'),
  meteringPoint: typeOf('inventory'),
};

function typeOf(topic: TopicName): avsc.Type {
  return avsc.Type.forSchema(JSON.parse(schemaText(topic)));
}

export type StreamRecord = { key: Buffer | null; value: Buffer | null };

/** The value with its schema id before it. */
export function framed(schemaId: number, value: Buffer): Buffer {
  const header = Buffer.alloc(WIRE_HEADER_BYTES);
  header.writeInt32BE(schemaId, 1);
  return Buffer.concat([header, value]);
}

/** A batch as a broker hands it out. */
export function batchOf(records: readonly StreamRecord[], baseOffset: number): Buffer {
  const builder = new BatchBuilder(1_000_000);
  for (const { key, value } of records) {
    if (value === null) {
      builder.tombstone(1, key ?? Buffer.alloc(0), 0, key?.length ?? 0);
      continue;
    }
    const at = key === null ? builder.beginWithoutKey(1) : builder.begin(1, key, 0, key.length);
    builder.end(at + value.copy(builder.buffer, at));
  }
  const batch = Buffer.from(builder.finish());
  batch.writeBigInt64BE(BigInt(baseOffset), 0);
  return batch;
}

export type Sent = { to: string; key: string | null; value: string };

/** What was sent, by topic and partition, in order; keys as text, values in hexadecimal. */
export function recordsOf(outputs: readonly FinishedBatch[]): Record<string, Sent[]> {
  const sent: Record<string, Sent[]> = {};
  const cursor = new BatchCursor();
  for (const { topic, partition, batch, records } of outputs) {
    cursor.open(Buffer.from(batch));
    if (cursor.count !== records) throw new Error(`${records} records said, ${cursor.count} found`);
    while (cursor.next()) {
      const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
      const to = `${topic}/${partition}`;
      sent[to] ??= [];
      sent[to].push({
        to,
        key: keyLength < 0 ? null : buffer.toString('latin1', keyAt, keyAt + keyLength),
        value: buffer.toString('hex', valueAt, valueAt + valueLength),
      });
    }
  }
  return sent;
}

export type Draw = {
  below(n: number): number;
  oneOf<T>(all: readonly T[]): T;
  chance(p: number): boolean;
};

/** Mulberry32. */
export function drawsOf(seed: number): Draw {
  let state = seed;
  const unit = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(unit() * n);
  return { below, oneOf: (all) => all[below(all.length)], chance: (p) => unit() < p };
}
