import { mkdirSync } from 'node:fs';
import { MdrError } from '#core/errors.ts';
import { matrixJson } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import type { Model } from '#load-tests/plan/model.ts';
import { compileModel } from '#load-tests/plan/model.ts';
import type { LoadedScenario } from '#load-tests/scenario/load.ts';
import type { TopicName } from '#schemas/topics.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { type Admin, createKafka, type Kafka } from '#services/platform/kafka/client.ts';
import { endOffsets } from '#services/platform/kafka/partition-reader.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import type { ProvidedKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { encodeRun, RUN_PARTITION, type RunRecord } from '#services/platform/run-record.ts';
import { givenServices, refuseSecondRun, silentSince } from './given-services.ts';
import { endService, type ServiceProcess, startService, statusOf, untilReached, untilReady } from './processes.ts';
import { type Sample, takeSample } from './sample.ts';
import { writeScrapeTargets } from './scrape-targets.ts';

export type LoadOptions = {
  loaded: LoadedScenario;
  kafka: ProvidedKafka;
  /** Simulated ms a wall ms; 0: as fast as it goes. */
  speed: number;
  partitions: number;
  /** Processes of each service, by name; one unless told. */
  processes: Record<string, number>;
  workers: number;
  /** Settings of every service. */
  settings?: Record<string, string | number>;
  runId: string;
  /** Before the names of topics and groups; another for each run unless told. */
  prefix?: string;
  /** URLs of services that run already on these topics: none of their kind is started, and they are not ended. */
  given?: string[];
  directory: string;
  /** Ends the run after so much wall time. */
  durationMs?: number;
  signal?: AbortSignal;
  onProgress(progress: LoadProgress): void;
  /** Called once every service is ready, before the clock starts: for who wants to see it all. */
  onReady?(): Promise<void>;
  /** Called once the run is under way, for tests that do harm: it does not end before they have, nor with a service. */
  onRunning?(running: RunningLoad): Promise<void>;
};

export type LoadProgress = { phase: string; model: Model; sample?: Sample };

export type RunningLoad = {
  services: ServiceProcess[];
  prefix: string;
  publish(record: RunRecord): Promise<void>;
  record: RunRecord;
  restart(service: ServiceProcess): Promise<ServiceProcess>;
};

export type LoadResult = {
  model: Model;
  prefix: string;
  partitions: number;
  samples: Sample[];
  /** What fleet-sim knows of exchanges and queues, summed over its processes, by network. */
  occupancy: OccupancyStatus[];
  startedWallMs: number;
  endedWallMs: number;
  /** Wall time of filling topics and tables, before the run. */
  preparedMs: number;
  complete: boolean;
  exitCodes: Record<string, number | null>;
};

export type OccupancyStatus = {
  busyEdges: number[];
  busySteps: number[];
  queueEdges: number[][];
  queueSteps: number[][];
};

/** In the order in which they are started; ended the other way round. */
export const SERVICE_NAMES = ['access-control', 'anomaly', 'trt-monitor', 'fleet-sim', 'users', 'scheduler'] as const;
/** What registration fills for a run. */
const TABLE_TOPICS = ['registrations', 'inventory', 'schedules', 'users'] as const satisfies TopicName[];
const LOOK_EVERY_MS = 500;
const READY_WITHIN_MS = 20 * 60_000;
/** On a clock faster than real time the fleet waits so long for requests on their way; in real time not at all. */
const PATIENCE_WALL_MS = 10_000;
/** And an answer may be so long on its way before its request is a breach. */
const GRACE_WALL_MS = 2000;
/** Between the record that starts the clock and its start, so that every process has read it. */
const START_AFTER_MS = 500;

