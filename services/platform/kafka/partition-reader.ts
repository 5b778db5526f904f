import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { nowMs } from '../clock.ts';
import { KafkaError } from './errors.ts';
import type { Cluster, FetchTopic } from './kafkajs-insides.ts';
import type { FetchedTopics, RawMessage } from './raw-fetch.ts';
import { createRawCluster } from './seam.ts';

export type PartitionRange = {
  topic: string;
  partition: number;
  fromOffset: number;
  /** Reading ends before this one; for ever, if it is absent. */
  untilOffset?: number;
};

export type ReadOptions = {
  partitions: readonly PartitionRange[];
  /**
   * Takes one batch, plain as from a raw consumer; the first and the last may hold records outside the range. A promise
   * returned is waited for before the next batch. The bytes are the callee's to keep.
   */
  onBatch(batch: Buffer, range: Required<PartitionRange>): void | Promise<void>;
  /**
   * All batches of one answer have been handed over. `reached`: where reading goes on, by range. It passes over what is
   * no batch to anybody as well: the ends of transactions, and what was aborted.
   */
  onAnswerEnd?(reached: readonly Reached[]): void | Promise<void>;
  /** Of one answer; two are in memory at a time. A larger batch comes all the same. */
  maxBytes?: number;
  /** How long a broker may wait for something new before it answers with nothing. */
  maxWaitMs?: number;
};

/** `endOffset`: where the partition ended as of the last answer. */
export type Reached = {
  readonly range: Required<PartitionRange>;
  readonly nextOffset: number;
  readonly endOffset: number;
};

export type Reading = {
  /** Resolves when every range is read or `stop` was called; rejects with a KafkaError, or with what `onBatch` threw. */
  done: Promise<void>;
  /** Resolves when no more batches will come: after the current one. */
  stop(): Promise<void>;
};

const MAX_BYTES = 8 * 1024 * 1024;
const MAX_WAIT_MS = 250;
/** A broker that restarts is back in seconds, a new leader chosen in less: a minute of failures is something else. */
const RETRY_MS_MAX = 60_000;
const RETRY_DELAY_MS = 100;
const RETRY_DELAY_MS_MAX = 2_000;
const METADATA_AGE_MS_MAX = 300_000;
/** Transactions not committed are not read, and an end offset is before them. */
const READ_COMMITTED = 1;

/**
 * Reads partitions from given offsets on, without a consumer group. The next fetch is under way while batches are
 * handed over. All brokers answer before the next round, so one with nothing new holds up the others by `maxWaitMs`.
 */
export function readPartitions(kafka: Kafka, options: ReadOptions): Reading {
  const stopping = new AbortController();
  const done = readAll(kafka, options, stopping.signal);
  return {
    done,
    async stop() {
      stopping.abort();
      await done.catch(() => {});
    },
  };
}

/** Offset behind the last record that can be read, by partition. */
export function endOffsets(kafka: Kafka, topic: string): Promise<number[]> {
  return offsets(kafka, topic, false);
}

/** First offset that is still there, by partition. */
export function beginningOffsets(kafka: Kafka, topic: string): Promise<number[]> {
  return offsets(kafka, topic, true);
}

type Range = Required<PartitionRange>;
type Position = { range: Range; nextOffset: number; endOffset: number };
type Handover = { batch: Buffer; range: Range };

async function readAll(kafka: Kafka, options: ReadOptions, stopping: AbortSignal): Promise<void> {
  const positions = options.partitions.map(({ untilOffset = Number.POSITIVE_INFINITY, ...rest }) => ({
    range: { ...rest, untilOffset },
    nextOffset: rest.fromOffset,
    endOffset: rest.fromOffset,
  }));
  const topics = [...new Set(options.partitions.map(({ topic }) => topic))];
  await withCluster(kafka, topics, stopping, async (cluster) => {
    let fetching = fetchRound(cluster, positions, options, stopping);
    for (;;) {
      const answers = await fetching;
      if (answers.length === 0) return;
      const before = sumOfOffsets(positions);
      const handovers = advance(positions, answers);
      fetching = fetchRound(cluster, positions, options, stopping);
      // Its failure is looked at after these batches, and is no unhandled one until then.
      fetching.catch(() => {});
      for (const { batch, range } of handovers) {
        if (stopping.aborted) break;
        const handling = options.onBatch(batch, range);
        if (handling !== undefined) await handling;
      }
      if (sumOfOffsets(positions) > before) await options.onAnswerEnd?.(positions);
    }
  });
}

function sumOfOffsets(positions: readonly Position[]): number {
  return positions.reduce((sum, { nextOffset }) => sum + nextOffset, 0);
}

/** One fetch from each leader for all ranges that are not read to their end. No answers: there are none, or a stop. */
async function fetchRound(
  cluster: Cluster,
  positions: readonly Position[],
  { maxBytes = MAX_BYTES, maxWaitMs = MAX_WAIT_MS }: ReadOptions,
  stopping: AbortSignal,
): Promise<FetchedTopics[]> {
  const open = positions.filter(({ range, nextOffset }) => nextOffset < range.untilOffset);
  if (open.length === 0 || stopping.aborted) return [];
  const limits = { maxWaitTime: maxWaitMs, minBytes: 1, maxBytes, isolationLevel: READ_COMMITTED };
  const answers = await withRetries(cluster, stopping, async () => {
    await cluster.refreshMetadataIfNecessary();
    const fetches = [...byLeader(cluster, open, maxBytes)].map(async ([nodeId, topics]) => {
      const broker = await cluster.findBroker({ nodeId });
      return (await broker.fetch({ ...limits, topics })) as FetchedTopics;
    });
    return await Promise.all(fetches);
  });
  return answers ?? [];
}

