import { RESPONSE_CODES } from '#core/response-codes.ts';
import { SETTABLE_CODES_MAX } from '../bounds.ts';
import type { MetricDeclaration } from '../declaration.ts';

/** Requests of Users at the edge, and the responses that go to them. */
export const GATEWAY = {
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
} as const satisfies Record<string, MetricDeclaration>;
