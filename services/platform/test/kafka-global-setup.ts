import type { TestProject } from 'vitest/node';
import { MdrError } from '#core/errors.ts';
import { type ProvidedKafka, provideKafka } from '../kafka-provider/provide.ts';

/** What the tests of Kafka run on, or what is missing here. */
export type TestKafka =
  | { brokers: string[]; registryUrl: string; provider: ProvidedKafka['provider'] }
  | { missing: string };

declare module 'vitest' {
  interface ProvidedContext {
    kafka: TestKafka;
  }
}

/** Vitest runs this before the first of the files named *.kafka.test.ts, and not at all when none is run. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  let kafka: ProvidedKafka;
  try {
    kafka = await provideKafka({ onProgress: say });
  } catch (error) {
    // Whoever asks for a provider wants its tests, not their absence.
    if (!(error instanceof MdrError) || process.env.MDR_KAFKA_PROVIDER !== undefined) throw error;
    say(`the tests of Kafka are skipped: ${error.message}`);
    project.provide('kafka', { missing: error.message });
    return undefined;
  }
  const { brokers, registryUrl, provider } = kafka;
  project.provide('kafka', { brokers, registryUrl, provider });
  return () => kafka.stop();
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
