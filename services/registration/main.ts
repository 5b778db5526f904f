import { Counter } from 'prom-client';
import { matrixJson } from '#core/matrix.ts';
import { HASH_CLASSES } from '#fleet-sim/meter.ts';
import { compileWorld } from '#fleet-sim/world.ts';
import type { TopicName } from '#schemas/topics.ts';
import { nowMs } from '#services/platform/clock.ts';
import { joinGroup } from '#services/platform/kafka/group.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { createPool } from '#services/platform/pool.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { applyFile, type FileResult } from './registration-file.ts';
import { encodeUsers } from './user-records.ts';
import type { Task, TaskResult } from './worker.ts';

export const registration: Service = {
  name: 'registration',
  summary: 'loads registrations, inventory, Users and schedules into their topics, and applies changes',
  settings: {
    load: {
      type: 'choice',
      default: 'fleet',
      choices: ['fleet', 'nothing'],
      doc: 'fleet: what the simulated fleet of the run has, once a run. nothing: the topics stay as they are.',
    },
    file: {
      type: 'text',
      doc: 'Changes to apply, one JSON object a line: {"mpan", "appointments": [{"mpid", "role", "efd", "etd"?}]} or {"mpan", "device", "register", "generation", "status"}.',
    },
  },
  start,
};

/** Cells a task: some ten thousand meters, half a second of a worker at most. */
const CELLS_A_TASK = 2;

type Load = { partition: number; isLoaded: boolean; runId: string };

async function start(context: ServiceContext): Promise<RunningService> {
  const { settings, outbox, schemaIds, fail } = context;
  const run = await awaitRun(context);
  const world = compileWorld(run.scenario, run.matrix);
  const pool = createPool<Task, TaskResult>(new URL('./worker.ts', import.meta.url), settings.workers, {
    scenario: run.scenario,
    matrix: matrixJson(run.matrix),
    schemaIds,
  });
  const loads = new Map<number, Load>();
  let meteringPoints = 0;
  let schedules = 0;
  let applied: FileResult | undefined;

  async function loadPartition(load: Load): Promise<void> {
    const { partition } = load;
    const cells = Array.from({ length: world.fleet.cells }, (_, cell) => cell).filter(
      (cell) => (cell % HASH_CLASSES) % settings.partitions === partition,
    );
    const tasks: number[][] = [];
    for (let at = 0; at < cells.length; at += CELLS_A_TASK) tasks.push(cells.slice(at, at + CELLS_A_TASK));
    // As many at a time as there are threads; sending is waited for before a thread gets more.
    const next = async (): Promise<void> => {
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
        if (loads.get(partition) !== load) return;
        const result = await pool.run({ cells: task, partition, stampMs: Math.floor(nowMs()) });
        meteringPoints += result.meteringPoints;
        schedules += result.schedules;
        const sent = result.batches.map(({ topic, batch, records }) =>
          outbox.send(topic, partition, new Uint8Array(batch), records),
        );
        if (outbox.pendingBytes > PENDING_BYTES_MAX) await Promise.all(sent);
      }
    };
    await Promise.all(Array.from({ length: settings.workers }, next));
    if (partition === 0) {
      const { batch, records } = encodeUsers(world, schemaIds.users, Math.floor(nowMs()));
      await outbox.send('users', 0, batch, records);
    }
    await outbox.idle();
    load.isLoaded = true;
  }

  const group = joinGroup(context, {
    // Nothing is read off this topic: being its group's member is what shares the partitions among the instances.
    topics: ['registrations'],
    async assigned(partition, committed) {
      const before = committed.get('registrations');
      // Offsets that a person has set have no metadata.
      const text = before?.metadata ?? '';
      const runId = text === '' ? '' : (JSON.parse(text) as { loaded: string }).loaded;
      const isLoaded = settings.own.load === 'nothing' || runId === run.record.runId;
      const load = { partition, isLoaded, runId: run.record.runId };
      loads.set(partition, load);
      if (!isLoaded) loadPartition(load).then(() => group.commit(), fail);
    },
    lost(partition) {
      loads.delete(partition);
    },
    take: () => false,
    committable: () =>
      [...loads.values()]
        .filter(({ isLoaded }) => isLoaded && settings.own.load === 'fleet')
        .map(({ partition, runId }) => ({
          topic: 'registrations' as TopicName,
          partition,
          offset: 0,
          metadata: JSON.stringify({ next: 0, loaded: runId }),
        })),
  });

  for (const [name, help, of] of [
    ['mdr_metering_points_loaded_total', 'MPANs whose registration and inventory were written', () => meteringPoints],
    ['mdr_schedules_loaded_total', 'Schedules written', () => schedules],
  ] as const) {
    let before = 0;
    new Counter({
      name,
      help,
      collect() {
        this.inc(of() - before);
        before = of();
      },
    });
  }
  await group.start();
  if (settings.own.file !== undefined)
    applied = await applyFile(settings.own.file as string, context, settings.partitions);
  return {
    notReadyBecause: () =>
      group.isSettled && [...loads.values()].every(({ isLoaded }) => isLoaded)
        ? undefined
        : 'the topics are being filled',
    status: () => ({
      partitions: group.partitions,
      loaded: [...loads.values()].filter(({ isLoaded }) => isLoaded).length,
      meteringPoints,
      schedules,
      ...(applied === undefined ? {} : { file: applied }),
    }),
    drain: () =>
      group.leave(async () => {
        await outbox.idle();
        await pool.end();
        await run.end();
      }),
  };
}
