import { countBy, type Dashboard, of, ofHistogram, type Panel, quantile, type Variable } from './panel.ts';

const SRV: Variable = { name: 'srv', label: 'SRV', metric: 'mdr_trt_requests_total', of: 'srv' };
const CHOSEN = { srv: '=~"$srv"' } as const;
const SERIES = 'srv, mode, trt_service, generation';

/** Requests within their TRT of those of which it is known, in the range. */
function shareWithin(by: string): string {
  const within = `sum by (${by}) (increase(${of('mdr_trt_within_total', CHOSEN)}[$__range]))`;
  return `${within} / sum by (${by}) (increase(${of('mdr_trt_judged_total', CHOSEN)}[$__range]))`;
}

/** What is left of the misses that an objective allows: 1 is all, 0 none, below 0 it is missed. */
function budgetLeft(objective: 'target' | 'minimum'): string {
  const bound = `scalar(max(last_over_time(${of('mdr_trt_objective_ratio', { objective: `="${objective}"` })}[$__range])))`;
  return `1 - (1 - ${shareWithin('mode')}) / (1 - ${bound})`;
}

const COMPLIANCE: readonly Panel[] = [
  {
    kind: 'stat',
    title: 'Within TRT',
    description:
      'Code Performance Measures 1 (on demand) and 2 (scheduled), over the range shown: the month so far unless chosen otherwise.',
    queries: [{ expr: shareWithin('mode'), legend: '{{mode}}' }],
    unit: 'percentunit',
    width: 6,
    bounds: { amber: 0.99, red: 0.96, isFalling: true },
    runbook: 'MdrTrtBudgetBurning',
  },
  {
    kind: 'stat',
    title: 'Breaches',
    description: 'Requests whose TRT ran out in the range, answered later or not.',
    queries: [{ expr: countBy('mode', of('mdr_trt_breaches_total', CHOSEN)), legend: '{{mode}}' }],
    unit: 'short',
    width: 6,
    bounds: { amber: 1, red: 100 },
    runbook: 'MdrTrtBreached',
  },
  {
    kind: 'stat',
    title: 'Budget left, target',
    description:
      'Part of the breaches that the target allows in the range which has not been used. Below 0 the target is missed.',
    queries: [{ expr: budgetLeft('target'), legend: '{{mode}}' }],
    unit: 'percentunit',
    width: 6,
    bounds: { amber: 0.5, red: 0, isFalling: true },
    runbook: 'MdrTrtBudgetBurning',
  },
  {
    kind: 'stat',
    title: 'Budget left, minimum',
    description: 'The same for the minimum service level.',
    queries: [{ expr: budgetLeft('minimum'), legend: '{{mode}}' }],
    unit: 'percentunit',
    width: 6,
    bounds: { amber: 0.5, red: 0, isFalling: true },
    runbook: 'MdrTrtBudgetBurning',
  },
  {
    kind: 'table',
    title: 'By Service Request',
    description:
      'Share within TRT, requests and breaches in the range, for each SRV, mode, service and generation that had any.',
    queries: [
      { expr: `${shareWithin(SERIES)} >= 0`, legend: 'share within TRT' },
      {
        expr: `${countBy(SERIES, of('mdr_trt_requests_total', CHOSEN))} > 0`,
        legend: 'requests',
      },
      {
        expr: `${countBy(SERIES, of('mdr_trt_breaches_total', CHOSEN))} > 0`,
        legend: 'breaches',
      },
      {
        expr: `${countBy(SERIES, of('mdr_trt_within_without_data_total', CHOSEN))} > 0`,
        legend: 'within TRT without data',
      },
    ],
    unit: 'short',
    width: 24,
    height: 10,
    runbook: 'MdrTrtBreached',
  },
];

const NEXT: readonly Panel[] = [
  {
    kind: 'timeseries',
    title: 'Oldest open request, share of its TRT used',
    description: 'Of requests without an answer, by TRT: at 1 the next breach happens.',
    queries: [
      {
        expr: `max by (mode, trt_seconds) (${of('mdr_trt_oldest_open_ratio')})`,
        legend: '{{mode}}, {{trt_seconds}} s',
      },
    ],
    unit: 'percentunit',
    width: 8,
    bounds: { amber: 0.8, red: 0.95 },
    runbook: 'MdrTrtBreachImminent',
  },
  {
    kind: 'timeseries',
    title: 'Open requests by time left',
    description: 'Requests in time whose deadline comes within so many seconds.',
    queries: [
      {
        expr: `sum by (mode, slack_seconds) (${of('mdr_trt_open_due_requests')})`,
        legend: '{{mode}}, {{slack_seconds}} s',
      },
    ],
    unit: 'short',
    width: 8,
    runbook: 'MdrTrtBreachImminent',
  },
  {
    kind: 'timeseries',
    title: 'Projected drain against deadline',
    description:
      'Time that what is open takes at the present rate of answers, as a share of the time it has. Above 1 some will be late.',
    queries: [{ expr: `max by (mode) (${of('mdr_trt_projected_drain_ratio')})`, legend: '{{mode}}' }],
    unit: 'none',
    width: 8,
    bounds: { amber: 0.8, red: 1 },
    runbook: 'MdrTrtBreachProjected',
  },
  {
    kind: 'timeseries',
    title: 'Open requests',
    description: 'Without an answer, by SRV.',
    queries: [{ expr: `sum by (srv, mode) (${of('mdr_trt_open_requests', CHOSEN)}) > 0`, legend: '{{srv}} {{mode}}' }],
    unit: 'short',
    width: 12,
  },
  {
    kind: 'timeseries',
    title: 'Breaches',
    description: 'Counted at the moment that the TRT runs out.',
    queries: [
      {
        expr: `sum by (srv, mode) (rate(${of('mdr_trt_breaches_total', CHOSEN)}[$__rate_interval])) > 0`,
        legend: '{{srv}} {{mode}}',
      },
    ],
    unit: 'reqps',
    width: 12,
    runbook: 'MdrTrtBreached',
  },
];

const LATENCY: readonly Panel[] = (['on-demand', 'scheduled'] as const).map((mode) => ({
  kind: 'timeseries',
  title: `Time to answer, ${mode}`,
  description: 'What Target Response Times are charged: the network and the platform together.',
  queries: [0.5, 0.95, 0.99].map((share) => ({
    expr: quantile(share, ofHistogram('mdr_trt_latency_seconds', 'bucket', { ...CHOSEN, mode: `="${mode}"` })),
    legend: `${share * 100} %`,
  })),
  unit: 's',
  width: 12,
}));

export const trtCompliance: Dashboard = {
  uid: 'mdr-trt',
  title: 'MDR: TRT compliance',
  description: 'Whether Target Response Times are held, what is left of the month, and what will be late next.',
  from: 'now/M',
  variables: [SRV],
  rows: [
    { title: 'In the range', panels: COMPLIANCE },
    { title: 'What will breach next', panels: NEXT },
    { title: 'Time to answer', panels: LATENCY },
  ],
};
