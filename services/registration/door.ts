import { BatchWalk } from '#services/platform/batch-walk.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { decodeOutcomes, type NotApplied, type Outcomes } from './outcomes.ts';

/**
 * Where changes come in, be it by file or by request: they are put into registration-changes, and the partition's owner
 * says in registration-outcomes what became of them. So a door needs no partition, and a partition has one writer.
 */
export type Door = {
  /**
   * Changes of one partition in a batch. Resolves, once what they changed is acknowledged, to those that changed
   * nothing, `offset` counted from the batch's first; after a crash of the owner some that were applied may be called
   * duplicates.
   */
  submit(partition: number, batch: Uint8Array, changes: number): Promise<NotApplied[]>;
  /** Changes handed over whose outcome is not known yet. */
  readonly waiting: number;
  end(): Promise<void>;
};

const VALUE_BYTES_MAX = 1_048_576;

type Submission = { offset: number; count: number; known: number; notApplied: NotApplied[]; resolve(): void };
/** Of one partition: what waits, in order of offsets, and outcomes that came before the acknowledgement of what they are of. */
type Waiting = { submissions: Submission[]; unacknowledged: number; early: Outcomes[] };

export async function openDoor(context: ServiceContext): Promise<Door> {
  const { kafka, name, outbox, schemaIds, settings, setAside, fail } = context;
  const topic = `${settings.prefix}registration-outcomes`;
  const ends = await endOffsets(kafka, topic);
  const byPartition: Waiting[] = ends.map(() => ({ submissions: [], unacknowledged: 0, early: [] }));
  const walk = new BatchWalk(name);
  let waiting = 0;
  const reading = readPartitions(kafka, {
    partitions: ends.map((fromOffset, partition) => ({ topic, partition, fromOffset })),
    onBatch(batch, { partition, fromOffset }) {
      walk.begin({ topic: 'registration-outcomes', partition, batches: [batch], fromOffset });
      while (walk.next()) {
        if (!walk.hasValue(schemaIds['registration-outcomes'], VALUE_BYTES_MAX)) continue;
        const { buffer, valueAt, valueLength } = walk.cursor;
        try {
          take(byPartition[partition], decodeOutcomes(buffer.subarray(valueAt, valueAt + valueLength)));
        } catch (error) {
          walk.setAside('UNDECODABLE', (error as Error).message);
        }
      }
      if (walk.deadLetters.length > 0) setAside(walk.deadLetters).catch(fail);
    },
  });
  reading.done.catch(fail);

  return {
    async submit(partition, batch, changes) {
      const of = byPartition[partition];
      waiting += changes;
      of.unacknowledged++;
      const offset = await outbox.send('registration-changes', partition, batch, changes);
      const notApplied: NotApplied[] = [];
      await new Promise<void>((resolve) => {
        of.submissions.push({ offset, count: changes, known: 0, notApplied, resolve });
        of.unacknowledged--;
        for (const outcomes of of.early) settle(of, outcomes);
        if (of.unacknowledged === 0) of.early = [];
      });
      waiting -= changes;
      return notApplied.map((one) => ({ ...one, offset: one.offset - offset }));
    },
    get waiting() {
      return waiting;
    },
    end: reading.stop,
  };
}

function take(of: Waiting, outcomes: Outcomes): void {
  if (of.unacknowledged > 0) of.early.push(outcomes);
  settle(of, outcomes);
}

/** What is said a second time, after a crash of the owner, is passed over. */
function settle(of: Waiting, { offset, count, notApplied }: Outcomes): void {
  const end = offset + count;
  for (const submission of of.submissions) {
    const from = submission.offset + submission.known;
    const until = Math.min(end, submission.offset + submission.count);
    if (from < offset || from >= until) continue;
    for (const one of notApplied) if (one.offset >= from && one.offset < until) submission.notApplied.push(one);
    submission.known = until - submission.offset;
    if (submission.known === submission.count) submission.resolve();
  }
  if (of.submissions.some(({ known, count: all }) => known === all))
    of.submissions = of.submissions.filter(({ known, count: all }) => known < all);
}
