import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { madeReport } from './test/made-report.ts';
import { writeReport } from './write.ts';

const directory = mkdtempSync(join(tmpdir(), 'mdr-report-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('the page, the JSON and the CSV files are written, over older ones, and no temporary file stays', async () => {
  const report = madeReport({ seed: 1 });
  const out = join(directory, 'deep', 'out');
  await writeReport(madeReport({ seed: 2 }), out);
  const paths = await writeReport(report, out);
  expect(basename(paths[0])).toBe('index.html');
  expect(readdirSync(out).sort()).toEqual(paths.map((path) => basename(path)).sort());
  expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(report);
  expect(paths.filter((path) => path.endsWith('.csv'))).toHaveLength(6);
  const loaded = await writeReport(madeReport({ seed: 1, platform: { speed: 0 } }), join(directory, 'load'));
  expect(loaded.filter((path) => path.endsWith('.csv'))).toHaveLength(8);
});

test('a directory that cannot be made ends with a code that the user can act on', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  await expect(writeReport(madeReport({ seed: 1 }), join(file, 'out'))).rejects.toMatchObject({
    code: 'COULD_NOT_RUN',
    exitCode: 3,
  });
});
