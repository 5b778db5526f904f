import { GENERATIONS, type Matrix, MODES, SERVICES } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { rowOf } from '#core/trt-row.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { type Counters, DAY, dayAt, REFUSALS, ROW, rowAt, USER, userAt } from './counters.ts';

/** What can be judged: a share of two totals, or a total. Each is a sum over cells, so a sample can estimate it. */
export const METRICS = {
  withinTrt: {
    total: false,
    filters: ['srv', 'generation', 'mode', 'service', 'network'],
    says: 'share of requests answered within their TRT',
  },
  withData: {
    total: false,
    filters: ['srv', 'generation', 'mode', 'service', 'network'],
    says: 'share of requests answered with data within their TRT',
  },
  withinSeconds: {
    total: false,
    filters: ['limit', 'srv', 'generation', 'mode', 'service', 'network'],
    says: 'share of requests answered within `limit` seconds',
  },
  refused: { total: false, filters: ['code', 'network'], says: 'share of requests refused' },
  utilisation: { total: false, filters: ['network'], says: 'mean share of exchanges in use over the counted days' },
  firstOnDemand: { total: false, filters: ['user', 'network'], says: 'share of first attempts made on demand' },
  breaches: {
    total: true,
    filters: ['srv', 'generation', 'mode', 'service', 'network'],
    says: 'requests not answered within their TRT',
  },
  open: {
    total: true,
    filters: ['srv', 'generation', 'mode', 'service', 'network'],
    says: 'requests never answered in the run',
  },
  quarantined: {
    total: true,
    filters: ['user', 'network'],
    says: 'requests held as anomalies, those let go since included',
  },
} as const;
export type Metric = keyof typeof METRICS;

export type Comparison = '>=' | '<=' | '>' | '<' | '==';

export type ThresholdText = { metric: Metric; filters: Record<string, string>; comparison: Comparison; bound: number };

/** A threshold ready to be read off counters; sets of indexes are what its filters let through. */
export type Threshold = {
  expression: string;
  metric: Metric;
  isTotal: boolean;
  comparison: Comparison;
  bound: number;
  limitSeconds?: number;
  rows: number[];
  users: number[];
  networks: boolean[];
  codes: number[];
  /** Exchange milliseconds that one cell of each network offers in a day. */
  capacityMsADay: number[];
};

const EXPRESSION = /^\s*([a-zA-Z]+)\s*(?:\{([^}]*)\})?\s*(>=|<=|==|>|<)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*$/;

/** Reads `withinTrt{mode=on-demand, network=CSP North} >= 0.99`; says what was expected where it cannot. */
export function parseThreshold(text: string): ThresholdText | { expected: string } {
  const match = EXPRESSION.exec(text);
  if (match === null) return { expected: 'METRIC{FILTER=VALUE, ...} >= NUMBER, as withinTrt{mode=on-demand} >= 0.99' };
  const [, name, inside, comparison, bound] = match;
  if (!Object.hasOwn(METRICS, name)) return { expected: `a metric, one of ${Object.keys(METRICS).join(', ')}` };
  const metric = name as Metric;
  const known: readonly string[] = METRICS[metric].filters;
  const filters: Record<string, string> = {};
  for (const part of (inside ?? '').split(',').filter((piece) => piece.trim() !== '')) {
    const [key, ...rest] = part.split('=');
    if (rest.length === 0 || !known.includes(key.trim()))
      return { expected: `filters of ${metric}: ${known.join(', ')}` };
    if (filters[key.trim()] !== undefined) return { expected: `each filter once, ${key.trim()} comes twice` };
    filters[key.trim()] = rest.join('=').trim();
  }
  const limit = Number(filters.limit);
  if (metric === 'withinSeconds' && !(limit > 0 && Number.isFinite(limit)))
    return { expected: 'limit=SECONDS in withinSeconds' };
  if (!METRICS[metric].total && !(Number(bound) >= 0 && Number(bound) <= 1))
    return { expected: `a bound from 0 to 1: ${metric} is a share` };
  return { metric, filters, comparison: comparison as Comparison, bound: Number(bound) };
}

