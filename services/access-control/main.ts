import { FACTS } from '#core/access-control.ts';
import { MODES, matrixJson } from '#core/matrix.ts';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { REPEATED_WITHIN_OFFSETS } from '#schemas/service-request.ts';
import type { TopicName } from '#schemas/topics.ts';
import { createMpanTable, MpanTable, type MpanTableHandle } from '#services/platform/access/mpan-table.ts';
import { buildUserDirectory, type UserDirectory, type UserRecord } from '#services/platform/access/users.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { joinGroup } from '#services/platform/kafka/group.ts';
import type { Committed, Taken } from '#services/platform/kafka/intake.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { beginningOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { joinBatches } from '#services/platform/kafka/record-batch.ts';
import { LaneQueue } from '#services/platform/lane-queue.ts';
import { expose, exposeValue } from '#services/platform/metrics/exposition.ts';
import { createPool } from '#services/platform/pool.ts';
import { awaitRun } from '#services/platform/run.ts';
import { ScheduledPace } from '#services/platform/scheduled-pace.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { feedTables, type TableFeed } from '#services/platform/table-feed.ts';
import { followUsers } from '#services/platform/user-feed.ts';
import { RecentRequestIds } from './recent-request-ids.ts';
import { type AccessResult, AccessStep, stepSettings } from './step.ts';
import { UserCounts } from './user-counts.ts';
import type { SharedUsers, Task, TaskResult } from './worker.ts';

export const accessControl: Service = {
  name: 'access-control',
  summary: 'decides who may ask what of which meter, as of the Settlement Day asked for',
  settings: {},
  start,
};

const TOPICS = ['service-requests.scheduled', 'service-requests.on-demand'] as const;
/** Lanes of a partition's work: changes of the tables before requests, on demand before scheduled. */
const LANE = { tables: 0, onDemand: 1, scheduled: 2 } as const;
/** Some 5,000 requests, 10 ms of a worker. What is on demand does not wait for them: another thread decides it. */
const FETCH_PARTITION_BYTES_MAX = 512 * 1024;
/** Fetches of one lane that wait for their turn; beyond it the lane is paused. */
const WAITING_MAX = { [ON_DEMAND]: 16, [SCHEDULED]: 2 } as const;

type Lane = {
  next: number;
  seen: number[];
  /** Behind the last batch whose outputs, and those of all before it, are acknowledged. */
  acknowledged: number;
  seenAcknowledged: number[];
  settled: Promise<void>;
};
type Partition = {
  partition: number;
  table: MpanTableHandle;
  /** Changes of the table that wait or are under way: nothing else may look at it then but what takes turns with them. */
  changes: number;
  mpans: number;
  bytes: number;
  queue: LaneQueue;
  /** By mode. */
  lanes: readonly [Lane, Lane];
  feed: TableFeed | undefined;
  recent: RecentRequestIds;
};

