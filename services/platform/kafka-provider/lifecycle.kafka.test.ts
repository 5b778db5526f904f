import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWithKafka } from '../test/with-kafka.ts';
import type { LocalKafka } from './local-kafka.ts';
import { answersAsBroker, answersAsRegistry } from './ports.ts';
import { type ProvidedKafka, provideKafka } from './provide.ts';

const MDR = fileURLToPath(new URL('../../../bin/mdr', import.meta.url));
const HOLD = fileURLToPath(new URL('../test/hold-kafka.ts', import.meta.url));
const TOPIC = 'survives';
/** Two starts of Kafka in containers and ten of the command line took 82 s at the least priority on a busy machine. */
const UP_AND_DOWN_MS_MAX = 300_000;

/** What every test here leaves behind: nothing. */
async function expectGone(brokers: string[], registryUrl: string): Promise<void> {
  expect(await Promise.all(brokers.map(answersAsBroker))).toEqual(brokers.map(() => false));
  expect(await answersAsRegistry(registryUrl)).toBe(false);
}

async function withAdmin<T>(brokers: string[], act: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await act(admin);
  } finally {
    await admin.disconnect();
  }
}

describeWithKafka('mdr kafka', (given) => {
  let directory: string;
  const { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, ...inherited } = process.env;
  const mdr = (...args: string[]) => {
    const env = { ...inherited, MDR_KAFKA_DIR: directory };
    return spawnSync(MDR, ['kafka', ...args], { encoding: 'utf8', env });
  };
  const state = (): LocalKafka => JSON.parse(readFileSync(join(directory, 'state.json'), 'utf8'));
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mdr-up-'));
  });
  afterAll(() => {
    mdr('down', '--delete-data');
    rmSync(directory, { recursive: true });
  });

  test(
    'up, status and down: data outlast a down, and a second up is no second broker',
    async () => {
      expect(mdr('status')).toMatchObject({ status: 1, stdout: 'Kafka is not running\n' });
      expect(mdr('down')).toMatchObject({ status: 0, stdout: 'Kafka was not running\n' });

      const up = mdr('up', '--json');
      expect([up.status, up.stderr]).toEqual([0, '']);
      const { brokers, registryUrl } = JSON.parse(up.stdout);
      expect(brokers[0]).toMatch(/^127\.0\.0\.1:\d+$/);
      await withAdmin(brokers, (admin) => admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 2 }] }));
      const before = state();
      expect(mdr('up').stdout).toMatch(/^Kafka runs already /);
      expect(state()).toEqual(before);
      expect(JSON.parse(mdr('status', '--json').stdout)).toMatchObject({ running: true, brokers, registryUrl });

      expect(mdr('down')).toMatchObject({ status: 0, stdout: 'Kafka is stopped\n' });
      await expectGone(brokers, registryUrl);
      expect(mdr('status').status).toBe(1);

      const again = JSON.parse(mdr('up', '--json').stdout);
      expect(await withAdmin(again.brokers, (admin) => admin.listTopics())).toContain(TOPIC);
      expect(mdr('down', '--delete-data').stdout).toBe('Kafka is stopped, and its data are deleted\n');
      await expectGone(again.brokers, again.registryUrl);
      expect(readdirSync(directory).filter((name) => !/\.(log|properties)$/.test(name))).toEqual([]);
    },
    UP_AND_DOWN_MS_MAX,
  );

  test('a Kafka that is given is asked and left alone', () => {
    const named = ['--brokers', given.brokers.join(','), '--registry', given.registryUrl];
    expect(mdr('up', ...named).stdout).toMatch(/^Kafka is given and answers /);
    expect(mdr('status', ...named).status).toBe(0);
    expect(mdr('down', ...named)).toMatchObject({ status: 2, stdout: '' });
    expect(existsSync(join(directory, 'state.json'))).toBe(false);
  });
});

describeWithKafka('a Kafka of its own', () => {
  let kafka: ProvidedKafka | undefined;
  afterAll(() => kafka?.stop());

  test('keeps port and records over a crash and an orderly restart', async () => {
    kafka = await provideKafka({ isOwn: true });
    const { brokers } = kafka;
    await withAdmin(brokers, (admin) => admin.createTopics({ topics: [{ topic: TOPIC }], waitForLeaders: true }));
    const producer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer();
    const send = () => producer.send({ topic: TOPIC, messages: [{ value: 'kept' }] });
    await producer.connect();
    await send();
    await kafka.killBroker();
    expect(await answersAsBroker(brokers[0])).toBe(false);
    await kafka.startBroker();
    await send();
    await kafka.restartBroker();
    await send();
    await producer.disconnect();
    const [{ high }] = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(TOPIC));
    expect(high).toBe('3');
    await kafka.stop();
    await expectGone(brokers, kafka.registryUrl);
  });

  describe('ends with the process that holds it', () => {
    test.each(['SIGKILL', 'SIGINT'] as const)('when that is ended by %s', async (signal) => {
      const temporary = mkdtempSync(join(tmpdir(), 'mdr-hold-'));
      const holder = hold(temporary);
      const { brokers, registryUrl } = await firstLine(holder);
      expect(await answersAsBroker(brokers[0])).toBe(true);
      holder.kill(signal);
      // The watchdog has the holder's standard error: it is closed when the watchdog has ended as well.
      await once(holder, 'close');
      await expectGone(brokers, registryUrl);
      expect(readdirSync(temporary)).toEqual([]);
      rmSync(temporary, { recursive: true });
    });
  });
});

function hold(temporary: string): ChildProcess {
  return spawn(process.execPath, [HOLD], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function firstLine(holder: ChildProcess): Promise<{ brokers: string[]; registryUrl: string }> {
  for await (const line of createInterface({ input: holder.stdout! })) return JSON.parse(line);
  throw new Error(`the holder ended with ${holder.exitCode}`);
}