/** Filters whose values the scenario does not know, as sentences. */
export function unknownFilters({ filters }: ThresholdText, scenario: Scenario, matrix: Matrix): string[] {
  const known: Record<string, readonly string[]> = {
    srv: matrix.services.map(({ srv }) => srv),
    generation: GENERATIONS,
    mode: MODES,
    service: SERVICES,
    network: scenario.networks.map(({ name }) => name),
    user: scenario.users.map(({ mpid }) => mpid),
    code: REFUSALS,
  };
  return Object.entries(filters).flatMap(([key, value]) =>
    key === 'limit' || known[key].includes(value) ? [] : [`${key} to be one of ${known[key].join(', ')}`],
  );
}

export function compileThresholds(scenario: Scenario, matrix: Matrix): Threshold[] {
  return scenario.thresholds.map((expression) => {
    const parsed = parseThreshold(expression);
    if ('expected' in parsed) throw new Error('the scenario was not validated');
    const { metric, filters, comparison, bound } = parsed;
    const passes = (key: string, value: string) => filters[key] === undefined || filters[key] === value;
    return {
      expression,
      metric,
      isTotal: METRICS[metric].total,
      comparison,
      bound,
      ...(filters.limit === undefined ? {} : { limitSeconds: Number(filters.limit) }),
      rows: matrix.services.flatMap(({ srv }, s) =>
        MODES.flatMap((mode, m) =>
          SERVICES.flatMap((service, v) =>
            passes('srv', srv) && passes('mode', mode) && passes('service', service) ? [rowOf(s, m, v)] : [],
          ),
        ),
      ),
      users: scenario.users.flatMap(({ mpid }, index) => (passes('user', mpid) ? [index] : [])),
      networks: scenario.networks.map(
        ({ name, generation }) => passes('network', name) && passes('generation', generation),
      ),
      codes: REFUSALS.flatMap((code, index) => (passes('code', code) ? [index] : [])),
      capacityMsADay: scenario.networks.map(({ exchangesPerCell }) => exchangesPerCell * DAY_MS),
    };
  });
}

/**
 * Numerator and denominator of a threshold in one cell's counters, summed over its days. A total's denominator is the
 * requests that it is a total of, which bound it.
 * Written to `out[at]` and `out[at + 1]`.
 */
export function readThreshold(
  threshold: Threshold,
  layout: Counters,
  counted: Float64Array,
  network: number,
  out: Float64Array,
  at: number,
): void {
  let numerator = 0;
  let denominator = 0;
  if (threshold.networks[network]) {
    for (let day = 0; day < layout.days; day++) {
      const parts = readDay(threshold, layout, counted, network, day);
      numerator += parts[0];
      denominator += parts[1];
    }
  }
  out[at] = numerator;
  out[at + 1] = denominator;
}

function readDay(
  t: Threshold,
  layout: Counters,
  counted: Float64Array,
  network: number,
  day: number,
): [number, number] {
  const sumRows = (field: number) => t.rows.reduce((sum, row) => sum + counted[rowAt(layout, day, row) + field], 0);
  const sumUsers = (field: number) =>
    t.users.reduce((sum, user) => sum + counted[userAt(layout, day, user) + field], 0);
  const base = dayAt(layout, day);
  switch (t.metric) {
    case 'withinTrt':
      return [sumRows(ROW.within), sumRows(ROW.requests)];
    case 'withData':
      return [sumRows(ROW.within) - sumRows(ROW.withinWithoutData), sumRows(ROW.requests)];
    case 'withinSeconds':
      return [sumRows(ROW.limits + layout.limitsMs.indexOf((t.limitSeconds as number) * 1000)), sumRows(ROW.requests)];
    case 'refused':
      return [t.codes.reduce((sum, code) => sum + counted[base + DAY.refused + code], 0), counted[base + DAY.received]];
    case 'utilisation':
      return [counted[base + DAY.busyMs], t.capacityMsADay[network]];
    case 'firstOnDemand':
      return [sumUsers(USER.firstOnDemand), sumUsers(USER.first)];
    case 'breaches':
      return [sumRows(ROW.breaches), sumRows(ROW.requests)];
    case 'open':
      return [sumRows(ROW.open), sumRows(ROW.requests)];
    case 'quarantined':
      return [sumUsers(USER.quarantined), sumUsers(USER.requests)];
  }
}

export function holds(value: number, comparison: Comparison, bound: number): boolean {
  switch (comparison) {
    case '>=':
      return value >= bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    case '<':
      return value < bound;
    case '==':
      return value === bound;
  }
}
