import { expect, test } from 'vitest';
import { ownTimeText, paceOf, platformFindings, reachedText, speedFigure } from './platform-findings.ts';
import type { PlatformReport, Report } from './report.ts';
import { madeReport } from './test/made-report.ts';

type LoadReport = Report & { platform: PlatformReport };

function loadReport(lag: Partial<PlatformReport['lag']>, complete = true): LoadReport {
  const report = madeReport({ seed: 1, complete, platform: { speed: 96 } }) as LoadReport;
  Object.assign(report.platform.lag, lag);
  return report;
}

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

test.each([
  [
    { peakRecords: 0, endRecords: 0 },
    true,
    true,
    'The services kept up: nothing lay behind at the end, nor at any look before.',
  ],
  [
    { peakRecords: 9000, endRecords: 0, drainSeconds: 75 },
    false,
    true,
    'The services kept up: nothing lay behind when the run was stopped, 1 min 15 s after a peak of 9,000 records.',
  ],
  [
    { peakRecords: 9000, endRecords: 9000, slopePerSecond: 312.4, drainSeconds: null },
    true,
    false,
    'The services fell behind by 312 records a second: 9,000 records lay behind at the end.',
  ],
  [
    { peakRecords: 5, endRecords: 1, slopePerSecond: 0.01, drainSeconds: null },
    true,
    false,
    'The services fell behind by less than a record a second: 1 record lay behind at the end.',
  ],
  [
    { peakRecords: 9000, endRecords: 40, slopePerSecond: -12, drainSeconds: null },
    false,
    null,
    '40 records lay behind when the run was stopped, and it was not getting more.',
  ],
] as const)('%j (to the end: %s) is told as it is', (lag, complete, isGood, sentence) => {
  const [first] = platformFindings(loadReport(lag, complete));
  expect({ ...first, sentence: plain(first.sentence) }).toEqual({ isGood, sentence });
});

test('a paced clock says how far behind it the answers were, late and replayed records are named', () => {
  const report = madeReport({ seed: 1, platform: { speed: 96, fallsBehind: true } }) as LoadReport;
  const told = platformFindings(report).map(({ sentence }) => plain(sentence));
  expect(told).toContain('The answers were at most 1 min 12 s behind the clock (1 h 54 min of simulated time).');
  expect(told).toContain('1,204 requests reached the fleet only after the instant at which they were due there.');
  expect(told.at(-1)).toMatch(/^17 replayed records were recognised/);
});

test('services that brought requests late to the fleet are not said to have kept up', () => {
  const report = loadReport({ peakRecords: 0, endRecords: 0 });
  report.platform.late = 3;
  expect(platformFindings(report)[0]).toEqual({
    isGood: null,
    sentence: 'Nothing lay behind at the end, nor at any look before.',
  });
});

test('a percentile beyond 10 s is only known to lie there', () => {
  const row = { count: 9, meanMs: 1, p50Ms: 2400, p95Ms: 10_000, p99Ms: 10_000, maxMs: 71_337 };
  expect(plain(ownTimeText(row, 'p50Ms'))).toBe('2.4 s');
  expect(plain(ownTimeText(row, 'p95Ms'))).toBe('over 10 s');
  expect(plain(ownTimeText({ ...row, maxMs: 10_000 }, 'p99Ms'))).toBe('10 s');
});

test('a run that ended before the first look finds nothing out', () => {
  const report = madeReport({ seed: 1, complete: false, platform: { speed: 0 } }) as LoadReport;
  report.platform.series = [];
  expect(platformFindings(report)[0].sentence).toBe('The run ended before anything was measured.');
  expect(paceOf(report.platform)).toBeNull();
  expect(speedFigure(report.platform)).toEqual({ value: 'max', note: 'as fast as it went' });
  expect(reachedText(report)).toBe('before its clock started');
});

test('the speed is the clock’s, or what the run came to where nothing paced it', () => {
  const report = madeReport({ seed: 1, platform: { speed: 96 } }) as LoadReport;
  expect(plain(speedFigure(report.platform).value)).toBe('96 ×');
  report.platform.speed = 0;
  expect(paceOf(report.platform)).toBeCloseTo(96, 6);
  expect(plain(speedFigure(report.platform).note)).toBe('as fast as it went: a day in 15 min');
});

test('a run stopped in the warm-up says that nothing counts yet', () => {
  const report = madeReport({ seed: 1, complete: false, platform: { speed: 0 } }) as LoadReport;
  report.platform.series = report.platform.series.slice(0, 3);
  expect(plain(reachedText(report))).toMatch(/^at 1 Mar, \d\d:\d\d UTC of the warm-up, before anything is counted$/);
});
