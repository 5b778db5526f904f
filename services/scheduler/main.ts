import { SRVS } from '#core/matrix.ts';
import { SOURCE } from '#schemas/service-request.ts';
import { every, nowMs, sleep } from '#services/platform/clock.ts';
import { joinGroup } from '#services/platform/kafka/group.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { lagOf } from '#services/platform/kafka/progress.ts';
import { joinBatches } from '#services/platform/kafka/record-batch.ts';
import { exposeTotals, exposeValue } from '#services/platform/metrics/exposition.ts';
import { takeOverLane } from '#services/platform/own-tail.ts';
import { createPool } from '#services/platform/pool.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { feedTables, type TableFeed } from '#services/platform/table-feed.ts';
import { createScheduleTable, type ScheduleTable } from './schedule-table.ts';
import type { Task, TaskResult } from './worker.ts';

export const scheduler: Service = {
  name: 'scheduler',
  summary: 'the executions of schedules in the order of their time',
  settings: {
    'lag-max': {
      type: 'integer',
      default: 50_000,
      min: 1000,
      doc: 'Executions of one partition that access control and the fleet may have before them; then it waits.',
    },
  },
  start,
};

const LANE = 'service-requests.scheduled';
const LAG_EVERY_MS = 250;
/** On a clock faster than real time a marker holds nobody up for longer than this, in wall time. */
const MARK_EVERY_WALL_MS = 50;
const IDLE_MS = 5;

type PartitionScheduler = {
  partition: number;
  table: ScheduleTable;
  schedules: number;
  /** Everything up to this simulated instant is written. */
  reachedMs: number;
  place: number;
  position: number;
  sent: Set<string>;
  sentUntilMs: number;
  executions: number;
  lag: number;
  markedWallMs: number;
  feed: TableFeed | undefined;
  /** Tasks of a partition one after another. */
  last: Promise<unknown>;
  isLost: boolean;
};

