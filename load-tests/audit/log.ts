import { MdrError } from '#core/errors.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { KafkaError } from '#services/platform/kafka/errors.ts';
import { beginningOffsets, endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';
import type { Security } from '#services/platform/kafka/security.ts';
import { createLog } from '#services/platform/log.ts';
import type { FaultKind, Findings } from './findings.ts';
import {
  AUDITED_TOPICS,
  type AuditedTopic,
  createDecoder,
  type Decoder,
  type RecordOf,
  Unreadable,
} from './record-types.ts';

export type LogOptions = { brokers: string[]; registryUrl: string; security?: Security; prefix: string };

/** One record. Reused from record to record. */
export type Visited<Topic extends AuditedTopic> = {
  /** Null: a tombstone. */
  value: RecordOf<Topic> | null;
  /** Of a tombstone. */
  key: string;
  offset: number;
  /** Wall clock at which it was written. */
  writtenMs: number;
};

export type Reading = { records: number; isCompacted: boolean };

/** The topics of a run as they are at one moment. */
export class Log {
  readonly partitions: number;
  /** Of all topics, so far. */
  records = 0;
  readonly #kafka: ReturnType<typeof createKafka>;
  readonly #options: LogOptions;
  readonly #ends: Readonly<Record<AuditedTopic, number[]>>;
  readonly #decoders: { [Topic in AuditedTopic]: Decoder<Topic> };
  readonly #cursor = new BatchCursor();

  private constructor(
    options: LogOptions,
    kafka: ReturnType<typeof createKafka>,
    ends: Readonly<Record<AuditedTopic, number[]>>,
    decoders: { [Topic in AuditedTopic]: Decoder<Topic> },
  ) {
    this.#options = options;
    this.#kafka = kafka;
    this.#ends = ends;
    this.#decoders = decoders;
    this.partitions = ends.runs.length;
  }

  /** Throws COULD_NOT_RUN where a topic is missing, of other partitions, or no longer there from its start. */
  static async open(options: LogOptions): Promise<Log> {
    const kafka = createKafka(options.brokers, 'mdr-audit', createLog('audit', 'silent'), options.security?.kafka);
    const ends: Partial<Record<AuditedTopic, number[]>> = {};
    const decoders: Partial<Record<AuditedTopic, unknown>> = {};
    try {
      // What is written last is looked at first: so whatever an answer speaks of lies before the ends of the others.
      for (const topic of DOWNSTREAM_FIRST) ends[topic] = await endOffsets(kafka, options.prefix + topic);
      for (const topic of DOWNSTREAM_FIRST) await requireWhole(kafka, options.prefix, topic);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      throw new MdrError('COULD_NOT_RUN', `The topics ${options.prefix}* cannot be read: ${error.message}`);
    }
    for (const topic of AUDITED_TOPICS) decoders[topic] = await decoderOf(options, topic);
    const uneven = AUDITED_TOPICS.filter((topic) => ends[topic]?.length !== ends.runs?.length);
    if (uneven.length > 0)
      throw new MdrError('COULD_NOT_RUN', `${uneven.join(', ')} and runs differ in their number of partitions`);
    return new Log(
      options,
      kafka,
      ends as Record<AuditedTopic, number[]>,
      decoders as { [Topic in AuditedTopic]: Decoder<Topic> },
    );
  }

  /** Offset behind the last record that is audited. */
  end(topic: AuditedTopic, partition: number): number {
    return this.#ends[topic][partition];
  }

  /** Shows every record of a partition in order. What cannot be read goes to `onUnreadable`. */
  async read<Topic extends AuditedTopic>(
    topic: Topic,
    partition: number,
    visit: (record: Visited<Topic>) => void,
    onUnreadable: (offset: number, why: string) => void,
  ): Promise<Reading> {
    const untilOffset = this.end(topic, partition);
    if (untilOffset === 0) return { records: 0, isCompacted: false };
    const cursor = this.#cursor;
    const decode = this.#decoders[topic] as Decoder<Topic>;
    const record: Visited<Topic> = { value: null, key: '', offset: 0, writtenMs: 0 };
    let records = 0;
    const take = () => {
      records++;
      record.offset = cursor.offset;
      record.writtenMs = cursor.timestampMs;
      const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
      record.value = valueLength < 0 ? null : decode(buffer, valueAt, valueLength);
      if (valueLength < 0) record.key = buffer.toString('latin1', keyAt, keyAt + Math.max(0, keyLength));
      visit(record);
    };
    const reading = readPartitions(this.#kafka, {
      partitions: [{ topic: this.#options.prefix + topic, partition, fromOffset: 0, untilOffset }],
      onBatch: (batch) => {
        eachRecord(cursor, batch, untilOffset, take, onUnreadable);
      },
    });
    await reading.done;
    this.records += records;
    return { records, isCompacted: records < untilOffset };
  }
}

/** Says of a record that nobody can read that it was found; one that was set aside is no fault. */
export function reportUnreadable(
  faults: Findings<FaultKind>,
  setAside: ReadonlySet<string>,
  topic: AuditedTopic,
  partition: number,
): (offset: number, why: string) => void {
  return (offset, why) => {
    if (setAside.has(placeKey(topic, partition, offset))) return;
    const mode = topic.endsWith('.scheduled') ? 'scheduled' : topic.endsWith('.on-demand') ? 'on-demand' : null;
    faults.add('unreadable', { requestId: null, mode, topic, partition, offset }, () => why);
  };
}

export function placeKey(topic: string, partition: number, offset: number): string {
  return `${topic}/${partition}/${offset}`;
}

const DOWNSTREAM_FIRST: readonly AuditedTopic[] = [
  'trt-breaches',
  'service-responses',
  'device-requests.scheduled',
  'device-requests.on-demand',
  'quarantine',
  'anomaly-checks',
  'service-requests.scheduled',
  'service-requests.on-demand',
  'dead-letters',
  'inventory',
  'registrations',
  'users',
  'runs',
];

function eachRecord(
  cursor: BatchCursor,
  batch: Buffer,
  untilOffset: number,
  take: () => void,
  onUnreadable: (offset: number, why: string) => void,
): void {
  try {
    cursor.open(batch, 0, untilOffset);
    while (cursor.next()) {
      try {
        take();
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        onUnreadable(cursor.offset, error.message);
      }
    }
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    onUnreadable(Number(batch.readBigInt64BE(0)), error.message);
  }
}

async function requireWhole(kafka: ReturnType<typeof createKafka>, prefix: string, topic: AuditedTopic): Promise<void> {
  const beginnings = await beginningOffsets(kafka, prefix + topic);
  const cut = beginnings.findIndex((offset) => offset > 0);
  if (cut < 0) return;
  const what = `${prefix}${topic}/${cut} begins at offset ${beginnings[cut]}`;
  throw new MdrError('COULD_NOT_RUN', `${what}: what came before was deleted, and a run is audited from its start`);
}

async function decoderOf({ registryUrl, security }: LogOptions, topic: AuditedTopic): Promise<unknown> {
  try {
    return await createDecoder(registryUrl, topic, security?.registry);
  } catch (error) {
    throw new MdrError(
      'COULD_NOT_RUN',
      `The registry has no schemas of ${topic} to read by: ${(error as Error).message}`,
    );
  }
}
