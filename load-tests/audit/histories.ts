/** A value of a compacted topic and since when, by the wall clock of its writer. */
export type Version<T> = { fromMs: number; value: T };

/** All values that a key has had, oldest first. Undefined: the key had none, before the first or after a tombstone. */
export type History<T> = { versions: Version<T | undefined>[]; sequence: number };

/** A service may go by a value for so long after the next one was written: it takes time to arrive. */
export const TABLE_LAG_MS = 10_000;
/** The clocks of two writers may differ so much. */
export const CLOCK_SKEW_MS = 1_000;

export type InForce<T> = {
  /** Whatever was in force at some moment between. */
  values: (T | undefined)[];
  /** False: compaction has removed what was in force before the first value that is left. */
  isKnown: boolean;
};

/** Adds a value. One of a lower sequence than the last is late and changes nothing. */
export function addVersion<T>(history: History<T>, fromMs: number, sequence: number, value: T | undefined): void {
  if (sequence < history.sequence) return;
  history.sequence = sequence;
  history.versions.push({ fromMs, value });
}

/** What may have been in force for somebody who decided between two wall instants. */
export function inForceBetween<T>(
  history: History<T> | undefined,
  startMs: number,
  endMs: number,
  isCompacted: boolean,
): InForce<T> {
  const versions = history?.versions ?? [];
  const values: (T | undefined)[] = [];
  const hasEarlier = versions.length === 0 || versions[0].fromMs + TABLE_LAG_MS >= startMs;
  if (hasEarlier) values.push(undefined);
  versions.forEach(({ fromMs, value }, at) => {
    const untilMs = versions[at + 1]?.fromMs ?? Number.POSITIVE_INFINITY;
    if (fromMs - CLOCK_SKEW_MS <= endMs && untilMs + TABLE_LAG_MS >= startMs) values.push(value);
  });
  return { values, isKnown: !(hasEarlier && isCompacted) };
}
