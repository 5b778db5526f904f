import { ACCESS_CONTROL } from './catalogue/access-control.ts';
import { ANOMALY } from './catalogue/anomaly.ts';
import { EVERY_SERVICE } from './catalogue/every-service.ts';
import { FLEET_SIM } from './catalogue/fleet-sim.ts';
import { GATEWAY } from './catalogue/gateway.ts';
import { REGISTRATION } from './catalogue/registration.ts';
import { SCHEDULER } from './catalogue/scheduler.ts';
import { TRT_MONITOR } from './catalogue/trt-monitor.ts';
import { USERS } from './catalogue/users.ts';
import type { MetricDeclaration } from './declaration.ts';

/**
 * Every metric that a service has: nothing else can be exposed. The label that the field calls service (existing, mhhs)
 * is `trt_service`, since a ServiceMonitor of Prometheus' operator gives each series a `service` of its own.
 */
export const METRICS = {
  ...EVERY_SERVICE,
  ...TRT_MONITOR,
  ...ACCESS_CONTROL,
  ...GATEWAY,
  ...ANOMALY,
  ...REGISTRATION,
  ...SCHEDULER,
  ...FLEET_SIM,
  ...USERS,
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
