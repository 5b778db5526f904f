import { type Dashboard, of, ofHistogram, quantile } from './panel.ts';

const CHOSEN = { network: '=~"$network"' } as const;

function perNetwork(selector: string): string {
  return `sum by (network) (rate(${selector}[$__rate_interval]))`;
}

export const networks: Dashboard = {
  uid: 'mdr-networks',
  title: 'MDR: Networks and fleet',
  description: 'How busy the networks are, what waits for them, and how long their meters take to answer.',
  from: 'now-24h',
  variables: [{ name: 'network', label: 'Network', metric: 'mdr_network_exchanges', of: 'network' }],
  rows: [
    {
      title: 'Networks',
      panels: [
        {
          kind: 'stat',
          title: 'Utilisation in the range',
          description: 'Time that exchanges were in use, of all the time there was.',
          queries: [
            {
              expr: `sum by (network) (increase(${of('mdr_network_busy_seconds_total', CHOSEN)}[$__range])) / sum by (network) (increase(${of('mdr_network_offered_seconds_total', CHOSEN)}[$__range]))`,
              legend: '{{network}}',
            },
          ],
          unit: 'percentunit',
          width: 6,
          height: 8,
          bounds: { amber: 0.8, red: 0.95 },
        },
        {
          kind: 'timeseries',
          title: 'Utilisation',
          description: 'Near 1 nothing more goes through, and what waits grows.',
          queries: [
            {
              expr: `${perNetwork(of('mdr_network_busy_seconds_total', CHOSEN))} / (${perNetwork(of('mdr_network_offered_seconds_total', CHOSEN))} > 0)`,
              legend: '{{network}}',
            },
          ],
          unit: 'percentunit',
          width: 9,
          bounds: { amber: 0.8, red: 0.95 },
          runbook: 'MdrNetworkSaturated',
        },
        {
          kind: 'timeseries',
          title: 'Requests waiting for an exchange',
          description: 'Other traffic of the network included.',
          queries: [
            { expr: `sum by (network) (${of('mdr_network_waiting_requests', CHOSEN)})`, legend: '{{network}}' },
          ],
          unit: 'short',
          width: 9,
          runbook: 'MdrNetworkSaturated',
        },
        {
          kind: 'timeseries',
          title: 'Exchanges lost to outages',
          description: 'Part of the exchanges that are not there at present.',
          queries: [
            {
              expr: `1 - sum by (network) (${of('mdr_network_exchanges', { ...CHOSEN, state: '="available"' })}) / sum by (network) (${of('mdr_network_exchanges', { ...CHOSEN, state: '="all"' })})`,
              legend: '{{network}}',
            },
          ],
          unit: 'percentunit',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Exchanges in use',
          description: 'At the moment of the scrape.',
          queries: [
            {
              expr: `sum by (network) (${of('mdr_network_exchanges', { ...CHOSEN, state: '="busy"' })})`,
              legend: '{{network}}',
            },
          ],
          unit: 'short',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Answers',
          description: 'Of the meters of each network.',
          queries: [
            {
              expr: `${perNetwork(ofHistogram('mdr_network_latency_seconds', 'count', CHOSEN))} > 0`,
              legend: '{{network}}',
            },
          ],
          unit: 'reqps',
          width: 8,
        },
      ],
    },
    {
      title: 'Time to answer',
      panels: [
        {
          kind: 'heatmap',
          title: 'Time in the network',
          description: 'Answers by how long the network took, retries included.',
          queries: [
            {
              expr: `sum by (le) (increase(${ofHistogram('mdr_network_latency_seconds', 'bucket', CHOSEN)}[$__rate_interval]))`,
              legend: '{{le}}',
            },
          ],
          unit: 's',
          width: 12,
          height: 10,
        },
        {
          kind: 'timeseries',
          title: 'Time in the network, 95 %',
          description: 'By network and mode.',
          queries: [
            {
              expr: quantile(0.95, ofHistogram('mdr_network_latency_seconds', 'bucket', CHOSEN), ['network', 'mode']),
              legend: '{{network}}, {{mode}}',
            },
          ],
          unit: 's',
          width: 12,
          height: 10,
        },
      ],
    },
    {
      title: 'Fleet',
      panels: [
        {
          kind: 'timeseries',
          title: 'Requests open at the meters',
          description: 'In the network, waiting for it, or to be tried again.',
          queries: [{ expr: `sum(${of('mdr_fleet_open_requests')})`, legend: 'open' }],
          unit: 'short',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Rows of meter data',
          description: 'In the answers of a second.',
          queries: [{ expr: `sum(rate(${of('mdr_fleet_rows_total')}[$__rate_interval]))`, legend: 'rows' }],
          unit: 'reqps',
          width: 8,
        },
        {
          kind: 'timeseries',
          title: 'Simulated time',
          description: 'Of the partition that is furthest behind, and of that furthest ahead.',
          queries: [
            { expr: `min(${of('mdr_fleet_simulated_seconds')}) * 1000`, legend: 'behind' },
            { expr: `max(${of('mdr_fleet_simulated_seconds')}) * 1000`, legend: 'ahead' },
          ],
          unit: 'dateTimeAsIso',
          width: 8,
        },
      ],
    },
  ],
};
