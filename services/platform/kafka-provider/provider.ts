import type { SecuredListeners } from './broker-properties.ts';
import type { ProcessIdentity } from './owned-process.ts';

/** Where one broker and its registry live; all of it outlasts a restart. */
export type Place = {
  directory: string;
  brokerPort: number;
  controllerPort: number;
  registryPort: number;
  /** Of the broker; of processes of this machine only. */
  secured?: SecuredListeners | undefined;
};

/** One of the two servers as it runs. */
export type Running = { process: ProcessIdentity } | { container: string };

/** Called before a server takes requests, so that whoever ends it knows of it from its first moment. */
export type OnStarted = (running: Running) => void;

export type OnProgress = (text: string) => void;

/** A way of running Kafka and the registry on this machine. */
export type Provider = {
  /** What has to be installed to use it, or undefined. */
  missing(onProgress: OnProgress): Promise<string | undefined>;
  /** Fetches what the servers are started from, when it is not here yet. */
  prepare(onProgress: OnProgress): Promise<void>;
  /** These start a server on what its place holds and return when it takes requests. */
  startBroker(place: Place, onStarted: OnStarted): Promise<Running>;
  startRegistry(place: Place, onStarted: OnStarted): Promise<Running>;
  isRunning(running: Running): Promise<boolean>;
  stop(running: Running): Promise<void>;
  kill(running: Running): Promise<void>;
  /** What was kept for the place with this directory. */
  deleteData(directory: string): Promise<void>;
};

export function brokerAddress({ brokerPort }: Place): string {
  return `127.0.0.1:${brokerPort}`;
}

export function registryUrl({ registryPort }: Place): string {
  return `http://127.0.0.1:${registryPort}/apis/ccompat/v7`;
}

export function processOf(running: Running): ProcessIdentity {
  if (!('process' in running)) throw new Error('a container is no process');
  return running.process;
}

export function containerOf(running: Running): string {
  if (!('container' in running)) throw new Error('a process is no container');
  return running.container;
}
