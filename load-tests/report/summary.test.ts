import { expect, test } from 'vitest';
import { renderSummary } from './summary.ts';
import { madeReport } from './test/made-report.ts';
import { HOSTILE, MAKINGS } from './test/makings.ts';

test.each(Object.entries(MAKINGS))(
  '%s: the verdict comes first and no line is wider than the terminal',
  (_, making) => {
    const report = madeReport(making);
    for (const columns of [72, 80, 100, 160]) {
      const lines = renderSummary(report, { colour: false, columns }).split('\n');
      expect(lines[0]).toMatch(/^(✓ The|✓ Every|✕ The|\? Whether)/);
      for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(columns);
      expect(lines.join('\n')).not.toMatch(/NaN|undefined|Infinity|null/);
    }
  },
);

test('thresholds, TRT rows, refusals by code and the worst network are all there', () => {
  const report = madeReport({ seed: 1, outage: { startHour: 16, endHour: 19 } });
  const text = renderSummary(report, { colour: false, columns: 160 });
  for (const { expression } of report.thresholds) expect(text).toContain(expression);
  for (const [code, count] of Object.entries(report.ledger.refused)) {
    expect(text).toMatch(new RegExp(`refused ${code} +${count.toLocaleString('en-GB')} `));
  }
  expect(text.match(/^ {2}[458]\.\d/gm)).toHaveLength(report.trt.length);
  expect(text).toContain('Worst network: CSP North');
});

test('a sampled or partial run says so right after the verdict', () => {
  const text = renderSummary(madeReport({ seed: 1, sampleOneIn: 5, complete: false }), { colour: false, columns: 300 });
  expect(text.split('\n').slice(1, 3)).toEqual([
    '! Partial report: the run was stopped before its end.',
    '! Estimated from 1 in 5 cells (4 of 50): counts are scaled to the fleet; ranges are 95 % confidence intervals.',
  ]);
});

test('a load run says how the platform kept up, and counts neither events nor workers', () => {
  const text = renderSummary(madeReport({ seed: 7, platform: { speed: 96 } }), { colour: false, columns: 300 });
  expect(text).toMatch(
    /\nPlatform\n {2}✓ The services kept up: nothing lay behind at the end, 3\.1 s after a peak of [\d,]+ records\.\n/,
  );
  expect(text).toContain('On demand the platform took 64 ms in the median and 166 ms at the 95th percentile');
  expect(text).toMatch(/Offered [\d,]+ requests \([\d,]+ a second\), achieved .* Speed 96 ×, a day in 15 min\./);
  expect(text).toContain('Seed 7, run mwua43fr, ');
  expect(text).not.toMatch(/events|digest/);
  expect(renderSummary(madeReport({ seed: 7 }), { colour: false, columns: 300 })).not.toContain('Platform');
});

test('colour adds escapes and nothing else; names cannot add any', () => {
  const report = madeReport({ seed: 1, names: { scenario: HOSTILE, network: HOSTILE, user: HOSTILE } });
  const plain = renderSummary(report, { colour: false, columns: 100 });
  const coloured = renderSummary(report, { colour: true, columns: 100 });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is looked for
  expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(plain);
  expect(plain).not.toContain('\u001b');
  expect(coloured).not.toBe(plain);
});
