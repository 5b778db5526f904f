import { countBy, type Dashboard, of, ofHistogram, quantile } from './panel.ts';

const SRV = { srv: '=~"$srv"' } as const;
const USER = { user: '=~"$user"' } as const;

/** A rate over the interval, by labels; what is nothing is not drawn. */
function rateBy(by: string, selector: string): string {
  return `sum by (${by}) (rate(${selector}[$__rate_interval])) > 0`;
}

export const stream: Dashboard = {
  uid: 'mdr-stream',
  title: 'MDR: Stream',
  description: 'Requests on their way through the services: rates, what lies behind, refusals, what was set aside.',
  from: 'now-6h',
  variables: [
    { name: 'srv', label: 'SRV', metric: 'mdr_trt_requests_total', of: 'srv' },
    { name: 'user', label: 'User', metric: 'mdr_access_user_requests_total', of: 'user' },
  ],
  rows: [
    {
      title: 'Requests',
      panels: [
        {
          kind: 'timeseries',
          title: 'Requests that ended, by result',
          description: 'I0: with data. E20, E21: the meter was not reached. refused: by access control.',
          queries: [{ expr: rateBy('result', of('mdr_requests_total', SRV)), legend: '{{result}}' }],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Requests by role and service',
          description: 'Existing services and MHHS apart, by role of the User.',
          queries: [
            { expr: rateBy('role, trt_service', of('mdr_requests_total', SRV)), legend: '{{role}} {{trt_service}}' },
          ],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Requests by User',
          description: 'As access control decided them.',
          queries: [
            {
              expr: rateBy('user, outcome', of('mdr_access_user_requests_total', USER)),
              legend: '{{user}}, {{outcome}}',
            },
          ],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Executions of schedules',
          description: 'Sent by the scheduler.',
          queries: [{ expr: rateBy('component', of('mdr_executions_total')), legend: 'executions' }],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: "The platform's own time",
          description: "Between a request and its answer without the network's part, in wall time.",
          queries: [0.5, 0.99].map((share) => ({
            expr: quantile(share, ofHistogram('mdr_platform_latency_seconds', 'bucket'), ['mode']),
            legend: `{{mode}}, ${share * 100} %`,
          })),
          unit: 's',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'On-demand requests at the anomaly check',
          description: 'held: quarantined as anomalies.',
          queries: [
            {
              expr: rateBy('outcome', of('mdr_anomaly_requests_total', { outcome: '!="markers"' })),
              legend: '{{outcome}}',
            },
          ],
          unit: 'reqps',
          width: 8,
        },
      ],
    },
    {
      title: 'What lies behind',
      panels: [
        {
          kind: 'timeseries',
          title: 'Consumer lag',
          description: 'Records in topics that a service has not taken.',
          queries: [
            {
              expr: `sum by (component, topic) (${of('mdr_consumer_lag_records')})`,
              legend: '{{component}}, {{topic}}',
            },
          ],
          unit: 'short',
          width: 8,
          runbook: 'MdrLagGrowing',
        },
        {
          kind: 'timeseries',
          title: 'Records taken',
          description: 'By service and topic.',
          queries: [
            { expr: rateBy('component, topic', of('mdr_consumer_records_total')), legend: '{{component}}, {{topic}}' },
          ],
          unit: 'reqps',
          width: 8,
          runbook: 'MdrNothingConsumed',
        },
        {
          kind: 'timeseries',
          title: 'Records written',
          description: 'And acknowledged, by service and topic.',
          queries: [
            { expr: rateBy('component, topic', of('mdr_producer_records_total')), legend: '{{component}}, {{topic}}' },
          ],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Executions before access control and the fleet',
          description: 'Beyond --lag-max of a partition the scheduler waits.',
          queries: [{ expr: `sum(${of('mdr_scheduler_lag_records')})`, legend: 'executions' }],
          unit: 'short',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Bytes waiting to be acknowledged',
          description: 'At 16 MB a service takes nothing more.',
          queries: [{ expr: `sum by (component) (${of('mdr_producer_pending_bytes')})`, legend: '{{component}}' }],
          unit: 'bytes',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Requests in quarantine',
          description: 'Held as anomalies until their User says process or delete.',
          queries: [{ expr: `sum(${of('mdr_quarantine_held_requests')})`, legend: 'held' }],
          unit: 'short',
          width: 8,
          runbook: 'MdrQuarantineWaiting',
        },
      ],
    },
    {
      title: 'Refused and set aside',
      panels: [
        {
          kind: 'timeseries',
          title: 'Refusals by code',
          description: 'Response codes of access control.',
          queries: [{ expr: rateBy('code', of('mdr_refusals_total')), legend: '{{code}}' }],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'stat',
          title: 'What decided',
          description:
            'Requests in the range by the fact that access control decided on, to the nearest whole one: Prometheus carries on to the ends of the range what it saw between scrapes.',
          queries: [{ expr: `${countBy('fact', of('mdr_access_decisions_total'))} > 0`, legend: '{{fact}}' }],
          unit: 'short',
          width: 8,
          height: 8,
        },
        {
          kind: 'timeseries',
          title: 'Dead letters',
          description: 'Records set aside because they could not be used.',
          queries: [
            {
              expr: `sum by (topic, reason) (${of('mdr_dead_letters_total')})`,
              legend: '{{topic}}, {{reason}}',
            },
          ],
          unit: 'short',
          width: 8,
          runbook: 'MdrDeadLetters',
        },
        {
          kind: 'timeseries',
          title: 'Changes of registrations',
          description: 'By what became of them.',
          queries: [{ expr: rateBy('outcome', of('mdr_registration_changes_total')), legend: '{{outcome}}' }],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Replays dropped',
          description: 'Records that a service had seen before; some after each restart.',
          queries: [
            { expr: rateBy('component', of('mdr_access_duplicates_total')), legend: 'requests, access control' },
            { expr: rateBy('component', of('mdr_fleet_duplicates_total')), legend: 'requests, fleet' },
            { expr: rateBy('component', of('mdr_trt_duplicates_total')), legend: 'answers, TRT monitor' },
          ],
          unit: 'reqps',
          width: 8,
        },
      ],
    },
  ],
};
