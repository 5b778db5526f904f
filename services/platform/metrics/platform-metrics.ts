import type { TopicName } from '#schemas/topics.ts';
import type { DeadLetter, DeadLetterReason } from '#services/platform/kafka/dead-letter.ts';
import { GROUPS } from '#services/platform/kafka/group.ts';
import type { Outbox } from '#services/platform/kafka/outbox.ts';
import { busyThreads, POOL_LOADS, type PoolLoad, settleLoad } from '#services/platform/pool.ts';
import { TABLE_RECORDS, TABLES, type TableProgress } from '#services/platform/table-progress.ts';
import { expose, exposeProcess, exposeValue } from './exposition.ts';

export type PlatformSources = { component: string; version: string; isReady(): boolean; outbox(): Outbox | undefined };

/** Exposes what every service has: where it stands with Kafka, its threads, its tables. Once a process. */
export function exposePlatform({ component, version, isReady, outbox }: PlatformSources): void {
  exposeProcess(component);
  expose('mdr_build_info', () => [{ labels: { version, node: process.version }, value: 1 }]);
  exposeValue('mdr_ready', () => (isReady() ? 1 : 0));
  expose('mdr_consumer_lag_records', () =>
    byTopic([...GROUPS].flatMap((group) => group.lag().map(({ topic, records }) => [topic, records] as const))),
  );
  expose('mdr_consumer_records_total', () => byTopic([...GROUPS].flatMap((group) => [...group.taken])));
  expose('mdr_producer_records_total', () => byTopic([...(outbox()?.sent ?? [])]));
  exposeValue('mdr_producer_pending_bytes', () => outbox()?.pendingBytes ?? 0);
  expose('mdr_dead_letters_total', () =>
    [...deadLetters].map(([key, value]) => {
      const [topic, reason] = key.split(' ');
      return { labels: { topic, reason }, value };
    }),
  );
  const ofTables = (of: (one: TableProgress) => number) =>
    byTopic([...TABLES].map((one) => [one.topic, of(one)] as const));
  expose('mdr_restore_records', () => ofTables(({ restoreRecords }) => restoreRecords));
  expose('mdr_restored_records', () => ofTables(({ restoredRecords }) => restoredRecords));
  expose('mdr_table_lag_records', () => ofTables(({ lagRecords }) => lagRecords));
  expose('mdr_table_records_total', () => byTopic([...TABLE_RECORDS]));
  exposePools();
}

/** Counts records that are set aside. */
export function noteDeadLetters(letters: readonly DeadLetter[]): void {
  for (const { topic, reason } of letters) {
    const key: `${string} ${DeadLetterReason}` = `${topic} ${reason}`;
    deadLetters.set(key, (deadLetters.get(key) ?? 0) + 1);
  }
}

const deadLetters = new Map<string, number>();

function exposePools(): void {
  const sum = (of: (load: PoolLoad) => number) => [...POOL_LOADS].reduce((total, load) => total + of(load), 0);
  exposeValue('mdr_pool_threads', () => sum(({ threads }) => threads));
  exposeValue('mdr_pool_busy_threads', () => sum(busyThreads));
  exposeValue('mdr_pool_waiting_tasks', () => sum((load) => load.open - busyThreads(load)));
  exposeValue('mdr_pool_tasks_total', () => sum(({ done }) => done));
  exposeValue('mdr_pool_busy_seconds_total', () => {
    for (const load of POOL_LOADS) settleLoad(load);
    return sum(({ busyMs }) => busyMs) / 1000;
  });
}

function byTopic(counts: readonly (readonly [TopicName, number])[]): { labels: { topic: string }; value: number }[] {
  const sums = new Map<TopicName, number>();
  for (const [topic, count] of counts) sums.set(topic, (sums.get(topic) ?? 0) + count);
  return [...sums].map(([topic, value]) => ({ labels: { topic }, value }));
}
