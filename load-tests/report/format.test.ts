import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatBytes,
  formatCompact,
  formatCount,
  formatDay,
  formatDelay,
  formatPeriod,
  formatSeconds,
  formatShare,
  formatShareInterval,
  formatWallTime,
} from './format.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('shares', () => {
  test.each([
    [1, '100 %'],
    [0, '0 %'],
    [0.9997, '99.97 %'],
    [0.99996, '99.996 %'],
    [0.999999, '99.9999 %'],
    [0.00002, '0.002 %'],
    [1.166, '116.60 %'],
    [0.9, '90.00 %'],
    [null, '–'],
  ])('%d is written %s', (share, text) => expect(plain(formatShare(share))).toBe(text));

  test('only all is written 100 % and only nothing 0 %', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (share) => {
        const text = plain(formatShare(share));
        if (share < 1) expect(Number(text.slice(0, -2))).not.toBe(100);
        if (share > 0) expect(Number(text.slice(0, -2))).not.toBe(0);
        expect(text).not.toMatch(/e-/);
      }),
    );
  });

  test('an interval names both bounds', () => expect(plain(formatShareInterval([0.9971, 1]))).toBe('99.71 to 100 %'));
});

test.each([
  [0.4, '0.4 s'],
  [12.34, '12.3 s'],
  [99.96, '100 s'],
  [5600, '5,600 s'],
  [7200, '2 h'],
  [86_400, '24 h'],
  [Number.NaN, '–'],
])('%d seconds are written %s', (seconds, text) => expect(plain(formatSeconds(seconds))).toBe(text));

test.each([
  [0, '0'],
  [999, '999'],
  [1000, '1k'],
  [1249, '1.2k'],
  [45_100, '45k'],
  [999_900, '1M'],
  [12_000_000, '12M'],
])('the count %d fits a chart cell as %s', (count, text) => expect(formatCompact(count)).toBe(text));

test('counts have thousands separators', () => expect(formatCount(30_000_000)).toBe('30,000,000'));

test.each([
  [7.43, '7.4 s'],
  [59.99, '60 s'],
  [125, '2 min 5 s'],
  [900, '15 min'],
  [3600 * 1.2, '1 h 12 min'],
])('a run of %d seconds took %s', (seconds, text) => expect(plain(formatWallTime(seconds))).toBe(text));

test.each([
  [0, '0 ms'],
  [0.44, '0.4 ms'],
  [84.7, '85 ms'],
  [999.6, '1 s'],
  [2707, '2.71 s'],
  [Number.NaN, '–'],
])('%d ms of the platform are written %s', (ms, text) => expect(plain(formatDelay(ms))).toBe(text));

test('memory is written in its decimal unit', () => expect(plain(formatBytes(412_000_000))).toBe('412 MB'));

test('a period names its dates only where it must, and midnight as the end of its day', () => {
  const start = Date.UTC(2026, 2, 2, 17);
  expect(plain(formatPeriod(start, start + 3_600_000))).toBe('2 Mar, 17:00 to 18:00');
  expect(plain(formatPeriod(start + 6 * 3_600_000, start + 7 * 3_600_000))).toBe('2 Mar, 23:00 to 24:00');
  expect(plain(formatPeriod(start, start + 24 * 3_600_000))).toBe('2 Mar, 17:00 to 3 Mar, 17:00');
});

test('a day is named with its weekday', () => expect(plain(formatDay('2026-03-29'))).toBe('Sun 29 Mar 2026'));
