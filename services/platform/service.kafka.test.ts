import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { beforeAll, expect, test } from 'vitest';
import { ensureTopics } from './kafka/topics.ts';
import { describeWithKafka } from './test/with-kafka.ts';

const FAILING = fileURLToPath(new URL('test/failing-service.ts', import.meta.url));
const PREFIX = `failing-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;

describeWithKafka('a service that goes wrong', ({ brokers, registryUrl }) => {
  beforeAll(async () => {
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await ensureTopics(admin, PREFIX, 1, { create: true });
    await admin.disconnect();
  });

  function start(way: string, ...flags: string[]): ChildProcess {
    const given = ['--brokers', brokers.join(','), '--registry', registryUrl, '--prefix', PREFIX, '--partitions', '1'];
    return spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', FAILING, way, ...given, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async function endOf(child: ChildProcess): Promise<{ code: number | null; lines: Record<string, unknown>[] }> {
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    const lines = stderr.split('\n').filter((line) => line !== '');
    return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
  }

  test.each(['worker', 'rejection', 'exception'])(
    'ends with 3 after a %s, with one line that has the stack',
    async (way) => {
      const { code, lines } = await endOf(start(way, '--port', '0'));
      expect(code).toBe(3);
      expect(lines).toEqual([
        expect.objectContaining({
          service: 'failing',
          level: 50,
          msg: 'the service ends: it cannot go on',
          err: expect.objectContaining({
            message: 'the table is full',
            stack: expect.stringContaining(import.meta.dirname),
          }),
        }),
      ]);
    },
  );

  test('ends with 3 when what was begun is not finished within its drain seconds', async () => {
    const child = start('drain', '--port', '0', '--drain-seconds', '1', '--log-level', 'info');
    await new Promise((resolve) => child.stderr?.once('data', resolve));
    // It listens before it is connected; a drain of nothing ends at once.
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const ended = endOf(child);
    const startedMs = performance.now();
    child.kill('SIGTERM');
    const { code, lines } = await ended;
    expect(code).toBe(3);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(lines[lines.length - 1].err).toMatchObject({ message: 'what was begun was not finished within 1 s' });
  });
});
