import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MdrError } from '#core/errors.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { freePort } from '#services/platform/kafka-provider/ports.ts';
import { serviceEnvironment, serviceNodeFlags } from '#services/platform/node-flags.ts';

const MDR = fileURLToPath(new URL('../../bin/mdr.ts', import.meta.url));

/** A service that was started for a run, and its answers. */
export type ServiceProcess = {
  name: string;
  pid: number;
  url: string;
  log: string;
  /** Undefined where the service ran before: it is asked, and not ended. */
  child: ChildProcess | undefined;
  /** Set once the process has ended. */
  exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
  /** Wall ms at which it answered last. */
  heardMs: number;
};

export type StartOptions = {
  name: string;
  brokers: string[];
  registry: string;
  prefix: string;
  partitions: number;
  workers: number;
  /** Folder of its log. */
  directory: string;
  settings?: Record<string, string | number>;
};

const READY_LOOK_EVERY_MS = 100;
const STATUS_WITHIN_MS = 5000;
/** A service has 20 s to drain; then it ends by itself. */
const END_WITHIN_MS = 30_000;

export async function startService(options: StartOptions): Promise<ServiceProcess> {
  const { name, brokers, registry, prefix, partitions, workers, directory, settings = {} } = options;
  const port = await freePort();
  const log = join(directory, `${name}-${port}.log`);
  const flags = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const child = spawn(
    process.execPath,
    [
      ...serviceNodeFlags(),
      MDR,
      'serve',
      name,
      '--brokers',
      brokers.join(','),
      '--registry',
      registry,
      '--prefix',
      prefix,
      '--partitions',
      String(partitions),
      '--workers',
      String(workers),
      '--port',
      String(port),
      '--ends-with',
      'input',
      ...flags,
    ],
    // A group of its own: Ctrl-C goes to mdr load, which ends them in order. Where it is ended by force its end of their
    // input closes, and they end by themselves.
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: serviceEnvironment() },
  );
  const file = createWriteStream(log);
  child.stdout?.pipe(file, { end: false });
  child.stderr?.pipe(file, { end: false });
  const started: ServiceProcess = {
    name,
    pid: child.pid ?? -1,
    url: `http://127.0.0.1:${port}`,
    log,
    child,
    exit: undefined,
    heardMs: nowMs(),
  };
  child.once('exit', (code, signal) => {
    started.exit = { code, signal };
    file.end();
  });
  child.once('error', (error) => {
    started.exit = { code: -1, signal: null };
    file.end(`${error.message}\n`);
  });
  return started;
}

/** Waits until a service can take work. Throws COULD_NOT_RUN where it ends instead, or takes longer. */
export async function untilReady(service: ServiceProcess, withinMs: number): Promise<void> {
  const endMs = nowMs() + withinMs;
  let reason = 'it did not answer';
  while (nowMs() < endMs) {
    if (service.exit !== undefined)
      throw new MdrError('COULD_NOT_RUN', `${service.name} ended instead of getting ready: see ${service.log}`);
    try {
      const answer = await fetch(`${service.url}/ready`, { signal: AbortSignal.timeout(STATUS_WITHIN_MS) });
      if (answer.ok) return;
      reason = (await answer.text()).trim();
    } catch {
      // It is not listening yet.
    }
    await sleep(READY_LOOK_EVERY_MS);
  }
  throw new MdrError('COULD_NOT_RUN', `${service.name} was not ready within ${withinMs / 1000} s: ${reason}`);
}

/**
 * Waits until what a service knows of its tables' topics is all that was there when their `ends` were asked: offsets by
 * topic and partition. One that restored its tables before the topics were filled is ready, and follows them from behind.
 */
export async function untilReached(
  service: ServiceProcess,
  ends: Readonly<Record<string, readonly number[]>>,
  withinMs: number,
): Promise<void> {
  const endMs = nowMs() + withinMs;
  while (nowMs() < endMs) {
    const tables = (await statusOf(service))?.tables as Record<string, Record<number, number>> | undefined;
    const isBehind = ([topic, reached]: [string, Record<number, number>]) =>
      Object.entries(reached).some(([partition, offset]) => offset < ends[topic][Number(partition)]);
    if (tables !== undefined && !Object.entries(tables).some(isBehind)) return;
    await sleep(READY_LOOK_EVERY_MS);
  }
  throw new MdrError('COULD_NOT_RUN', `${service.name} had not read what its tables hold within ${withinMs / 1000} s`);
}

/** What a service says of itself; undefined where it does not answer. */
export async function statusOf(service: ServiceProcess): Promise<Record<string, unknown> | undefined> {
  try {
    const answer = await fetch(`${service.url}/status`, { signal: AbortSignal.timeout(STATUS_WITHIN_MS) });
    const status = (await answer.json()) as Record<string, unknown>;
    service.heardMs = nowMs();
    return status;
  } catch {
    return undefined;
  }
}

/** Ends a service that was started here, by force when it does not end in time. Returns its exit code. */
export async function endService(service: ServiceProcess): Promise<number | null> {
  const { child } = service;
  if (child === undefined) return null;
  if (service.exit === undefined) child.kill('SIGTERM');
  const endMs = nowMs() + END_WITHIN_MS;
  while (service.exit === undefined && nowMs() < endMs) await sleep(READY_LOOK_EVERY_MS / 4);
  if (service.exit === undefined) child.kill('SIGKILL');
  while (service.exit === undefined) await sleep(READY_LOOK_EVERY_MS / 4);
  return (service.exit as { code: number | null }).code;
}
