import { readFileSync } from 'node:fs';

/**
 * Every topic: what it is keyed by, what its values are, how long they are kept. All have the same number of
 * partitions and are assigned together, so that a join never leaves its partition; a record goes to the partition
 * that Kafka's default partitioner gives its key. Names have the platform's prefix before them.
 */
export const TOPICS = {
  registrations: { key: 'mpan', schema: 'registration', keep: 'latest' },
  'registration-changes': { key: 'mpan', schema: 'registration-change', keep: 'days' },
  'registration-outcomes': { key: 'none', schema: 'registration-outcome', keep: 'days' },
  inventory: { key: 'mpan', schema: 'metering-point', keep: 'latest' },
  schedules: { key: 'mpan', schema: 'schedule-list', keep: 'latest' },
  users: { key: 'user', schema: 'user', keep: 'latest' },
  runs: { key: 'run', schema: 'run', keep: 'latest' },
  'service-requests.on-demand': { key: 'mpan', schema: 'service-request', keep: 'days' },
  'service-requests.scheduled': { key: 'mpan', schema: 'service-request', keep: 'days' },
  'anomaly-checks': { key: 'user', schema: 'device-request', keep: 'days' },
  'device-requests.on-demand': { key: 'mpan', schema: 'device-request', keep: 'days' },
  'device-requests.scheduled': { key: 'mpan', schema: 'device-request', keep: 'days' },
  'service-responses': { key: 'mpan', schema: 'service-response', keep: 'days' },
  quarantine: { key: 'mpan', schema: 'quarantine-event', keep: 'days' },
  'gateway-requests': { key: 'mpan', schema: 'gateway-request', keep: 'days' },
  deliveries: { key: 'user', schema: 'delivery', keep: 'days' },
  'trt-breaches': { key: 'mpan', schema: 'trt-breach', keep: 'days' },
  'dead-letters': { key: 'as it came', schema: 'dead-letter', keep: 'weeks' },
} as const satisfies Record<string, TopicDeclaration>;
export type TopicName = keyof typeof TOPICS;

export type TopicDeclaration = {
  key: 'mpan' | 'user' | 'run' | 'as it came' | 'none';
  /** File of this folder, without `.avsc`. */
  schema: string;
  /** `latest`: compacted, the last value of each key for ever. `days` and `weeks`: by age, of which replays need hours. */
  keep: 'latest' | 'days' | 'weeks';
};

/** Partitions of every topic unless set otherwise: a power of two up to 16, as the simulated fleet's MPANs hash. */
export const PARTITIONS_DEFAULT = 4;
export const PARTITIONS_ALLOWED = [1, 2, 4, 8, 16] as const;

/** A record longer than this is refused by the broker: an answer of 13 months of half-hours is 60 kB. */
export const MESSAGE_BYTES_MAX = 1_048_576;

const DAY_MS = 86_400_000;
/** Requests wait for 24 hours and responses are held for 2 days; a week leaves time to look into what went wrong. */
const RETENTION_MS = { days: 7 * DAY_MS, weeks: 28 * DAY_MS } as const;

/** Settings of a topic as the broker knows them; those that it must have, and no others are looked at. */
export function topicSettings(name: TopicName): Record<string, string> {
  const { keep } = TOPICS[name];
  const common = { 'max.message.bytes': String(MESSAGE_BYTES_MAX), 'message.timestamp.type': 'CreateTime' };
  return keep === 'latest'
    ? { ...common, 'cleanup.policy': 'compact', 'retention.ms': '-1' }
    : { ...common, 'cleanup.policy': 'delete', 'retention.ms': String(RETENTION_MS[keep]) };
}

/** The Avro schema of a topic's values as written in its file: the one that is registered. */
export function schemaText(name: TopicName): string {
  return readFileSync(new URL(`${TOPICS[name].schema}.avsc`, import.meta.url), 'utf8');
}

/** Registry subject of a topic's values. Without the platform's prefix: topics of several runs share their schemas. */
export function subjectOf(name: TopicName): string {
  return `mdr.${TOPICS[name].schema}-value`;
}