async function start(context: ServiceContext): Promise<RunningService> {
  const { kafka, settings, outbox, schemaIds, setAside, fail } = context;
  const run = await awaitRun(context);
  const pool = createPool<Task, TaskResult>(new URL('./worker.ts', import.meta.url), settings.workers, {
    matrix: matrixJson(run.matrix),
    convention: run.scenario.dayConvention,
    partitions: settings.partitions,
    schemaIds,
  });
  const partitions = new Map<number, Partition>();
  const paused = new Set<string>();
  const byFact = new Float64Array(FACTS.length);
  const byUser = new UserCounts();
  const pace = new ScheduledPace(1);
  const checkPartitions = Array.from({ length: settings.partitions }, (_, partition) => partition);
  let duplicates = 0;
  let repeated = 0;
  const step = new AccessStep(
    stepSettings({
      matrix: run.matrix,
      convention: run.scenario.dayConvention,
      partitions: settings.partitions,
      schemaIds,
    }),
  );
  let users: SharedUsers = { version: 0, json: new SharedArrayBuffer(0) };
  let directory = buildUserDirectory([], settings.partitions);
  const userFeed = await followUsers<UserRecord>(context, (records) => {
    users = share(records, users);
    directory = buildUserDirectory(records, settings.partitions);
  });

  async function restore(partition: number, committed: ReadonlyMap<TopicName, Committed>): Promise<Partition> {
    const of: Partition = {
      partition,
      table: createMpanTable().handle,
      changes: 0,
      mpans: 0,
      bytes: 0,
      queue: new LaneQueue(3, fail),
      lanes: [laneOf(committed.get(TOPICS[SCHEDULED])), laneOf(committed.get(TOPICS[ON_DEMAND]))],
      feed: undefined,
      recent: new RecentRequestIds(),
    };
    const apply = (topic: 'registrations' | 'inventory', batches: Buffer[]) =>
      new Promise<void>((resolve) => {
        of.changes++;
        of.queue.push(LANE.tables, async () => {
          const joined = joinBatches(batches);
          const result = await pool.run({ kind: 'table', partition, topic, table: of.table, batches: joined }, [
            joined,
          ]);
          if (result.kind !== 'table') return;
          of.table = result.table;
          of.changes--;
          of.mpans = result.mpans;
          of.bytes = result.bytes;
          await setAside(result.deadLetters);
          resolve();
        });
      });
    of.feed = await feedTables(
      kafka,
      settings.prefix,
      ['registrations', 'inventory'],
      partition,
      ({ topic, batches }) => apply(topic as 'registrations' | 'inventory', batches),
      fail,
    );
    await Promise.all([of.feed.restored, userFeed.restored]);
    await recall(of);
    return of;
  }

  /** What gateways had accepted lately, by taking it once more, and nothing of what comes of it. */
  async function recall({ partition, table, recent, lanes }: Partition): Promise<void> {
    const topic = settings.prefix + TOPICS[ON_DEMAND];
    const untilOffset = lanes[ON_DEMAND].next;
    const beginning = (await beginningOffsets(kafka, topic))[partition];
    const fromOffset = Math.max(beginning, untilOffset - REPEATED_WITHIN_OFFSETS);
    if (fromOffset >= untilOffset) return;
    const task = { partition, mode: ON_DEMAND, table: new MpanTable(table), users: directory, recent };
    await readPartitions(kafka, {
      partitions: [{ topic, partition, fromOffset, untilOffset }],
      onBatch: (batch) => {
        step.run({ ...task, batches: [batch], fromOffset, seen: [], nowWallMs: nowMs() });
      },
    }).done;
  }

  async function decideScheduled(of: Partition, batches: ArrayBuffer, fromOffset: number): Promise<void> {
    const lane = of.lanes[SCHEDULED];
    const { partition, table } = of;
    const asked = directory;
    const result = await pool.run(
      { kind: 'decide', partition, table, users, batches, fromOffset, seen: lane.seen, nowWallMs: nowMs() },
      [batches],
    );
    if (result.kind !== 'decide' || partitions.get(partition) !== of) return;
    pace.spent(result.workMs);
    const heldMs = pace.heldMs();
    if (heldMs > 0) void sleep(heldMs).then(resumePaused);
    send(lane, result, asked);
  }

  /**
   * By this thread, which takes less than it takes to hand them to another: they are few, and those find a worker busy
   * with scheduled requests. Decisions only read the table.
   */
  function decideOnDemand(of: Partition, batches: readonly Buffer[], fromOffset: number): void {
    const lane = of.lanes[ON_DEMAND];
    const table = new MpanTable(of.table);
    const { partition } = of;
    const { seen } = lane;
    const nowWallMs = nowMs();
    const result = step.run({
      partition,
      mode: ON_DEMAND,
      batches,
      fromOffset,
      seen,
      nowWallMs,
      table,
      users: directory,
      recent: of.recent,
    });
    // On a clock that is faster than real time everything on demand is late, by what the run is to find out.
    if (run.clock.speed === 1 && result.counts.lateMsMax > 0) pace.noteOnDemand(result.counts.lateMsMax);
    send(lane, result, directory);
  }

  function send(lane: Lane, result: AccessResult, asked: UserDirectory): void {
    const { seen, counts, outputs, deadLetters, nextOffset } = result;
    byUser.add(counts.byUser, asked);
    lane.seen = seen;
    counts.byFact.forEach((count, fact) => {
      byFact[fact] += count;
    });
    duplicates += counts.duplicates;
    repeated += counts.repeated;
    const sent: Promise<unknown>[] = outputs.map(({ topic, partition, batch, records }) =>
      outbox.send(topic, partition, new Uint8Array(batch), records),
    );
    sent.push(setAside(deadLetters));
    // The next batch is decided while this one's outputs travel. They go to several partitions and may be acknowledged
    // before an earlier batch's are: what may be committed waits for both.
    lane.settled = Promise.all([lane.settled, ...sent]).then(() => {
      lane.acknowledged = nextOffset;
      lane.seenAcknowledged = seen;
      resumePaused();
    });
    lane.settled.catch(fail);
    resumePaused();
  }

  const group = joinGroup(context, {
    topics: TOPICS,
    // The scheduled lane is paused and resumed all the time.
    fetchWaitMsMax: 10,
    fetchPartitionBytesMax: FETCH_PARTITION_BYTES_MAX,
    async assigned(partition, committed) {
      partitions.set(partition, await restore(partition, committed));
    },
    lost(partition) {
      const of = partitions.get(partition);
      partitions.delete(partition);
      of?.queue.close();
      void of?.feed?.stop();
    },
    take({ topic, partition, batches, fromOffset, nextOffset }: Taken) {
      const of = partitions.get(partition) as Partition;
      const mode = topic === TOPICS[SCHEDULED] ? SCHEDULED : ON_DEMAND;
      if (isTooMuch(of, mode)) {
        paused.add(`${topic}/${partition}`);
        return false;
      }
      of.lanes[mode].next = nextOffset;
      if (mode === SCHEDULED) {
        const joined = joinBatches(batches);
        of.queue.push(LANE.scheduled, () => decideScheduled(of, joined, fromOffset));
      } else if (of.changes === 0 && of.queue.waiting(LANE.onDemand) === 0) {
        decideOnDemand(of, batches, fromOffset);
      } else {
        of.queue.push(LANE.onDemand, async () => decideOnDemand(of, batches, fromOffset));
      }
      if (isTooMuch(of, mode)) {
        paused.add(`${topic}/${partition}`);
        group.pause(topic, partition);
      }
      return true;
    },
    committable: () =>
      [...partitions.values()].flatMap(({ partition, lanes }) =>
        lanes.flatMap(({ acknowledged, seenAcknowledged }, mode) => ({
          topic: TOPICS[mode] as TopicName,
          partition,
          offset: acknowledged,
          metadata: JSON.stringify({ next: acknowledged, seen: seenAcknowledged }),
        })),
      ),
  });

  function isTooMuch(of: Partition, mode: number): boolean {
    if (of.queue.waiting(laneOfMode(mode)) >= WAITING_MAX[mode as 0 | 1]) return true;
    // On demand never waits for room that scheduled requests have taken: they have other lanes.
    if (mode === ON_DEMAND) return outbox.pendingBytes > 2 * PENDING_BYTES_MAX || checkPartitions.some(isCheckBehind);
    if (pace.heldMs() > 0 || of.queue.waiting(LANE.onDemand) > 0) return true;
    return outbox.pendingBytes > PENDING_BYTES_MAX || outbox.isBehind();
  }

  function isCheckBehind(partition: number): boolean {
    return outbox.isBehind('anomaly-checks', partition);
  }

  function resumePaused(): void {
    for (const key of paused) {
      const [topic, partition] = key.split('/') as [TopicName, string];
      const of = partitions.get(Number(partition));
      if (of !== undefined && isTooMuch(of, topic === TOPICS[SCHEDULED] ? SCHEDULED : ON_DEMAND)) continue;
      paused.delete(key);
      group.resume(topic, Number(partition));
    }
  }

  exposeAccess(partitions, byFact, byUser, {
    duplicates: () => duplicates,
    repeated: () => repeated,
  });
  await group.start();
  return {
    notReadyBecause: () => (group.isSettled ? undefined : 'its tables are being restored'),
    status: () => ({
      partitions: group.partitions,
      mpans: total(partitions, ({ mpans }) => mpans),
      tableBytes: total(partitions, ({ bytes }) => bytes),
      usersVersion: users.version,
      pendingBytes: outbox.pendingBytes,
      scheduledShare: pace.share,
      decided: Object.fromEntries(FACTS.map(({ fact }, k) => [fact, byFact[k]]).filter(([, count]) => count !== 0)),
      duplicates,
      repeated,
      lag: group.lag(),
    }),
    drain: () =>
      group.leave(async () => {
        await Promise.all([...partitions.values()].map(({ queue }) => queue.idle()));
        await Promise.all([...partitions.values()].map(({ feed }) => feed?.stop()));
        await userFeed.stop();
        await outbox.idle();
        await pool.end();
        await run.end();
      }),
  };
}

