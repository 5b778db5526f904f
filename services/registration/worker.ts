import { type MatrixFile, matrixFrom } from '#core/matrix.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { compileWorld } from '#fleet-sim/world.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import type { FinishedBatch } from '#services/platform/step-output.ts';
import { moved, workerDataOf } from '#services/platform/worker-data.ts';
import { AppointmentTable, type AppointmentTableHandle } from './appointment-table.ts';
import { CellRecords } from './cell-records.ts';
import { ChangeParser, type ParsedChanges, type ParseTask } from './change-parser.ts';
import { type ChangeCounts, ChangeStep, type FollowResult } from './change-step.ts';

/** `fleet`: where the topics are to be filled with a run's. */
export type WorkerData = {
  schemaIds: SchemaIds;
  partitions: number;
  fleet?: { scenario: Scenario; matrix: MatrixFile };
};

type Batches = { partition: number; batches: ArrayBuffer; stampMs: number; table: AppointmentTableHandle };
export type Task =
  | { kind: 'cells'; cells: number[]; partition: number; stampMs: number }
  | ({ kind: 'decide'; fromOffset: number } & Batches)
  | ({ kind: 'follow'; late: readonly number[]; isRestored: boolean; isWriting: boolean } & Batches)
  | ({ kind: 'parse' } & ParseTask);
type TableState = { table: AppointmentTableHandle; mpans: number; tableBytes: number };
export type TaskResult =
  | { kind: 'cells'; batches: FinishedBatch[]; meteringPoints: number; schedules: number }
  | ({
      kind: 'decide';
      nextOffset: number;
      counts: ChangeCounts;
      registrations: FinishedBatch[];
      outcomes: FinishedBatch[];
      deadLetters: DeadLetter[];
    } & TableState)
  | ({ kind: 'follow' } & FollowResult & TableState)
  | ({ kind: 'parse' } & ParsedChanges);

const data = workerDataOf<WorkerData>();
let records: CellRecords | undefined;
let step: ChangeStep | undefined;
let parser: ChangeParser | undefined;

export default function work(task: Task): TaskResult {
  switch (task.kind) {
    case 'cells':
      return writeCells(task);
    case 'parse': {
      parser ??= new ChangeParser(data.schemaIds['registration-changes'], data.partitions);
      const parsed = parser.parse(task);
      return moved({ kind: 'parse', ...parsed }, [
        parsed.bytes,
        ...parsed.batches.flatMap(({ batch, starts }) => [batch.batch, starts.buffer as ArrayBuffer]),
      ]);
    }
    case 'decide':
    case 'follow':
      return change(task);
  }
}

/** Tasks of a partition come one after another, whichever thread has them. */
function change(task: Extract<Task, { kind: 'decide' | 'follow' }>): TaskResult {
  step ??= new ChangeStep(data.schemaIds, data.partitions);
  const table = new AppointmentTable(task.table);
  const { partition, stampMs } = task;
  const batches = [new Uint8Array(task.batches)];
  const buffersOf = (finished: readonly FinishedBatch[]) => finished.map(({ batch }) => batch);
  if (task.kind === 'follow') {
    const { late, isRestored, isWriting } = task;
    const result = step.follow({ partition, batches, stampMs, table, late, isRestored, isWriting });
    return moved({ kind: 'follow', ...result, ...stateOf(table) }, buffersOf(result.registrations));
  }
  const result = step.decide({ partition, batches, fromOffset: task.fromOffset, stampMs, table });
  const buffers = buffersOf([...result.registrations, ...result.outcomes]);
  return moved({ kind: 'decide', ...result, ...stateOf(table) }, buffers);
}

function stateOf(table: AppointmentTable): TableState {
  return { table: table.handle, mpans: table.mpans, tableBytes: table.bytes };
}

/** The records of some cells of one partition. */
function writeCells({ cells, partition, stampMs }: Extract<Task, { kind: 'cells' }>): TaskResult {
  if (data.fleet === undefined) throw new Error('there is no fleet to fill the topics with');
  const { scenario, matrix } = data.fleet;
  records ??= new CellRecords(compileWorld(scenario, matrixFrom(matrix)), data.schemaIds);
  records.meteringPoints = 0;
  records.schedules = 0;
  const batches: FinishedBatch[] = [];
  for (const cell of cells) batches.push(...records.write(cell, partition, stampMs));
  const { meteringPoints, schedules } = records;
  return moved(
    { kind: 'cells', batches, meteringPoints, schedules },
    batches.map(({ batch }) => batch),
  );
}
