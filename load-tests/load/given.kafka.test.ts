import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { runPlan } from '#load-tests/plan/run.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { connectAdmin, createKafka } from '#services/platform/kafka/client.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { reportLoad } from './build-report.ts';
import { endService, givenServices, type ServiceProcess, startService, statusOf } from './processes.ts';
import { runLoad } from './run.ts';

const PARTITIONS = 2;
const PREFIX = `given-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
/** As a release has them: those that share partitions, and registration among them. */
const NAMES = [
  'registration',
  'access-control',
  'access-control',
  'anomaly',
  'scheduler',
  'fleet-sim',
  'users',
  'trt-monitor',
];

describeWithKafka('services that run already', ({ brokers, registryUrl }) => {
  const directory = mkdtempSync(join(tmpdir(), 'mdr-given-'));
  const services: ServiceProcess[] = [];
  afterAll(async () => {
    await Promise.all(services.map(endService));
    rmSync(directory, { recursive: true });
  });

  test('carry a scenario, filled by their registration, and run on behind it', { timeout: 300_000 }, async () => {
    const kafka = createKafka(brokers, 'given', createLog('given', 'silent'));
    const admin = await connectAdmin(kafka, brokers);
    await ensureTopics(admin, PREFIX, PARTITIONS, { create: true });
    await admin.disconnect();
    await registerSchemas(registryUrl);
    const place = { brokers, registry: registryUrl, prefix: PREFIX, partitions: PARTITIONS, workers: 1, directory };
    for (const name of NAMES) services.push(await startService({ ...place, name }));
    const loaded = loadScenario('settlement-day', ['fleet.meters=200']);
    const answered = async () => {
      for (const service of services) while ((await statusOf(service)) === undefined);
    };
    await answered();
    const result = await runLoad({
      loaded,
      kafka: await provideKafka({ brokers: brokers.join(','), registry: registryUrl }),
      speed: 0,
      partitions: PARTITIONS,
      processes: {},
      workers: 1,
      runId: 'given',
      prefix: PREFIX,
      given: services.map(({ url }) => url),
      directory,
      onProgress: () => {},
    });
    expect(result.complete).toBe(true);
    expect(Object.values(result.exitCodes).filter((code) => code !== null)).toEqual([]);
    for (const service of services)
      expect([service.name, await statusOf(service)]).toEqual([service.name, expect.anything()]);

    const context = { version: 'test', command: 'test', workers: 1 };
    const load = await reportLoad(kafka, result, { ...context, speed: 0, provider: 'given', runId: 'given' });
    const plan = buildReport(await runPlan(loaded, { workers: 1, sampleOneIn: 1 }), { ...context, sampleOneIn: 1 });
    expect(load.ledger.received).toBeGreaterThan(200);
    expect({ ...load.ledger, breaches: undefined }).toEqual({ ...plan.ledger, breaches: undefined });
  });

  test('are found at the addresses of their host name', async () => {
    const [{ url, name }] = services;
    const [found] = await givenServices(url.replace('127.0.0.1', 'localhost'));
    expect([found.name, found.url, found.child]).toEqual([name, url, undefined]);
    await expect(givenServices('http://no-such-host.invalid:9464')).rejects.toMatchObject({ code: 'COULD_NOT_RUN' });
  });
});