/** Drives a scenario through the services on Kafka; they are started for it, and ended. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { loaded, kafka, directory } = options;
  const model = compileModel(loaded.scenario, loaded.matrix);
  refuseWhatOnlyPlans(model);
  mkdirSync(directory, { recursive: true });
  const client = createKafka(kafka.brokers, 'mdr-load', createLog('mdr-load', 'silent'), kafka.security.kafka);
  const admin = client.admin();
  await admin.connect();
  try {
    return await drive(options, model, client, admin);
  } finally {
    await admin.disconnect();
  }
}

async function drive(options: LoadOptions, model: Model, client: Kafka, admin: Admin): Promise<LoadResult> {
  const { kafka, speed, partitions, directory, given: urls = [], onProgress, signal } = options;
  const prefix = options.prefix ?? `mdr-${options.runId}.`;
  // Before anything is written: who mends what they refuse can repeat the command.
  await refuseSecondRun(client, admin, prefix);
  if (urls.length > 0) onProgress({ phase: 'asking the services given', model });
  const { clusterId } = await admin.describeCluster();
  const given = await givenServices(urls, { cluster: clusterId, prefix, partitions });
  onProgress({ phase: 'creating topics', model });
  await ensureTopics(admin, prefix, partitions, { create: true });
  const schemaIds = await registerSchemas(kafka.registryUrl, kafka.security.registry);
  const producer = await createRawProducer(client);
  const publish = async (record: RunRecord) => {
    const batch = encodeRun(record, schemaIds.runs);
    await producer.send([{ topic: `${prefix}runs`, partition: RUN_PARTITION, batch, records: 1 }]);
  };
  const prepared = recordOf(model, options);
  await publish(prepared);
  const services: ServiceProcess[] = [];
  const exitCodes: Record<string, number | null> = {};
  const start = async (name: string, settings: Record<string, string | number> = {}) => {
    const { brokers, registryUrl: registry } = kafka;
    const workers = name === 'registration' ? Math.max(2, options.workers) : options.workers;
    return await startService({ name, brokers, registry, prefix, partitions, workers, directory, settings });
  };
  const settingsOf = (name: string): Record<string, string | number> => ({
    ...options.settings,
    ...(name === 'trt-monitor' && speed > 1 ? { 'grace-ms': GRACE_WALL_MS } : {}),
  });
  try {
    const preparingMs = nowMs();
    onProgress({ phase: 'filling topics', model });
    const loading = given.filter(({ name }) => name === 'registration');
    await Promise.all(loading.map((service) => untilReady(service, READY_WITHIN_MS)));
    if (loading.length === 0) {
      const registration = await start('registration');
      services.push(registration);
      await untilReady(registration, READY_WITHIN_MS);
      exitCodes.registration = await endService(registration);
      services.pop();
    }
    onProgress({ phase: 'starting services', model });
    services.push(...given);
    const running = new Set(services.map(({ name }) => name));
    for (const name of SERVICE_NAMES.filter((one) => !running.has(one))) {
      for (let k = 0; k < (options.processes[name] ?? 1); k++) services.push(await start(name, settingsOf(name)));
    }
    onProgress({ phase: 'restoring tables', model });
    writeScrapeTargets(directory, services, options.runId);
    const ends = await endsOfTables(client, prefix);
    const untilFilled = async (service: ServiceProcess) => {
      await untilReady(service, READY_WITHIN_MS);
      await untilReached(service, ends, READY_WITHIN_MS);
    };
    await Promise.all(services.map(untilFilled));
    await options.onReady?.();
    const startedWallMs = nowMs() + START_AFTER_MS;
    const record: RunRecord = { ...prepared, state: 'RUNNING', wallEpochMs: startedWallMs };
    await publish(record);
    const harm = options.onRunning?.({
      services,
      prefix,
      publish,
      record,
      async restart(service) {
        const again = await start(service.name, settingsOf(service.name));
        services[services.indexOf(service)] = again;
        writeScrapeTargets(directory, services, options.runId);
        return again;
      },
    });
    const samples: Sample[] = [];
    const complete = await watch(services, model, samples, options, startedWallMs, harm);
    const endedWallMs = nowMs();
    onProgress({ phase: 'ending', model });
    const occupancy = await occupancyOf(services, model);
    await publish({ ...record, state: 'ENDED' });
    for (const service of services.toReversed()) exitCodes[service.name] = await endService(service);
    return {
      model,
      prefix,
      partitions,
      samples,
      occupancy,
      startedWallMs,
      endedWallMs,
      preparedMs: startedWallMs - preparingMs,
      complete: complete && signal?.aborted !== true,
      exitCodes,
    };
  } finally {
    await Promise.all(services.map(endService));
    await producer.disconnect();
  }
}

/** True when everything that counts has been answered; false when it was ended before. */
async function watch(
  services: readonly ServiceProcess[],
  model: Model,
  samples: Sample[],
  { partitions, signal, durationMs, onProgress }: LoadOptions,
  startedWallMs: number,
  harm: Promise<void> | undefined,
): Promise<boolean> {
  let isHarmed = harm === undefined;
  let harmError: Error | undefined;
  harm?.then(
    () => {
      isHarmed = true;
    },
    (error: Error) => {
      harmError = error;
    },
  );
  const countedEndMs = model.originDay * DAY_MS + model.countedEndMs;
  const horizonMs = model.originDay * DAY_MS + model.horizonMs;
  for (;;) {
    await sleep(LOOK_EVERY_MS);
    const sample = await takeSample(services, partitions, startedWallMs);
    samples.push(sample);
    onProgress({ phase: 'running', model, sample });
    const dead = services.find(({ exit }) => exit !== undefined);
    if (harmError !== undefined) throw harmError;
    if (dead !== undefined && harm === undefined)
      throw new MdrError('COULD_NOT_RUN', `${dead.name} ended during the run: see ${dead.log}`);
    const silent = harm === undefined ? silentSince(services, nowMs()) : undefined;
    if (silent !== undefined)
      throw new MdrError('COULD_NOT_RUN', `${silent.name} at ${silent.url} has not answered for a minute: did it end?`);
    if (signal?.aborted || (durationMs !== undefined && nowMs() - startedWallMs > durationMs)) return false;
    const { simulatedMs, completeMs, openCounted, isSettled } = sample;
    if (!isHarmed) continue;
    if (completeMs >= countedEndMs - 1 && simulatedMs >= countedEndMs && openCounted === 0) return true;
    // What a network cannot answer in time may stay open. What harm has kept back is to be answered all the same.
    if (isSettled && simulatedMs >= horizonMs - 1 && harm === undefined) return true;
  }
}

