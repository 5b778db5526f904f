import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const MDR = fileURLToPath(new URL('mdr.ts', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'mdr-kafka-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** On a machine with neither Java nor Docker. */
function mdrKafka(args: string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [MDR, 'kafka', ...args], {
    encoding: 'utf8',
    env: { PATH: directory, DOCKER_HOST: 'tcp://127.0.0.1:9', MDR_KAFKA_DIR: directory, ...env },
  });
}

test.each([
  [[], 'one of up, status and down, not none'],
  [['up', 'down'], 'one of up, status and down, not up down'],
  [['status', '--port', '9092'], 'status takes no --port'],
  [['up', '--delete-data'], 'up takes no --delete-data'],
  [['up', '--port', '70000'], '--port 70000 is not a port from 1 to 65535'],
  [['up', '--provider', 'podman'], 'there is no provider podman; there are docker and java'],
  [['status', '--brokers', 'localhost:9092'], 'KAFKA_BROKERS is given; SCHEMA_REGISTRY_URL is needed too'],
  [['status', '--registry', 'http://localhost'], 'SCHEMA_REGISTRY_URL is given; KAFKA_BROKERS is needed too'],
  [
    ['status', '--brokers', 'localhost', '--registry', 'http://localhost'],
    'broker "localhost" is not of the form HOST:PORT',
  ],
  [['status', '--brokers', 'a:1', '--registry', 'localhost'], 'registry "localhost" is not an http or https URL'],
])('mdr kafka %j is refused with exit code 2 and a sentence', (args, sentence) => {
  const { status, stdout, stderr } = mdrKafka(args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`mdr kafka: ${sentence}\n`);
});

test('up says what to install where nothing can run Kafka: exit code 3', () => {
  const { status, stdout, stderr } = mdrKafka(['up']);
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr).toContain('java: Java 17 or later is not installed');
  expect(stderr).toContain('Install Java 17 or later and Maven');
});

test('status is 1 where nothing runs', () => {
  expect(mdrKafka(['status'])).toMatchObject({ status: 1, stdout: 'Kafka is not running\n' });
});

test('a Kafka that is given and does not answer is named: up 3, status 1', () => {
  const env = { KAFKA_BROKERS: '127.0.0.1:9', SCHEMA_REGISTRY_URL: 'http://127.0.0.1:9/apis/ccompat/v7' };
  const missing = [
    'no Kafka broker answers at 127.0.0.1:9',
    `no schema registry answers at ${env.SCHEMA_REGISTRY_URL}`,
  ];
  expect(mdrKafka(['status'], env)).toMatchObject({ status: 1, stdout: `${missing.join('\n')}\n` });
  const up = mdrKafka(['up'], env);
  expect(up.status).toBe(3);
  expect(up.stderr).toContain(missing.join(', and '));
});
