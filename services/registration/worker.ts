import { type MatrixFile, matrixFrom } from '#core/matrix.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { compileWorld } from '#fleet-sim/world.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import type { FinishedBatch } from '#services/platform/step-output.ts';
import { moved, workerDataOf } from '#services/platform/worker-data.ts';
import { CellRecords } from './cell-records.ts';

export type WorkerData = { scenario: Scenario; matrix: MatrixFile; schemaIds: SchemaIds };
export type Task = { cells: number[]; partition: number; stampMs: number };
export type TaskResult = { batches: FinishedBatch[]; meteringPoints: number; schedules: number };

let records: CellRecords | undefined;

/** The records of some cells of one partition. */
export default function writeCells({ cells, partition, stampMs }: Task): TaskResult {
  const { scenario, matrix, schemaIds } = workerDataOf<WorkerData>();
  records ??= new CellRecords(compileWorld(scenario, matrixFrom(matrix)), schemaIds);
  records.meteringPoints = 0;
  records.schedules = 0;
  const batches: FinishedBatch[] = [];
  for (const cell of cells) batches.push(...records.write(cell, partition, stampMs));
  const { meteringPoints, schedules } = records;
  return moved(
    { batches, meteringPoints, schedules },
    batches.map(({ batch }) => batch),
  );
}
