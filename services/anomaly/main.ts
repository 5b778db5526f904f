import type { TopicName } from '#schemas/topics.ts';
import { nowMs } from '#services/platform/clock.ts';
import { joinGroup } from '#services/platform/kafka/group.ts';
import type { Committed } from '#services/platform/kafka/intake.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import { expose, exposeValue } from '#services/platform/metrics/exposition.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { followUsers } from '#services/platform/user-feed.ts';
import { type AnomalyCheckpoint, AnomalyPartition } from './partition-state.ts';
import { type AnomalyCounts, AnomalyStep } from './step.ts';
import { buildThresholdDirectory, type ThresholdDirectory, type ThresholdRecord } from './users.ts';

export const anomaly: Service = {
  name: 'anomaly',
  summary: 'counts on-demand requests by User and Service Request, and holds what exceeds the declared threshold',
  settings: {},
  start,
};

const CHECKS = 'anomaly-checks';

type Partition = {
  state: AnomalyPartition;
  /** Of everything taken up to here the outputs are acknowledged. */
  checkpoint: AnomalyCheckpoint;
  settled: Promise<void>;
};

async function start(context: ServiceContext): Promise<RunningService> {
  const { settings, outbox, schemaIds, setAside, fail, log } = context;
  const run = await awaitRun(context);
  const partitions = new Map<number, Partition>();
  const paused = new Set<number>();
  const counts: AnomalyCounts = {
    forwarded: 0,
    answered: 0,
    held: 0,
    released: 0,
    deleted: 0,
    duplicates: 0,
    markers: 0,
  };
  const step = new AnomalyStep({
    matrix: run.matrix,
    partitions: settings.partitions,
    schemaIds: {
      deviceRequest: schemaIds[CHECKS],
      serviceResponse: schemaIds['service-responses'],
      quarantineEvent: schemaIds.quarantine,
    },
  });
  let directory: ThresholdDirectory = buildThresholdDirectory([], run.matrix);
  const userFeed = await followUsers<ThresholdRecord>(context, (records) => {
    directory = buildThresholdDirectory(records, run.matrix);
    if (directory.faults.length > 0) log.warn({ faults: directory.faults }, 'thresholds that cannot be used');
    for (const { state } of partitions.values()) state.counts.useUsers(directory);
  });

  const group = joinGroup(context, {
    topics: [CHECKS],
    async assigned(partition, committed) {
      await userFeed.restored;
      const from = checkpointOf(committed.get(CHECKS), settings.partitions);
      const state = new AnomalyPartition(partition, settings.partitions, directory, from);
      partitions.set(partition, { state, checkpoint: state.checkpoint(), settled: Promise.resolve() });
    },
    lost(partition) {
      partitions.delete(partition);
    },
    take({ partition, batches }) {
      if (outbox.pendingBytes > PENDING_BYTES_MAX || outbox.isBehind()) {
        paused.add(partition);
        return false;
      }
      const of = partitions.get(partition) as Partition;
      const result = step.run(of.state, { batches, nowWallMs: nowMs() });
      for (const name of Object.keys(counts) as (keyof AnomalyCounts)[]) counts[name] += result.counts[name];
      const checkpoint = of.state.checkpoint();
      const sent: Promise<unknown>[] = result.outputs.map(({ topic, partition: to, batch, records }) =>
        outbox.send(topic, to, new Uint8Array(batch), records),
      );
      sent.push(setAside(result.deadLetters));
      // Outputs go to many partitions: a later task's may be acknowledged before an earlier one's.
      of.settled = Promise.all([of.settled, ...sent]).then(() => {
        of.checkpoint = checkpoint;
        for (const one of paused) group.resume(CHECKS, one);
        paused.clear();
      });
      of.settled.catch(fail);
      return true;
    },
    committable: () =>
      [...partitions].map(([partition, { checkpoint }]) => ({
        topic: CHECKS as TopicName,
        partition,
        offset: checkpoint.lowOffset,
        metadata: JSON.stringify({ next: checkpoint.nextOffset, known: checkpoint.known }),
      })),
  });

  exposeValue('mdr_quarantine_held_requests', () => held(partitions));
  expose('mdr_anomaly_requests_total', () =>
    Object.entries(counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
  );
  await group.start();
  return {
    notReadyBecause: () => (group.isSettled ? undefined : 'its counts are being restored'),
    status: () => ({ ...counts, partitions: group.partitions, heldNow: held(partitions), lag: group.lag() }),
    drain: () =>
      group.leave(async () => {
        await outbox.idle();
        await userFeed.stop();
        await run.end();
      }),
  };
}

function checkpointOf(committed: Committed | undefined, partitions: number): AnomalyCheckpoint | undefined {
  if (committed === undefined) return undefined;
  const { offset, metadata } = committed;
  // Offsets that a person has set have no metadata.
  if (metadata === '') {
    const none = () => new Array<number>(partitions).fill(-1);
    return { lowOffset: offset, nextOffset: offset, known: { seen: none(), markedMs: none() } };
  }
  const { next, known } = JSON.parse(metadata) as { next: number; known: AnomalyCheckpoint['known'] };
  return { lowOffset: offset, nextOffset: next, known };
}

function held(partitions: ReadonlyMap<number, Partition>): number {
  return [...partitions.values()].reduce((sum, { state }) => sum + state.held, 0);
}
