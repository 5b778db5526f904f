import type { MetricDeclaration } from '../declaration.ts';

/** Requests of the simulated Users. */
export const USERS = {
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
