import { Checkpoints } from '#services/platform/checkpoints.ts';
import { ThresholdCounts } from './threshold-counts.ts';
import type { ThresholdDirectory } from './users.ts';

/** A request in quarantine: what is needed to send it on as if it had just come. */
export type HeldRequest = {
  /** The ServiceRequest as it came. */
  request: Buffer;
  mpan: number;
  generation: number;
  requestOffset: number;
  receivedMs: number;
};

/** Where a restart begins, and what was known there: all that is committed. */
export type AnomalyCheckpoint = {
  /** Records from here on make the state anew: to be committed as the partition's offset. */
  lowOffset: number;
  /** Records before it had their outputs acknowledged: they make state and are not sent again. */
  nextOffset: number;
  known: KnownAtOffset;
};

export type KnownAtOffset = {
  /** By source partition, the last sourceOffset taken; -1 for none. */
  seen: number[];
  /** By source partition, the instant of its last marker; -1 for none. */
  markedMs: number[];
};

/**
 * All that the anomaly check knows of one partition of `anomaly-checks`. It is a fold of the records from `lowOffset`
 * on, so that nothing of it is kept but that offset and what was known of the sources there.
 */
export class AnomalyPartition {
  readonly partition: number;
  readonly counts: ThresholdCounts;
  readonly seen: number[];
  readonly markedMs: number[];
  /** Outputs of records before it are not sent: they were, before the restart. */
  readonly sendFrom: number;
  /** By RequestID, as latin1 text of its bytes; several of the same one in the order in which they came. */
  readonly #held = new Map<string, { since: number; request: HeldRequest }[]>();
  #heldCount = 0;
  #nextOffset: number;
  readonly #checkpoints: Checkpoints<KnownAtOffset>;

  constructor(partition: number, partitions: number, users: ThresholdDirectory, from?: AnomalyCheckpoint) {
    this.partition = partition;
    this.counts = new ThresholdCounts(users);
    this.seen = from?.known.seen.slice() ?? new Array(partitions).fill(-1);
    this.markedMs = from?.known.markedMs.slice() ?? new Array(partitions).fill(-1);
    if (this.seen.length !== partitions || this.markedMs.length !== partitions)
      throw new Error(`a checkpoint of ${this.seen.length} partitions, not ${partitions}`);
    this.#nextOffset = from?.lowOffset ?? 0;
    this.sendFrom = from?.nextOffset ?? 0;
    this.#checkpoints = new Checkpoints({ offset: this.#nextOffset, untilMs: 0, known: this.#known() });
  }

  /** Of the first record that is not in the state. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  get held(): number {
    return this.#heldCount;
  }

  /** After the records before this offset: a place where a restart may begin. */
  moveOn(nextOffset: number): void {
    this.#nextOffset = nextOffset;
    this.#checkpoints.note(nextOffset, this.counts.newestMs, () => this.#known());
  }

  /** To be committed once everything before `nextOffset` is acknowledged. */
  checkpoint(): AnomalyCheckpoint {
    let low = this.counts.lowOffset(this.#nextOffset);
    for (const same of this.#held.values()) for (const { since } of same) low = Math.min(low, since);
    const { offset, known } = this.#checkpoints.atOrBefore(low);
    return { lowOffset: offset, nextOffset: Math.max(this.#nextOffset, this.sendFrom), known };
  }

  /**
   * Holds the request counted last. A restart comes to the same verdict if it counts from where the count began; and
   * behind another of the same id it must know that one, or else it would take what is said to the first for the second.
   */
  hold(requestId: string, request: HeldRequest): void {
    const same = this.#held.get(requestId);
    const since = this.counts.countedSince;
    if (same === undefined) this.#held.set(requestId, [{ since, request }]);
    else same.push({ since: Math.min(since, same[0].since), request });
    this.#heldCount++;
  }

  /** The request of this id that has been held longest, which is held no longer. */
  settle(requestId: string): HeldRequest | undefined {
    const same = this.#held.get(requestId);
    const first = same?.shift();
    if (same?.length === 0) this.#held.delete(requestId);
    if (first !== undefined) this.#heldCount--;
    return first?.request;
  }

  /** The instant that all source partitions have reached, -1 while one has said nothing. */
  get watermarkMs(): number {
    return Math.min(...this.markedMs);
  }

  #known(): KnownAtOffset {
    return { seen: this.seen.slice(), markedMs: this.markedMs.slice() };
  }
}
