import { describe, expect, test } from 'vitest';
import { cautions, firstBreaches, mostBreaches, shareWithin, verdictSentence, worstNetwork } from './findings.ts';
import { madeReport } from './test/made-report.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('the verdict sentence', () => {
  test('a broken run names the row, what it reached, and when and where it first breaks', () => {
    const report = madeReport({ seed: 1, outage: { startHour: 16, endHour: 19 } });
    expect(plain(verdictSentence(report))).toMatch(
      /^The Target Response Times break on this demand and these networks: 4\.8\.1 on SMETS2 \(on demand, existing\) reaches 9\d\.\d\d % within 5,600 s.*First breach: 2 Mar, \d\d:00 to \d\d:00 UTC in .*Most breaches: 2 Mar, 1[6-9]:00 to .* in CSP North\.$/,
    );
  });

  test('a held run without a breach says that none was late', () => {
    expect(verdictSentence(madeReport({ seed: 2, calm: true }))).toMatch(
      /^The Target .* hold .*: not one of .* was late\.$/,
    );
  });

  test('a held run whose thresholds leave late rows out does not say that the Target Response Times hold', () => {
    const report = madeReport({ seed: 1, outage: { startHour: 16, endHour: 19 } });
    report.verdict = 'held';
    expect(plain(verdictSentence(report))).toMatch(
      /^Every threshold is kept on this demand and these networks, but not every Target Response Time: 4\.8\.1 on SMETS2/,
    );
  });

  test('an undecided run names the threshold that is open', () => {
    const report = madeReport({ seed: 4, sampleOneIn: 20, lateness: 0.6 });
    expect(report.verdict).toBe('undecided');
    expect(verdictSentence(report)).toContain('withinTrt{mode=on-demand} >= 0.99');
  });

  test('a run stopped before its end speaks only of what was simulated', () => {
    expect(verdictSentence(madeReport({ seed: 5, complete: false }))).toContain('in the part that was simulated');
  });

  test('late rows are not blamed for a threshold that judges something else', () => {
    const report = madeReport({ seed: 1, outage: { startHour: 16, endHour: 19 } });
    report.thresholds = [{ expression: 'firstOnDemand <= 0', value: 0.02, verdict: 'broken' }];
    expect(plain(verdictSentence(report))).toMatch(
      /^A threshold is broken .*: firstOnDemand <= 0 was measured as 2\.00 %\./,
    );
  });

  test('a threshold that breaks while every row is on target is named instead of a row', () => {
    const report = madeReport({ seed: 2, calm: true });
    report.verdict = 'broken';
    report.thresholds = [{ expression: 'quarantined <= 10', value: 12, verdict: 'broken' }];
    expect(verdictSentence(report)).toBe(
      'A threshold is broken on this demand and these networks: quarantined <= 10 was measured as 12.',
    );
  });
});

test('a sample and a partial run are said so, a whole run is not', () => {
  expect(cautions(madeReport({ seed: 2 }))).toEqual([]);
  expect(cautions(madeReport({ seed: 3, sampleOneIn: 5 }))).toEqual([
    'Estimated from 1 in 5 cells (10 of 50): counts are scaled to the fleet; ranges are 95 % confidence intervals.',
  ]);
  expect(cautions(madeReport({ seed: 3, complete: false }))).toEqual([
    'Partial report: the run was stopped before its end.',
    'Estimated from 20 of 50 cells: counts are scaled to the fleet.',
  ]);
});

test('a load run that was stopped says how far it came, and how much is open', () => {
  const report = madeReport({ seed: 8, complete: false, platform: { speed: 0 } });
  report.ledger.open = 361;
  expect(plain(verdictSentence(report))).toContain('in the part that was driven');
  expect(cautions(report).map(plain)).toEqual([
    'Partial report: the run was stopped at 2 Mar, 04:48 UTC, 20 % of the way through the days that are counted.',
    '361 requests had no answer by then: what had run out of its Target Response Time counts as late, what was still in time is judged by nothing.',
  ]);
});

test('the first hour with a breach is found over all networks, the larger of equals', () => {
  const report = madeReport({ seed: 2 });
  for (const network of report.networks) network.breachesByHour.fill(0);
  expect(firstBreaches(report)).toBeNull();
  report.networks[1].breachesByHour[5] = 2;
  report.networks[2].breachesByHour[5] = 3;
  report.networks[3].breachesByHour[7] = 9;
  expect(firstBreaches(report)).toMatchObject({ network: 'CSP South', startMs: Date.UTC(2026, 2, 2, 5), count: 3 });
  expect(mostBreaches(report)).toMatchObject({ network: 'S1SP', startMs: Date.UTC(2026, 2, 2, 7), count: 9 });
  expect(worstNetwork(report)?.name).toBe('S1SP');
});

test('a share is of the requests whose outcome is known', () => {
  expect(shareWithin({ withinTrt: 9, breaches: 1 })).toBe(0.9);
  expect(shareWithin({ withinTrt: 0, breaches: 0 })).toBeNull();
});
