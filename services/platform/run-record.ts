import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { Admin, Kafka } from 'kafkajs';
import type { TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { BatchWalk } from './batch-walk.ts';
import { nowMs } from './clock.ts';
import { readPartitions } from './kafka/partition-reader.ts';
import { BatchBuilder, BatchCursor } from './kafka/record-batch.ts';
import type { ServiceContext } from './service.ts';
import { type ClockFace, SimClock } from './sim-clock.ts';

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

/** The clock of a run. While it is prepared it stands at its start. */
export function clockFaceOf({ state, startMs, wallEpochMs, speed }: RunRecord): ClockFace {
  return { startMs, wallEpochMs: state === 'PREPARED' ? Number.POSITIVE_INFINITY : wallEpochMs, speed };
}

/**
 * The simulated instant that a run has come to, by its own clock: its start while it is prepared, never beyond its end.
 * One that no clock paces has no present: the start of its counted days stands for it.
 */
export function presentMsOf(run: RunRecord, wallMs: number): number {
  if (run.state === 'PREPARED') return run.startMs;
  if (run.speed === 0) return run.countedStartMs;
  return Math.min(run.endMs, new SimClock(clockFaceOf(run)).at(wallMs));
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

/** The latest state of the run of each of some sets of topics, by prefix; nothing of those that have had none. */
export async function latestRuns(
  kafka: Kafka,
  admin: Admin,
  prefixes: readonly string[],
): Promise<Map<string, RunRecord>> {
  const ranges = await Promise.all(
    prefixes.map(async (prefix) => {
      const topic = `${prefix}${RUNS}`;
      const offsets = await admin.fetchTopicOffsets(topic);
      const high = offsets.find(({ partition }) => partition === RUN_PARTITION)?.high ?? '0';
      return { topic, partition: RUN_PARTITION, fromOffset: 0, untilOffset: Number(high) };
    }),
  );
  const runs = new Map<string, RunRecord>();
  const cursor = new BatchCursor();
  await readPartitions(kafka, {
    partitions: ranges.filter(({ untilOffset }) => untilOffset > 0),
    onBatch(batch, { topic }) {
      cursor.open(batch);
      while (cursor.next()) {
        const { buffer, valueAt, valueLength } = cursor;
        if (valueLength <= WIRE_HEADER_BYTES) continue;
        const run = decoded(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength));
        if (run !== undefined) runs.set(topic.slice(0, -RUNS.length), run);
      }
    },
  }).done;
  return runs;
}

const RUNS = 'runs' satisfies TopicName;
const VALUE_BYTES_MAX = 1_048_576;

/**
 * Calls back with each state of the run that there is and that comes, until the function returned is called. What cannot
 * be used is set aside.
 */
export function followRun(
  { name, kafka, settings, schemaIds, setAside, fail }: ServiceContext,
  onRun: (run: RunRecord) => void,
): () => Promise<void> {
  const walk = new BatchWalk(name);
  const reading = readPartitions(kafka, {
    partitions: [{ topic: `${settings.prefix}runs`, partition: RUN_PARTITION, fromOffset: 0 }],
    onBatch(batch) {
      walk.begin({ topic: 'runs', partition: RUN_PARTITION, batches: [batch], fromOffset: 0 });
      while (walk.next()) {
        const { buffer, valueAt, valueLength } = walk.cursor;
        if (valueLength < 0 || !walk.hasValue(schemaIds.runs, VALUE_BYTES_MAX)) continue;
        const run = decoded(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength));
        if (run === undefined) walk.setAside('UNDECODABLE', 'no run as run.avsc has it');
        else onRun(run);
      }
      if (walk.deadLetters.length > 0) setAside(walk.deadLetters).catch(fail);
    },
  });
  reading.done.catch(fail);
  return reading.stop;
}

function decoded(value: Buffer): RunRecord | undefined {
  try {
    return TYPE.fromBuffer(value) as RunRecord;
  } catch {
    return undefined;
  }
}
