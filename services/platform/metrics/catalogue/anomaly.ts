import type { MetricDeclaration } from '../declaration.ts';

/** What the anomaly check let go, and what it holds. */
export const ANOMALY = {
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
    labels: { outcome: ['forwarded', 'answered', 'held', 'released', 'deleted', 'duplicates', 'markers'] },
    help: 'What came to the anomaly check, by what became of it; held: quarantined',
  },
} as const satisfies Record<string, MetricDeclaration>;
