import { type Fault, MdrError } from './errors.ts';
import { type Matrix, srvIndex } from './matrix.ts';

/** A User's own declaration: more than `count` of this SRV in a period is an anomaly. */
export type AnomalyThreshold = { srv: string; count: number; periodSeconds: number };

/**
 * What each User sent of each SRV in two periods. Pair p = user * srvs + srv; its periods take turns by parity, so
 * that a request which arrives late from the period before is still counted there:
 *
 *   countMax [p]   periodMs [p]   period [2p | 2p+1]   count [2p | 2p+1]
 */
export type AnomalyCounters = {
  srvs: number;
  /** -1 where no threshold is declared: nothing is counted then. */
  countMax: Int32Array;
  periodMs: Float64Array;
  /** Periods since the epoch. */
  period: Float64Array;
  count: Int32Array;
};

/** Throws INPUT_INVALID for thresholds that name an SRV outside the matrix, one SRV twice, or impossible numbers. */
export function createAnomalyCounters(
  users: readonly { name: string; anomalyThresholds: readonly AnomalyThreshold[] }[],
  matrix: Matrix,
): AnomalyCounters {
  const srvs = matrix.services.length;
  const pairs = users.length * srvs;
  const counters: AnomalyCounters = {
    srvs,
    countMax: new Int32Array(pairs).fill(-1),
    periodMs: new Float64Array(pairs),
    period: new Float64Array(2 * pairs).fill(-1),
    count: new Int32Array(2 * pairs),
  };
  const faults: Fault[] = [];
  users.forEach(({ name, anomalyThresholds }, user) => {
    anomalyThresholds.forEach(({ srv, count, periodSeconds }, at) => {
      const path = `anomalyThresholds[${at}] of ${name}`;
      const index = srvIndex(matrix, srv);
      const pair = user * srvs + index;
      if (index < 0) faults.push({ path, value: srv, expected: `an SRV of ${matrix.name}` });
      else if (counters.countMax[pair] >= 0) faults.push({ path, value: srv, expected: 'one threshold an SRV' });
      if (!isCount(count)) faults.push({ path, value: count, expected: 'a count from 0' });
      if (!(periodSeconds > 0)) faults.push({ path, value: periodSeconds, expected: 'a period above 0 seconds' });
      if (index < 0) return;
      counters.countMax[pair] = count;
      counters.periodMs[pair] = periodSeconds * 1000;
    });
  });
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', 'Anomaly Detection Thresholds cannot be used', faults);
  return counters;
}

/**
 * Counts a request in its period, periods being aligned to the epoch; true when it exceeds the threshold. One that
 * comes more than a period late is counted in the oldest period kept. Allocates nothing.
 */
export function countRequest(counters: AnomalyCounters, user: number, srv: number, atMs: number): boolean {
  const pair = user * counters.srvs + srv;
  if (counters.countMax[pair] < 0) return false;
  return countInPeriod(counters, pair, Math.floor(atMs / counters.periodMs[pair]));
}

export type HeldRequest = { id: string; user: number; heldAtMs: number };

/** Requests that wait for their User to say *process* or *delete*, by id. */
export type Quarantine = Map<string, HeldRequest>;

export function createQuarantine(): Quarantine {
  return new Map();
}

/** Holding what is already held changes nothing: the first instant counts. */
export function hold(quarantine: Quarantine, id: string, user: number, atMs: number): void {
  if (!quarantine.has(id)) quarantine.set(id, { id, user, heldAtMs: atMs });
}

/**
 * Lets a request go and gives the milliseconds that it was held, which do not count towards its TRT. Undefined where
 * nothing of this id is held. The caller sends on what is to be processed and drops what is to be deleted.
 */
export function release(quarantine: Quarantine, id: string, atMs: number): number | undefined {
  const held = quarantine.get(id);
  if (held === undefined) return undefined;
  quarantine.delete(id);
  return atMs - held.heldAtMs;
}

/** A User's held requests, the longest held first. */
export function heldBy(quarantine: Quarantine, user: number): HeldRequest[] {
  return [...quarantine.values()].filter((held) => held.user === user).sort((a, b) => a.heldAtMs - b.heldAtMs);
}

// Apart from countRequest so that the latter is inlined: an instant handed to a call that is not would be boxed.
function countInPeriod(counters: AnomalyCounters, pair: number, period: number): boolean {
  const even = 2 * pair;
  let slot = even + (period % 2);
  const kept = counters.period[slot];
  if (kept < period) {
    counters.period[slot] = period;
    counters.count[slot] = 0;
  } else if (kept > period) {
    slot = counters.period[even] < counters.period[even + 1] ? even : even + 1;
  }
  return ++counters.count[slot] > counters.countMax[pair];
}

function isCount(count: number): boolean {
  return Number.isInteger(count) && count >= 0 && count < 2 ** 31;
}
