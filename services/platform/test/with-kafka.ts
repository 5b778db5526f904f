import { describe, inject } from 'vitest';
import './kafka-global-setup.ts';

type Reached = { brokers: string[]; registryUrl: string; provider: string };

/** Describes tests that run on a broker and a registry; skipped, with what to install, where none can be had. */
export function describeWithKafka(name: string, tests: (kafka: Reached) => void): void {
  const kafka = inject('kafka');
  if ('missing' in kafka) describe.skip(`${name} (skipped: ${kafka.missing})`, () => tests(NOWHERE));
  else describe(name, () => tests(kafka));
}

/** Vitest collects skipped tests as well, so their bodies are named but never run. */
const NOWHERE: Reached = { brokers: ['skipped:0'], registryUrl: 'http://skipped', provider: 'none' };
