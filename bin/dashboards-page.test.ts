import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { freePort } from '#services/platform/kafka-provider/ports.ts';
import { isInstalled } from '#services/platform/test/installed.ts';
import { bash, blocksOf } from './test/page-blocks.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const PAGE = fileURLToPath(new URL('../docs/using/dashboards.md', import.meta.url));
const MARK = '--- block';

describe.skipIf(!isInstalled('prometheus', 'the steps from a plan to its dashboards'))('dashboards.md', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mdr-dashboards-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a planned day goes into Prometheus by the steps of the page, and answers what it says', async () => {
    const blocks = blocksOf(readFileSync(PAGE, 'utf8'));
    const script = blocks
      .map(({ commands }) => `echo '${MARK}'\n${commands}`)
      .join('\n')
      .replaceAll('npx mdr', MDR)
      .replaceAll('9090', String(await freePort()));
    const { code, stdout, stderr } = await bash(
      `set -euo pipefail\ntrap 'jobs -p | xargs -r kill; wait' EXIT\n${script}`,
      folder,
      process.env,
    );
    expect(code, stderr).toBe(0);
    const printed = stdout.split(`${MARK}\n`).slice(1);
    const lines = blocks.flatMap(({ prints }, k) => prints.map((line) => [line, printed[k].split('\n')] as const));
    expect(lines.length).toBe(2);
    for (const [line, found] of lines) expect(found).toContain(line);
  });
});
