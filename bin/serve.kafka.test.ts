import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { matrixJson } from '#core/matrix.ts';
import { endService, type ServiceProcess, startService, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { smallScenario } from '#load-tests/test/small-scenario.ts';
import { sleep } from '#services/platform/clock.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { type ProvidedKafka, provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { METRICS } from '#services/platform/metrics/catalogue.ts';
import { type MetricDeclaration, seriesMaxOf } from '#services/platform/metrics/declaration.ts';
import { encodeRun, RUN_PARTITION, type RunRecord } from '#services/platform/run-record.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';

const PARTITIONS = 2;
const READY_WITHIN_MS = 60_000;
const START_MS = Date.UTC(2026, 2, 2);
const NAMES = ['registration', 'access-control', 'anomaly', 'scheduler', 'fleet-sim', 'users', 'trt-monitor'] as const;
const run = `life-${process.pid}-${Math.trunc(performance.timeOrigin)}`;
const directory = mkdtempSync(join(tmpdir(), 'mdr-life-'));
afterAll(() => rmSync(directory, { recursive: true }));

type Reached = { brokers: string[]; registryUrl: string };

const { scenario, matrix } = smallScenario({ fleet: { meters: 40, metersPerCell: 20 } });
const PREPARED: RunRecord = {
  runId: run,
  state: 'PREPARED',
  epochMs: START_MS,
  startMs: START_MS,
  endMs: START_MS + 86_400_000,
  countedStartMs: START_MS,
  countedEndMs: START_MS + 86_400_000,
  wallEpochMs: 0,
  speed: 1,
  patienceWallMs: 0,
  scenario: JSON.stringify({ scenario, matrix: matrixJson(matrix) }),
};

async function makeTopics({ brokers, registryUrl }: Reached, prefix: string): Promise<void> {
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await ensureTopics(admin, prefix, PARTITIONS, { create: true });
  await admin.disconnect();
  await registerSchemas(registryUrl);
}

async function publish({ brokers, registryUrl }: Reached, prefix: string): Promise<void> {
  const producer = await createRawProducer(new Kafka({ brokers, logLevel: logLevel.NOTHING }));
  const batch = encodeRun(PREPARED, (await registerSchemas(registryUrl)).runs);
  await producer.send([{ topic: `${prefix}runs`, partition: RUN_PARTITION, batch, records: 1 }]);
  await producer.disconnect();
}

function start({ brokers, registryUrl: registry }: Reached, prefix: string, name: string): Promise<ServiceProcess> {
  return startService({ name, brokers, registry, prefix, partitions: PARTITIONS, workers: 1, directory });
}

async function answerOf({ url }: ServiceProcess, path: string): Promise<[status: number, text: string]> {
  for (let tries = 0; ; tries++) {
    try {
      const answer = await fetch(`${url}${path}`);
      return [answer.status, await answer.text()];
    } catch (error) {
      if (tries === 200) throw error;
      await sleep(50);
    }
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

type Sample = { name: string; labels: Record<string, string>; value: number };

/** Reads Prometheus's text format; throws where a line is none of it, or a metric has no HELP and TYPE before it. */
function parseMetrics(text: string): { types: Map<string, string>; samples: Sample[] } {
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-zA-Z_:][\w:]*) \S.*$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary)$/.exec(line);
    if (help !== null) {
      if (helps.has(help[1])) throw new Error(`two HELP for ${help[1]}`);
      helps.add(help[1]);
    } else if (type !== null) types.set(type[1], type[2]);
    else {
      const [, name, labelText = '', value] =
        /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.]+(?:e[+-]?\d+)?|NaN|[+-]Inf)$/.exec(line) ?? [];
      if (name === undefined) throw new Error(`no sample: ${line}`);
      const labels: Record<string, string> = {};
      const left = labelText.replace(/([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)",?/g, (_, label: string, of: string) => {
        if (label.startsWith('__') || label in labels) throw new Error(`label ${label}: ${line}`);
        labels[label] = of;
        return '';
      });
      if (left !== '') throw new Error(`labels that are none: ${line}`);
      const family = [name, name.replace(/_(bucket|sum|count)$/, '')].find((one) => types.has(one));
      if (family === undefined || !helps.has(family)) throw new Error(`no HELP and TYPE before: ${line}`);
      const key = `${name} ${JSON.stringify(labels)}`;
      if (seen.has(key)) throw new Error(`twice: ${line}`);
      seen.add(key);
      samples.push({ name, labels, value: Number(value) });
    }
  }
  return { types, samples };
}