function byLeader(cluster: Cluster, open: readonly Position[], maxBytes: number): Map<string, FetchTopic[]> {
  const leaders = new Map<string, FetchTopic[]>();
  for (const { range, nextOffset } of open) {
    const { topic, partition } = range;
    const metadata = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition);
    if (metadata === undefined) throw new KafkaError('TOPIC_UNKNOWN', `${topic} has no partition ${partition}`);
    const nodeId = String(metadata.leader);
    const topics = leaders.get(nodeId) ?? [];
    topics.push({ topic, partitions: [{ partition, fetchOffset: String(nextOffset), maxBytes }] });
    leaders.set(nodeId, topics);
  }
  return leaders;
}

/** Moves the positions behind what was answered, and returns the batches to hand over, oldest first. */
function advance(positions: readonly Position[], answers: readonly FetchedTopics[]): Handover[] {
  const handovers: Handover[] = [];
  for (const { responses } of answers) {
    for (const { topicName, partitions } of responses) {
      for (const { partition, messages, highWatermark } of partitions) {
        const position = positions.find(({ range }) => range.topic === topicName && range.partition === partition);
        if (position === undefined) continue;
        position.endOffset = Number(highWatermark);
        advanceOne(position, messages, handovers);
      }
    }
  }
  return handovers;
}

function advanceOne(position: Position, messages: readonly RawMessage[], handovers: Handover[]): void {
  const { range } = position;
  for (const { offset, value } of messages) {
    const lastOffset = Number(offset);
    if (lastOffset < position.nextOffset) continue;
    if (position.nextOffset >= range.untilOffset) return;
    if (value !== null) handovers.push({ batch: value, range });
    position.nextOffset = lastOffset + 1;
  }
}

async function offsets(kafka: Kafka, topic: string, fromBeginning: boolean): Promise<number[]> {
  const never = new AbortController().signal;
  const found: number[] = [];
  await withCluster(kafka, [topic], never, async (cluster) => {
    const answer = await withRetries(cluster, never, async () => {
      const partitions = cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => ({ partition: partitionId }));
      return await cluster.fetchTopicsOffset([{ topic, partitions, fromBeginning }]);
    });
    for (const { partition, offset } of answer?.[0].partitions ?? []) found[partition] = Number(offset);
  });
  return found;
}

/** Connects for as long as `act` takes. */
async function withCluster(
  kafka: Kafka,
  topics: string[],
  stopping: AbortSignal,
  act: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const cluster = createRawCluster(kafka, {
    metadataMaxAge: METADATA_AGE_MS_MAX,
    allowAutoTopicCreation: false,
    isolationLevel: READ_COMMITTED,
  });
  try {
    await withRetries(cluster, stopping, async () => {
      await cluster.connect();
      await cluster.addMultipleTargetTopics(topics).catch((error: KafkajsError) => {
        if (error.type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
        throw new KafkaError('TOPIC_UNKNOWN', `one of these topics is not there: ${topics.join(', ')}`);
      });
    });
    await act(cluster);
  } finally {
    await cluster.disconnect();
  }
}

type KafkajsError = Error & {
  type?: string;
  retriable?: boolean;
  host?: string;
  port?: number;
  topic?: string;
  partition?: number;
};

/** Tries again, with new metadata, until it has failed for `RETRY_MS_MAX`. Undefined: stopped meanwhile. */
async function withRetries<T>(cluster: Cluster, stopping: AbortSignal, act: () => Promise<T>): Promise<T | undefined> {
  let failedAtMs: number | undefined;
  for (let delayMs = RETRY_DELAY_MS; ; delayMs = Math.min(2 * delayMs, RETRY_DELAY_MS_MAX)) {
    try {
      return await act();
    } catch (error) {
      if (stopping.aborted) return undefined;
      failIfFinal(error as KafkajsError);
      failedAtMs ??= nowMs();
      if (nowMs() - failedAtMs > RETRY_MS_MAX)
        throw new KafkaError('READ_FAILED', `Kafka could not be read for ${RETRY_MS_MAX / 1_000} s: ${error}`, {
          cause: error,
        });
      await delay(delayMs);
      // Where this fails too, so will the next attempt, with the error that tells more.
      await renew(cluster, error as KafkajsError).catch(() => {});
    }
  }
}

/** Throws what another attempt cannot mend. */
function failIfFinal(error: KafkajsError): void {
  const { name, type, topic, partition } = error;
  if (name === 'KafkaJSOffsetOutOfRange')
    throw new KafkaError('OFFSET_OUT_OF_RANGE', `${topic}/${partition} does not hold the offset asked for`, {
      cause: error,
    });
  const isOfKafkajs = name.startsWith('KafkaJS');
  if (!isOfKafkajs || (type !== undefined && error.retriable === false)) throw error;
}

/** kafkajs leaves it to its consumer to forget a broker whose connection closed: so here. */
async function renew(cluster: Cluster, { name, host, port }: KafkajsError): Promise<void> {
  if (name === 'KafkaJSConnectionClosedError') cluster.removeBroker({ host: host as string, port: port as number });
  if (!cluster.isConnected()) await cluster.connect();
  await cluster.refreshMetadata();
}
