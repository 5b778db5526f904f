import { HASH_CLASSES } from '#fleet-sim/meter.ts';
import type { World } from '#fleet-sim/world.ts';
import { nowMs } from '#services/platform/clock.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { exposeValue } from '#services/platform/metrics/exposition.ts';
import type { Pool } from '#services/platform/pool.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { encodeUsers, fleetUsers } from './user-records.ts';
import type { Task, TaskResult } from './worker.ts';

/** Cells a task: some ten thousand meters, half a second of a worker at most. */
const CELLS_A_TASK = 2;

export type FleetFill = {
  /** Writes what the topics hold of one partition's meters when a run begins; partition 0 has the Users too. */
  fill(partition: number, isOurs: () => boolean): Promise<void>;
  readonly meteringPoints: number;
  readonly schedules: number;
};

/** Fills topics with the simulated fleet of a run. */
export function createFleetFill(
  { settings, outbox, schemaIds }: ServiceContext,
  world: World,
  pool: Pool<Task, TaskResult>,
): FleetFill {
  let meteringPoints = 0;
  let schedules = 0;
  exposeValue('mdr_metering_points_loaded_total', () => meteringPoints);
  exposeValue('mdr_schedules_loaded_total', () => schedules);
  return {
    async fill(partition, isOurs) {
      const cells = Array.from({ length: world.fleet.cells }, (_, cell) => cell).filter(
        (cell) => (cell % HASH_CLASSES) % settings.partitions === partition,
      );
      const tasks: number[][] = [];
      for (let at = 0; at < cells.length; at += CELLS_A_TASK) tasks.push(cells.slice(at, at + CELLS_A_TASK));
      // As many at a time as there are threads; sending is waited for before a thread gets more.
      const next = async (): Promise<void> => {
        for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
          if (!isOurs()) return;
          const result = await pool.run({ kind: 'cells', cells: task, partition, stampMs: Math.floor(nowMs()) });
          if (result.kind !== 'cells') return;
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
        const users = encodeUsers(fleetUsers(world), schemaIds.users, settings.partitions, Math.floor(nowMs()));
        await Promise.all(users.map((one) => outbox.send('users', one.partition, one.batch, one.records)));
      }
      await outbox.idle();
    },
    get meteringPoints() {
      return meteringPoints;
    },
    get schedules() {
      return schedules;
    },
  };
}
