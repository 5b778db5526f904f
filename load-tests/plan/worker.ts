import { workerData } from 'piscina';
import { MdrError } from '#core/errors.ts';
import type { Matrix } from '#core/matrix.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { CellSimulation, type Cutoffs, type Watched } from './cell-simulation.ts';
import { compileModel, type Model } from './model.ts';
import { recordLength, writeRecord } from './records.ts';
import { createTally, type Tally } from './tally.ts';

/** What every worker of a run is given; `progress` is [cells done, stop]. */
export type WorkerData = { scenario: Scenario; matrix: Matrix; progress: Int32Array; hasTimeline: boolean };

export const PROGRESS = { cellsDone: 0, stop: 1 } as const;

export type Task = { cells: Int32Array; cutoffs: Cutoffs; watched: Watched };

/**
 * `limit`: what a cell's demand went beyond, which ends the run (an error would lose its class on the way to the main
 * thread). `records` has one record for each cell that was simulated: fewer than asked for when the run was stopped.
 */
export type TaskResult = { tally: Tally; records: Float64Array } | { limit: string; cell: number };

let compiled: Model | undefined;

/** Simulates the task's cells one by one, until it is told to stop. */
export default function simulateCells({ cells, cutoffs, watched }: Task): TaskResult {
  const { scenario, matrix, progress, hasTimeline } = workerData as WorkerData;
  compiled ??= compileModel(scenario, matrix);
  const model = compiled;
  const tally = createTally(model, hasTimeline);
  const simulation = new CellSimulation(model, tally, cutoffs, watched);
  const length = recordLength(model);
  const records = new Float64Array(cells.length * length);
  let done = 0;
  while (done < cells.length && Atomics.load(progress, PROGRESS.stop) === 0) {
    try {
      const network = simulation.run(cells[done]);
      writeRecord(model, cells[done], network, simulation.counted, records, done * length);
    } catch (error) {
      if (error instanceof MdrError) return { limit: error.message, cell: cells[done] };
      throw error;
    }
    done++;
    Atomics.add(progress, PROGRESS.cellsDone, 1);
  }
  return { tally, records: records.subarray(0, done * length) };
}
