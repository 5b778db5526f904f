import { describe, expect, test } from 'vitest';
import { DEFAULT_MATRIX, MODES, SERVICES } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { smallScenario } from '#load-tests/test/small-scenario.ts';
import { DAY, dayAt, layOutCounters, REFUSALS, ROW, rowAt, USER, userAt } from './counters.ts';
import { limitsOf } from './model.ts';
import { compileThresholds, holds, METRICS, parseThreshold, readThreshold, unknownFilters } from './threshold.ts';

const loaded = smallScenario();

describe('an expression is read', () => {
  test.each([
    [
      'withinTrt{mode=on-demand} >= 0.99',
      { metric: 'withinTrt', filters: { mode: 'on-demand' }, comparison: '>=', bound: 0.99 },
    ],
    [
      '  withData { network = CSP North ,srv=4.8.1 }<0.5 ',
      { metric: 'withData', filters: { network: 'CSP North', srv: '4.8.1' }, comparison: '<', bound: 0.5 },
    ],
    ['open == 0', { metric: 'open', filters: {}, comparison: '==', bound: 0 }],
    ['open{} > 12', { metric: 'open', filters: {}, comparison: '>', bound: 12 }],
    ['refused{code=E4} <= 1e-3', { metric: 'refused', filters: { code: 'E4' }, comparison: '<=', bound: 0.001 }],
    [
      'withinSeconds{limit=0.5} >= 1',
      { metric: 'withinSeconds', filters: { limit: '0.5' }, comparison: '>=', bound: 1 },
    ],
  ])('%s', (text, expected) => {
    expect(parseThreshold(text)).toEqual(expected);
  });
});

describe('a bad expression is answered with what was expected', () => {
  test.each([
    ['', 'METRIC{FILTER=VALUE, ...} >= NUMBER, as withinTrt{mode=on-demand} >= 0.99'],
    ['withinTrt', 'METRIC{FILTER'],
    ['withinTrt => 0.99', 'METRIC{FILTER'],
    ['withinTrt >= 99 %', 'METRIC{FILTER'],
    ['withinTrt{mode=on-demand >= 0.99', 'METRIC{FILTER'],
    ['withinTrt >= 0.99 and open == 0', 'METRIC{FILTER'],
    ['withinTRT >= 0.99', `a metric, one of ${Object.keys(METRICS).join(', ')}`],
    ['toString >= 0.99', 'a metric, one of'],
    ['withinTrt{user=AONE} >= 0.99', 'filters of withinTrt: srv, generation, mode, service, network'],
    ['withinTrt{mode} >= 0.99', 'filters of withinTrt'],
    ['withinTrt{__proto__=x} >= 0.99', 'filters of withinTrt'],
    ['withinTrt{mode=on-demand, mode=scheduled} >= 0.99', 'each filter once, mode comes twice'],
    ['withinSeconds{mode=scheduled} >= 0.99', 'limit=SECONDS in withinSeconds'],
    ['withinSeconds{limit=soon} >= 0.99', 'limit=SECONDS in withinSeconds'],
    ['withinSeconds{limit=-1} >= 0.99', 'limit=SECONDS in withinSeconds'],
    ['withinSeconds{limit=Infinity} >= 0.99', 'limit=SECONDS in withinSeconds'],
    ['withinTrt >= 99', 'a bound from 0 to 1: withinTrt is a share'],
    ['utilisation <= -0.1', 'a bound from 0 to 1: utilisation is a share'],
  ])('%s', (text, expected) => {
    expect(parseThreshold(text)).toEqual({ expected: expect.stringContaining(expected) });
  });

  test.each([
    ['withinTrt{srv=4.9} >= 1', 'srv to be one of 4.1.1, 4.2'],
    ['withinTrt{generation=SMETS3} >= 1', 'generation to be one of SMETS1, SMETS2'],
    ['withinTrt{mode=later} >= 1', 'mode to be one of scheduled, on-demand'],
    ['withinTrt{service=new} >= 1', 'service to be one of existing, mhhs'],
    ['withinTrt{network=CSP West} >= 1', 'network to be one of CSP North, CSP Central, CSP South, S1SP'],
    ['quarantined{user=NONE} <= 1', 'user to be one of AONE, ATWO, SONE, EONE'],
    ['refused{code=E20} <= 1', `code to be one of ${REFUSALS.join(', ')}`],
  ])('%s', (text, expected) => {
    const parsed = parseThreshold(text);
    if ('expected' in parsed) throw new Error(parsed.expected);
    expect(unknownFilters(parsed, loaded.scenario, loaded.matrix)).toEqual([expect.stringContaining(expected)]);
  });
});