/** A service has the metrics of its own in the catalogue, all of them, with the labels and no more series than stand there. */
function expectCatalogue(component: string, samples: ReturnType<typeof parseMetrics>['samples']): void {
  for (const [name, metric] of Object.entries(METRICS) as [string, MetricDeclaration][]) {
    const own = samples.filter((sample) =>
      [name, ...['_bucket', '_sum', '_count'].map((suffix) => name + suffix)].includes(sample.name),
    );
    if (metric.component !== 'all' && metric.component !== component) expect([name, own]).toEqual([name, []]);
    expect(own.length, name).toBeLessThanOrEqual(seriesMaxOf(metric));
    for (const { labels } of own) {
      const { component: _, le: __, ...rest } = labels;
      expect(Object.keys(rest).sort(), name).toEqual(Object.keys(metric.labels).sort());
    }
  }
  const declared = Object.keys(METRICS);
  const ours = samples.map(({ name }) => name).filter((name) => name.startsWith('mdr_'));
  expect(ours.filter((name) => !declared.includes(name.replace(/_(bucket|sum|count)$/, '')))).toEqual([]);
  expect(ours).toContain('mdr_build_info');
}

describeWithKafka('a service in its normal life', (kafka) => {
  const prefix = `${run}.`;
  beforeAll(() => makeTopics(kafka, prefix));

  test('all of them: live at once, ready once restored, metrics, status, silent, and 0 after SIGTERM', async () => {
    const services = await Promise.all(NAMES.map((name) => start(kafka, prefix, name)));
    for (const service of services) {
      expect(await answerOf(service, '/live')).toEqual([200, 'live\n']);
      while ((await answerOf(service, '/started'))[0] !== 200) await sleep(50);
      expect(await answerOf(service, '/ready')).toEqual([503, 'not ready: it waits for a run\n']);
      expect(await statusOf(service)).toMatchObject({ service: service.name, pid: expect.any(Number), ready: false });
    }
    await publish(kafka, prefix);
    await Promise.all(services.map((service) => untilReady(service, READY_WITHIN_MS)));
    for (const service of services) {
      expect(await answerOf(service, '/ready')).toEqual([200, 'ready\n']);
      expect(await answerOf(service, '/started')).toEqual([200, 'started\n']);
      expect(await statusOf(service)).toMatchObject({ service: service.name, ready: true, partitions: [0, 1] });
      const { types, samples } = parseMetrics((await answerOf(service, '/metrics'))[1]);
      expect(types.get('process_cpu_seconds_total')).toBe('counter');
      expect(samples.filter(({ labels }) => labels.component !== service.name)).toEqual([]);
      expectCatalogue(service.name, samples);
      expect((await answerOf(service, '/else'))[0]).toBe(404);
    }
    for (const service of services.toReversed()) {
      expect([service.name, await endService(service)]).toEqual([service.name, 0]);
      expect([service.name, readFileSync(service.log, 'utf8')]).toEqual([service.name, '']);
    }
  });

  test('one that ends with its input drains when whoever has started it is gone, however that ended', async () => {
    const starting = `import { startService } from ${JSON.stringify(new URL('../load-tests/load/processes.ts', import.meta.url).href)};
      const { pid, url } = await startService(${JSON.stringify({
        name: 'users',
        brokers: kafka.brokers,
        registry: kafka.registryUrl,
        prefix,
        partitions: PARTITIONS,
        workers: 1,
        directory,
      })});
      console.log(pid + ' ' + url);
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', starting], {
      cwd: new URL('..', import.meta.url),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    const [pid, url] = String(line).trim().split(' ');
    const service = { name: 'users', pid: Number(pid), url, log: '', child: undefined, exit: undefined, heardMs: 0 };
    await answerOf(service, '/live');
    owner.kill('SIGKILL');
    for (let tries = 0; tries < 300 && isThere(service.pid); tries++) await sleep(100);
    expect(isThere(service.pid)).toBe(false);
  });

  test('SIGTERM before there is a run ends it with 0 too', async () => {
    const early = `${run}-early.`;
    await makeTopics(kafka, early);
    const service = await start(kafka, early, 'users');
    await answerOf(service, '/live');
    expect(await endService(service)).toBe(0);
    expect(readFileSync(service.log, 'utf8')).toBe('');
  });
});

describeWithKafka('a service whose broker does not come back', () => {
  let own: ProvidedKafka;
  beforeAll(async () => {
    own = await provideKafka({ isOwn: true });
  });
  afterAll(() => own.stop());

  test('ends with 3, and says why', { timeout: 400_000 }, async () => {
    const prefix = 'gone.';
    await makeTopics(own, prefix);
    await publish(own, prefix);
    const services = await Promise.all(
      ['trt-monitor', 'scheduler', 'access-control'].map((name) => start(own, prefix, name)),
    );
    await Promise.all(services.map((service) => untilReady(service, READY_WITHIN_MS)));
    await own.killBroker();
    const endMs = performance.now() + 240_000;
    while (services.some(({ exit }) => exit === undefined) && performance.now() < endMs) await sleep(500);
    for (const service of services) {
      const log = readFileSync(service.log, 'utf8');
      expect([service.name, service.exit?.code, log]).toEqual([
        service.name,
        3,
        expect.stringContaining('it cannot go on'),
      ]);
      await endService(service);
    }
  });
});
