import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { stopLocalKafka } from './local-kafka.ts';
import type { Watched } from './watchdog.ts';

// Signals to a group of processes are for the owner: this one ends after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

let watched: Partial<Watched> = {};
for await (const line of createInterface({ input: process.stdin })) watched = JSON.parse(line) as Partial<Watched>;
if (watched.kafka !== undefined) await stopLocalKafka(watched.kafka);
if (watched.directory !== undefined) await rm(watched.directory, { recursive: true, force: true });
