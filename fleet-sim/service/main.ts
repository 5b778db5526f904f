import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { meterReadsOf } from '#fleet-sim/meter-answer.ts';
import { compileWorld } from '#fleet-sim/world.ts';
import type { TopicName } from '#schemas/topics.ts';
import { breathe, nowMs, sleep } from '#services/platform/clock.ts';
import { joinGroup } from '#services/platform/kafka/group.ts';
import type { Committed } from '#services/platform/kafka/intake.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { expose, exposeTotals, exposeValue } from '#services/platform/metrics/exposition.ts';
import { awaitRun } from '#services/platform/run.ts';
import { ScheduledPace } from '#services/platform/scheduled-pace.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import type { FinishedBatch } from './answers.ts';
import { exposeNetworks, networkStatistics } from './network-metrics.ts';
import { type LaneStart, type LaneState, PartitionFleet } from './partition-fleet.ts';

export const fleetSim: Service = {
  name: 'fleet-sim',
  summary: 'the networks and the meters behind them, simulated on the clock of the run',
  settings: {},
  start,
};

const ON_DEMAND_LANE = 'device-requests.on-demand';
const SCHEDULED_LANE = 'device-requests.scheduled';
/** Requests open in one partition beyond which the scheduled lane is paused: half of what there is room for. */
const OPEN_PAUSE = 1 << 23;
/** Some 600 requests, 2 ms of simulation: what is taken between two looks at the other lane. */
const FETCH_PARTITION_BYTES_MAX = 64 * 1024;
/** Answers not acknowledged beyond which no scheduled request is taken: two batches a partition, which an answer waits behind. */
const ANSWERS_PENDING_BYTES_MAX = 1024 * 1024;
/** With nothing due, the clock is looked at again after this. */
const IDLE_MS = 2;

