import { MdrError } from '#core/errors.ts';
import { letsIn } from '../kafka/client.ts';
import type { Security } from '../kafka/security.ts';
import { environmentSecurity } from '../settings.ts';
import { answersAsBroker, answersAsRegistry } from './ports.ts';

/** A Kafka that somebody else runs. */
export type GivenKafka = { brokers: string[]; registryUrl: string; security: Security };

/** What the options or the environment name; undefined when they name nothing. How it is secured the environment says. */
export function givenKafka(options: {
  brokers?: string | undefined;
  registry?: string | undefined;
}): GivenKafka | undefined {
  const brokers = options.brokers ?? process.env.KAFKA_BROKERS ?? '';
  const registry = options.registry ?? process.env.SCHEMA_REGISTRY_URL ?? '';
  if (brokers === '' && registry === '') return undefined;
  if (registry === '') throw new MdrError('USAGE', 'KAFKA_BROKERS is given; SCHEMA_REGISTRY_URL is needed too');
  if (brokers === '') throw new MdrError('USAGE', 'SCHEMA_REGISTRY_URL is given; KAFKA_BROKERS is needed too');
  const registryUrl = parseRegistry(registry);
  const security = environmentSecurity(registryUrl);
  return { brokers: brokers.split(',').map(parseBroker), registryUrl, security };
}

/** What does not answer, by its address. */
export async function unreachable({ brokers, registryUrl, security }: GivenKafka): Promise<string[]> {
  const isPlain = Object.keys(security.kafka).length === 0;
  const ask = (broker: string) => (isPlain ? answersAsBroker(broker) : letsIn(broker, security.kafka));
  const answers = await Promise.all(brokers.map(ask));
  const missing = brokers
    .filter((_, index) => !answers[index])
    .map((address) => `no Kafka broker ${isPlain ? 'answers' : 'lets us in'} at ${address}`);
  if (!(await answersAsRegistry(registryUrl, security.registry)))
    missing.push(`no schema registry answers at ${registryUrl}`);
  return missing;
}

export async function requireReachable(given: GivenKafka): Promise<void> {
  const missing = await unreachable(given);
  if (missing.length > 0) throw new MdrError('COULD_NOT_RUN', missing.join(', and '));
}

function parseBroker(text: string): string {
  const address = text.trim();
  if (!/^(\[[\da-f:]+\]|[\w.-]+):\d{1,5}$/i.test(address)) {
    throw new MdrError('USAGE', `broker ${JSON.stringify(address)} is not of the form HOST:PORT`);
  }
  return address;
}

function parseRegistry(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new MdrError('USAGE', `registry ${JSON.stringify(text)} is not an http or https URL`);
  }
  return text.replace(/\/+$/, '');
}
