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
export async function awaitRun({ kafka, settings, fail }: ServiceContext): Promise<Run> {
  let resolveFirst: (record: RunRecord) => void = () => {};
  const first = new Promise<RunRecord>((resolve) => {
    resolveFirst = resolve;
  });
  let run: Run | undefined;
  const stop = followRun(
    kafka,
    settings.prefix,
    (record) => {
      if (run === undefined) return resolveFirst(record);
      run.record = record;
      run.clock.set(clockFaceOf(record));
    },
    fail,
  );
  const record = await first;
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