async function start(context: ServiceContext): Promise<RunningService> {
  const { settings, outbox, schemaIds, setAside, fail } = context;
  const run = await awaitRun(context);
  const world = compileWorld(run.scenario, run.matrix);
  const reads = meterReadsOf(world.matrix);
  const statistics = world.fleet.networks.map(() => networkStatistics(world));
  const fleets = new Map<number, PartitionFleet>();
  const paused = new Map<string, { topic: TopicName; partition: number }>();
  const pace = new ScheduledPace(3);
  let isDraining = false;

  function createFleet(partition: number, committed: ReadonlyMap<TopicName, Committed>): PartitionFleet {
    const fleet: PartitionFleet = new PartitionFleet(
      {
        world,
        reads,
        partition,
        partitions: settings.partitions,
        schemaIds: { deviceRequest: schemaIds[SCHEDULED_LANE], serviceResponse: schemaIds['service-responses'] },
        clock: run.clock,
        patienceWallMs: run.record.patienceWallMs,
        startMs: run.record.startMs,
        nowMs,
        statistics,
        async send({ batch, records, settles }: FinishedBatch) {
          await outbox.send('service-responses', partition, new Uint8Array(batch), records);
          for (let k = 0; k < settles.length; k += 2) fleet.settle(settles[k], settles[k + 1]);
        },
      },
      [startOf(committed.get(SCHEDULED_LANE)), startOf(committed.get(ON_DEMAND_LANE))],
    );
    return fleet;
  }

  const group = joinGroup(context, {
    topics: [ON_DEMAND_LANE, SCHEDULED_LANE],
    fetchPartitionBytesMax: FETCH_PARTITION_BYTES_MAX,
    async assigned(partition, committed) {
      await breathe();
      fleets.set(partition, createFleet(partition, committed));
    },
    lost(partition) {
      fleets.delete(partition);
    },
    take({ topic, partition, batches, fromOffset, nextOffset }) {
      const fleet = fleets.get(partition) as PartitionFleet;
      const mode = topic === SCHEDULED_LANE ? SCHEDULED : ON_DEMAND;
      if (isTooMuch(mode, fleet)) {
        paused.set(`${topic}/${partition}`, { topic, partition });
        return false;
      }
      const beganMs = nowMs();
      setAside(fleet.take(mode, batches, fromOffset, nextOffset)).catch(fail);
      // On a clock that is faster than real time everything on demand is late, by what the run is to find out.
      if (mode === ON_DEMAND && run.clock.speed === 1) {
        const lateMs = fleet.takeLateMsMax();
        if (lateMs > 0) pace.noteOnDemand(lateMs);
      } else if (mode === SCHEDULED) pace.spent(nowMs() - beganMs);
      return true;
    },
    committable: () =>
      [...fleets.values()].flatMap((fleet) =>
        fleet.committable().map(({ mode, offset, next, state }) => ({
          topic: mode === SCHEDULED ? (SCHEDULED_LANE as TopicName) : ON_DEMAND_LANE,
          partition: fleet.partition,
          offset,
          metadata: JSON.stringify({ next, state }),
        })),
      ),
  });

  // What is taken of the scheduled lane is answered in one go where the network has room for it: no more of it than
  // what an on-demand answer may wait behind.
  function isTooMuch(mode: number, fleet: PartitionFleet): boolean {
    if (mode === ON_DEMAND) return outbox.pendingBytes > PENDING_BYTES_MAX;
    if (pace.heldMs() > 0) return true;
    return outbox.pendingBytes > ANSWERS_PENDING_BYTES_MAX || fleet.open > OPEN_PAUSE;
  }

  function resumePaused(): void {
    for (const [key, { topic, partition }] of paused) {
      const fleet = fleets.get(partition);
      if (fleet !== undefined && isTooMuch(topic === SCHEDULED_LANE ? SCHEDULED : ON_DEMAND, fleet)) continue;
      paused.delete(key);
      group.resume(topic, partition);
    }
  }

  async function work(): Promise<void> {
    while (!isDraining) {
      let isIdle = true;
      if (run.record.state !== 'PREPARED' && outbox.pendingBytes <= PENDING_BYTES_MAX) {
        for (const [partition, fleet] of fleets) {
          if (outbox.isBehind('service-responses', partition)) continue;
          const beganMs = nowMs();
          if (!fleet.run()) isIdle = false;
          pace.spent(nowMs() - beganMs);
          // What is on demand, of any partition, is taken between the turns of two.
          await breathe();
        }
      }
      if (paused.size > 0) resumePaused();
      await (isIdle ? sleep(IDLE_MS) : breathe());
    }
  }

  exposeFleet(fleets);
  exposeNetworks(world, fleets, statistics);
  await group.start();
  const working = work();
  working.catch(fail);
  return {
    notReadyBecause: () => (group.isSettled ? undefined : 'its partitions are not assigned yet'),
    status: () => ({
      partitions: group.partitions,
      nowMs: Object.fromEntries([...fleets].map(([partition, fleet]) => [partition, fleet.nowMs])),
      open: total(fleets, ({ open }) => open),
      late: total(fleets, ({ late }) => late),
      duplicates: total(fleets, ({ duplicates }) => duplicates),
      exchanges: total(fleets, ({ exchanges }) => exchanges),
      answered: total(fleets, ({ answers }) => answers.answered),
      rows: total(fleets, ({ answers }) => answers.rows),
      scheduledShare: pace.share,
      lag: group.lag(),
      occupancy: statistics.map(({ busy, queue }) => ({
        busyEdges: Array.from(busy.edges),
        busySteps: Array.from(busy.steps),
        queueEdges: queue.map(({ edges }) => Array.from(edges)),
        queueSteps: queue.map(({ steps }) => Array.from(steps)),
      })),
    }),
    drain: () =>
      group.leave(async () => {
        isDraining = true;
        await working;
        for (const fleet of fleets.values()) fleet.answers.flush();
        await outbox.idle();
        await run.end();
      }),
  };
}

function startOf(committed: Committed | undefined): LaneStart {
  if (committed === undefined) return { offset: 0, state: undefined };
  // Offsets that a person has set have no metadata.
  if (committed.metadata === '') return { offset: committed.offset, state: undefined };
  const { state } = JSON.parse(committed.metadata) as { state: LaneState };
  return { offset: committed.offset, state };
}

function total(fleets: ReadonlyMap<number, PartitionFleet>, of: (fleet: PartitionFleet) => number): number {
  return [...fleets.values()].reduce((sum, fleet) => sum + of(fleet), 0);
}

function exposeFleet(fleets: ReadonlyMap<number, PartitionFleet>): void {
  exposeValue('mdr_fleet_open_requests', () => total(fleets, ({ open }) => open));
  expose('mdr_fleet_simulated_seconds', () =>
    Array.from(fleets, ([partition, { nowMs: atMs }]) => ({
      labels: { partition: String(partition) },
      value: atMs / 1000,
    })),
  );
  exposeTotals(() => fleets.values(), {
    mdr_fleet_answers_total: ({ answers }) => answers.answered,
    mdr_fleet_rows_total: ({ answers }) => answers.rows,
    mdr_fleet_late_requests_total: ({ late }) => late,
    mdr_fleet_duplicates_total: ({ duplicates }) => duplicates,
  });
}
