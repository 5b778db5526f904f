import kafkajs, { type Admin } from 'kafkajs';
import { type Fault, MdrError } from '#core/errors.ts';
import { TOPICS, type TopicName, topicSettings } from '#schemas/topics.ts';

const TOPIC_NAMES = Object.keys(TOPICS) as TopicName[];
/** After creation a broker takes a moment until it leads every partition. */
const LEADERS_WITHIN_MS = 30_000;
/** Of the sets that could be meant so many are named: a line or two. */
const PREFIXES_NAMED_MAX = 5;

export type TopicState = { topic: string; state: 'created' | 'there' };

/**
 * Creates the topics that are missing and holds those that are there against their declaration. Throws COULD_NOT_RUN
 * with every difference and what mends it: a service that runs on a topic with other partitions or with deletion in
 * place of compaction would lose data without saying so.
 */
export async function ensureTopics(
  admin: Admin,
  prefix: string,
  partitions: number,
  { create, replicas = 1 }: { create: boolean; replicas?: number },
): Promise<TopicState[]> {
  const existing = new Set(await admin.listTopics());
  const missing = TOPIC_NAMES.filter((name) => !existing.has(prefix + name));
  if (missing.length > 0 && !create) {
    const faults = missing.map((name) => ({
      path: prefix + name,
      expected: `a topic: run 'mdr topics --prefix ${prefix}'`,
    }));
    throw new MdrError('COULD_NOT_RUN', `Topics are missing${othersThan(prefix, existing)}`, faults);
  }
  const faults = await differences(
    admin,
    prefix,
    TOPIC_NAMES.filter((name) => existing.has(prefix + name)),
    partitions,
  );
  if (faults.length > 0) throw new MdrError('COULD_NOT_RUN', 'Topics differ from their declaration', faults);
  if (missing.length > 0) {
    await createTopics(admin, prefix, missing, partitions, replicas);
  }
  return TOPIC_NAMES.map((name) => ({ topic: prefix + name, state: missing.includes(name) ? 'created' : 'there' }));
}

/** What else was there to be meant: sets of topics with another prefix. */
function othersThan(prefix: string, existing: ReadonlySet<string>): string {
  const others = prefixesAmong(existing).filter((other) => other !== prefix);
  if (others.length === 0) return '';
  const more = others.length > PREFIXES_NAMED_MAX ? ' and others' : '';
  return `; there are those of ${others
    .slice(-PREFIXES_NAMED_MAX)
    .map((other) => `--prefix ${other === '' ? "''" : other}`)
    .join(', ')}${more}`;
}

/** Prefixes of the sets of topics that a broker has, in the order of their names. */
export async function prefixesOn(admin: Admin): Promise<string[]> {
  return prefixesAmong(await admin.listTopics());
}

function prefixesAmong(names: Iterable<string>): string[] {
  return Array.from(names)
    .filter((name) => name.endsWith(RUNS))
    .map((name) => name.slice(0, -RUNS.length))
    .sort();
}

const RUNS = 'runs' satisfies TopicName;

/** Throws COULD_NOT_RUN with what the brokers say, as where there are fewer of them than replicas. */
async function createTopics(
  admin: Admin,
  prefix: string,
  names: readonly TopicName[],
  partitions: number,
  replicas: number,
): Promise<void> {
  const topics = names.map((name) => ({
    topic: prefix + name,
    numPartitions: partitions,
    replicationFactor: replicas,
    configEntries: Object.entries(topicSettings(name)).map(([key, value]) => ({ name: key, value })),
  }));
  try {
    await admin.createTopics({ waitForLeaders: true, timeout: LEADERS_WITHIN_MS, topics });
  } catch (error) {
    const reasons = error instanceof kafkajs.KafkaJSAggregateError ? error.errors : [error];
    const said = new Set(reasons.map((reason) => (reason as Error).message));
    throw new MdrError('COULD_NOT_RUN', `The topics cannot be created: ${[...said].join('; ')}`);
  }
}

async function differences(admin: Admin, prefix: string, names: TopicName[], partitions: number): Promise<Fault[]> {
  if (names.length === 0) return [];
  const faults: Fault[] = [];
  const metadata = await admin.fetchTopicMetadata({ topics: names.map((name) => prefix + name) });
  for (const topic of metadata.topics) {
    if (topic.partitions.length !== partitions) {
      const expected = `${partitions} partitions: give --partitions ${topic.partitions.length}, or delete the topic, or use another --prefix`;
      faults.push({ path: topic.name, value: topic.partitions.length, expected });
    }
  }
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name: prefix + name })),
  });
  for (const { resourceName, configEntries } of resources) {
    const wanted = topicSettings(resourceName.slice(prefix.length) as TopicName);
    const found = new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]));
    for (const [key, value] of Object.entries(wanted)) {
      if (found.get(key) === value) continue;
      const expected = `${value}: set it with kafka-configs.sh --alter --entity-type topics --entity-name ${resourceName} --add-config ${key}=${value}`;
      faults.push({ path: `${resourceName} ${key}`, value: found.get(key), expected });
    }
  }
  return faults;
}
