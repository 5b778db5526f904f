import type { Matrix } from '#core/matrix.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { compileWorld, type World } from '#fleet-sim/world.ts';
import { type Counters, layOutCounters } from './counters.ts';
import { compileThresholds, type Threshold } from './threshold.ts';

/** The world of a scenario and what a plan of it counts and judges: the same in every worker. */
export type Model = World & { counters: Counters; thresholds: Threshold[] };

export function compileModel(scenario: Scenario, matrix: Matrix): Model {
  const world = compileWorld(scenario, matrix);
  const thresholds = compileThresholds(scenario, matrix);
  const limits = limitsOf(thresholds);
  const counters = layOutCounters({ days: scenario.days, rows: world.rows, users: world.users.length, limits });
  return { ...world, counters, thresholds };
}

/** Seconds of `withinSeconds` thresholds, each counted exactly beside the TRTs. */
export function limitsOf(thresholds: readonly Threshold[]): number[] {
  const limits = thresholds.flatMap(({ limitSeconds }) => (limitSeconds === undefined ? [] : [limitSeconds]));
  return [...new Set(limits)].sort((a, b) => a - b);
}