function laneOfMode(mode: number): number {
  return mode === SCHEDULED ? LANE.scheduled : LANE.onDemand;
}

function laneOf(committed: Committed | undefined): Lane {
  const offset = committed?.offset ?? 0;
  // Offsets that a person has set have no metadata.
  const isKnown = committed !== undefined && committed.metadata !== '';
  const seen = isKnown ? (JSON.parse(committed.metadata) as { seen: number[] }).seen : [];
  return { next: offset, seen, acknowledged: offset, seenAcknowledged: seen, settled: Promise.resolve() };
}

function share(records: UserRecord[], { version }: SharedUsers): SharedUsers {
  const bytes = Buffer.from(JSON.stringify(records));
  const json = new SharedArrayBuffer(bytes.length);
  new Uint8Array(json).set(bytes);
  return { version: version + 1, json };
}

function total(of: ReadonlyMap<number, Partition>, count: (one: Partition) => number): number {
  return [...of.values()].reduce((sum, one) => sum + count(one), 0);
}

function exposeAccess(
  partitions: ReadonlyMap<number, Partition>,
  byFact: Float64Array,
  byUser: UserCounts,
  dropped: { duplicates: () => number; repeated: () => number },
): void {
  exposeValue('mdr_access_mpans', () => total(partitions, ({ mpans }) => mpans));
  exposeValue('mdr_access_table_bytes', () => total(partitions, ({ bytes }) => bytes));
  // What has not happened yet too: of a series that begins above 0 Prometheus does not see the first increase.
  expose('mdr_access_decisions_total', () =>
    FACTS.map(({ fact, code }, k) => ({ labels: { fact, code }, value: byFact[k] })),
  );
  expose('mdr_access_user_requests_total', () => byUser.samples());
  exposeValue('mdr_access_duplicates_total', dropped.duplicates);
  exposeValue('mdr_access_repeated_total', dropped.repeated);
}

if (MODES[SCHEDULED] !== 'scheduled') throw new Error('topics stand in the order of the modes');
