import { ROLES } from '#core/matrix.ts';
import { bucketMsOf } from '#fleet-sim/occupancy.ts';
import { LATENCY_EDGES_SECONDS } from '#services/platform/metrics/bounds.ts';
import { latencyBucketOf } from '#services/platform/metrics/latency-counts.ts';
import { DAY, REFUSALS } from './counters.ts';
import type { Model } from './model.ts';

/** How a request ended, in the order of the fields below. */
export const ENDS = ['I0', 'E20', 'E21', 'refused'] as const;
export const LATENCY_BUCKETS = LATENCY_EDGES_SECONDS.length + 1;

/** Fields of a row of the TRT table in one bucket of time. */
const ROW_FIELD = {
  requests: 0,
  within: 1,
  withinWithoutData: 2,
  missedWithoutData: 3,
  breaches: 4,
  answered: 5,
  seconds: 6,
} as const;
const ENDS_AT = 7;
const LATENCY_AT = ENDS_AT + ENDS.length * ROLES.length;
const ROW_FIELDS = LATENCY_AT + LATENCY_BUCKETS;
export type RowField = keyof typeof ROW_FIELD;

/**
 * What one network's requests of counted days did, and when: a flat array that adds up. By bucket of time from the
 * first counted midnight to the horizon
 *
 *   [refusals by code ..., row 0 ..., row 1 ..., ...]
 *   row   [REQUESTS, WITHIN, WITHIN_WITHOUT_DATA, MISSED_WITHOUT_DATA, BREACHES, ANSWERED, SECONDS,
 *          ends by role ..., latency buckets ...]
 *
 * Each thing stands where it happened: a request where it was received, an answer where it was given, a breach where
 * its deadline passed.
 */
export class Timeline {
  readonly bucketMs: number;
  readonly buckets: number;
  readonly #bucketLength: number;
  readonly #startMs: number;
  readonly #roleOfUser: Int8Array;
  readonly #counts: Float64Array;
  #trtMs: Float64Array;

  /** `counts`: of {@link timelineLength}; `network`: whose TRTs its rows have. */
  constructor(model: Model, counts: Float64Array, network: number) {
    this.#counts = counts;
    this.bucketMs = bucketMsOf(model.scenario.days);
    this.buckets = bucketsOf(model);
    this.#bucketLength = bucketLengthOf(model);
    this.#startMs = model.countedStartMs;
    this.#roleOfUser = Int8Array.from(model.users, ({ settings }) => ROLES.indexOf(settings.role));
    this.#trtMs = model.trtMs[network];
  }

  refused(row: number, user: number, refusal: number, atMs: number): void {
    this.#counts[this.#bucketAt(atMs) + refusal]++;
    this.#counts[this.#rowAt(atMs, row) + this.#endAt(user, ENDS.indexOf('refused'))]++;
  }

  /** `field`: of DAY, how it was answered. */
  answered(row: number, user: number, field: number, clockStartMs: number, latencyMs: number, isWithin: boolean): void {
    const counts = this.#counts;
    const hasData = field === DAY.data || field === DAY.dccOnly;
    const at = this.#rowAt(clockStartMs + latencyMs, row);
    counts[this.#rowAt(clockStartMs, row) + ROW_FIELD.requests]++;
    counts[at + ROW_FIELD.answered]++;
    counts[at + ROW_FIELD.seconds] += latencyMs / 1000;
    counts[at + this.#endAt(user, hasData ? 0 : field - DAY.data)]++;
    counts[at + LATENCY_AT + latencyBucketOf(latencyMs / 1000)]++;
    if (isWithin) {
      counts[at + ROW_FIELD.within]++;
      if (!hasData) counts[at + ROW_FIELD.withinWithoutData]++;
    } else if (latencyMs <= this.#trtMs[row]) counts[at + ROW_FIELD.missedWithoutData]++;
    else this.#breach(row, clockStartMs);
  }

  leftOpen(row: number, clockStartMs: number): void {
    this.#counts[this.#rowAt(clockStartMs, row) + ROW_FIELD.requests]++;
    this.#breach(row, clockStartMs);
  }

  /** In one bucket. */
  of(bucket: number, row: number, field: RowField): number {
    return this.#counts[this.#at(bucket, row) + ROW_FIELD[field]];
  }

  refusals(bucket: number, refusal: number): number {
    return this.#counts[bucket * this.#bucketLength + refusal];
  }

  ends(bucket: number, row: number, role: number, end: number): number {
    return this.#counts[this.#at(bucket, row) + ENDS_AT + role * ENDS.length + end];
  }

  latency(bucket: number, row: number, latencyBucket: number): number {
    return this.#counts[this.#at(bucket, row) + LATENCY_AT + latencyBucket];
  }

  #breach(row: number, clockStartMs: number): void {
    this.#counts[this.#rowAt(clockStartMs + this.#trtMs[row], row) + ROW_FIELD.breaches]++;
  }

  #endAt(user: number, end: number): number {
    return ENDS_AT + this.#roleOfUser[user] * ENDS.length + end;
  }

  #bucketAt(atMs: number): number {
    // What ends at the horizon ends in the last bucket.
    const bucket = Math.floor((atMs - this.#startMs) / this.bucketMs);
    return Math.min(bucket, this.buckets - 1) * this.#bucketLength;
  }

  #rowAt(atMs: number, row: number): number {
    return this.#bucketAt(atMs) + REFUSALS.length + row * ROW_FIELDS;
  }

  #at(bucket: number, row: number): number {
    return bucket * this.#bucketLength + REFUSALS.length + row * ROW_FIELDS;
  }
}

/** Numbers that the timeline of a network takes. */
export function timelineLength(model: Model): number {
  return bucketsOf(model) * bucketLengthOf(model);
}

function bucketLengthOf({ rows }: Model): number {
  return REFUSALS.length + rows * ROW_FIELDS;
}

function bucketsOf({ horizonMs, countedStartMs, scenario }: Model): number {
  return Math.ceil((horizonMs - countedStartMs) / bucketMsOf(scenario.days));
}