test.each([
  ['>=', [false, true, true]],
  ['<=', [true, true, false]],
  ['>', [false, false, true]],
  ['<', [true, false, false]],
  ['==', [false, true, false]],
] as const)('holds: 1, 2 and 3 %s 2', (comparison, expected) => {
  expect([1, 2, 3].map((value) => holds(value, comparison, 2))).toEqual(expected);
});

describe('a reading is the sum of what its filters let through, over all days', () => {
  const names = [
    'withinTrt >= 0',
    'withinTrt{srv=4.8.1} >= 0',
    'withinTrt{mode=on-demand, service=existing} >= 0',
    'withinTrt{generation=SMETS1} >= 0',
    'withinTrt{network=CSP Central, generation=SMETS1} >= 0',
    'withData{mode=scheduled, network=S1SP} >= 0',
    'withinSeconds{limit=30} >= 0',
    'withinSeconds{limit=5, srv=4.1.1, service=existing} >= 0',
    'refused >= 0',
    'refused{code=E4} >= 0',
    'refused{code=E5, network=CSP South} >= 0',
    'utilisation >= 0',
    'utilisation{network=S1SP} >= 0',
    'firstOnDemand >= 0',
    'firstOnDemand{user=ATWO} >= 0',
    'breaches{mode=scheduled} >= 0',
    'open{srv=4.17} >= 0',
    'quarantined >= 0',
    'quarantined{user=SONE, network=CSP North} >= 0',
  ];
  const { scenario, matrix } = smallScenario({ thresholds: names, days: 3 });
  const thresholds = compileThresholds(scenario, matrix);
  const limits = limitsOf(thresholds);
  const layout = layOutCounters({ days: 3, rows: matrix.services.length * 4, users: 4, limits });
  // Each place its own number: whatever is read from a wrong place gives another sum.
  const counted = Float64Array.from({ length: layout.length }, (_, place) => place * place + 1);

  test('limits are counted once each, in order', () => {
    expect(limits).toEqual([5, 30]);
  });

  test.each(names.map((name, k) => ({ name, k })))('$name', ({ k }) => {
    const parsed = parseThreshold(names[k]);
    if ('expected' in parsed) throw new Error(parsed.expected);
    const out = new Float64Array(6).fill(-1);
    scenario.networks.forEach((_, network) => {
      readThreshold(thresholds[k], layout, counted, network, out, 2);
      expect([...out]).toEqual([-1, -1, ...naiveReading(parsed.metric, parsed.filters, network), -1, -1]);
    });
  });

  function naiveReading(metric: string, filters: Record<string, string>, network: number): [number, number] {
    const { name, generation, exchangesPerCell } = scenario.networks[network];
    if ((filters.network ?? name) !== name || (filters.generation ?? generation) !== generation) return [0, 0];
    let numerator = 0;
    let denominator = 0;
    const add = (n: number, d: number) => {
      numerator += n;
      denominator += d;
    };
    for (let day = 0; day < 3; day++) {
      const ofDay = (field: number) => counted[dayAt(layout, day) + field];
      if (metric === 'utilisation') add(ofDay(DAY.busyMs), exchangesPerCell * DAY_MS);
      if (metric === 'refused') {
        REFUSALS.forEach((code, c) => {
          if ((filters.code ?? code) === code) add(ofDay(DAY.refused + c), 0);
        });
        add(0, ofDay(DAY.received));
      }
      scenario.users.forEach(({ mpid }, user) => {
        if ((filters.user ?? mpid) !== mpid) return;
        const of = (field: number) => counted[userAt(layout, day, user) + field];
        if (metric === 'firstOnDemand') add(of(USER.firstOnDemand), of(USER.first));
        if (metric === 'quarantined') add(of(USER.quarantined), of(USER.requests));
      });
      DEFAULT_MATRIX.services.forEach(({ srv }, s) => {
        MODES.forEach((mode, m) => {
          SERVICES.forEach((service, v) => {
            if ((filters.srv ?? srv) !== srv || (filters.mode ?? mode) !== mode) return;
            if ((filters.service ?? service) !== service) return;
            const of = (field: number) => counted[rowAt(layout, day, s * 4 + m * 2 + v) + field];
            if (metric === 'withinTrt') add(of(ROW.within), of(ROW.requests));
            if (metric === 'withData') add(of(ROW.within) - of(ROW.withinWithoutData), of(ROW.requests));
            if (metric === 'withinSeconds')
              add(of(ROW.limits + limits.indexOf(Number(filters.limit))), of(ROW.requests));
            if (metric === 'breaches') add(of(ROW.breaches), of(ROW.requests));
            if (metric === 'open') add(of(ROW.open), of(ROW.requests));
          });
        });
      });
    }
    return [numerator, denominator];
  }
});
