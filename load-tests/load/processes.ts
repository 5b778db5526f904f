import { type ChildProcess, spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
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

/**
 * Services that run already, by the URL of their health: one at each address that its host name has, as a headless Service
 * of Kubernetes has one a pod. Throws COULD_NOT_RUN where the name is not known or nothing answers.
 */
export async function givenServices(url: string): Promise<ServiceProcess[]> {
  const { protocol, hostname, port } = new URL(url);
  const addresses = await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true, order: 'ipv4first' }).catch(
    (error: Error) => {
      throw new MdrError('COULD_NOT_RUN', `no service answers at ${url}: ${error.message}`);
    },
  );
  // A pod of two families has an address of each.
  const [{ family: first }] = addresses;
  const hosts = addresses.filter(({ family }) => family === first).map(({ address }) => address);
  const suffix = port === '' ? '' : `:${port}`;
  return await Promise.all(
    hosts.map((host) => givenService(`${protocol}//${host.includes(':') ? `[${host}]` : host}${suffix}`)),
  );
}

async function givenService(url: string): Promise<ServiceProcess> {
  const given = { name: url, pid: -1, url, log: `the log of ${url}`, child: undefined, exit: undefined };
  const status = await statusOf(given);
  if (typeof status?.service !== 'string') throw new MdrError('COULD_NOT_RUN', `no service answers at ${url}/status`);
  return { ...given, name: status.service, pid: Number(status.pid) };
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

/** What a service says of itself; undefined where it does not answer. */
export async function statusOf(service: ServiceProcess): Promise<Record<string, unknown> | undefined> {
  try {
    const answer = await fetch(`${service.url}/status`, { signal: AbortSignal.timeout(STATUS_WITHIN_MS) });
    return (await answer.json()) as Record<string, unknown>;
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
