import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TOPICS, type TopicName, topicSettings } from '#schemas/topics.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const NAMES = Object.keys(TOPICS) as TopicName[];
const run = `topics-${process.pid}-${Math.trunc(performance.timeOrigin)}`;

describeWithKafka('mdr topics', ({ brokers, registryUrl }) => {
  const admin: Admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  beforeAll(() => admin.connect());
  afterAll(() => admin.disconnect());

  function mdr(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(MDR, [...args, '--brokers', brokers.join(','), '--registry', registryUrl], {
      encoding: 'utf8',
      timeout: 60_000,
    });
  }

  test('creates every topic as declared, and changes nothing the second time', async () => {
    const prefix = `${run}-new.`;
    const first = mdr('topics', '--prefix', prefix, '--partitions', '2', '--json');
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const created = JSON.parse(first.stdout) as {
      topic: string;
      state: string;
      partitions: number;
      schemaId: number;
    }[];
    expect(created.map(({ topic, state, partitions }) => [topic, state, partitions])).toEqual(
      NAMES.map((name) => [prefix + name, 'created', 2]),
    );
    const { topics } = await admin.fetchTopicMetadata({ topics: NAMES.map((name) => prefix + name) });
    for (const topic of topics) expect(topic.partitions).toHaveLength(2);
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: NAMES.map((name) => ({ type: 2, name: prefix + name })),
    });
    for (const { resourceName, configEntries } of resources) {
      const found = Object.fromEntries(configEntries.map(({ configName, configValue }) => [configName, configValue]));
      expect(found).toMatchObject(topicSettings(resourceName.slice(prefix.length) as TopicName));
    }
    const second = mdr('topics', '--json', '--replicas=1', '--partitions=2', '--prefix', prefix);
    expect(second).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(second.stdout)).toEqual(created.map((row) => ({ ...row, state: 'there' })));
    const plain = mdr('topics', '--prefix', prefix, '--partitions', '2');
    expect(plain.stdout.split('\n')[0]).toBe(`there    ${prefix}registrations, schema ${created[0].schemaId}`);
  });

  test('refuses topics that differ, naming each, what was found, what was expected and what mends it', async () => {
    const prefix = `${run}-other.`;
    await admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic: `${prefix}registrations`,
          numPartitions: 2,
          configEntries: [
            { name: 'cleanup.policy', value: 'delete' },
            { name: 'retention.ms', value: '-1' },
            { name: 'max.message.bytes', value: '1048576' },
          ],
        },
        {
          topic: `${prefix}quarantine`,
          numPartitions: 3,
          configEntries: Object.entries(topicSettings('quarantine')).map(([name, value]) => ({ name, value })),
        },
      ],
    });
    const { status, stdout, stderr } = mdr('topics', '--prefix', prefix, '--partitions', '2');
    expect([status, stdout]).toEqual([3, '']);
    expect(stderr.split('\n')).toEqual([
      'mdr topics: Topics differ from their declaration',
      `  ${prefix}quarantine is 3, expected 2 partitions: give --partitions 3, or delete the topic, or use another --prefix`,
      `  ${prefix}registrations cleanup.policy is "delete", expected compact: set it with kafka-configs.sh --alter --entity-type topics --entity-name ${prefix}registrations --add-config cleanup.policy=compact`,
      expect.stringContaining('run the command again'),
      '',
    ]);
    const there = await admin.listTopics();
    expect(there.filter((topic) => topic.startsWith(prefix)).sort()).toEqual([
      `${prefix}quarantine`,
      `${prefix}registrations`,
    ]);
    const served = mdr('serve', 'trt-monitor', '--port', '0', '--prefix', prefix, '--partitions', '2');
    expect([served.status, served.stdout]).toEqual([3, '']);
    expect(served.stderr).toContain('mdr serve: Topics are missing');
  });

  test('a service ends with 3 and says why where topics are missing or have other partitions', () => {
    const prefix = `${run}-serve.`;
    const missing = mdr('serve', 'users', '--port', '0', '--prefix', prefix);
    expect([missing.status, missing.stdout]).toEqual([3, '']);
    expect(missing.stderr).toContain(`  ${prefix}runs expected a topic: run 'mdr topics --prefix ${prefix}'\n`);
    expect(mdr('topics', '--prefix', prefix, '--partitions', '2').status).toBe(0);
    const other = mdr('serve', 'users', '--port', '0', '--prefix', prefix, '--partitions', '8');
    expect([other.status, other.stdout]).toEqual([3, '']);
    expect(other.stderr).toContain(`  ${prefix}runs is 2, expected 8 partitions: give --partitions 2,`);
  });

  test.each<[string[], number, string]>([
    [['--replicas', 'two'], 2, '--replicas two is not a number of copies from 1 to 999'],
    [['--replicas', '0'], 2, '--replicas 0 is not a number of copies from 1 to 999'],
    [['--partitions', '3'], 2, '--partitions is "3", expected one of 1, 2, 4, 8, 16'],
    [['--replica', '1'], 2, "Unknown option '--replica'"],
    [['--replicas', '7', '--prefix', `${run}-seven.`], 3, 'The topics cannot be created: '],
  ])('%j ends with %i', (args, code, message) => {
    const { status, stdout, stderr } = mdr('topics', ...args);
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('bug');
  });
});

test('brokers and a registry that do not answer are named at once: exit code 3', () => {
  const flags = ['--brokers', '127.0.0.1:9', '--registry', 'http://127.0.0.1:9'];
  const { status, stdout, stderr } = spawnSync(MDR, ['topics', ...flags], { encoding: 'utf8', timeout: 100_000 });
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr).toContain(
    'no Kafka broker answers at 127.0.0.1:9, and no schema registry answers at http://127.0.0.1:9',
  );
});
