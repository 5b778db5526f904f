import type { Admin, Kafka } from 'kafkajs';
import { ERRORS, MdrError } from '#core/errors.ts';
import { sleep } from './clock.ts';
import { type Routes, serveHealth } from './http.ts';
import { connectAdmin, createKafka } from './kafka/client.ts';
import { type DeadLetter, encodeDeadLetters } from './kafka/dead-letter.ts';
import { createOutbox, type Outbox } from './kafka/outbox.ts';
import { createRawProducer, type RawProducer } from './kafka/raw-producer.ts';
import { registerSchemas, type SchemaIds } from './kafka/registry.ts';
import { assertSeam } from './kafka/seam.ts';
import { ensureTopics } from './kafka/topics.ts';
import { createLog, type Log } from './log.ts';
import { exposePlatform, noteDeadLetters } from './metrics/platform-metrics.ts';
import { readSettings, type ServiceSettings, type Setting } from './settings.ts';
import { tablesReached } from './table-progress.ts';
import { version } from './version.ts';

/** What the platform gives a service to work with. */
export type ServiceContext = {
  name: string;
  settings: ServiceSettings;
  log: Log;
  kafka: Kafka;
  /** Name that the Kafka cluster gives itself. */
  clusterId: string;
  admin: Admin;
  outbox: Outbox;
  schemaIds: SchemaIds;
  /** Sets records aside, with the reason, in dead-letters; resolves when they are there. */
  setAside(letters: readonly DeadLetter[]): Promise<void>;
  /** Ends the process: something happened after which its state cannot be trusted. */
  fail(error: Error): void;
  /** What somebody else has to do before it can begin; no fault of its own, and not to be mended by a restart. */
  waitsFor?: string | undefined;
  /** Of the run that it takes part in. */
  runId?: string;
};

export type RunningService = {
  notReadyBecause(): string | undefined;
  status(): Record<string, unknown>;
  /** Requests that it answers beside those about its health, by method and path, as `POST /registrations`. */
  routes?: Routes;
  /** Finishes and commits what was begun, takes nothing more, lets go of its partitions. */
  drain(): Promise<void>;
};

export type Service = {
  name: string;
  summary: string;
  settings: Readonly<Record<string, Setting>>;
  start(context: ServiceContext): Promise<RunningService>;
};

/**
 * Runs a service until SIGTERM or SIGINT: settings, connections, health, the work, and an end in order. Returns the
 * exit code: 0 after a drain, that of COULD_NOT_RUN where it failed or did not drain in time. Throws what the user can
 * mend. In either case the process ends soon after, whatever is left open.
 */
export async function runService(service: Service, argv: string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const settings = readSettings(service.settings, argv, environment);
  const log = createLog(service.name, settings.logLevel);
  assertSeam();
  const ended = Promise.withResolvers<number>();
  let hasFailed = false;
  const fail = (error: Error) => {
    if (hasFailed) return;
    hasFailed = true;
    log.error({ err: error }, 'the service ends: it cannot go on');
    ended.resolve(ERRORS.COULD_NOT_RUN.exitCode);
  };
  process.on('unhandledRejection', (reason) => fail(reason instanceof Error ? reason : new Error(String(reason))));
  process.on('uncaughtException', fail);
  const connections = new Connections();
  let context: ServiceContext | undefined;
  let running: RunningService | undefined;
  const notReadyBecause = () => {
    if (running !== undefined) return running.notReadyBecause();
    return context?.waitsFor === undefined ? 'it starts' : `it waits for ${context.waitsFor}`;
  };
  exposePlatform({
    component: service.name,
    version: version(),
    isReady: () => notReadyBecause() === undefined,
    outbox: () => connections.outbox,
  });
  const health = await serveHealth(
    {
      isLive: () => !hasFailed,
      hasStarted: () => context?.waitsFor !== undefined || notReadyBecause() === undefined,
      notReadyBecause,
      status: () => ({
        service: service.name,
        pid: process.pid,
        rssBytes: process.memoryUsage.rss(),
        cpuSeconds: cpuSeconds(),
        ready: notReadyBecause() === undefined,
        kafka: { cluster: context?.clusterId, prefix: settings.prefix, partitions: settings.partitions },
        waitsFor: context?.waitsFor,
        run: context?.runId,
        tables: tablesReached(),
        ...running?.status(),
      }),
      routes: () => running?.routes ?? {},
    },
    settings.host,
    settings.port,
  );
  log.info({ host: settings.host, port: health.port }, 'listening');
  let isStopping = false;
  const stop = async (signal: string) => {
    if (isStopping) return;
    isStopping = true;
    log.info({ signal }, 'draining');
    const late = sleep(settings.drainSeconds * 1000).then(() => {
      throw new MdrError('COULD_NOT_RUN', `what was begun was not finished within ${settings.drainSeconds} s`);
    });
    try {
      await Promise.race([running?.drain().then(() => connections.close()), late]);
      ended.resolve(0);
    } catch (error) {
      fail(error as Error);
    }
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  if (settings.endsWithInput) process.stdin.once('close', () => void stop('end of input')).resume();
  const start = async () => {
    context = await connections.open(service.name, settings, log, fail);
    running = await service.start(context);
  };
  start().catch((error: Error) => (error instanceof MdrError ? ended.reject(error) : fail(error)));
  try {
    return await ended.promise;
  } finally {
    void health.close();
    // Connections and threads that a failure left behind must not keep the process: its supervisor waits for it.
    setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
  }
}

const EXIT_WITHIN_MS = 500;

/** What a service, or a command that works as one, is connected to. */
export class Connections {
  #admin: Admin | undefined;
  #producers: RawProducer[] = [];
  #outbox: Outbox | undefined;

  get outbox(): Outbox | undefined {
    return this.#outbox;
  }

  async open(name: string, settings: ServiceSettings, log: Log, fail: (error: Error) => void): Promise<ServiceContext> {
    const { brokers, prefix, partitions, security } = settings;
    const kafka = createKafka(brokers, name, log, security.kafka);
    const admin = await connectAdmin(kafka, brokers);
    this.#admin = admin;
    await ensureTopics(admin, prefix, partitions, { create: false });
    const { clusterId } = await admin.describeCluster();
    const schemaIds = await registerSchemas(settings.registry, security.registry);
    this.#producers = await Promise.all([createRawProducer(kafka), createRawProducer(kafka)]);
    const [producer, urgentProducer] = this.#producers;
    const outbox = createOutbox(producer, prefix, fail, urgentProducer);
    this.#outbox = outbox;
    const setAside = async (letters: readonly DeadLetter[]) => {
      if (letters.length === 0) return;
      noteDeadLetters(letters);
      const { batch, records } = encodeDeadLetters(letters, schemaIds['dead-letters']);
      log.warn({ records, first: letters[0].detail, topic: letters[0].topic }, 'records set aside in dead-letters');
      await outbox.send('dead-letters', letters[0].partition % partitions, batch, records);
    };
    return { name, settings, log, kafka, clusterId, admin, outbox, schemaIds, setAside, fail };
  }

  async close(): Promise<void> {
    await this.#outbox?.idle();
    await Promise.all(this.#producers.map((producer) => producer.disconnect()));
    await this.#admin?.disconnect();
  }
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
