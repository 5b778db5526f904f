import { spreadTimeMs } from '#core/schedule.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { moved } from '#services/platform/worker-data.ts';
import { type ExecutionOrder, orderExecutions } from './execution-order.ts';
import { type FannedOut, type FanOut, FanOutStep } from './fan-out.ts';
import { applySchedules, ScheduleRows, type ScheduleTable } from './schedule-table.ts';

export type Task =
  | {
      kind: 'apply';
      partition: number;
      table: ScheduleTable;
      batches: ArrayBuffer;
      fromOffset: number;
      schemaId: number;
    }
  | { kind: 'fan-out'; partition: number; table: ScheduleTable; fanOut: FanOut };
export type TaskResult =
  | { kind: 'apply'; table: ScheduleTable; schedules: number; deadLetters: DeadLetter[] }
  | { kind: 'fan-out'; fannedOut: FannedOut };

const VALUE_BYTES_MAX = 64 * 1024;
const step = new FanOutStep();
const walk = new BatchWalk('scheduler');
const reader = new AvroReader();
/** Orders by partition: made anew where the schedules changed, or where another worker had the last task. */
const orders = new Map<number, ExecutionOrder>();

/** One task of one partition; tasks of a partition come one after another. */
export default function work(task: Task): TaskResult {
  return task.kind === 'apply' ? apply(task) : fanOut(task);
}

function apply({ partition, table, batches, fromOffset, schemaId }: Extract<Task, { kind: 'apply' }>): TaskResult {
  let rows = new ScheduleRows(table);
  walk.begin({ topic: 'schedules', partition, batches: [new Uint8Array(batches)], fromOffset });
  while (walk.next()) {
    const { cursor } = walk;
    if (cursor.valueLength < 0) {
      const mpan = Number(cursor.buffer.toString('latin1', cursor.keyAt, cursor.keyAt + Math.max(0, cursor.keyLength)));
      if (Number.isSafeInteger(mpan)) rows.clear(mpan);
      continue;
    }
    if (!walk.hasValue(schemaId, VALUE_BYTES_MAX)) continue;
    try {
      reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
      rows = applySchedules(rows, reader, spreadTimeMs);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      walk.setAside('UNDECODABLE', error.message);
    }
  }
  return { kind: 'apply', table: rows.table, schedules: rows.live, deadLetters: walk.deadLetters };
}

function fanOut({ partition, table, fanOut: task }: Extract<Task, { kind: 'fan-out' }>): TaskResult {
  const rows = new ScheduleRows(table);
  let order = orders.get(partition);
  if (order === undefined || order.version !== rows.version) {
    order = orderExecutions(rows);
    orders.set(partition, order);
  }
  const fannedOut = step.run(rows, order, task);
  return moved({ kind: 'fan-out', fannedOut }, [fannedOut.batch]);
}
