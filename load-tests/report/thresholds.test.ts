import { expect, test } from 'vitest';
import { madeReport } from './test/made-report.ts';
import { formatMeasured, measuredText, metricOf, rowsJudgedBy } from './thresholds.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

test('a measured share is written in percent, a total as a count, what is unknown as it is', () => {
  expect(plain(formatMeasured(0.99971, 'withinTrt{mode=on-demand} >= 0.99'))).toBe('99.97 %');
  expect(formatMeasured(1200.4, 'open == 0')).toBe('1,200');
  expect(formatMeasured(0.99997, 'unheardOf >= 0.99')).toBe('0.99997');
  expect(metricOf('unheardOf >= 0.99')).toBeUndefined();
});

test('an interval stands behind the value; nothing measured is said so', () => {
  const expression = 'withinTrt >= 0.99';
  expect(plain(measuredText({ expression, value: 0.99, interval: [0.98, 1], verdict: 'undecided' }))).toBe(
    '99.00 % (98.00 % to 100 %)',
  );
  expect(measuredText({ expression, value: null, verdict: 'undecided' })).toBe('not measured');
});

test('a threshold on lateness judges the rows that its filters let through, another threshold none', () => {
  const { trt } = madeReport({ seed: 1 });
  expect(rowsJudgedBy('withinTrt{srv=4.8.1, mode=on-demand} >= 0.99', trt).map((row) => row.generation)).toEqual([
    'SMETS1',
    'SMETS2',
    'SMETS2',
  ]);
  expect(rowsJudgedBy('open == 0', trt)).toEqual(trt);
  expect(rowsJudgedBy('firstOnDemand <= 0', trt)).toEqual([]);
});
