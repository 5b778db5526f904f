import { nowMs } from '#services/platform/clock.ts';
import { type ServiceProcess, statusOf } from './processes.ts';

/** How a run stands at one moment, from what its services say of themselves. */
export type Sample = {
  /** Wall ms since the clock started. */
  atMs: number;
  /** The present of the partition that is furthest behind, simulated ms since the epoch. */
  simulatedMs: number;
  /** Everything received up to this instant has its verdict, in every partition, or is open; simulated ms since the epoch. */
  completeMs: number;
  /** Requests sent so far by schedules and by Users, and answered by the fleet. */
  executions: number;
  asked: number;
  answered: number;
  /** As the trt-monitor has them. */
  received: number;
  within: number;
  breaches: number;
  refused: number;
  open: number;
  /** Received on counted days and not answered. */
  openCounted: number;
  held: number;
  /** Requests that reached the fleet after their instant. */
  late: number;
  duplicates: number;
  /** Records that are in the topics and not taken yet, by service and topic. */
  lag: { service: string; topic: string; records: number }[];
  services: { name: string; pid: number; rssBytes: number; cpuSeconds: number }[];
  /** Whether every service answered, and none is behind. */
  isSettled: boolean;
};

type Status = Record<string, unknown> & { service: string; pid: number; rssBytes: number; cpuSeconds: number };

export async function takeSample(
  services: readonly ServiceProcess[],
  partitions: number,
  startedWallMs: number,
): Promise<Sample> {
  const answers = await Promise.all(services.map(statusOf));
  const statuses = answers.filter((answer) => answer !== undefined) as Status[];
  const sum = (service: string, field: string): number =>
    statuses
      .filter((status) => status.service === service)
      .reduce((total, status) => total + Number(status[field] ?? 0), 0);
  const lag = lagsOf(statuses);
  /** The least over the partitions; minus infinity unless there is one of each. */
  const present = (service: string, field: string): number => {
    const instants = new Map(
      statuses
        .filter((status) => status.service === service)
        .flatMap((status) => Object.entries((status[field] ?? {}) as Record<string, number>)),
    );
    return instants.size < partitions ? Number.NEGATIVE_INFINITY : Math.min(...instants.values());
  };
  return {
    atMs: nowMs() - startedWallMs,
    simulatedMs: present('trt-monitor', 'nowMs'),
    completeMs: present('trt-monitor', 'completeMs'),
    executions: sum('scheduler', 'executions'),
    asked: sum('users', 'asked'),
    answered: sum('fleet-sim', 'answered'),
    received: sum('trt-monitor', 'received'),
    within: sum('trt-monitor', 'within'),
    breaches: sum('trt-monitor', 'breaches'),
    refused: sum('trt-monitor', 'refused'),
    open: sum('trt-monitor', 'open'),
    openCounted: sum('trt-monitor', 'openCounted'),
    held: sum('anomaly', 'heldNow'),
    late: sum('fleet-sim', 'late'),
    duplicates: sum('fleet-sim', 'duplicates') + sum('access-control', 'duplicates') + sum('trt-monitor', 'duplicates'),
    lag,
    services: statuses.map(({ service, pid, rssBytes, cpuSeconds }) => ({ name: service, pid, rssBytes, cpuSeconds })),
    isSettled: statuses.length === services.length && lag.every(({ records }) => records === 0),
  };
}

function lagsOf(statuses: readonly Status[]): Sample['lag'] {
  const lags = new Map<string, { service: string; topic: string; records: number }>();
  for (const { service, lag } of statuses) {
    for (const { topic, records } of (lag ?? []) as { topic: string; records: number }[]) {
      const key = `${service} ${topic}`;
      const entry = lags.get(key) ?? { service, topic, records: 0 };
      entry.records += records;
      lags.set(key, entry);
    }
  }
  return [...lags.values()];
}
