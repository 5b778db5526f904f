import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { chooseProvider } from './choose.ts';
import { isLocalKafkaRunning, type LocalKafka, PROVIDERS, startLocalKafka, stopLocalKafka } from './local-kafka.ts';
import { withLock } from './lock.ts';
import { kafkaDirectory } from './places.ts';
import { readState, removeState, writeState } from './state.ts';
import { startWatchdog } from './watchdog.ts';

export type UpOptions = {
  provider?: string | undefined;
  brokerPort?: number | undefined;
  registryPort?: number | undefined;
  onProgress(text: string): void;
};

/** The broker and registry of `mdr kafka up`, when both run. */
export async function standingKafka(): Promise<LocalKafka | undefined> {
  const kafka = await readState();
  return kafka !== undefined && (await isLocalKafkaRunning(kafka)) ? kafka : undefined;
}

/**
 * The environment of a command that takes a Kafka: where neither it nor the arguments name one, with that of
 * `mdr kafka up`, if it runs. A file of settings (`--config`) is expected to name its own.
 */
export async function environmentWithKafka(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<NodeJS.ProcessEnv> {
  const isNamed =
    argv.some((argument) => /^--(brokers|registry|config)(=|$)/.test(argument)) ||
    ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'MDR_BROKERS', 'MDR_REGISTRY'].some((name) => environment[name]);
  const kafka = isNamed ? undefined : await standingKafka();
  if (kafka === undefined) return environment;
  return { ...environment, KAFKA_BROKERS: kafka.brokers.join(','), SCHEMA_REGISTRY_URL: kafka.registryUrl };
}

/** Starts what outlives this process, unless it runs already. */
export async function bringUp(options: UpOptions): Promise<{ kafka: LocalKafka; wasRunning: boolean }> {
  return await alone(async () => {
    const standing = await standingKafka();
    if (standing !== undefined) return { kafka: standing, wasRunning: true };
    const remains = await readState();
    if (remains !== undefined) await stopLocalKafka(remains);
    const provider = await chooseProvider(options.onProgress, options.provider);
    const watchdog = startWatchdog();
    try {
      const onChange = (kafka: LocalKafka) => watchdog.watch({ kafka });
      const kafka = await startLocalKafka({ ...options, provider, directory: kafkaDirectory(), onChange });
      await writeState(kafka);
      await watchdog.release();
      return { kafka, wasRunning: false };
    } catch (error) {
      await watchdog.end();
      throw error;
    }
  });
}

/** Stops what `bringUp` has started; says what that was, or undefined when there was nothing. */
export async function bringDown(isDataDeleted: boolean): Promise<LocalKafka | undefined> {
  return await alone(async () => {
    const kafka = await readState();
    if (kafka !== undefined) await stopLocalKafka(kafka);
    if (isDataDeleted) await Promise.all(Object.values(PROVIDERS).map((each) => each.deleteData(kafkaDirectory())));
    await removeState();
    return kafka;
  });
}

async function alone<T>(act: () => Promise<T>): Promise<T> {
  const directory = kafkaDirectory();
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    throw new MdrError('COULD_NOT_RUN', `cannot make ${directory}: ${(error as Error).message}`);
  }
  return await withLock(join(directory, 'lock'), act);
}
