import { DEAD_LETTER_REASONS } from '#services/platform/kafka/dead-letter.ts';
import { TOPIC } from '../bounds.ts';
import type { MetricDeclaration } from '../declaration.ts';

/** What every service says of itself, by the platform. */
export const EVERY_SERVICE = {
  mdr_build_info: {
    type: 'gauge',
    unit: 'things',
    component: 'all',
    labels: { version: 1, node: 1 },
    help: 'Always 1: the version of the product, and of Node',
  },
  mdr_ready: {
    type: 'gauge',
    unit: 'things',
    component: 'all',
    labels: {},
    help: '1 once the service can take work, else 0',
  },
  mdr_consumer_lag_records: {
    type: 'gauge',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Records in the partitions of this process that it has not taken yet',
  },
  mdr_consumer_records_total: {
    type: 'counter',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Records taken from a topic, by offsets',
  },
  mdr_producer_records_total: {
    type: 'counter',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Records written to a topic and acknowledged by every replica in sync',
  },
  mdr_producer_pending_bytes: {
    type: 'gauge',
    unit: 'bytes',
    component: 'all',
    labels: {},
    help: 'Bytes handed over to be sent and not acknowledged',
  },
  mdr_dead_letters_total: {
    type: 'counter',
    unit: 'records',
    component: 'all',
    labels: { ...TOPIC, reason: DEAD_LETTER_REASONS },
    help: 'Records set aside because they could not be used, by the topic they came from',
  },
  mdr_restore_records: {
    type: 'gauge',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Records of compacted topics that lay before the tables of this process when it took its partitions, by offsets',
  },
  mdr_restored_records: {
    type: 'gauge',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Of these, records that are in the tables',
  },
  mdr_table_lag_records: {
    type: 'gauge',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Records of compacted topics that are not in the tables yet, by offsets',
  },
  mdr_table_records_total: {
    type: 'counter',
    unit: 'records',
    component: 'all',
    labels: TOPIC,
    help: 'Records of compacted topics put into tables, at the start and since, by offsets',
  },
  mdr_pool_threads: {
    type: 'gauge',
    unit: 'things',
    component: 'all',
    labels: {},
    help: 'Worker threads',
  },
  mdr_pool_busy_threads: {
    type: 'gauge',
    unit: 'things',
    component: 'all',
    labels: {},
    help: 'Worker threads that have a task',
  },
  mdr_pool_waiting_tasks: {
    type: 'gauge',
    unit: 'things',
    component: 'all',
    labels: {},
    help: 'Tasks that wait for a worker thread',
  },
  mdr_pool_tasks_total: {
    type: 'counter',
    unit: 'things',
    component: 'all',
    labels: {},
    help: 'Tasks done by worker threads',
  },
  mdr_pool_busy_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    component: 'all',
    labels: {},
    help: 'Time that worker threads have had a task, all threads together; divided by mdr_pool_threads it is their utilisation',
  },
} as const satisfies Record<string, MetricDeclaration>;
