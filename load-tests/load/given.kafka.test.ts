import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { runPlan } from '#load-tests/plan/run.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { NO_SECURITY } from '#services/platform/kafka/security.ts';
import { ensureTopics, prefixesOn } from '#services/platform/kafka/topics.ts';
import { asProvided } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { reportLoad } from './build-report.ts';
import { givenServices } from './given-services.ts';
import { endService, type ServiceProcess, startService, statusOf } from './processes.ts';
import { type LoadProgress, type LoadResult, runLoad } from './run.ts';

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
/** Two minutes are waited for what is not there yet; here it is clear sooner. */
const WITHIN_MS = 500;
const RUN_WITHIN_MS = 300_000;
const LOADED = loadScenario('settlement-day', ['fleet.meters=200']);

describeWithKafka('services that run already', ({ brokers, registryUrl }) => {
  const directory = mkdtempSync(join(tmpdir(), 'mdr-given-'));
  const kafka = createKafka(brokers, 'given', createLog('given', 'silent'));
  const admin = kafka.admin();
  const services: ServiceProcess[] = [];
  let cluster: string;
  beforeAll(async () => {
    await admin.connect();
    ({ clusterId: cluster } = await admin.describeCluster());
    await ensureTopics(admin, PREFIX, PARTITIONS, { create: true });
    await registerSchemas(registryUrl);
    const place = { brokers, registry: registryUrl, prefix: PREFIX, partitions: PARTITIONS, workers: 1, directory };
    for (const name of NAMES) services.push(await startService({ ...place, name }));
  });
  afterAll(async () => {
    await Promise.all(services.map(endService));
    await admin.disconnect();
    rmSync(directory, { recursive: true });
  });

  const urls = () => services.map(({ url }) => url);
  const drive = (runId: string, prefix: string, onProgress: (progress: LoadProgress) => void = () => {}) =>
    runLoad({
      loaded: LOADED,
      kafka: asProvided({ brokers, registryUrl, security: NO_SECURITY }),
      speed: 0,
      partitions: PARTITIONS,
      processes: {},
      workers: 1,
      runId,
      prefix,
      given: urls(),
      directory,
      durationMs: RUN_WITHIN_MS,
      onProgress,
    });

  test('are found at the addresses of their host name once they wait for a run, each', {
    timeout: 180_000,
  }, async () => {
    const found = await givenServices(
      urls().map((url) => url.replace('127.0.0.1', 'localhost')),
      { cluster, prefix: PREFIX, partitions: PARTITIONS },
    );
    expect(found.map(({ name, url, child }) => [name, url, child])).toEqual(
      services.map(({ name, url }) => [name, url, undefined]),
    );
  });

  test('of other topics are refused, all at once, before anything is written', async () => {
    const other = `${PREFIX}other.`;
    await expect(drive('other', other)).rejects.toMatchObject({
      code: 'COULD_NOT_RUN',
      faults: urls().map((url) => ({
        path: `${url} prefix`,
        value: PREFIX,
        expected: `${other}, as --prefix says`,
      })),
    });
    expect(await prefixesOn(admin)).not.toContain(other);
  });

  test('carry a scenario, filled by their registration, as a plan has it, and run on behind it', {
    timeout: RUN_WITHIN_MS + 120_000,
  }, async () => {
    const phases: string[] = [];
    const result: LoadResult = await drive('given', PREFIX, ({ phase }) => phases.push(phase));
    expect([...new Set(phases)]).toContain('filling topics');
    expect(result.complete).toBe(true);
    expect(Object.values(result.exitCodes).filter((code) => code !== null)).toEqual([]);
    for (const service of services)
      expect(await statusOf(service)).toMatchObject({ service: service.name, ready: true, run: 'given' });

    const context = { version: 'test', command: 'test', workers: 1 };
    const load = await reportLoad(kafka, result, { ...context, speed: 0, provider: 'given', runId: 'given' });
    const plan = buildReport(await runPlan(LOADED, { workers: 1, sampleOneIn: 1 }), { ...context, sampleOneIn: 1 });
    expect(load.ledger.received).toBeGreaterThan(200);
    expect({ ...load.ledger, breaches: undefined }).toEqual({ ...plan.ledger, breaches: undefined });
  });

  test('have had their run: a second one is refused with what to do, and so are they on other topics', async () => {
    await expect(drive('second', PREFIX)).rejects.toMatchObject({
      code: 'COULD_NOT_RUN',
      message: `The topics ${PREFIX}* have had their run, and a set of topics has one: give another --prefix, and services that were started with it`,
    });
    const place = { cluster, prefix: PREFIX, partitions: PARTITIONS };
    await expect(givenServices(urls(), place, WITHIN_MS)).rejects.toMatchObject({
      faults: urls().map((url) => ({
        path: `${url} run`,
        value: 'given',
        expected: 'none yet: a service takes part in one',
      })),
    });
    for (const service of services)
      expect(await statusOf(service)).toMatchObject({ service: service.name, ready: true, run: 'given' });
  });
});
