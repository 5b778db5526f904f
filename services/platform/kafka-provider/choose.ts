import { MdrError } from '#core/errors.ts';
import { PROVIDERS, type ProviderName } from './local-kafka.ts';
import type { OnProgress } from './provider.ts';

const NAMES = Object.keys(PROVIDERS) as ProviderName[];

/** The first way of running Kafka that this machine has, or the one asked for. */
export async function chooseProvider(
  onProgress: OnProgress,
  asked: string | undefined = process.env.MDR_KAFKA_PROVIDER,
): Promise<ProviderName> {
  if (asked !== undefined && !NAMES.some((name) => name === asked)) {
    throw new MdrError('USAGE', `there is no provider ${asked}; there are ${NAMES.join(' and ')}`);
  }
  const missing: string[] = [];
  for (const name of NAMES) {
    if (asked !== undefined && asked !== name) continue;
    const reason = await PROVIDERS[name].missing(onProgress);
    if (reason === undefined) return name;
    missing.push(`${name}: ${reason}`);
  }
  throw new MdrError('COULD_NOT_RUN', `no Kafka can be started here (${missing.join('; ')}). ${WHAT_TO_INSTALL}`);
}

const WHAT_TO_INSTALL =
  'Install Java 17 or later and Maven (Debian: apt-get install openjdk-17-jre-headless maven), or start Docker, ' +
  'or name a Kafka that runs by KAFKA_BROKERS and SCHEMA_REGISTRY_URL';
