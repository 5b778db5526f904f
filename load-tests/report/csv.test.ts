import { expect, test } from 'vitest';
import { renderCsv } from './csv.ts';
import { madeReport } from './test/made-report.ts';
import { HOSTILE, MAKINGS } from './test/makings.ts';

/** A plain reader of RFC 4180. */
function parse(text: string): string[][] {
  const rows: string[][] = [[]];
  const fields = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy;
  for (const [, quoted, bare, end] of text.matchAll(fields)) {
    rows.at(-1)!.push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end === '\r\n') rows.push([]);
  }
  expect(rows.pop()).toEqual([]);
  return rows;
}

function columnSum(rows: string[][], name: string): number {
  const index = rows[0].indexOf(name);
  expect(index).toBeGreaterThanOrEqual(0);
  return rows.slice(1).reduce((sum, row) => sum + Number(row[index]), 0);
}

test.each(Object.entries(MAKINGS))('the files of %s carry all figures of the report', (_, making) => {
  const report = madeReport(making);
  const files = Object.fromEntries(Object.entries(renderCsv(report)).map(([name, text]) => [name, parse(text)]));
  for (const rows of Object.values(files)) for (const row of rows) expect(row).toHaveLength(rows[0].length);
  expect(files['trt.csv']).toHaveLength(report.trt.length + 1);
  expect(columnSum(files['trt.csv'], 'breaches')).toBe(report.ledger.breaches);
  expect(columnSum(files['breaches.csv'], 'breaches')).toBe(report.ledger.breaches);
  expect(files['thresholds.csv']).toHaveLength(report.thresholds.length + 1);
  expect(files['users.csv']).toHaveLength(report.users.length + 1);
  expect(files['latency.csv']).toHaveLength(report.series.onDemand.length + 1);
  expect(files['networks.csv']).toHaveLength(report.networks.reduce((sum, row) => sum + row.utilisation.length, 1));
  expect('platform.csv' in files).toBe(report.platform !== undefined);
  if (report.platform !== undefined) {
    expect(files['platform.csv']).toHaveLength(report.platform.series.length + 1);
    expect(columnSum(files['services.csv'], 'processes')).toBe(
      report.platform.services.reduce((sum, row) => sum + row.processes, 0),
    );
  }
  expect(Object.values(renderCsv(report)).join('')).not.toMatch(/NaN|undefined|Infinity|null/);
});

test('names with quotes, commas and line ends survive, and a formula is made text', () => {
  const names = { scenario: 'x', network: 'a,"b"\r\nc', user: '=cmd()' };
  const files = renderCsv(madeReport({ seed: 1, names }));
  const load = madeReport({ seed: 1, platform: { speed: 96 } });
  load.platform!.services[0].name = '=a,"b"';
  expect(parse(files['networks.csv'])[1][0]).toBe(names.network);
  expect(parse(files['users.csv'])[1][0]).toBe("'=cmd()");
  expect(parse(renderCsv(load)['services.csv'])[1][0]).toBe(`'=a,"b"`);
  expect(parse(renderCsv(madeReport({ seed: 1, names: { ...names, user: HOSTILE } }))['users.csv'])[1][0]).toBe(
    HOSTILE,
  );
});
