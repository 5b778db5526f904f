import { type Matrix, matrixFrom } from '#core/matrix.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { clockFaceOf, followRun, type RunRecord } from './run-record.ts';
import type { ServiceContext } from './service.ts';
import { SimClock } from './sim-clock.ts';

/** The run that the services of one set of topics take part in. */
export type Run = {
  /** The latest state. */
  record: RunRecord;
  clock: SimClock;
  scenario: Scenario;
  matrix: Matrix;
  /** Stops following its changes. */
  end(): Promise<void>;
};

/** Waits until there is a run, and follows it. `mdr load` starts it. */
export async function awaitRun(context: ServiceContext): Promise<Run> {
  let latest: RunRecord | undefined;
  let resolveFirst: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    resolveFirst = resolve;
  });
  let run: Run | undefined;
  const stop = followRun(context, (record) => {
    latest = record;
    if (run === undefined) return resolveFirst();
    run.record = record;
    run.clock.set(clockFaceOf(record));
  });
  context.waitsFor = 'a run';
  await first;
  context.waitsFor = undefined;
  // A process that starts during a run finds its states one behind the other.
  const record = latest as unknown as RunRecord;
  context.runId = record.runId;
  const { scenario, matrix } = JSON.parse(record.scenario) as { scenario: Scenario; matrix: unknown };
  run = {
    record,
    clock: new SimClock(clockFaceOf(record)),
    scenario,
    matrix: matrixFrom(matrix),
    end: stop,
  };
  return run;
}
