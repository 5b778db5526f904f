import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditReport, runAudit } from '#load-tests/audit/audit.ts';
import { endService, type ServiceProcess, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { type LoadResult, type RunningLoad, runLoad } from '#load-tests/load/run.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import type { ProvidedKafka } from '#services/platform/kafka-provider/provide.ts';

export type FaultRunOptions = {
  name: string;
  kafka: ProvidedKafka;
  /** Settings of the scenario. */
  settings?: readonly string[];
  speed: number;
  processes?: Record<string, number>;
  harm(harming: Harming): Promise<void>;
};

export type FaultRun = {
  result: LoadResult;
  audit: AuditReport;
  prefix: string;
  directory: string;
  restarts: string[];
};

/** What a test does harm with. */
export type Harming = {
  running: RunningLoad;
  kafka: ProvidedKafka;
  /** The processes of a service. */
  of(name: string): ServiceProcess[];
  /** Waits until the clock of a paced run, or the fleet of another, has come so many simulated hours behind its start. */
  untilHour(hours: number): Promise<void>;
  /** Ends a process as a crash would; it is started again at once. */
  kill(service: ServiceProcess): Promise<ServiceProcess>;
  /** Ends a process as Kubernetes does, holds that it drains, and starts it again. */
  drain(service: ServiceProcess): Promise<ServiceProcess>;
  /** Stops a process for so long as if its machine had, then lets it go on. */
  freeze(service: ServiceProcess, wallMs: number): Promise<void>;
  /** Until every process has its partitions and has restored them. */
  untilAllReady(): Promise<void>;
};

export const SESSION_TIMEOUT_MS = 3000;
/** The day that faults befall: a few thousand meters, read within some hours. */
const METERS = 6000;
const SCENARIO = 'settlement-day';
const SETTINGS = [`fleet.meters=${METERS}`, 'warmUpHours=1'];
export const PARTITIONS = 4;
const HOUR_MS = 3_600_000;
const LOOK_EVERY_MS = 50;
const READY_WITHIN_MS = 60_000;
/** A run that is stuck ends, so that its audit can say at what. */
const DURATION_MAX_MS = 4 * 60_000;
/** A process that ended by itself is started again, as its supervisor would. */
const SUPERVISE_EVERY_MS = 100;

export function faultScenario(settings: readonly string[] = []) {
  return loadScenario(SCENARIO, [...SETTINGS, ...settings]);
}

/** Drives the scenario through services that are harmed meanwhile, and audits what is in the topics afterwards. */
export async function runWithFaults(options: FaultRunOptions): Promise<FaultRun> {
  const { name, kafka, speed } = options;
  const directory = mkdtempSync(join(tmpdir(), `mdr-faults-${name}-`));
  const restarts: string[] = [];
  let isOver = false;
  let supervising = Promise.resolve();
  const result = await runLoad({
    loaded: faultScenario(options.settings),
    kafka,
    speed,
    partitions: PARTITIONS,
    processes: options.processes ?? {},
    workers: 1,
    settings: { 'session-timeout-ms': SESSION_TIMEOUT_MS, 'log-level': 'info' },
    runId: `${name}-${Math.floor(nowMs()).toString(36)}`,
    directory,
    durationMs: DURATION_MAX_MS,
    onProgress({ phase }) {
      if (phase === 'ending') isOver = true;
    },
    async onRunning(running) {
      supervising = supervise(running, restarts, () => isOver);
      await options.harm(harmingOf(running, kafka, speed));
      await untilAllReady(running);
    },
  }).finally(() => {
    isOver = true;
  });
  await supervising;
  const { brokers, registryUrl } = kafka;
  const { prefix } = result;
  const audit = await runAudit({ brokers, registryUrl, prefix, isAllDemanded: false, isDeadLetterFault: false });
  return { result, audit, prefix, directory, restarts };
}

/** Processes that are to end now; all others are started again when they do. */
const expected = new WeakSet<ServiceProcess>();

async function supervise(running: RunningLoad, restarts: string[], isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    for (const service of [...running.services]) {
      if (service.exit === undefined || expected.has(service)) continue;
      restarts.push(`${service.name} ended with ${service.exit.code ?? service.exit.signal}`);
      await running.restart(service);
    }
    await sleep(SUPERVISE_EVERY_MS);
  }
}

function harmingOf(running: RunningLoad, kafka: ProvidedKafka, speed: number): Harming {
  const { startMs, wallEpochMs } = running.record;
  return {
    running,
    kafka,
    of: (name) => running.services.filter((service) => service.name === name),
    async untilHour(hours) {
      const untilMs = startMs + hours * HOUR_MS;
      for (;;) {
        if (speed > 0 && startMs + (nowMs() - wallEpochMs) * speed >= untilMs) return;
        if (speed === 0 && (await reachedMs(running)) >= untilMs) return;
        await sleep(LOOK_EVERY_MS);
      }
    },
    async kill(service) {
      expected.add(service);
      process.kill(service.pid, 'SIGKILL');
      while (service.exit === undefined) await sleep(LOOK_EVERY_MS);
      return await running.restart(service);
    },
    async drain(service) {
      expected.add(service);
      const code = await endService(service);
      if (code !== 0) throw new Error(`${service.name} ended with ${code} instead of draining: see ${service.log}`);
      return await running.restart(service);
    },
    async freeze(service, wallMs) {
      process.kill(service.pid, 'SIGSTOP');
      await sleep(wallMs);
      process.kill(service.pid, 'SIGCONT');
    },
    untilAllReady: () => untilAllReady(running),
  };
}

async function untilAllReady({ services }: RunningLoad): Promise<void> {
  // A process may end, and another take its place, meanwhile.
  const endMs = nowMs() + READY_WITHIN_MS;
  for (let k = 0; k < services.length; ) {
    try {
      await untilReady(services[k], endMs - nowMs());
      k++;
    } catch (error) {
      if (nowMs() > endMs) throw error;
      await sleep(LOOK_EVERY_MS);
    }
  }
}

async function reachedMs({ services }: RunningLoad): Promise<number> {
  const statuses = await Promise.all(services.filter(({ name }) => name === 'fleet-sim').map(statusOf));
  const reached = statuses.flatMap((status) => Object.values((status?.nowMs ?? {}) as Record<string, number>));
  return reached.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...reached);
}
