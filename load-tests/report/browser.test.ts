import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PAGE_ROOM } from './charts/drawing.ts';
import { hoursPerCell } from './charts/heat-map.ts';
import { formatCount } from './format.ts';
import { madeReport } from './test/made-report.ts';
import { MAKINGS } from './test/makings.ts';
import { wallStretches } from './wall-time.ts';
import { writeReport } from './write.ts';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const installed = existsSync(executablePath);
if (!installed) console.error(`skipped: the report in a browser, no Chromium at ${executablePath} (set CHROMIUM)`);
const args =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

const DESKTOP = { width: 1180, height: 900 };
const PHONE = { width: 360, height: 740 };

describe.skipIf(!installed)('the report in a browser', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mdr-page-'));
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: args.split(' ') });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(directory, { recursive: true });
  });

  const count = (page: Page, selector: string): Promise<number> => page.locator(selector).count();
  const levelsIn = (page: Page, path: string): Promise<number[]> =>
    page
      .locator(`svg.wide path.${path}`)
      .evaluateAll((paths) => paths.map((drawn) => (drawn.getAttribute('d') ?? '').split('H').length - 1));

  describe.each(Object.entries(MAKINGS))('%s', (name, making) => {
    const report = madeReport(making);
    const complaints: string[] = [];
    const requests: string[] = [];
    let url = '';
    let page: Page;
    beforeAll(async () => {
      const [path] = await writeReport(report, join(directory, name.replaceAll(' ', '-')));
      url = pathToFileURL(path).href;
      page = await browser.newPage({ viewport: DESKTOP });
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('request', (request) => requests.push(request.url()));
      await page.goto(url);
    });
    afterAll(async () => {
      await page.close();
    });

    test('opens from disk without a complaint and asks for nothing else', () => {
      expect(complaints).toEqual([]);
      expect(requests).toEqual([url]);
    });

    test('has as many marks as there are figures', async () => {
      expect(await count(page, 'svg.wide .trt-bar')).toBe(report.trt.length);
      const hours = hoursPerCell(report, PAGE_ROOM);
      const cells = report.networks.map((network) => Math.ceil(network.breachesByHour.length / hours));
      expect(await count(page, 'svg.wide .cell')).toBe(cells.reduce((total, row) => total + row, 0));
      expect(await count(page, 'svg.wide .outage')).toBe(report.networks.flatMap((network) => network.outages).length);
      const answered = report.series.onDemand.filter((point) => point.count > 0).length;
      expect(await levelsIn(page, 'latency-p95')).toEqual([answered]);
      const buckets = report.networks.map((network) => network.utilisation.length);
      const looks = report.platform === undefined ? [] : [report.platform.series.length];
      for (const path of ['offered', 'achieved', 'lag']) expect(await levelsIn(page, path)).toEqual(looks);
      for (const path of ['utilisation', 'queue-on-demand', 'queue-scheduled']) {
        expect(await levelsIn(page, path)).toEqual(buckets);
      }
    });

    test.each([
      ['a desk', DESKTOP],
      ['a phone', PHONE],
    ])('on %s never scrolls sideways, light or dark, and has no label of a chart over another', async (_, viewport) => {
      await page.setViewportSize(viewport);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(viewport.width);
      }
      expect(await page.evaluate(OVERLAPS)).toEqual([]);
    });
  });

  test('pointing at a chart tells the figures of that hour', async () => {
    const report = madeReport({ seed: 8 });
    const [path] = await writeReport(report, join(directory, 'point'));
    const page = await browser.newPage({ viewport: DESKTOP });
    await page.goto(pathToFileURL(path).href);
    const { left, width, rows } = (await page.evaluate(`(() => {
      const svg = document.querySelector('[aria-labelledby^="heat-map-wide"]');
      svg.scrollIntoView({ block: 'center' });
      const { left, right, rows } = svg.dataset;
      return { left: Number(left), width: right - left, rows: Number(rows) };
    })()`)) as { left: number; width: number; rows: number };
    await page.hover('[aria-labelledby^="heat-map-wide"]', { position: { x: left + (width * 5.5) / rows, y: 40 } });
    const [first] = report.networks;
    const told = await page.locator('#breaches .readout').textContent();
    expect(told?.replaceAll('\u00a0', ' ')).toContain(
      `2 Mar, 05:00 to 06:00 · ${first.name} ${first.breachesByHour[5]} · `,
    );
    await page.close();
  });

  test('pointing at the rates tells those of that stretch of wall time', async () => {
    const report = madeReport({ seed: 8, platform: { speed: 0 } });
    const [path] = await writeReport(report, join(directory, 'rates'));
    const page = await browser.newPage({ viewport: DESKTOP });
    await page.goto(pathToFileURL(path).href);
    await page.hover('[aria-labelledby^="platform-rates-wide"]', { position: { x: 60, y: 60 } });
    const [stretch] = wallStretches(report.platform!.series);
    const told = await page.locator('#platform .readout').textContent();
    expect(told?.replaceAll('\u00a0', ' ')).toContain(
      `0 s to 1 s · offered a second ${formatCount(stretch.offeredPerSecond)} · `,
    );
    await page.close();
  });

  test('the copy button copies the command', async () => {
    const report = madeReport({ seed: 8 });
    const [path] = await writeReport(report, join(directory, 'copy'));
    const page = await browser.newPage({ viewport: DESKTOP });
    await page.goto(pathToFileURL(path).href);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.click('#copy');
    await page.waitForFunction("document.getElementById('copy').textContent !== 'Copy'");
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(report.run.command);
    await page.close();
  });
});

/** Pairs of visible texts of one chart whose boxes share more than a hair. */
const OVERLAPS = `[...document.querySelectorAll('svg.chart')].flatMap((chart) => {
  const labels = [...chart.querySelectorAll('text')]
    .map((label) => ({ text: label.lastChild?.textContent ?? '', box: label.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0);
  return labels.flatMap((a, index) => labels.slice(index + 1).flatMap((b) => {
    const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
    const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
    return across > 1 && down > 4 ? [a.text + ' / ' + b.text] : [];
  }));
})`;
