import { nowMs } from '#services/platform/clock.ts';
import { type Group, joinGroup } from '#services/platform/kafka/group.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { crcOf, joinBatches } from '#services/platform/kafka/record-batch.ts';
import { LaneQueue } from '#services/platform/lane-queue.ts';
import type { Pool } from '#services/platform/pool.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import type { FinishedBatch } from '#services/platform/step-output.ts';
import { feedTables, type TableFeed } from '#services/platform/table-feed.ts';
import { type AppointmentTableHandle, createAppointmentTable } from './appointment-table.ts';
import type { ChangeCounts } from './change-step.ts';
import { saidUntil } from './said-outcomes.ts';
import type { Task, TaskResult } from './worker.ts';

const CHANGES = 'registration-changes';
/** What is in the topic goes before what comes in. */
const LANE = { follow: 0, changes: 1 } as const;
/** Fetches of changes that wait for their turn. */
const WAITING_MAX = 4;
/** Some ten thousand changes: 20 ms of a worker. */
const FETCH_PARTITION_BYTES_MAX = 768 * 1024;

type Partition = {
  partition: number;
  /** The run whose fleet is in the topics; empty: none. */
  loaded: string;
  table: AppointmentTableHandle;
  mpans: number;
  tableBytes: number;
  queue: LaneQueue;
  feed: TableFeed | undefined;
  /** Whether changes may be taken, or what of the topic they will be judged by is being read. */
  state: 'filling' | 'filled' | 'restoring' | 'ready';
  /** MPANs whose last record in the topic is not the latest, while it is read for the first time. */
  late: readonly number[];
  /** Checksums of batches that are ours and have not been read back. */
  own: Map<number, number>;
  acknowledged: number;
  settled: Promise<void>;
  prepared: Promise<void>;
};

export type OwnerOptions = {
  context: ServiceContext;
  pool: Pool<Task, TaskResult>;
  /** Fills a partition of the topics with a run's fleet, unless that was done; undefined: nothing is to be filled. */
  fleet?: { runId: string; fill(partition: number, isOurs: () => boolean): Promise<void> };
};

/** This process's part in the one writer that each partition of registrations has. */
export type Owner = {
  start(): Promise<void>;
  readonly partitions: readonly number[];
  notReadyBecause(): string | undefined;
  readonly counts: ChangeCounts;
  /** Of the tables that changes are judged by. */
  readonly mpans: number;
  readonly tableBytes: number;
  status(): Record<string, unknown>;
  leave(finish: () => Promise<void>): Promise<void>;
};

/**
 * Takes registration-changes of the partitions that the group `registration` gives to this process, and writes what
 * follows from them into registrations. The sequences that it judges by are read off that topic first, and all the
 * time: what stands there and is not of its own writing comes from another process that had the partition before.
 */
