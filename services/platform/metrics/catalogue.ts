import { FACTS } from '#core/access-control.ts';
import { GENERATIONS, MODES, ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { PARTITIONS_ALLOWED, TOPICS } from '#schemas/topics.ts';
import { DEAD_LETTER_REASONS } from '#services/platform/kafka/dead-letter.ts';

/** Values that a label can have, all of them, or how many there can be at most. */
export type LabelBound = readonly string[] | number;

export type MetricDeclaration = {
  type: 'counter' | 'gauge' | 'histogram';
  /** What a value counts or measures; `ratio` and `instant` have no dimension of their own. */
  unit: 'seconds' | 'bytes' | 'ratio' | 'requests' | 'records' | 'answers' | 'things';
  /** Which processes have it; `all`: every service. */
  component: Component | 'all';
  labels: Readonly<Record<string, LabelBound>>;
  /** Upper edges of a histogram's buckets. */
  edges?: readonly number[];
  /** Series a process has at most, where the labels' bounds multiplied say too much, and why. */
  seriesMax?: { count: number; because: string };
  help: string;
};

export const COMPONENTS = [
  'registration',
  'access-control',
  'anomaly',
  'scheduler',
  'fleet-sim',
  'users',
  'trt-monitor',
  'gateway',
] as const;
export type Component = (typeof COMPONENTS)[number];

/** Upper edges of latencies, seconds: the Target Response Times there are (16, 30, 5,600, 86,400), and what lies between. */
export const LATENCY_EDGES_SECONDS = [
  0.1, 0.5, 1, 2, 5, 10, 16, 30, 60, 300, 900, 1800, 3600, 5600, 7200, 14_400, 28_800, 43_200, 64_800, 79_200, 86_400,
] as const;
/** Open requests are counted by how soon their deadline comes, simulated seconds. */
export const DUE_EDGES_SECONDS = [1, 5, 16, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400] as const;
/** How a request ended: the code it was answered with by the network or the platform, or a refusal. */
export const REQUEST_RESULTS = ['I0', 'E20', 'E21', 'other', 'refused'] as const;

/** Networks of a scenario, and Users of one: what its schema allows. */
export const NETWORKS_MAX = 20;
export const USERS_MAX = 200;
/** Distinct Target Response Times of a matrix: today's has four. */
export const TRTS_MAX = 8;
/** Codes that a setting of the gateway names, and no source. */
const SETTABLE_CODES_MAX = 8;
const PARTITIONS_MAX = Math.max(...PARTITIONS_ALLOWED);

const SERIES = {
  srv: [...SRVS, 'unknown'],
  mode: MODES,
  trt_service: SERVICES,
  generation: [...GENERATIONS, 'unknown'],
} as const;
/** Series of one matrix, as far as any request can be of them. */
const OF_THE_MATRIX = {
  count: 128,
  because: 'those that the matrix has a TRT for',
};
const TOPIC = { topic: Object.keys(TOPICS) } as const;

/**
 * Every metric that a service has: nothing else can be exposed. The label that the field calls service (existing, mhhs)
 * is `trt_service`, since a ServiceMonitor of Prometheus' operator gives each series a `service` of its own.
 */
export const METRICS = {
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
  mdr_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: { ...SERIES, role: [...ROLES, 'unknown'], result: REQUEST_RESULTS },
    seriesMax: {
      count: 1500,
      because: 'a role has few SRVs of a mode, and only on-demand requests that end early are refused',
    },
    help: 'Requests that came to an end: answered, by the code, or refused',
  },
  mdr_trt_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: SERIES,
    seriesMax: OF_THE_MATRIX,
    help: 'Requests accepted, by what their Target Response Time depends on',
  },
  mdr_trt_judged_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: SERIES,
    seriesMax: OF_THE_MATRIX,
    help: 'Requests of which it is known whether they are within their TRT: answered, or breached the moment it ran out',
  },
  mdr_trt_within_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: SERIES,
    seriesMax: OF_THE_MATRIX,
    help: 'Requests answered within their TRT',
  },
  mdr_trt_within_without_data_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: SERIES,
    seriesMax: OF_THE_MATRIX,
    help: 'Of these, answers that the meter could not be reached',
  },
  mdr_trt_breaches_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: SERIES,
    seriesMax: OF_THE_MATRIX,
    help: 'Requests whose TRT ran out, counted at that moment, answered later or not',
  },
  mdr_trt_open_requests: {
    type: 'gauge',
    unit: 'requests',
    component: 'trt-monitor',
    labels: SERIES,
    seriesMax: OF_THE_MATRIX,
    help: 'Requests without an answer',
  },
  mdr_trt_open_due_requests: {
    type: 'gauge',
    unit: 'requests',
    component: 'trt-monitor',
    labels: { mode: MODES, slack_seconds: DUE_EDGES_SECONDS.map(String) },
    help: 'Open requests in time whose deadline comes within so many simulated seconds: each counts those before it too',
  },
  mdr_trt_oldest_open_ratio: {
    type: 'gauge',
    unit: 'ratio',
    component: 'trt-monitor',
    labels: { mode: MODES, trt_seconds: TRTS_MAX },
    help: 'Time since the oldest open request in time was received, as a share of its TRT, to the second: 1 is a breach',
  },
  mdr_trt_projected_drain_ratio: {
    type: 'gauge',
    unit: 'ratio',
    component: 'trt-monitor',
    labels: { mode: MODES },
    help: 'Time that the open requests due first take at the present rate of answers, as a share of the time they have: above 1 some will be late',
  },
  mdr_trt_objective_ratio: {
    type: 'gauge',
    unit: 'ratio',
    component: 'trt-monitor',
    labels: { objective: ['target', 'minimum'] },
    help: 'Monthly share within TRT that is the target, and the minimum service level',
  },
  mdr_trt_simulated_seconds: {
    type: 'gauge',
    unit: 'seconds',
    component: 'trt-monitor',
    labels: { partition: PARTITIONS_MAX },
    help: 'The present of a partition, simulated seconds since the epoch',
  },
  mdr_trt_duplicates_total: {
    type: 'counter',
    unit: 'answers',
    component: 'trt-monitor',
    labels: {},
    help: 'Answers to requests that were answered: replays, dropped',
  },
  mdr_trt_latency_seconds: {
    type: 'histogram',
    unit: 'seconds',
    component: 'trt-monitor',
    labels: SERIES,
    edges: LATENCY_EDGES_SECONDS,
    seriesMax: {
      count: 128 * (LATENCY_EDGES_SECONDS.length + 3),
      because: OF_THE_MATRIX.because,
    },
    help: 'From a request to its answer, in simulated time, with the own time of the platform',
  },
  mdr_platform_latency_seconds: {
    type: 'histogram',
    unit: 'seconds',
    component: 'trt-monitor',
    labels: { mode: MODES },
    edges: LATENCY_EDGES_SECONDS,
    help: "The platform's own time, without the network's, in wall time",
  },
  mdr_refusals_total: {
    type: 'counter',
    unit: 'requests',
    component: 'trt-monitor',
    labels: { code: [...Object.keys(RESPONSE_CODES), 'unknown'] },
    help: 'Requests refused, by response code',
  },
  mdr_access_mpans: {
    type: 'gauge',
    unit: 'things',
    component: 'access-control',
    labels: {},
    help: 'MPANs in the registration tables',
  },
  mdr_access_table_bytes: {
    type: 'gauge',
    unit: 'bytes',
    component: 'access-control',
    labels: {},
    help: 'Memory of the registration tables',
  },
  mdr_access_decisions_total: {
    type: 'counter',
    unit: 'requests',
    component: 'access-control',
    labels: { fact: FACTS.map(({ fact }) => fact), code: Object.keys(RESPONSE_CODES) },
    seriesMax: { count: FACTS.length, because: 'a fact has one code' },
    help: 'Requests decided, by what decided and the code that it answers with',
  },
  mdr_access_user_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'access-control',
    labels: { user: USERS_MAX + 1, outcome: ['accepted', 'refused'] },
    help: 'Requests decided, by the name of their User; "other": of a User that is not known, or beyond the bound',
  },
  mdr_access_duplicates_total: {
    type: 'counter',
    unit: 'requests',
    component: 'access-control',
    labels: {},
    help: 'Replayed requests dropped',
  },
  mdr_access_repeated_total: {
    type: 'counter',
    unit: 'requests',
    component: 'access-control',
    labels: {},
    help: 'Requests dropped that another gateway has accepted too',
  },
  mdr_gateway_connections: {
    type: 'gauge',
    unit: 'things',
    component: 'gateway',
    labels: {},
    help: 'Connections of Users',
  },
  mdr_gateway_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'gateway',
    labels: { code: Object.keys(RESPONSE_CODES).length + SETTABLE_CODES_MAX },
    help: 'Requests by what they were answered at the edge',
  },
  mdr_gateway_replies_total: {
    type: 'counter',
    unit: 'answers',
    component: 'gateway',
    labels: { status: 16 },
    help: 'Replies by HTTP status; 0: a connection was turned away',
  },
  mdr_gateway_deliveries_waiting: {
    type: 'gauge',
    unit: 'answers',
    component: 'gateway',
    labels: {},
    help: 'Responses that Users have not acknowledged',
  },
  mdr_gateway_delivered_total: {
    type: 'counter',
    unit: 'answers',
    component: 'gateway',
    labels: {},
    help: 'Responses that Users have acknowledged',
  },
  mdr_gateway_undelivered_total: {
    type: 'counter',
    unit: 'answers',
    component: 'gateway',
    labels: {},
    help: 'Responses given up after they were held: service events',
  },
  mdr_quarantine_held_requests: {
    type: 'gauge',
    unit: 'requests',
    component: 'anomaly',
    labels: {},
    help: 'Requests held as anomalies, of which a User has to say whether to process or delete them',
  },
  mdr_anomaly_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'anomaly',
    labels: { outcome: ['forwarded', 'answered', 'held', 'released', 'duplicates', 'markers'] },
    help: 'What came to the anomaly check, by what became of it; held: quarantined',
  },
  mdr_registration_mpans: {
    type: 'gauge',
    unit: 'things',
    component: 'registration',
    labels: {},
    help: 'MPANs in the tables that changes are judged by',
  },
  mdr_registration_table_bytes: {
    type: 'gauge',
    unit: 'bytes',
    component: 'registration',
    labels: {},
    help: 'Memory of these tables',
  },
  mdr_registration_changes_total: {
    type: 'counter',
    unit: 'things',
    component: 'registration',
    labels: { outcome: ['applied', 'stale', 'duplicate', 'setAside'] },
    help: 'Changes decided, by what became of them',
  },
  mdr_registration_waiting_changes: {
    type: 'gauge',
    unit: 'things',
    component: 'registration',
    labels: {},
    help: 'Changes taken in by request or file whose outcome is not known yet',
  },
  mdr_metering_points_loaded_total: {
    type: 'counter',
    unit: 'things',
    component: 'registration',
    labels: {},
    help: 'MPANs whose registration and inventory were written',
  },
  mdr_schedules_loaded_total: {
    type: 'counter',
    unit: 'things',
    component: 'registration',
    labels: {},
    help: 'Schedules written',
  },
  mdr_schedules: {
    type: 'gauge',
    unit: 'things',
    component: 'scheduler',
    labels: {},
    help: 'Schedules in force',
  },
  mdr_scheduler_lag_records: {
    type: 'gauge',
    unit: 'records',
    component: 'scheduler',
    labels: {},
    help: 'Executions that access control and the fleet have before them',
  },
  mdr_executions_total: {
    type: 'counter',
    unit: 'requests',
    component: 'scheduler',
    labels: {},
    help: 'Executions of schedules sent',
  },
  mdr_fleet_open_requests: {
    type: 'gauge',
    unit: 'requests',
    component: 'fleet-sim',
    labels: {},
    help: 'Requests that wait for an answer of their meter',
  },
  mdr_fleet_simulated_seconds: {
    type: 'gauge',
    unit: 'seconds',
    component: 'fleet-sim',
    labels: { partition: PARTITIONS_MAX },
    help: 'Simulated instant up to which the cells of a partition have run, seconds since the epoch',
  },
  mdr_fleet_answers_total: {
    type: 'counter',
    unit: 'answers',
    component: 'fleet-sim',
    labels: {},
    help: 'Answers written',
  },
  mdr_fleet_rows_total: {
    type: 'counter',
    unit: 'things',
    component: 'fleet-sim',
    labels: {},
    help: 'Rows of meter data in them',
  },
  mdr_fleet_late_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'fleet-sim',
    labels: {},
    help: 'Requests that came after their instant',
  },
  mdr_fleet_duplicates_total: {
    type: 'counter',
    unit: 'requests',
    component: 'fleet-sim',
    labels: {},
    help: 'Replayed requests dropped',
  },
  mdr_network_busy_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    component: 'fleet-sim',
    labels: { network: NETWORKS_MAX },
    help: 'Simulated time that exchanges were in use on counted days, all exchanges together',
  },
  mdr_network_offered_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    component: 'fleet-sim',
    labels: { network: NETWORKS_MAX },
    help: 'Simulated time that the exchanges of the network were there for, all together: busy divided by offered is the utilisation',
  },
  mdr_network_exchanges: {
    type: 'gauge',
    unit: 'things',
    component: 'fleet-sim',
    labels: { network: NETWORKS_MAX, state: ['all', 'available', 'busy'] },
    help: 'Concurrent exchanges of the cells: as built, not lost to an outage, in use',
  },
  mdr_network_waiting_requests: {
    type: 'gauge',
    unit: 'requests',
    component: 'fleet-sim',
    labels: { network: NETWORKS_MAX },
    help: 'Requests that wait for an exchange, other traffic of the network included',
  },
  mdr_network_latency_seconds: {
    type: 'histogram',
    unit: 'seconds',
    component: 'fleet-sim',
    labels: { network: NETWORKS_MAX, mode: MODES },
    edges: LATENCY_EDGES_SECONDS,
    help: 'From a request to its answer in the network, time in quarantine left out, in simulated time',
  },
  mdr_users_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'users',
    labels: {},
    help: 'Requests sent by the simulated Users',
  },
  mdr_users_re_requests_total: {
    type: 'counter',
    unit: 'requests',
    component: 'users',
    labels: {},
    help: 'Of these, again after a failure',
  },
  mdr_users_releases_total: {
    type: 'counter',
    unit: 'requests',
    component: 'users',
    labels: {},
    help: 'Requests released from quarantine',
  },
} as const satisfies Record<string, MetricDeclaration>;

export type MetricName = keyof typeof METRICS;

/** What Node and its process say of themselves, by prom-client, as far as dashboards and alerts ask for it. */
export const NODE_METRICS: Readonly<Record<string, string>> = {
  process_cpu_seconds_total: 'Processor time of the process, all threads',
  process_resident_memory_bytes: 'Memory of the process',
  process_start_time_seconds: 'When it started, seconds since the epoch',
  nodejs_eventloop_lag_p99_seconds: 'Delay of the event loop of the main thread, 99th percentile since the last scrape',
  nodejs_heap_size_used_bytes: 'JavaScript heap in use by the main thread',
};

/** The label that every series of a process has: which service it is. */
export const PROCESS_LABEL = 'component';

/** Series that one process has of a metric at most. */
export function seriesMaxOf({ labels, edges, seriesMax }: MetricDeclaration): number {
  if (seriesMax !== undefined) return seriesMax.count;
  const combinations = Object.values(labels).reduce<number>(
    (product, bound) => product * (typeof bound === 'number' ? bound : bound.length),
    1,
  );
  // A histogram has a series a bucket, the last one open, and its sum and count.
  return combinations * (edges === undefined ? 1 : edges.length + 3);
}
