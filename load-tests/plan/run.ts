import { setFlagsFromString } from 'node:v8';
import { Piscina } from 'piscina';
import { MdrError } from '#core/errors.ts';
import { networkOfCell } from '#fleet-sim/fleet.ts';
import type { LoadedScenario } from '#load-tests/scenario/load.ts';
import { every } from '#services/platform/clock.ts';
import { cutoffsOf, exceeded, sameCutoffs, watch } from './anomaly-cutoffs.ts';
import type { Cutoffs, Watched } from './cell-simulation.ts';
import { compileModel, type Model } from './model.ts';
import { recordLength } from './records.ts';
import { selectCells } from './selection.ts';
import { createTally, mergeTally, type Tally } from './tally.ts';
import { PROGRESS, type Task, type TaskResult, type WorkerData } from './worker.ts';

export type PlanOptions = {
  workers: number;
  /** Simulate one in so many cells; 1 for all. */
  sampleOneIn: number;
  /** Draws which cells; the scenario's seed unless told. */
  sampleSeed?: number;
  /** Counts by time as well, for what is made of it afterwards. */
  hasTimeline?: boolean;
  /** Stops the run after the cells in progress. */
  signal?: AbortSignal;
  onProgress?: (progress: { cellsDone: number; cells: number; pass: number }) => void;
};

/** All that a run counted. Records come in the order of their cells, whatever the order they were simulated in. */
export type PlanResult = {
  model: Model;
  tally: Tally;
  /** Records of {@link recordLength} numbers. */
  records: Float64Array;
  cellsSelected: number;
  complete: boolean;
  /** Simulations of the whole run: more than one where an Anomaly Detection Threshold was exceeded. */
  passes: number;
  /** False where the cutoffs of Anomaly Detection Thresholds still moved after the last pass. */
  settled: boolean;
  wallSeconds: number;
  cpuSeconds: number;
};

/** Tasks a worker: enough to share the work evenly, few enough that handing over tallies costs nothing. */
const TASKS_PER_WORKER = 24;
const CELLS_PER_TASK_MAX = 200;
const PROGRESS_INTERVAL_MS = 200;
/** Cutoffs settle from one period to the next; a run that has not settled by then says so. */
const PASSES_MAX = 8;
/**
 * The simulation is one hot loop over small functions; V8 stops inlining at 920 bytecodes in all, which costs a fifth
 * of the run (docs/performance.md). It must be set before the workers start.
 */
const INLINING = '--max-inlined-bytecode-size-cumulative=4000';

export async function runPlan(loaded: LoadedScenario, options: PlanOptions): Promise<PlanResult> {
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();
  setFlagsFromString(INLINING);
  const model = compileModel(loaded.scenario, loaded.matrix);
  const cells = selectCells(model.fleet, options.sampleOneIn, options.sampleSeed ?? model.scenario.seed);
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const hasTimeline = options.hasTimeline === true;
  const data: WorkerData = { scenario: loaded.scenario, matrix: loaded.matrix, progress, hasTimeline };
  const pool = new Piscina<Task, TaskResult>({
    filename: new URL('./worker.ts', import.meta.url).href,
    minThreads: options.workers,
    maxThreads: options.workers,
    workerData: data,
  });
  const stop = () => Atomics.store(progress, PROGRESS.stop, 1);
  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted) stop();
  let pass = 1;
  const endProgress = every(PROGRESS_INTERVAL_MS, () => {
    options.onProgress?.({ cellsDone: Atomics.load(progress, PROGRESS.cellsDone), cells: cells.length, pass });
  });
  const simulate = (cutoffs: Cutoffs, watched: Watched) => {
    Atomics.store(progress, PROGRESS.cellsDone, 0);
    return simulatePass(pool, model, cells, options, cutoffs, watched);
  };
  try {
    const weight = model.fleet.cells / cells.length;
    let cutoffs: Cutoffs = new Map();
    let watched = watch(model, []);
    let result = await simulate(cutoffs, watched);
    let settled = true;
    let flagged = exceeded(model, result.tally, weightsOf(model, result.tally));
    while (flagged.length > 0 && result.complete && pass < PASSES_MAX) {
      watched = watch(model, flagged);
      pass++;
      settled = false;
      const next = await simulate(cutoffs, watched);
      if (!next.complete) {
        // What was excess is not known yet: the pass before counted it as if it had been let through.
        result = { ...result, complete: false };
        break;
      }
      result = next;
      const found = cutoffsOf(model, watched, weight);
      settled = sameCutoffs(found, cutoffs);
      if (settled) break;
      cutoffs = found;
      flagged = exceeded(model, result.tally, weightsOf(model, result.tally));
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      model,
      ...result,
      cellsSelected: cells.length,
      passes: pass,
      settled,
      wallSeconds: (performance.now() - startedMs) / 1000,
      cpuSeconds: (user + system) / 1e6,
    };
  } finally {
    endProgress();
    options.signal?.removeEventListener('abort', stop);
    await pool.destroy();
  }
}

/** For each network the cells that each simulated one stands for. */
export function weightsOf(model: Model, tally: Tally): number[] {
  return tally.networks.map(({ cells }, n) => (cells === 0 ? 0 : model.fleet.networks[n].cells / cells));
}

async function simulatePass(
  pool: Piscina<Task, TaskResult>,
  model: Model,
  cells: Int32Array,
  { workers, hasTimeline = false }: PlanOptions,
  cutoffs: Cutoffs,
  watched: Watched,
): Promise<{ tally: Tally; records: Float64Array; complete: boolean }> {
  const perTask = Math.max(1, Math.min(CELLS_PER_TASK_MAX, Math.ceil(cells.length / (workers * TASKS_PER_WORKER))));
  const tally = createTally(model, hasTimeline);
  const parts: Float64Array[] = [];
  const tasks: Promise<void>[] = [];
  for (let at = 0; at < cells.length; at += perTask) {
    const task = pool.run({ cells: cells.slice(at, at + perTask), cutoffs, watched });
    tasks.push(
      task.then((result) => {
        if ('limit' in result) throw beyondLimit(model, result);
        mergeTally(tally, result.tally);
        parts.push(result.records);
      }),
    );
  }
  await Promise.all(tasks);
  const records = sortRecords(parts, recordLength(model));
  return { tally, records, complete: records.length === cells.length * recordLength(model) };
}

function beyondLimit({ fleet }: Model, { limit, cell }: { limit: string; cell: number }): MdrError {
  const network = fleet.networks[networkOfCell(fleet, cell)].name;
  const advice = 'ask for less (existing, bursts, fleet.meters) or make cells smaller (fleet.metersPerCell)';
  return new MdrError('COULD_NOT_RUN', `${limit}, cell ${cell} of ${network}: ${advice}`);
}

function sortRecords(parts: readonly Float64Array[], length: number): Float64Array {
  const records = parts.flatMap((part) => {
    return Array.from({ length: part.length / length }, (_, k) => part.subarray(k * length, (k + 1) * length));
  });
  records.sort((a, b) => a[0] - b[0]);
  const sorted = new Float64Array(records.length * length);
  records.forEach((record, k) => {
    sorted.set(record, k * length);
  });
  return sorted;
}
