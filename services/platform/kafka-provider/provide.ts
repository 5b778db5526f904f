import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { NO_SECURITY, type Security } from '../kafka/security.ts';
import type { SecuredListeners } from './broker-properties.ts';
import { chooseProvider } from './choose.ts';
import { type GivenKafka, givenKafka, requireReachable } from './given.ts';
import {
  discardLocalKafka,
  killBroker,
  type LocalKafka,
  type ProviderName,
  startBroker,
  startLocalKafka,
  stopBroker,
} from './local-kafka.ts';
import { standingKafka } from './standing-kafka.ts';
import { writeState } from './state.ts';
import { startWatchdog } from './watchdog.ts';

export type ProvideOptions = {
  /** `KAFKA_BROKERS` and `SCHEMA_REGISTRY_URL` unless said. */
  brokers?: string | undefined;
  registry?: string | undefined;
  provider?: ProviderName | undefined;
  /** Its own broker, whatever is given or runs: for tests that end it. */
  isOwn?: boolean;
  /** What its own broker listens with beside the plain port, where Java runs it. */
  secured?: SecuredListeners;
  onProgress?(text: string): void;
};

export type ProvidedKafka = {
  brokers: string[];
  registryUrl: string;
  security: Security;
  provider: 'given' | ProviderName;
  /** Whether it goes on running after `stop()`. */
  outlives: boolean;
  /** Ends the broker as a crash would. */
  killBroker(): Promise<void>;
  /** Shuts the broker down in order. */
  stopBroker(): Promise<void>;
  /** Starts the broker that was ended, on the same data and port. */
  startBroker(): Promise<void>;
  restartBroker(): Promise<void>;
  /** Ends what was started for this; leaves what was given or ran before. */
  stop(): Promise<void>;
};

/**
 * Kafka and a registry: what is given, else what `mdr kafka up` has running, else a pair of its own in a temporary
 * directory, which ends with `stop()` or with this process, however that ends.
 */
export async function provideKafka(options: ProvideOptions = {}): Promise<ProvidedKafka> {
  if (!options.isOwn) {
    const given = givenKafka(options);
    if (given !== undefined) {
      await requireReachable(given);
      return asProvided(given);
    }
    const standing = await standingKafka();
    const asked = options.provider ?? process.env.MDR_KAFKA_PROVIDER ?? standing?.provider;
    if (standing !== undefined && standing.provider === asked)
      return { ...handle(standing, writeState), outlives: true, stop: async () => {} };
  }
  return await startOwn(options);
}

/** A Kafka that somebody else runs, as one that was provided: it cannot be ended from here. */
export function asProvided(given: GivenKafka): ProvidedKafka {
  return { ...given, provider: 'given', outlives: true, ...NOT_OURS, stop: async () => {} };
}

async function startOwn({ provider, secured, onProgress = () => {} }: ProvideOptions): Promise<ProvidedKafka> {
  const chosen = await chooseProvider(onProgress, provider);
  const directory = await mkdtemp(join(tmpdir(), 'mdr-kafka-'));
  const watchdog = startWatchdog();
  const onChange = (kafka: LocalKafka) => watchdog.watch({ kafka, directory });
  try {
    const kafka = await startLocalKafka({ provider: chosen, directory, secured, onProgress, onChange });
    const stop = async () => {
      await discardLocalKafka(kafka);
      await watchdog.end();
    };
    return { ...handle(kafka, onChange), outlives: false, stop };
  } catch (error) {
    await watchdog.end();
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

type OnChange = (kafka: LocalKafka) => void | Promise<void>;

function handle(kafka: LocalKafka, onChange: OnChange): Omit<ProvidedKafka, 'outlives' | 'stop'> {
  const start = async () => {
    await startBroker(kafka, onChange);
    await onChange(kafka);
  };
  return {
    brokers: kafka.brokers,
    registryUrl: kafka.registryUrl,
    security: NO_SECURITY,
    provider: kafka.provider,
    killBroker: () => killBroker(kafka),
    stopBroker: () => stopBroker(kafka),
    startBroker: start,
    async restartBroker() {
      await stopBroker(kafka);
      await start();
    },
  };
}

async function refuse(): Promise<never> {
  throw new MdrError('COULD_NOT_RUN', 'the broker was given and is not ours to stop or start');
}

const NOT_OURS = { killBroker: refuse, stopBroker: refuse, startBroker: refuse, restartBroker: refuse };
