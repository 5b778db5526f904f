import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { Kafka } from 'kafkajs';
import { WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from './clock.ts';
import { readPartitions } from './kafka/partition-reader.ts';
import { BatchBuilder, BatchCursor } from './kafka/record-batch.ts';
import type { ClockFace } from './sim-clock.ts';

/** A run as run.avsc has it, the scenario parsed. Instants in ms since the epoch. */
export type RunRecord = {
  runId: string;
  state: 'PREPARED' | 'RUNNING' | 'ENDED';
  epochMs: number;
  startMs: number;
  endMs: number;
  countedStartMs: number;
  countedEndMs: number;
  wallEpochMs: number;
  speed: number;
  patienceWallMs: number;
  /** As JSON. */
  scenario: string;
};

const TYPE = avsc.Type.forSchema(JSON.parse(readFileSync(new URL('../../schemas/run.avsc', import.meta.url), 'utf8')));
const KEY = Buffer.from('run');
/** The one partition that the record is written to: there is one run in a set of topics. */
export const RUN_PARTITION = 0;

export function clockFaceOf({ startMs, wallEpochMs, speed }: RunRecord): ClockFace {
  return { startMs, wallEpochMs, speed };
}

/** The record as a batch of the topic runs. */
export function encodeRun(run: RunRecord, schemaId: number): Uint8Array {
  const value = TYPE.toBuffer(run);
  const builder = new BatchBuilder(value.length + 256);
  const at = builder.begin(Math.floor(nowMs()), KEY, 0, KEY.length);
  writeWireHeader(builder.buffer, at, schemaId);
  builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
  return builder.finish();
}

/** Calls back with each state of the run that there is and that comes, until the function returned is called. */
export function followRun(
  kafka: Kafka,
  prefix: string,
  onRun: (run: RunRecord) => void,
  fail: (error: Error) => void,
): () => Promise<void> {
  const cursor = new BatchCursor();
  const reading = readPartitions(kafka, {
    partitions: [{ topic: `${prefix}runs`, partition: RUN_PARTITION, fromOffset: 0 }],
    onBatch(batch) {
      cursor.open(batch);
      while (cursor.next()) {
        if (cursor.valueLength < WIRE_HEADER_BYTES) continue;
        const value = cursor.buffer.subarray(cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
        onRun(TYPE.fromBuffer(value) as RunRecord);
      }
    },
  });
  reading.done.catch(fail);
  return reading.stop;
}
