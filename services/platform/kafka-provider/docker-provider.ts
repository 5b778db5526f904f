import { createHash } from 'node:crypto';
import type { ContainerRuntimeClient, GenericContainer, WaitStrategy } from 'testcontainers';
import { MdrError } from '#core/errors.ts';
import { within } from '../clock.ts';
import { brokerOptions, brokerProperties, CLUSTER_ID } from './broker-properties.ts';
import { KAFKA_VERSION, REGISTRY_VERSION } from './jars.ts';
import { answersAsBroker, answersAsRegistry } from './ports.ts';
import { brokerAddress, containerOf, type OnStarted, type Provider, type Running, registryUrl } from './provider.ts';
import { untilReady } from './readiness.ts';

const PULL_MS = 600_000;
const STOP_MS = 15_000;
const LOG_LINES_MAX = 100;
/** Where apache/kafka looks for properties, and a directory that its user may write. */
const PROPERTIES = '/mnt/shared/config/server.properties';
const BROKER_DATA = '/var/lib/kafka/data';
const REGISTRY_DATA = '/var/lib/registry';

const brokerImage = (): string => process.env.MDR_KAFKA_IMAGE ?? `apache/kafka:${KAFKA_VERSION}`;
const registryImage = (): string => process.env.MDR_REGISTRY_IMAGE ?? `apicurio/apicurio-registry:${REGISTRY_VERSION}`;

/** Loaded when it is used: it takes longer than all else that `mdr kafka status` does, and is not in our own image. */
const testcontainers = () => import('testcontainers');

