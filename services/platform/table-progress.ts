import type { TopicName } from '#schemas/topics.ts';

/** How far a table has followed its topic, in records by offsets, over the partitions that it follows. */
export type TableProgress = {
  topic: TopicName;
  /** What lay before it when it began, and how much of that is in the table. */
  restoreRecords: number;
  restoredRecords: number;
  /** What is in the topic and not in the table. */
  lagRecords: number;
  /** Offset behind the last record that is in the table, by partition. */
  reached: Record<number, number>;
};

/** Of the tables that this process follows at present. */
export const TABLES: Set<TableProgress> = new Set();
/** Records put into tables since the process began, by topic. */
export const TABLE_RECORDS: Map<TopicName, number> = new Map();

/** How far this process has followed its topics, by topic: the offset behind the last record that is in a table, by partition. */
export function tablesReached(): Record<string, Record<number, number>> {
  const all: Record<string, Record<number, number>> = {};
  for (const { topic, reached } of TABLES) all[topic] = { ...all[topic], ...reached };
  return all;
}

/** `records` more are in a table, which now stands `behind` its topic's end. */
export function noteTable(progress: TableProgress, records: number, behind: number): void {
  progress.restoredRecords = Math.min(progress.restoreRecords, progress.restoredRecords + records);
  progress.lagRecords = behind;
  TABLE_RECORDS.set(progress.topic, (TABLE_RECORDS.get(progress.topic) ?? 0) + records);
}
