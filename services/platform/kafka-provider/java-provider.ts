import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { brokerOptions, brokerProperties, CLUSTER_ID, scramCredentials } from './broker-properties.ts';
import { fetchJars, type Jars, jarsHere, java, missingForJava, registryRunner } from './jars.ts';
import { endProcess, isRunning, killProcess, type ProcessIdentity, startDetached } from './owned-process.ts';
import { answersAsBroker, answersAsRegistry } from './ports.ts';
import { brokerAddress, type Place, type Provider, processOf, registryUrl } from './provider.ts';
import { untilReady } from './readiness.ts';

const STOP_MS = 15_000;

/** Kafka and the registry as processes of this machine. */
export const javaProvider: Provider = {
  missing: async () => missingForJava(),

  async prepare(onProgress) {
    await fetchJars(onProgress);
  },

  async startBroker(place, onStarted) {
    const jars = jarsHere();
    const { directory, brokerPort: port, controllerPort, secured } = place;
    const logDirectory = dataDirectory(directory);
    const properties = join(directory, 'server.properties');
    const address = brokerAddress(place);
    await mkdir(directory, { recursive: true });
    const settings = { host: '127.0.0.1', port, controllerPort, address, logDirectory, secured };
    await writeFile(properties, brokerProperties(settings), { mode: 0o600 });
    const isFormatted = existsSync(join(logDirectory, 'meta.properties'));
    if (!isFormatted) await format(jars, properties, secured === undefined ? [] : scramCredentials(secured));
    const options = brokerOptions().split(/\s+/);
    const log = join(directory, 'broker.log');
    const broker = startDetached(java(), [...options, ...kafkaArguments(jars), 'kafka.Kafka', properties], log);
    onStarted({ process: broker });
    return await ready(broker, 'Kafka', () => answersAsBroker(address), log);
  },

  async startRegistry(place, onStarted) {
    const jars = jarsHere();
    await mkdir(place.directory, { recursive: true });
    const log = join(place.directory, 'registry.log');
    const registry = startDetached(java(), registryArguments(place, jars), log);
    onStarted({ process: registry });
    return await ready(registry, 'the registry', () => answersAsRegistry(registryUrl(place)), log);
  },

  isRunning: async (running) => isRunning(processOf(running)),
  stop: (running) => endProcess(processOf(running), STOP_MS),
  kill: (running) => killProcess(processOf(running)),

  async deleteData(directory) {
    await rm(dataDirectory(directory), { recursive: true, force: true });
    await rm(`${registryFile(directory)}.mv.db`, { force: true });
  },
};

function dataDirectory(directory: string): string {
  return join(directory, 'data');
}

/** Schemas and their ids are kept beside the records that name them. */
function registryFile(directory: string): string {
  return join(directory, 'registry');
}

async function format(jars: Jars, properties: string, credentials: readonly string[]): Promise<void> {
  const tool = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties];
  const args = [...kafkaArguments(jars), ...tool, ...credentials.flatMap((one) => ['--add-scram', one])];
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

async function ready(server: ProcessIdentity, name: string, isReady: () => Promise<boolean>, log: string) {
  await untilReady({
    name,
    isReady,
    isRunning: async () => isRunning(server),
    logLines: async () => [...(await readFile(log, 'utf8')).trimEnd().split('\n'), `(${log})`],
  });
  return { process: server };
}