/** Kafka and the registry as containers; what they hold is in two volumes named after the place's directory. */
export const dockerProvider: Provider = {
  async missing(onProgress) {
    let client: ContainerRuntimeClient;
    try {
      client = await runtimeClient();
    } catch (error) {
      const isAbsent = (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
      return isAbsent ? 'the package testcontainers is not installed' : 'no Docker engine answers';
    }
    const { ImageName } = await testcontainers();
    for (const image of [brokerImage(), registryImage()]) {
      const name = ImageName.fromString(image);
      if (await client.image.exists(name)) continue;
      onProgress(`pulling the image ${image}, once`);
      try {
        await within(PULL_MS, `pulling ${image}`, client.image.pull(name));
      } catch (error) {
        return `the image ${image} cannot be pulled: ${(error as Error).message}`;
      }
    }
    return undefined;
  },

  async prepare() {},

  async startBroker(place, onStarted) {
    const { brokerPort: port, controllerPort } = place;
    const address = brokerAddress(place);
    const isHost = await isHostNetwork();
    // On a network of its own the container listens to all, and Docker lets only 127.0.0.1 through to it.
    const host = isHost ? '127.0.0.1' : '0.0.0.0';
    const properties = brokerProperties({ host, port, controllerPort, address, logDirectory: `${BROKER_DATA}/logs` });
    const isReady = () => answersAsBroker(address);
    const server = { image: brokerImage(), port, name: 'Kafka', isHost, isReady };
    const container = (await newContainer(server, onStarted))
      .withEnvironment({ CLUSTER_ID, KAFKA_HEAP_OPTS: brokerOptions() })
      .withBindMounts([{ source: volumeOf(place.directory, 'broker'), target: BROKER_DATA }])
      .withCopyContentToContainer([{ content: properties, target: PROPERTIES, mode: 0o644 }]);
    return await start(container, server.name);
  },

  async startRegistry(place, onStarted) {
    const { registryPort: port } = place;
    const isHost = await isHostNetwork();
    const isReady = () => answersAsRegistry(registryUrl(place));
    const server = { image: registryImage(), port, name: 'the registry', isHost, isReady };
    const container = (await newContainer(server, onStarted))
      .withEnvironment({
        QUARKUS_HTTP_HOST: isHost ? '127.0.0.1' : '0.0.0.0',
        QUARKUS_HTTP_PORT: String(port),
        APICURIO_DATASOURCE_URL: `jdbc:h2:file:${REGISTRY_DATA}/registry`,
        APICURIO_DATASOURCE_JDBC_INITIAL_SIZE: '2',
        APICURIO_DATASOURCE_JDBC_MIN_SIZE: '2',
      })
      .withBindMounts([{ source: volumeOf(place.directory, 'registry'), target: REGISTRY_DATA }])
      // A new volume belongs to root.
      .withUser('0');
    return await start(container, server.name);
  },

  async isRunning(running) {
    try {
      return (await containerById(containerOf(running)).then((container) => container.inspect())).State.Running;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  },

  async stop(running) {
    await ignoringGone(async () => {
      const container = await containerById(containerOf(running));
      await ignoringGone(() => container.stop({ t: STOP_MS / 1000 }));
      await container.remove({ force: true });
    });
  },

  async kill(running) {
    await ignoringGone(async () => (await containerById(containerOf(running))).remove({ force: true }));
  },

  async deleteData(directory) {
    const engine = await dockerode().catch(() => undefined);
    if (engine === undefined) return;
    for (const name of ['broker', 'registry'] as const) {
      await ignoringGone(() => engine.getVolume(volumeOf(directory, name)).remove());
    }
  },
};

function volumeOf(directory: string, name: 'broker' | 'registry'): string {
  return `mdr-${name}-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
}

/** Told where ports are reached, testcontainers does not look for a gateway, which an engine without a bridge lacks. */
async function runtimeClient(): Promise<ContainerRuntimeClient> {
  process.env.TESTCONTAINERS_HOST_OVERRIDE ??= '127.0.0.1';
  const { getContainerRuntimeClient } = await testcontainers();
  return await getContainerRuntimeClient();
}

async function dockerode() {
  return (await runtimeClient()).container.dockerode;
}

async function containerById(id: string) {
  return (await dockerode()).getContainer(id);
}

/** An engine without a bridge, as in a container that may not make one, has the host's network to offer. */
async function isHostNetwork(): Promise<boolean> {
  const networks = await (await dockerode()).listNetworks();
  return !networks.some(({ Name, Driver }) => Name === 'bridge' && Driver === 'bridge');
}

type Server = { image: string; port: number; name: string; isHost: boolean; isReady: () => Promise<boolean> };

async function newContainer(server: Server, onStarted: OnStarted): Promise<GenericContainer> {
  const { image, port, isHost } = server;
  const { GenericContainer } = await testcontainers();

  class ServerContainer extends GenericContainer {
    protected override async containerCreated(container: string): Promise<void> {
      onStarted({ container });
    }

    publishOnLoopback(): this {
      this.withExposedPorts({ container: port, host: port });
      this.hostConfig.PortBindings = { [`${port}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: String(port) }] };
      return this;
    }
  }

  // The watchdog ends what is started here, as it does without Docker, so no reaper is started.
  const container = new ServerContainer(image).withAutoCleanup(false).withWaitStrategy(readiness(server));
  return isHost ? container.withNetworkMode('host') : container.publishOnLoopback();
}

function readiness({ name, isReady }: Server): WaitStrategy {
  return {
    waitUntilReady: (container) =>
      untilReady({
        name,
        isReady,
        isRunning: async () => (await container.inspect()).State.Running,
        logLines: async () => textOf(await container.logs({ stdout: true, stderr: true, tail: LOG_LINES_MAX })),
      }),
    withStartupTimeout() {
      return this;
    },
    isStartupTimeoutSet: () => true,
    getStartupTimeout: () => 0,
  };
}

/** A log as Docker sends it, in frames: stream 1 | zero 3 | length 4 | text. */
function textOf(log: Buffer): string[] {
  let text = '';
  for (let at = 0; at + 8 <= log.length; at += 8 + log.readUInt32BE(at + 4)) {
    text += log.toString('utf8', at + 8, at + 8 + log.readUInt32BE(at + 4));
  }
  return text.trimEnd().split('\n');
}

async function start(container: GenericContainer, name: string): Promise<Running> {
  try {
    return { container: (await container.start()).getId() };
  } catch (error) {
    if (error instanceof MdrError) throw error;
    throw new MdrError('COULD_NOT_RUN', `Docker could not start ${name}: ${(error as Error).message}`);
  }
}

/** What is to be ended may have ended. */
async function ignoringGone(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Docker answers 304 for a container that is stopped and 404 for what is not there. */
function isGone(error: unknown): boolean {
  const { statusCode } = error as { statusCode?: number };
  return statusCode === 304 || statusCode === 404;
}
