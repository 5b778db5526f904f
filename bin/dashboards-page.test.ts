import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '#services/platform/kafka-provider/ports.ts';
import { isInstalled } from '#services/platform/test/installed.ts';
import { readPicture } from '../docs/test/picture.ts';
import { bash, blocksOf } from './test/page-blocks.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const PAGE = fileURLToPath(new URL('../docs/using/dashboards.md', import.meta.url));
const MARK = '--- block';

const DRAW = fileURLToPath(new URL('../docs/draw-dashboards.ts', import.meta.url));
/** What a plan has something to show on: it has no services. */
const DRAWN = ['networks', 'trt-compliance'];
const SIDES = { width: 1400, heightMin: 600 };
const hasChromium = isInstalled(process.env.CHROMIUM ?? '/usr/bin/chromium', 'drawing of dashboards');

describe.skipIf(!isInstalled('prometheus', 'the steps from a plan to its dashboards'))('dashboards.md', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mdr-dashboards-'));
  const blocks = blocksOf(readFileSync(PAGE, 'utf8'));
  let ended: Awaited<ReturnType<typeof bash>>;
  beforeAll(async () => {
    const range = '--from 2026-03-02T00:00:00Z --until 2026-03-03T00:00:00Z --rate 3600';
    const draw = `echo '${MARK}'\n'${process.execPath}' ${DRAW} --url http://127.0.0.1:9090 ${range} --out . ${DRAWN.join(' ')}`;
    const script = [...blocks.map(({ commands }) => `echo '${MARK}'\n${commands}`), ...(hasChromium ? [draw] : [])]
      .join('\n')
      .replaceAll('npx mdr', MDR)
      .replaceAll('9090', String(await freePort()));
    ended = await bash(`set -euo pipefail\ntrap 'jobs -p | xargs -r kill; wait' EXIT\n${script}`, folder, process.env);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a planned day goes into Prometheus by the steps of the page, and answers what it says', () => {
    expect(ended.code, ended.stderr).toBe(0);
    const printed = ended.stdout.split(`${MARK}\n`).slice(1);
    const lines = blocks.flatMap(({ prints }, k) => prints.map((line) => [line, printed[k].split('\n')] as const));
    expect(lines.length).toBe(2);
    for (const [line, found] of lines) expect(found).toContain(line);
  });

  test.skipIf(!hasChromium).each(DRAWN)('%s of it is drawn by the command that the page names', (name) => {
    const { width, height, colours } = readPicture(join(folder, `dashboard-${name}.png`));
    expect(width).toBe(SIDES.width);
    expect(height).toBeGreaterThan(SIDES.heightMin);
    expect(colours).toBeGreaterThan(100);
  });
});
