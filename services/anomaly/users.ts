import { type AnomalyCounters, createAnomalyCounters } from '#core/anomaly.ts';
import { type Fault, MdrError } from '#core/errors.ts';
import type { Matrix } from '#core/matrix.ts';

/** What the anomaly check reads of a `user` record as avsc decodes it. */
export type ThresholdRecord = {
  eui: Uint8Array;
  name: string;
  anomalyThresholds: { srv: string; count: number; periodSeconds: number }[];
};

/** Users with their declared thresholds, in order of their EUIs. */
export type ThresholdDirectory = {
  /** By the EUI's 8 bytes as latin1 text. */
  byEui: Map<string, number>;
  euis: string[];
  /** With nothing counted: those who count copy it. */
  counters: AnomalyCounters;
  /** What is wrong with the records. A User whose thresholds cannot be used is counted against none. */
  faults: Fault[];
};

export function buildThresholdDirectory(records: Iterable<ThresholdRecord>, matrix: Matrix): ThresholdDirectory {
  const sorted = [...records].sort((a, b) => Buffer.compare(a.eui, b.eui));
  const faults: Fault[] = [];
  const users = sorted.map(({ name, anomalyThresholds }) => {
    const found = faultsOf({ name, anomalyThresholds }, matrix);
    faults.push(...found);
    return { name, anomalyThresholds: found.length === 0 ? anomalyThresholds : [] };
  });
  const euis = sorted.map(({ eui }) => Buffer.from(eui).toString('latin1'));
  return {
    byEui: new Map(euis.map((eui, user) => [eui, user])),
    euis,
    counters: createAnomalyCounters(users, matrix),
    faults,
  };
}

function faultsOf(user: Omit<ThresholdRecord, 'eui'>, matrix: Matrix): readonly Fault[] {
  try {
    createAnomalyCounters([user], matrix);
    return [];
  } catch (error) {
    if (error instanceof MdrError) return error.faults;
    throw error;
  }
}
