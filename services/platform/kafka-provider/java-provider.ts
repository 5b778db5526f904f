import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { brokerProperties } from './broker-properties.ts';
import { fetchJars, type Jars, jarsHere, java, missingForJava, registryRunner } from './jars.ts';
import { endProcess, isRunning, killProcess, type ProcessIdentity, startDetached } from './owned-process.ts';
import { answersAsBroker, answersAsRegistry } from './ports.ts';
import { brokerAddress, type Place, type Provider, type Running, registryUrl } from './provider.ts';

const POLL_MS = 50;
const READY_MS = 90_000;
const STOP_MS = 15_000;
const LOG_LINES_SHOWN = 8;
const HEAP = '-Xmx1g -Xms512m';
/** Any will do, but a data directory is bound to the one that it was formatted with. */
const CLUSTER_ID = 'bWRyLXN0cmVhbS1sb2NhbA';

/** Kafka and the registry as processes of this machine. */
export const javaProvider: Provider = {
  missing: async () => missingForJava(),

  async prepare(onProgress) {
    await fetchJars(onProgress);
  },

  async startBroker(place, onStarted) {
    const jars = jarsHere();
    const { directory, brokerPort: port, controllerPort } = place;
    const logDirectory = dataDirectory(directory);
    const properties = join(directory, 'server.properties');
    const address = brokerAddress(place);
    await mkdir(directory, { recursive: true });
    await writeFile(properties, brokerProperties({ host: '127.0.0.1', port, controllerPort, address, logDirectory }));
    if (!existsSync(join(logDirectory, 'meta.properties'))) await format(jars, properties);
    const heap = (process.env.MDR_KAFKA_HEAP ?? HEAP).trim().split(/\s+/);
    const log = join(directory, 'broker.log');
    const broker = startDetached(java(), [...heap, ...kafkaArguments(jars), 'kafka.Kafka', properties], log);
    onStarted({ process: broker });
    await untilReady(broker, () => answersAsBroker(address), 'Kafka', log);
    return { process: broker };
  },

  async startRegistry(place, onStarted) {
    const jars = jarsHere();
    await mkdir(place.directory, { recursive: true });
    const log = join(place.directory, 'registry.log');
    const registry = startDetached(java(), registryArguments(place, jars), log);
    onStarted({ process: registry });
    await untilReady(registry, () => answersAsRegistry(registryUrl(place)), 'the registry', log);
    return { process: registry };
  },

  isRunning: async (running) => isRunning(processOf(running)),
  stop: (running) => endProcess(processOf(running), STOP_MS),
  kill: (running) => killProcess(processOf(running)),

  async deleteData(directory) {
    await rm(dataDirectory(directory), { recursive: true, force: true });
    await rm(`${registryFile(directory)}.mv.db`, { force: true });
  },
};

function processOf(running: Running): ProcessIdentity {
  if (!('process' in running)) throw new Error('a container is not a process of the Java provider');
  return running.process;
}

function dataDirectory(directory: string): string {
  return join(directory, 'data');
}

/** Schemas and their ids are kept beside the records that name them. */
function registryFile(directory: string): string {
  return join(directory, 'registry');
}

async function format(jars: Jars, properties: string): Promise<void> {
  const args = [...kafkaArguments(jars), 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties];
  try {
    await promisify(execFile)(java(), ['-XX:TieredStopAtLevel=1', ...args]);
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new MdrError('COULD_NOT_RUN', `Kafka could not format its data directory:\n${stderr?.trim() || error}`);
  }
}

function kafkaArguments(jars: Jars): string[] {
  return ['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', join(jars.kafka, '*')];
}

function registryArguments(place: Place, jars: Jars): string[] {
  const settings = {
    'quarkus.http.host': '127.0.0.1',
    'quarkus.http.port': place.registryPort,
    'quarkus.http.access-log.enabled': false,
    'quarkus.log.category."io.apicurio".level': 'WARN',
    'apicurio.datasource.url': `jdbc:h2:file:${registryFile(place.directory)}`,
    'apicurio.datasource.jdbc.initial-size': 2,
    'apicurio.datasource.jdbc.min-size': 2,
  };
  const defines = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  // Only the first compiler: it is ready sooner, and a registry is asked a few times a run.
  return ['-Xmx256m', '-XX:TieredStopAtLevel=1', ...defines, '-jar', registryRunner(jars)];
}

async function untilReady(
  server: ProcessIdentity,
  isReady: () => Promise<boolean>,
  name: string,
  log: string,
): Promise<void> {
  const end = performance.now() + READY_MS;
  while (!(await isReady())) {
    if (!isRunning(server)) throw new MdrError('COULD_NOT_RUN', `${name} ended at its start:\n${await tailOf(log)}`);
    if (performance.now() > end) {
      await killProcess(server);
      throw new MdrError('COULD_NOT_RUN', `${name} was not ready in ${READY_MS / 1000} s:\n${await tailOf(log)}`);
    }
    await delay(POLL_MS);
  }
}

async function tailOf(log: string): Promise<string> {
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
  return [...lines.slice(-LOG_LINES_SHOWN), `(${log})`].map((line) => `  ${line}`).join('\n');
}
