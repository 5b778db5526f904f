import type { TopicName } from '#schemas/topics.ts';
import { every, nowMs } from '#services/platform/clock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { RETRIES_MAX } from './client.ts';
import { coPartitionAssigner } from './co-partition-assigner.ts';
import { createIntake, type Intake, type IntakeOptions } from './intake.ts';
import { createRawConsumer } from './seam.ts';

export type Commit = { topic: TopicName; partition: number; offset: number; metadata: string };

export type GroupOptions = Pick<IntakeOptions, 'topics' | 'assigned' | 'lost' | 'take'> & {
  /** What may be committed now: everything before it is finished and acknowledged. */
  committable(): Commit[];
  /**
   * How long a fetch may wait for something new. It answers at once when there is; but a lane that is resumed waits for
   * the fetch under way, so those who pause often want it short. Each fetch costs a third of a millisecond.
   */
  fetchWaitMsMax?: number;
  /** How often brokers are asked where the topics end; one that nothing is read of would not tell otherwise. */
  lookAtEndsEveryMs?: number;
  /** A topic's partition ended there at the wall instant at which a broker was asked. */
  ended?(topic: TopicName, partition: number, endOffset: number, askedWallMs: number): void;
  /** Of one lane in one fetch: what is taken at once, and so what something urgent may have to wait for. */
  fetchPartitionBytesMax?: number;
};

export type Group = Omit<Intake, 'commit' | 'noteEnd'> & {
  /** Commits now what may be. */
  commit(): Promise<void>;
  /** Holds, and commits a last time; then lets go of the partitions. `finish` ends what was begun. */
  leave(finish: () => Promise<void>): Promise<void>;
};

const COMMIT_EVERY_MS = 1000;
const LOOK_AT_ENDS_EVERY_MS = 1000;
/** Commits fail while a group changes hands or a broker restarts. For longer than this something is wrong for good. */
const COMMIT_FAILING_MS_MAX = 120_000;
const FETCH_BYTES_MAX = 4 * 1024 * 1024;
/** A few thousand requests: what a worker does in some milliseconds, so that nothing waits long behind it. */
const FETCH_PARTITION_BYTES_MAX = 512 * 1024;
const FETCH_WAIT_MS_MAX = 100;
const HEARTBEATS_A_SESSION = 5;

/** Those that this process is a member of. */
export const GROUPS: Set<Pick<Group, 'lag' | 'taken'>> = new Set();

/** Makes the service a member of its group `PREFIXname`; call `start` on what is returned. */
export function joinGroup(context: ServiceContext, options: GroupOptions): Group {
  const { kafka, admin, settings, log, fail, name } = context;
  const groupId = settings.prefix + name;
  let generation = -1;
  const config = {
    groupId,
    sessionTimeout: settings.sessionTimeoutMs,
    rebalanceTimeout: Math.max(settings.sessionTimeoutMs, 10_000),
    heartbeatInterval: Math.floor(settings.sessionTimeoutMs / HEARTBEATS_A_SESSION),
    maxBytes: FETCH_BYTES_MAX,
    maxBytesPerPartition: options.fetchPartitionBytesMax ?? FETCH_PARTITION_BYTES_MAX,
    maxWaitTimeInMs: options.fetchWaitMsMax ?? FETCH_WAIT_MS_MAX,
    partitionAssigners: [coPartitionAssigner],
    // A consumer's own default is 5, whatever its client's are: some seconds of a broker that is away.
    retry: { retries: RETRIES_MAX },
  };
  const consumer = createRawConsumer(kafka, config, (joined) => {
    generation = joined;
  });
  const intake = createIntake({
    ...options,
    consumer,
    admin,
    groupId,
    prefix: settings.prefix,
    fail,
    generation: () => generation,
    lost(partition) {
      for (const topic of options.topics) committed.delete(keyOf({ topic, partition }));
      options.lost(partition);
    },
  });
  /** What was committed last, by topic's partition: the same is not committed again. */
  const committed = new Map<string, string>();
  let committing = Promise.resolve();
  let failingSinceMs: number | undefined;
  let isCommitting = false;

  function commit(): Promise<void> {
    committing = committing.then(commitFresh);
    return committing;
  }

  async function commitFresh(): Promise<void> {
    const fresh = options.committable().filter((one) => committed.get(keyOf(one)) !== textOf(one));
    if (fresh.length === 0) return;
    isCommitting = true;
    try {
      await intake.commit(fresh);
      for (const one of fresh) committed.set(keyOf(one), textOf(one));
      failingSinceMs = undefined;
    } catch (error) {
      failingSinceMs ??= nowMs();
      log.info({ err: error }, 'a commit was refused; the next one repeats it');
      if (nowMs() - failingSinceMs > COMMIT_FAILING_MS_MAX) fail(error as Error);
    } finally {
      isCommitting = false;
    }
  }

  const endCommits = every(COMMIT_EVERY_MS, () => {
    if (!isCommitting) void commit();
  });
  const endLooks = every(options.lookAtEndsEveryMs ?? LOOK_AT_ENDS_EVERY_MS, () => {
    const askedWallMs = nowMs();
    for (const topic of options.topics) {
      admin.fetchTopicOffsets(settings.prefix + topic).then(
        (ends) => {
          for (const { partition, high } of ends) {
            intake.noteEnd(topic, partition, Number(high));
            options.ended?.(topic, partition, Number(high), askedWallMs);
          }
        },
        (error: Error) => log.info({ err: error, topic }, 'where the topic ends could not be asked'),
      );
    }
  });
  GROUPS.add(intake);
  return {
    start: intake.start,
    get partitions() {
      return intake.partitions;
    },
    get isSettled() {
      return intake.isSettled;
    },
    resume: intake.resume,
    pause: intake.pause,
    lag: intake.lag,
    taken: intake.taken,
    hold: intake.hold,
    stop: intake.stop,
    commit,
    async leave(finish) {
      intake.hold();
      await finish();
      endCommits();
      endLooks();
      await commit();
      await intake.stop();
      GROUPS.delete(intake);
    },
  };
}

function keyOf({ topic, partition }: Pick<Commit, 'topic' | 'partition'>): string {
  return `${topic}/${partition}`;
}

function textOf({ offset, metadata }: Commit): string {
  return `${offset} ${metadata}`;
}
