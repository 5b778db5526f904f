import type { TopicName } from '#schemas/topics.ts';
import { every, nowMs } from '#services/platform/clock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { coPartitionAssigner } from './co-partition-assigner.ts';
import { createIntake, type Intake, type IntakeOptions } from './intake.ts';
import { createRawConsumer } from './seam.ts';

export type Commit = { topic: TopicName; partition: number; offset: number; metadata: string };

export type GroupOptions = Pick<IntakeOptions, 'topics' | 'assigned' | 'lost' | 'take'> & {
  /** What may be committed now: everything before it is finished and acknowledged. */
  committable(): Commit[];
};

export type Group = Omit<Intake, 'commit'> & {
  /** Commits now what may be. */
  commit(): Promise<void>;
  /** Holds, and commits a last time; then lets go of the partitions. `finish` ends what was begun. */
  leave(finish: () => Promise<void>): Promise<void>;
};

const COMMIT_EVERY_MS = 1000;
/** Commits fail while a group changes hands or a broker restarts. For longer than this something is wrong for good. */
const COMMIT_FAILING_MS_MAX = 120_000;
const FETCH_BYTES_MAX = 4 * 1024 * 1024;
/** A few thousand requests: what a worker does in some milliseconds, so that nothing waits long behind it. */
const FETCH_PARTITION_BYTES_MAX = 512 * 1024;
/** A paused lane that is resumed waits for the fetch under way, at most so long. */
const FETCH_WAIT_MS_MAX = 10;
const HEARTBEATS_A_SESSION = 5;

/** Makes the service a member of its group `PREFIXname`; call `start` on what is returned. */
export function joinGroup(context: ServiceContext, options: GroupOptions): Group {
  const { kafka, admin, settings, log, fail, name } = context;
  const groupId = settings.prefix + name;
  const consumer = createRawConsumer(kafka, {
    groupId,
    sessionTimeout: settings.sessionTimeoutMs,
    rebalanceTimeout: Math.max(settings.sessionTimeoutMs, 10_000),
    heartbeatInterval: Math.floor(settings.sessionTimeoutMs / HEARTBEATS_A_SESSION),
    maxBytes: FETCH_BYTES_MAX,
    maxBytesPerPartition: FETCH_PARTITION_BYTES_MAX,
    maxWaitTimeInMs: FETCH_WAIT_MS_MAX,
    partitionAssigners: [coPartitionAssigner],
  });
  const intake = createIntake({ ...options, consumer, admin, groupId, prefix: settings.prefix, fail });
  const committed = new Map<string, string>();
  let failingSinceMs: number | undefined;
  let isCommitting = false;

  async function commit(): Promise<void> {
    const fresh = options.committable().filter((one) => committed.get(keyOf(one)) !== valueOf(one));
    if (fresh.length === 0 || isCommitting) return;
    isCommitting = true;
    try {
      await intake.commit(fresh);
      for (const one of fresh) committed.set(keyOf(one), valueOf(one));
      failingSinceMs = undefined;
    } catch (error) {
      failingSinceMs ??= nowMs();
      log.info({ err: error }, 'a commit was refused; the next one repeats it');
      if (nowMs() - failingSinceMs > COMMIT_FAILING_MS_MAX) fail(error as Error);
    } finally {
      isCommitting = false;
    }
  }

  const endCommits = every(COMMIT_EVERY_MS, () => void commit());
  return {
    start: intake.start,
    get partitions() {
      return intake.partitions;
    },
    get isSettled() {
      return intake.isSettled;
    },
    resume: intake.resume,
    lag: intake.lag,
    hold: intake.hold,
    stop: intake.stop,
    commit,
    async leave(finish) {
      intake.hold();
      await finish();
      endCommits();
      await commit();
      await intake.stop();
    },
  };
}

function keyOf({ topic, partition }: Commit): string {
  return `${topic}/${partition}`;
}

function valueOf({ offset, metadata }: Commit): string {
  return `${offset} ${metadata}`;
}
