import type { Mode } from '#core/matrix.ts';

/** What the ledger of a run must not hold, and what each kind says. */
export const FAULTS = {
  lost: 'a request without an answer that must have one',
  'answered-twice': 'a RequestID answered, or a request put to its meter, twice',
  'wrong-day': 'data handed over of a Settlement Day that was not the User’s',
  'wrong-code': 'a decision that is not the one of the rules',
  breach: 'a late request not counted as a breach, or one in time that was',
  anomaly: 'another number of requests quarantined than exceeds the User’s threshold',
  gap: 'records missing among those that a source has numbered',
  stray: 'a record that speaks of a request there is not',
  unreadable: 'a record that is not Avro of its topic and was not set aside',
  'dead-letter': 'a record set aside (with --no-dead-letters)',
} as const;
export type FaultKind = keyof typeof FAULTS;

/** What a person may want to look at though no User has noticed it. */
export const WARNINGS = {
  conflicting: 'a replay that says something else than what was said first: it is dropped',
  undecided: 'a request older than what compaction has left of the tables: it could not be decided again',
} as const;
export type WarningKind = keyof typeof WARNINGS;

/** Where a finding stands: a record, and the request that it is about. */
export type Place = {
  /** `ORIGINATOR:DEVICE:counter`; null where no one request is meant. */
  requestId: string | null;
  mode: Mode | null;
  /** Without the prefix. */
  topic: string;
  partition: number;
  offset: number;
};
export type Finding<Kind> = { kind: Kind } & Place & { says: string };

/** Findings kept of each kind; all are counted. A run that is wrong throughout must not fill the memory. */
export const FINDINGS_KEPT_MAX = 10_000;

/** Findings of several kinds: each counted, the first of each kept. */
export class Findings<Kind extends string> {
  readonly counts: Record<Kind, number>;
  readonly kept: Finding<Kind>[] = [];

  constructor(kinds: Readonly<Record<Kind, string>>) {
    this.counts = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0])) as Record<Kind, number>;
  }

  get total(): number {
    return Object.values<number>(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** The sentence is made only where it is kept. */
  add(kind: Kind, place: Place, says: () => string): void {
    this.counts[kind]++;
    if (this.counts[kind] <= FINDINGS_KEPT_MAX) this.kept.push({ kind, ...place, says: says() });
  }
}