/** Where the topics that tables are made of end, by partition. */
async function endsOfTables(client: Kafka, prefix: string): Promise<Record<string, number[]>> {
  const ends = TABLE_TOPICS.map(async (topic) => [topic, await endOffsets(client, prefix + topic)] as const);
  return Object.fromEntries(await Promise.all(ends));
}

function recordOf(model: Model, { loaded, speed, runId }: LoadOptions): RunRecord {
  const originMs = model.originDay * DAY_MS;
  return {
    runId,
    state: 'PREPARED',
    epochMs: originMs,
    startMs: originMs + model.warmUpStartMs,
    endMs: originMs + model.horizonMs,
    countedStartMs: originMs + model.countedStartMs,
    countedEndMs: originMs + model.countedEndMs,
    wallEpochMs: nowMs(),
    speed,
    patienceWallMs: speed === 1 ? 0 : PATIENCE_WALL_MS,
    scenario: JSON.stringify({ scenario: loaded.scenario, matrix: matrixJson(loaded.matrix) }),
  };
}

/** A User cannot skip a single execution of a schedule that it has: DUIS has no such request. */
function refuseWhatOnlyPlans({ scenario }: Model): void {
  const skipping = scenario.users.flatMap(({ firstAttemptOnDemandShare }, k) =>
    firstAttemptOnDemandShare > 0
      ? [{ path: `users[${k}].firstAttemptOnDemandShare`, value: firstAttemptOnDemandShare, expected: '0' }]
      : [],
  );
  if (skipping.length > 0)
    throw new MdrError('INPUT_INVALID', 'Only mdr plan can skip single executions of a schedule', skipping);
}

async function occupancyOf(services: readonly ServiceProcess[], model: Model): Promise<OccupancyStatus[]> {
  const fleets = services.filter(({ name }) => name === 'fleet-sim');
  const statuses = await Promise.all(fleets.map(statusOf));
  return model.fleet.networks.map((_, n) => {
    const parts = statuses.flatMap((status) => {
      const all = status?.occupancy as OccupancyStatus[] | undefined;
      return all === undefined ? [] : [all[n]];
    });
    const sum = (of: (part: OccupancyStatus) => number[]) =>
      parts.reduce<number[]>((total, part) => of(part).map((value, k) => value + (total[k] ?? 0)), []);
    return {
      busyEdges: sum(({ busyEdges }) => busyEdges),
      busySteps: sum(({ busySteps }) => busySteps),
      queueEdges: [0, 1].map((lane) => sum(({ queueEdges }) => queueEdges[lane])),
      queueSteps: [0, 1].map((lane) => sum(({ queueSteps }) => queueSteps[lane])),
    };
  });
}
