import type { MetricDeclaration } from '../declaration.ts';

/** Schedules and their executions. */
export const SCHEDULER = {
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
} as const satisfies Record<string, MetricDeclaration>;