async function start(context: ServiceContext): Promise<RunningService> {
  const { kafka, admin, settings, outbox, schemaIds, setAside, fail } = context;
  const run = await awaitRun(context);
  const pool = createPool<Task, TaskResult>(new URL('./worker.ts', import.meta.url), settings.workers);
  const partitions = new Map<number, PartitionScheduler>();
  const matrixSrv = Int32Array.from(SRVS, (_, symbol) => run.matrix.srv.indexOf(symbol));
  const lagMax = settings.own['lag-max'] as number;
  let isDraining = false;

  /** One task of a partition at a time, in the order asked for. */
  function inTurn<T>(of: PartitionScheduler, act: () => Promise<T>): Promise<T> {
    const done = of.last.then(act);
    of.last = done.catch(() => {});
    return done;
  }

  async function restore(partition: number): Promise<PartitionScheduler> {
    const tail = await takeOverLane(context, LANE, partition, SOURCE.scheduler, run.record.startMs - 1);
    const of: PartitionScheduler = {
      partition,
      table: createScheduleTable(),
      schedules: 0,
      reachedMs: tail.untilMs,
      place: -1,
      position: tail.position,
      sent: tail.sent,
      sentUntilMs: tail.sentUntilMs,
      executions: 0,
      lag: 0,
      markedWallMs: 0,
      feed: undefined,
      last: Promise.resolve(),
      isLost: false,
    };
    of.feed = await feedTables(
      kafka,
      settings.prefix,
      ['schedules'],
      partition,
      async ({ batches }) => {
        const joined = joinBatches(batches);
        const apply = async () => {
          // In the middle of an instant the order must stay as it is. Asked in turn: a fan-out before may have stopped there.
          if (of.place >= 0 && !of.isLost) return false;
          const result = await pool.run(
            {
              kind: 'apply',
              partition,
              table: of.table,
              batches: joined,
              fromOffset: 0,
              schemaId: schemaIds.schedules,
            },
            [joined],
          );
          if (result.kind !== 'apply') return true;
          of.table = result.table;
          of.schedules = result.schedules;
          await setAside(result.deadLetters);
          return true;
        };
        while (!(await inTurn(of, apply))) await sleep(IDLE_MS);
      },
      fail,
    );
    await of.feed.restored;
    return of;
  }

  const group = joinGroup(context, {
    // The lane is read by nobody here: being its group's member is what shares its partitions among schedulers.
    topics: [LANE],
    async assigned(partition) {
      partitions.set(partition, await restore(partition));
    },
    lost(partition) {
      const of = partitions.get(partition);
      partitions.delete(partition);
      if (of === undefined) return;
      of.isLost = true;
      void of.feed?.stop();
    },
    take: () => false,
    committable: () => [],
  });

  async function fanOut(of: PartitionScheduler): Promise<boolean> {
    const { clock, record } = run;
    const endMs = record.endMs - 1;
    if (record.state !== 'RUNNING' || of.reachedMs >= endMs || of.lag > lagMax) return false;
    if (outbox.pendingBytes > PENDING_BYTES_MAX || outbox.isBehind(LANE, of.partition)) return false;
    const wallMs = nowMs();
    const untilMs = Math.min(endMs, Math.floor(clock.now()));
    if (untilMs <= of.reachedMs) return false;
    if (clock.isPaced && of.place < 0 && wallMs - of.markedWallMs < MARK_EVERY_WALL_MS) return false;
    of.markedWallMs = wallMs;
    const result = await inTurn(of, () =>
      pool.run({
        kind: 'fan-out',
        partition: of.partition,
        table: of.table,
        fanOut: {
          afterMs: of.reachedMs,
          untilMs,
          place: of.place,
          position: of.position,
          sent: of.sent,
          schemaId: schemaIds[LANE],
          epochMs: record.epochMs,
          matrixSrv,
          due: { startMs: record.startMs, wallEpochMs: record.wallEpochMs, speed: record.speed, nowMs: wallMs },
        },
      }),
    );
    if (result.kind !== 'fan-out' || of.isLost) return false;
    const { batch, records, executions, reachedMs, place, position } = result.fannedOut;
    void outbox.send(LANE, of.partition, new Uint8Array(batch), records);
    of.reachedMs = reachedMs;
    of.place = place;
    of.position = position;
    of.executions += executions;
    of.lag += executions;
    if (of.sent.size > 0 && reachedMs >= of.sentUntilMs) of.sent = new Set();
    return reachedMs < untilMs;
  }

  /** The partitions fan out side by side; each looks again at once while there is more, else after a moment. */
  async function work(): Promise<void> {
    while (!isDraining) {
      const more = await Promise.all([...partitions.values()].map(fanOut));
      if (!more.includes(true)) await sleep(IDLE_MS);
    }
  }

  let isAskingLag = false;
  const endLag = every(LAG_EVERY_MS, () => {
    // A broker that does not answer for a while is not asked again meanwhile.
    if (isAskingLag) return;
    isAskingLag = true;
    Promise.all([
      lagOf(admin, settings.prefix, 'access-control', LANE, settings.partitions),
      lagOf(admin, settings.prefix, 'fleet-sim', 'device-requests.scheduled', settings.partitions),
    ])
      .then(
        ([access, fleet]) => {
          for (const of of partitions.values()) of.lag = access[of.partition] + fleet[of.partition];
        },
        (error: Error) => context.log.info({ err: error }, 'the lag downstream could not be read'),
      )
      .finally(() => {
        isAskingLag = false;
      });
  });

  exposeValue('mdr_schedules', () => total(partitions, ({ schedules }) => schedules));
  exposeValue('mdr_scheduler_lag_records', () => total(partitions, ({ lag }) => lag));
  exposeTotals(() => partitions.values(), { mdr_executions_total: ({ executions }) => executions });
  await group.start();
  const working = work();
  working.catch(fail);
  return {
    notReadyBecause: () => (group.isSettled ? undefined : 'schedules are being restored'),
    status: () => ({
      partitions: group.partitions,
      schedules: total(partitions, ({ schedules }) => schedules),
      executions: total(partitions, ({ executions }) => executions),
      reachedMs: Object.fromEntries([...partitions].map(([partition, { reachedMs }]) => [partition, reachedMs])),
      lagDownstream: total(partitions, ({ lag }) => lag),
    }),
    drain: () =>
      group.leave(async () => {
        isDraining = true;
        endLag();
        await working;
        await Promise.all([...partitions.values()].map(({ feed }) => feed?.stop()));
        await outbox.idle();
        await pool.end();
        await run.end();
      }),
  };
}

function total(of: ReadonlyMap<number, PartitionScheduler>, count: (one: PartitionScheduler) => number): number {
  return [...of.values()].reduce((sum, one) => sum + count(one), 0);
}
