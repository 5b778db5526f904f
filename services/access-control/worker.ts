import { type MatrixFile, matrixFrom } from '#core/matrix.ts';
import type { DayConvention } from '#core/settlement-day.ts';
import { SCHEDULED } from '#core/trt-row.ts';
import { MpanTable, type MpanTableHandle } from '#services/platform/access/mpan-table.ts';
import { applyTableBatches } from '#services/platform/access/table-batches.ts';
import { buildUserDirectory, type UserDirectory, type UserRecord } from '#services/platform/access/users.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import { belowOthers, moved, workerDataOf } from '#services/platform/worker-data.ts';
import { type AccessResult, AccessStep, stepSettings } from './step.ts';

export type WorkerData = {
  matrix: MatrixFile;
  convention: DayConvention;
  partitions: number;
  schemaIds: SchemaIds;
};

/** All Users as JSON, in memory that all workers share; a higher version is a later one. */
export type SharedUsers = { version: number; json: SharedArrayBuffer };

export type Task =
  | {
      kind: 'table';
      partition: number;
      topic: 'registrations' | 'inventory';
      table: MpanTableHandle;
      batches: ArrayBuffer;
    }
  | {
      kind: 'decide';
      partition: number;
      table: MpanTableHandle;
      users: SharedUsers;
      batches: ArrayBuffer;
      fromOffset: number;
      seen: number[];
      nowWallMs: number;
    };
export type TaskResult =
  | { kind: 'table'; table: MpanTableHandle; mpans: number; bytes: number; deadLetters: DeadLetter[] }
  | ({ kind: 'decide'; workMs: number } & AccessResult);

const data = workerDataOf<WorkerData>();
const step = new AccessStep(stepSettings({ ...data, matrix: matrixFrom(data.matrix) }));
const walk = new BatchWalk('access-control');
/** Tables by their records' memory: opening one takes a microsecond, but there is no need to. */
const tables = new WeakMap<SharedArrayBuffer, MpanTable>();
let directory: { version: number; users: UserDirectory } | undefined;

belowOthers();

/** One task of one partition; tasks of a partition come one after another, whichever thread has them. */
export default function work(task: Task): TaskResult {
  return task.kind === 'table' ? applyUpdates(task) : decide(task);
}

function applyUpdates({ partition, topic, table: handle, batches }: Extract<Task, { kind: 'table' }>): TaskResult {
  const table = new MpanTable(handle);
  walk.begin({ topic, partition, batches: [new Uint8Array(batches)], fromOffset: 0 });
  applyTableBatches(walk, table, topic, data.schemaIds[topic]);
  const { handle: grown, registrations } = table;
  const bytes = grown.records.byteLength + grown.overflow.byteLength;
  return { kind: 'table', table: grown, mpans: registrations, bytes, deadLetters: walk.deadLetters };
}

function decide(task: Extract<Task, { kind: 'decide' }>): TaskResult {
  const beganMs = nowMs();
  const { partition, fromOffset, seen, nowWallMs } = task;
  let table = tables.get(task.table.records);
  if (table === undefined || table.handle.overflow !== task.table.overflow) {
    table = new MpanTable(task.table);
    tables.set(task.table.records, table);
  }
  const result = step.run({
    partition,
    mode: SCHEDULED,
    batches: [new Uint8Array(task.batches)],
    fromOffset,
    seen,
    nowWallMs,
    table,
    users: usersOf(task.users),
  });
  const { outputs } = result;
  return moved(
    { kind: 'decide', workMs: nowMs() - beganMs, ...result },
    outputs.map(({ batch }) => batch),
  );
}

function usersOf({ version, json }: SharedUsers): UserDirectory {
  if (directory?.version !== version) {
    const records = JSON.parse(Buffer.from(json).toString('utf8')) as (UserRecord & { eui: { data: number[] } })[];
    const users = buildUserDirectory(
      records.map((record) => ({ ...record, eui: Uint8Array.from(record.eui.data) })),
      data.partitions,
    );
    directory = { version, users };
  }
  return directory.users;
}
