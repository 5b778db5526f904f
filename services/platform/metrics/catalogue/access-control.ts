import { FACTS } from '#core/access-control.ts';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { USERS_MAX } from '../bounds.ts';
import type { MetricDeclaration } from '../declaration.ts';

/** Decisions of access control, and the tables they rest on. */
export const ACCESS_CONTROL = {
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
} as const satisfies Record<string, MetricDeclaration>;
