import { MODES } from '#core/matrix.ts';
import { LATENCY_EDGES_SECONDS, NETWORKS_MAX, PARTITIONS_MAX } from '../bounds.ts';
import type { MetricDeclaration } from '../declaration.ts';

/** The simulated meters, and the networks before them. */
export const FLEET_SIM = {
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
} as const satisfies Record<string, MetricDeclaration>;
