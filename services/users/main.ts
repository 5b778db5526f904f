import { compileWorld } from '#fleet-sim/world.ts';
import { SOURCE } from '#schemas/service-request.ts';
import { breathe, nowMs, sleep } from '#services/platform/clock.ts';
import { joinGroup } from '#services/platform/kafka/group.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { exposeTotals } from '#services/platform/metrics/exposition.ts';
import { type Lane, type Recollection, takeOverLane } from '#services/platform/own-tail.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { createScratch } from './cell-demand.ts';
import { AskedBefore, PartitionUsers } from './partition-users.ts';

export const users: Service = {
  name: 'users',
  summary: 'the simulated Users: requests on demand, and again after failures',
  settings: {},
  start,
};

const LANES = ['service-requests.scheduled', 'service-requests.on-demand'] as const;
const IDLE_MS = 5;
/** Cells whose day is drawn in one go: some milliseconds. */
const CELLS_A_TURN = 4;

async function start(context: ServiceContext): Promise<RunningService> {
  const { settings, outbox, schemaIds, setAside, fail } = context;
  const run = await awaitRun(context);
  const world = compileWorld(run.scenario, run.matrix);
  const scratch = createScratch(world);
  const partitions = new Map<number, PartitionUsers>();
  let isDraining = false;

  async function restore(partition: number, taken: { responses: number; quarantine: number }): Promise<PartitionUsers> {
    const askedBefore = new AskedBefore(world);
    const takeOver = (topic: Lane, recollection?: Recollection) =>
      takeOverLane(context, topic, partition, SOURCE.users, run.record.startMs - 1, recollection);
    const tails = await Promise.all([
      takeOver('service-requests.scheduled'),
      takeOver('service-requests.on-demand', askedBefore),
    ]);
    const of = new PartitionUsers(
      {
        world,
        scratch,
        partition,
        partitions: settings.partitions,
        schemaIds: {
          serviceRequest: schemaIds['service-requests.on-demand'],
          serviceResponse: schemaIds['service-responses'],
          quarantineEvent: schemaIds.quarantine,
        },
        clock: run.clock,
        startMs: run.record.startMs,
        endMs: run.record.endMs,
        nowMs,
      },
      tails,
      taken,
      askedBefore.keys,
    );
    for (let k = 1; !of.prepare(); k++) if (k % CELLS_A_TURN === 0) await breathe();
    return of;
  }

  const group = joinGroup(context, {
    topics: ['service-responses', 'quarantine'],
    async assigned(partition, committed) {
      const taken = {
        responses: committed.get('service-responses')?.offset ?? 0,
        quarantine: committed.get('quarantine')?.offset ?? 0,
      };
      partitions.set(partition, await restore(partition, taken));
    },
    lost(partition) {
      partitions.delete(partition);
    },
    take({ topic, partition, batches, fromOffset, nextOffset }) {
      const of = partitions.get(partition) as PartitionUsers;
      const letters =
        topic === 'quarantine'
          ? of.takeQuarantine(batches, fromOffset, nextOffset)
          : of.takeResponses(batches, fromOffset, nextOffset);
      setAside(letters).catch(fail);
      return true;
    },
    committable: () =>
      outbox.pendingBytes > 0
        ? []
        : [...partitions.values()].flatMap((of) =>
            of.committable().map(({ topic, offset, next }) => ({
              topic,
              partition: of.partition,
              offset,
              metadata: JSON.stringify({ next }),
            })),
          ),
  });

  async function work(): Promise<void> {
    while (!isDraining) {
      let isIdle = true;
      if (run.record.state === 'RUNNING' && outbox.pendingBytes <= PENDING_BYTES_MAX) {
        for (const of of partitions.values()) {
          if (LANES.some((topic) => outbox.isBehind(topic, of.partition))) continue;
          const { batches, isIdle: hasNothing } = of.run();
          for (const { topic, partition, batch, records } of batches)
            void outbox.send(topic, partition, new Uint8Array(batch), records);
          if (!hasNothing) isIdle = false;
        }
      }
      await (isIdle ? sleep(IDLE_MS) : breathe());
    }
  }

  exposeTotals(() => partitions.values(), {
    mdr_users_requests_total: ({ asked }) => asked,
    mdr_users_re_requests_total: ({ reRequests }) => reRequests,
    mdr_users_releases_total: ({ releases }) => releases,
  });
  await group.start();
  const working = work();
  working.catch(fail);
  return {
    notReadyBecause: () => (group.isSettled ? undefined : 'what its Users ask is being drawn'),
    status: () => ({
      partitions: group.partitions,
      reachedMs: Object.fromEntries([...partitions].map(([partition, { reachedMs }]) => [partition, reachedMs])),
      asked: total(partitions, ({ asked }) => asked),
      reRequests: total(partitions, ({ reRequests }) => reRequests),
      releases: total(partitions, ({ releases }) => releases),
      pending: total(partitions, ({ pending }) => pending),
      lag: group.lag(),
    }),
    drain: () =>
      group.leave(async () => {
        isDraining = true;
        await working;
        await outbox.idle();
        await run.end();
      }),
  };
}

function total(of: ReadonlyMap<number, PartitionUsers>, count: (one: PartitionUsers) => number): number {
  return [...of.values()].reduce((sum, one) => sum + count(one), 0);
}
