import type { MetricDeclaration } from '../declaration.ts';

/** Changes of registrations, and what was filled at the start. */
export const REGISTRATION = {
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
} as const satisfies Record<string, MetricDeclaration>;