export function createOwner({ context, pool, fleet }: OwnerOptions): Owner {
  const { kafka, settings, outbox, setAside, fail } = context;
  const partitions = new Map<number, Partition>();
  const paused = new Set<number>();
  let isLeaving = false;
  const counts: ChangeCounts = { applied: 0, stale: 0, duplicate: 0, setAside: 0 };

  function note(of: Partition, { table, mpans, tableBytes }: Pick<Partition, 'table' | 'mpans' | 'tableBytes'>): void {
    of.table = table;
    of.mpans = mpans;
    of.tableBytes = tableBytes;
  }

  function send(of: Partition, batches: readonly FinishedBatch[]): Promise<number>[] {
    return batches.map(({ topic, partition, batch, records }) => {
      const bytes = new Uint8Array(batch);
      if (topic === 'registrations') {
        const crc = crcOf(bytes);
        of.own.set(crc, (of.own.get(crc) ?? 0) + 1);
      }
      return outbox.send(topic, partition, bytes, records);
    });
  }

  async function decide(of: Partition, batches: ArrayBuffer, fromOffset: number): Promise<void> {
    const { partition, table } = of;
    const stampMs = Math.floor(nowMs());
    const result = await pool.run({ kind: 'decide', partition, batches, fromOffset, stampMs, table }, [batches]);
    if (result.kind !== 'decide' || partitions.get(partition) !== of) return;
    note(of, result);
    for (const outcome of Object.keys(counts) as (keyof ChangeCounts)[]) counts[outcome] += result.counts[outcome];
    const sent = Promise.all([...send(of, result.registrations), setAside(result.deadLetters)]);
    // The next are decided while these travel. What became of a change is said once it is there, and those before it.
    of.settled = Promise.all([of.settled, sent])
      .then(() => Promise.all(send(of, result.outcomes)))
      .then(() => {
        of.acknowledged = result.nextOffset;
        resumePaused();
      });
    of.settled.catch(fail);
    resumePaused();
  }

  async function follow(of: Partition, batches: readonly Buffer[]): Promise<void> {
    // Looked at before those among these are known: they may stand behind another's.
    const isWriting = of.own.size > 0;
    const others = batches.filter((batch) => !isOwn(of, batch));
    if (others.length > 0) await takeIn(of, others, isWriting);
  }

  /** Without batches: only writes what is late anew. */
  function takeIn(of: Partition, batches: readonly Buffer[], wasWriting = false): Promise<void> {
    const { partition } = of;
    return new Promise((resolve) => {
      of.queue.push(LANE.follow, async () => {
        const joined = joinBatches(batches);
        const { table, late } = of;
        const isRestored = of.state === 'ready';
        const isWriting = wasWriting || of.own.size > 0;
        const stampMs = Math.floor(nowMs());
        const task: Task = { kind: 'follow', partition, batches: joined, stampMs, table, late, isRestored, isWriting };
        const result = await pool.run(task, [joined]);
        if (result.kind !== 'follow' || partitions.get(partition) !== of) return resolve();
        note(of, result);
        of.late = result.late;
        await Promise.all([...send(of, result.registrations), setAside(result.deadLetters)]);
        resolve();
      });
    });
  }

  async function prepare(of: Partition): Promise<void> {
    const isOurs = () => partitions.get(of.partition) === of && !isLeaving;
    if (fleet !== undefined && of.loaded !== fleet.runId) {
      await fleet.fill(of.partition, isOurs);
      if (isOurs()) of.loaded = fleet.runId;
    }
    if (!isOurs()) return;
    of.state = 'filled';
    await group.commit();
    // Who only fills the topics for a run needs no sequences: they are read when the first change comes.
    if (fleet === undefined || paused.has(of.partition)) await restore(of);
  }

  async function restore(of: Partition): Promise<void> {
    of.state = 'restoring';
    of.acknowledged = Math.max(of.acknowledged, await saidUntil(context, of.partition));
    const apply = ({ batches }: { batches: Buffer[] }) => follow(of, batches);
    const feed = await feedTables(kafka, settings.prefix, ['registrations'], of.partition, apply, fail);
    of.feed = feed;
    if (isLeaving) return await feed.stop();
    await feed.restored;
    if (partitions.get(of.partition) !== of) return await feed.stop();
    of.state = 'ready';
    await takeIn(of, []);
    resumePaused();
  }

  function isTooMuch(of: Partition): boolean {
    return (
      of.state !== 'ready' || of.queue.waiting(LANE.changes) >= WAITING_MAX || outbox.pendingBytes > PENDING_BYTES_MAX
    );
  }

  function resumePaused(): void {
    for (const partition of paused) {
      const of = partitions.get(partition);
      if (of !== undefined && isTooMuch(of)) continue;
      paused.delete(partition);
      group.resume(CHANGES, partition);
    }
  }

  const group: Group = joinGroup(context, {
    topics: [CHANGES],
    fetchPartitionBytesMax: FETCH_PARTITION_BYTES_MAX,
    async assigned(partition, committed) {
      const before = committed.get(CHANGES);
      // Offsets that a person has set have no metadata.
      const text = before?.metadata ?? '';
      const offset = before?.offset ?? 0;
      const of: Partition = {
        partition,
        loaded: text === '' ? '' : (JSON.parse(text) as { loaded: string }).loaded,
        table: createAppointmentTable().handle,
        mpans: 0,
        tableBytes: 0,
        queue: new LaneQueue(2, fail),
        feed: undefined,
        state: 'filling',
        late: [],
        own: new Map(),
        acknowledged: offset,
        settled: Promise.resolve(),
        prepared: Promise.resolve(),
      };
      partitions.set(partition, of);
      of.prepared = prepare(of);
      of.prepared.catch(fail);
    },
    lost(partition) {
      const of = partitions.get(partition);
      partitions.delete(partition);
      of?.queue.close();
      void of?.feed?.stop();
    },
    take({ partition, batches, fromOffset, nextOffset }) {
      const of = partitions.get(partition) as Partition;
      if (isTooMuch(of)) {
        paused.add(partition);
        if (of.state === 'filled') restore(of).catch(fail);
        return false;
      }
      // Said already: the commit that tells so had not been made.
      if (nextOffset <= of.acknowledged) return true;
      const joined = joinBatches(batches);
      const from = Math.max(fromOffset, of.acknowledged);
      of.queue.push(LANE.changes, () => decide(of, joined, from));
      return true;
    },
    committable: () =>
      [...partitions.values()]
        .filter(({ state }) => state !== 'filling')
        .map(({ partition, acknowledged, loaded }) => ({
          topic: CHANGES,
          partition,
          offset: acknowledged,
          metadata: JSON.stringify({ next: acknowledged, loaded }),
        })),
  });

  return {
    start: group.start,
    get partitions() {
      return group.partitions;
    },
    notReadyBecause() {
      const states = new Set([...partitions.values()].map(({ state }) => state));
      if (!group.isSettled) return 'the group has not shared the partitions out yet';
      if (states.has('filling')) return 'the topics are being filled';
      return states.has('restoring') ? 'the sequences are being restored' : undefined;
    },
    counts,
    get mpans() {
      return total(partitions, ({ mpans }) => mpans);
    },
    get tableBytes() {
      return total(partitions, ({ tableBytes }) => tableBytes);
    },
    status: () => ({
      partitions: group.partitions,
      mpans: total(partitions, ({ mpans }) => mpans),
      tableBytes: total(partitions, ({ tableBytes }) => tableBytes),
      changes: counts,
      pendingBytes: outbox.pendingBytes,
      lag: group.lag(),
    }),
    leave(finish) {
      isLeaving = true;
      return group.leave(async () => {
        const all = [...partitions.values()];
        await Promise.all(all.map(({ state, prepared }) => (state === 'filling' ? prepared : undefined)));
        await Promise.all(all.map(({ feed }) => feed?.stop()));
        await Promise.all(all.map(({ queue }) => queue.idle()));
        await Promise.all(all.map(({ settled }) => settled));
        await finish();
      });
    },
  };
}

function isOwn(of: Partition, batch: Buffer): boolean {
  const crc = crcOf(batch);
  const times = of.own.get(crc);
  if (times === undefined) return false;
  if (times === 1) of.own.delete(crc);
  else of.own.set(crc, times - 1);
  return true;
}

function total(of: ReadonlyMap<number, Partition>, count: (one: Partition) => number): number {
  return [...of.values()].reduce((sum, one) => sum + count(one), 0);
}
