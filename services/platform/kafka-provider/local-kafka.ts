import { mkdir } from 'node:fs/promises';
import { nowMs } from '../clock.ts';
import type { SecuredListeners } from './broker-properties.ts';
import { dockerProvider } from './docker-provider.ts';
import { javaProvider } from './java-provider.ts';
import { freePort } from './ports.ts';
import { brokerAddress, type Place, type Provider, type Running, registryUrl } from './provider.ts';

export type ProviderName = 'docker' | 'java';
/** In the order in which they are tried. */
export const PROVIDERS: Record<ProviderName, Provider> = { docker: dockerProvider, java: javaProvider };

/** A broker and a registry that this product has started; plain data, so that another process can end them. */
export type LocalKafka = {
  provider: ProviderName;
  brokers: string[];
  registryUrl: string;
  startedAt: string;
  place: Place;
  /** Undefined while it is stopped or not started yet. */
  broker: Running | undefined;
  registry: Running | undefined;
};

export type StartOptions = {
  provider: ProviderName;
  directory: string;
  brokerPort?: number | undefined;
  registryPort?: number | undefined;
  secured?: SecuredListeners | undefined;
  onProgress(text: string): void;
  /** Called whenever a server has been started or has ended, before it is ready. */
  onChange(kafka: LocalKafka): void;
};

/** Starts both servers at once; returns when both take requests. What fails half-way is stopped. */
export async function startLocalKafka(options: StartOptions): Promise<LocalKafka> {
  const { provider, directory, onProgress, onChange } = options;
  await mkdir(directory, { recursive: true });
  const place: Place = {
    directory,
    brokerPort: options.brokerPort ?? (await freePort()),
    controllerPort: await freePort(),
    registryPort: options.registryPort ?? (await freePort()),
    secured: options.secured,
  };
  const kafka: LocalKafka = {
    provider,
    brokers: [brokerAddress(place)],
    registryUrl: registryUrl(place),
    startedAt: new Date(nowMs()).toISOString(),
    place,
    broker: undefined,
    registry: undefined,
  };
  onChange(kafka);
  await PROVIDERS[provider].prepare(onProgress);
  const started = await Promise.allSettled([startBroker(kafka, onChange), startRegistry(kafka, onChange)]);
  const failed = started.find((result) => result.status === 'rejected');
  if (failed === undefined) return kafka;
  await stopLocalKafka(kafka);
  throw failed.reason;
}

export async function stopLocalKafka(kafka: LocalKafka): Promise<void> {
  await Promise.all([stopBroker(kafka), stopRegistry(kafka)]);
}

/** Stops both servers and forgets what they held. */
export async function discardLocalKafka(kafka: LocalKafka): Promise<void> {
  await stopLocalKafka(kafka);
  await PROVIDERS[kafka.provider].deleteData(kafka.place.directory);
}

/** Starts the broker on its data and port. */
export async function startBroker(kafka: LocalKafka, onChange: (kafka: LocalKafka) => void = () => {}): Promise<void> {
  const onStarted = (running: Running) => {
    kafka.broker = running;
    onChange(kafka);
  };
  await PROVIDERS[kafka.provider].startBroker(kafka.place, onStarted);
}

/** Shuts the broker down in order; its data and port stay its own. */
export async function stopBroker(kafka: LocalKafka): Promise<void> {
  if (kafka.broker === undefined) return;
  await PROVIDERS[kafka.provider].stop(kafka.broker);
  kafka.broker = undefined;
}

/** Ends the broker as a crash would; its data and port stay its own. */
export async function killBroker(kafka: LocalKafka): Promise<void> {
  if (kafka.broker === undefined) return;
  await PROVIDERS[kafka.provider].kill(kafka.broker);
  kafka.broker = undefined;
}

/** Whether both servers run. */
export async function isLocalKafkaRunning({ provider, broker, registry }: LocalKafka): Promise<boolean> {
  if (broker === undefined || registry === undefined) return false;
  const running = await Promise.all([broker, registry].map((part) => PROVIDERS[provider].isRunning(part)));
  return running.every(Boolean);
}

async function startRegistry(kafka: LocalKafka, onChange: (kafka: LocalKafka) => void): Promise<void> {
  const onStarted = (running: Running) => {
    kafka.registry = running;
    onChange(kafka);
  };
  await PROVIDERS[kafka.provider].startRegistry(kafka.place, onStarted);
}

async function stopRegistry(kafka: LocalKafka): Promise<void> {
  if (kafka.registry === undefined) return;
  await PROVIDERS[kafka.provider].stop(kafka.registry);
  kafka.registry = undefined;
}
