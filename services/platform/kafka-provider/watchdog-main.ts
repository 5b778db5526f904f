import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { discardLocalKafka, stopLocalKafka } from './local-kafka.ts';
import type { Watched } from './watchdog.ts';

// Signals to a group of processes are for the owner: this one ends after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

let watched: Partial<Watched> = {};
for await (const line of createInterface({ input: process.stdin })) watched = JSON.parse(line) as Partial<Watched>;
const { kafka, directory } = watched;
if (directory !== undefined) {
  if (kafka !== undefined) await discardLocalKafka(kafka);
  await rm(directory, { recursive: true, force: true });
} else if (kafka !== undefined) {
  await stopLocalKafka(kafka);
}
