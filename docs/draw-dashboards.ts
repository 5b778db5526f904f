import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { DASHBOARDS } from '#helm/dashboards/all.ts';
import { grafanaJson } from '#helm/dashboards/grafana.ts';
import { type Dashboard, filledIn, type Panel, type Unit } from '#helm/dashboards/panel.ts';

/**
 * Draws dashboards, all of them unless some are named, from what a Prometheus answers to their own queries over a range:
 * `node docs/draw-dashboards.ts --url URL --from INSTANT --until INSTANT --rate SECONDS [--out FOLDER] [NAME...]`
 */
const IMAGES = fileURLToPath(new URL('./images/', import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const WIDTH = 1400;
const ROW_PIXELS = 30;
const STEPS = 200;
/** Of Okabe and Ito: told apart by who sees colours otherwise, too. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f', '#000000'];
const SERIES_MAX = 12;
const TABLE_ROWS_MAX = 9;

type Range = { url: string; fromSeconds: number; untilSeconds: number; rateSeconds: number };
type Found = { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] };

async function draw(names: readonly string[], range: Range, folder: string): Promise<void> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    for (const name of names) {
      const page = await browser.newPage({ viewport: { width: WIDTH, height: 800 } });
      await page.setContent(await htmlOf(DASHBOARDS[name], range));
      await page.screenshot({ path: join(folder, `dashboard-${name}.png`), fullPage: true });
      await page.close();
    }
  } finally {
    await browser.close();
  }
}

async function htmlOf(dashboard: Dashboard, range: Range): Promise<string> {
  const { panels: placed } = grafanaJson(dashboard) as {
    panels: { type: string; title: string; gridPos: { x: number; y: number; w: number; h: number } }[];
  };
  const panels = dashboard.rows.flatMap((row) => row.panels);
  const parts: string[] = [];
  for (const { type, title, gridPos } of placed) {
    const { x, y, w, h } = gridPos;
    const place = `grid-area:${y + 1}/${x + 1}/${y + h + 1}/${x + w + 1}`;
    if (type === 'row') parts.push(`<h2 style="${place}">${title}</h2>`);
    else {
      const panel = panels.shift() as Panel;
      parts.push(`<section style="${place}"><h3>${title}</h3>${await bodyOf(panel, range, w, h)}</section>`);
    }
  }
  return `<style>${STYLE}</style><h1>${dashboard.title}</h1><main>${parts.join('')}</main>`;
}

async function bodyOf(panel: Panel, range: Range, w: number, h: number): Promise<string> {
  const [width, height] = [(WIDTH * w) / 24 - 34, h * ROW_PIXELS - 62];
  const isInstant = panel.kind === 'stat' || panel.kind === 'table';
  const answers = await Promise.all(panel.queries.map(({ expr }) => ask(expr, range, isInstant)));
  if (panel.kind === 'table') return tableOf(panel, answers);
  if (panel.kind === 'stat')
    return answers
      .flatMap((found, k) =>
        found.map(
          ({ metric, value }) =>
            `<p><b>${shown(Number(value?.[1]), panel.unit)}</b> ${named(panel.queries[k].legend, metric)}</p>`,
        ),
      )
      .join('');
  const series = answers.flatMap((found, k) =>
    found.map(({ metric, values: points = [] }) => ({
      name: named(panel.queries[k].legend, metric),
      points: points.map(([at, value]) => [at, Number(value)] as const).filter(([, value]) => Number.isFinite(value)),
    })),
  );
  return panel.kind === 'heatmap' ? heatOf(series, range, width, height) : linesOf(panel, series, range, width, height);
}

type Series = { name: string; points: (readonly [number, number])[] };

function linesOf(panel: Panel, series: readonly Series[], range: Range, width: number, height: number): string {
  const most = Math.max(1e-9, ...series.flatMap(({ points }) => points.map(([, value]) => value)));
  const least =
    panel.unit === 'dateTimeAsIso' ? Math.min(...series.flatMap(({ points }) => points.map(([, v]) => v))) : 0;
  const y = (value: number) => height - ((value - least) / Math.max(1e-9, most - least)) * (height - 12);
  const drawn = series.slice(0, SERIES_MAX);
  const paths = drawn.map(({ points }, k) => {
    const d = points
      .map(([at, value], i) => `${i === 0 ? 'M' : 'L'}${xOf(at, range, width)} ${y(value).toFixed(1)}`)
      .join('');
    return `<path d="${d}" fill="none" stroke="${COLOURS[k % COLOURS.length]}" stroke-width="1.5"/>`;
  });
  const legend = drawn.map(({ name }, k) => `<i style="color:${COLOURS[k % COLOURS.length]}">■</i> ${name} `).join('');
  return `<svg width="${width}" height="${height}">${axes(range, width, height)}<text x="0" y="10">${shown(most, panel.unit)}</text>${paths.join('')}</svg><div class="legend">${legend}</div>`;
}

/** Series are counts up to an edge: what lies between two edges is what is shown. */
function heatOf(series: readonly Series[], range: Range, width: number, height: number): string {
  const edges = series.toSorted((a, b) => edgeOf(a) - edgeOf(b));
  const cells = edges.flatMap(({ points }, k) => {
    const below = new Map(k === 0 ? [] : edges[k - 1].points);
    return points.map(([at, value]) => ({ at, k, count: value - (below.get(at) ?? 0) }));
  });
  const most = Math.max(1e-9, ...cells.map(({ count }) => count));
  const [cellWidth, cellHeight] = [width / STEPS + 0.5, height / Math.max(1, edges.length)];
  const rects = cells
    .filter(({ count }) => count > 0)
    .map(
      ({ at, k, count }) =>
        `<rect x="${xOf(at, range, width)}" y="${height - (k + 1) * cellHeight}" width="${cellWidth}" height="${cellHeight}" fill="#0072b2" opacity="${(0.1 + 0.9 * Math.sqrt(count / most)).toFixed(2)}"/>`,
    );
  const labels = edges
    .filter((_, k) => k % 3 === 0)
    .map((one, k) => `<text x="0" y="${height - 3 * k * cellHeight - 3}">${one.name} s</text>`);
  return `<svg width="${width}" height="${height}">${axes(range, width, height)}${rects.join('')}${labels.join('')}</svg>`;
}

function tableOf(panel: Panel, answers: readonly Found[][]): string {
  const rows = new Map<string, string[]>();
  answers.forEach((found, k) => {
    for (const { metric, value } of found) {
      const key = Object.values(metric).join('</td><td>');
      const row = rows.get(key) ?? panel.queries.map(() => '0');
      row[k] = k === 0 ? shown(Number(value?.[1]), 'percentunit') : shown(Number(value?.[1]), 'short');
      rows.set(key, row);
    }
  });
  const heads = [...Object.keys(answers[0]?.[0]?.metric ?? {}), ...panel.queries.map(({ legend }) => legend)];
  const body = [...rows]
    .slice(0, TABLE_ROWS_MAX)
    .map(([key, row]) => `<tr><td>${key}</td><td>${row.join('</td><td>')}</td></tr>`);
  return `<table><tr><th>${heads.join('</th><th>')}</th></tr>${body.join('')}</table>`;
}

function axes({ fromSeconds: start, untilSeconds: end }: Range, width: number, height: number): string {
  const text = (at: number) => new Date(at * 1000).toISOString().slice(11, 16);
  const middle = (start + end) / 2;
  return `<line x1="0" y1="${height}" x2="${width}" y2="${height}" stroke="#999"/>${[
    [0, start, 'start'],
    [width / 2, middle, 'middle'],
    [width, end, 'end'],
  ]
    .map(
      ([x, at, anchor]) =>
        `<text x="${x}" y="${height - 2}" text-anchor="${anchor}" fill="#999">${text(Number(at))}</text>`,
    )
    .join('')}`;
}

function xOf(at: number, { fromSeconds: start, untilSeconds: end }: Range, width: number): string {
  return (((at - start) / (end - start)) * width).toFixed(1);
}

function edgeOf({ name }: Series): number {
  return name === '+Inf' ? Number.POSITIVE_INFINITY : Number(name);
}

function named(legend: string, metric: Record<string, string>): string {
  return legend.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? '');
}

function shown(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return String(value);
  if (unit === 'percentunit') return `${(100 * value).toFixed(2)} %`;
  if (unit === 'bytes') return `${(value / 2 ** 20).toFixed(0)} MiB`;
  if (unit === 'dateTimeAsIso') return new Date(value).toISOString().slice(0, 16);
  const text = value.toLocaleString('en-GB', { maximumFractionDigits: value < 10 ? 2 : 0 });
  return unit === 's' ? `${text} s` : unit === 'reqps' ? `${text}/s` : text;
}

async function ask(
  expr: string,
  { url: base, fromSeconds: start, untilSeconds: end, rateSeconds }: Range,
  isInstant: boolean,
): Promise<Found[]> {
  const rangeSeconds = end - start;
  const query = filledIn(expr, { rangeSeconds, rateSeconds });
  const parameters = isInstant
    ? { query, time: String(end) }
    : { query, start: String(start), end: String(end), step: String(rangeSeconds / STEPS) };
  const answer = await fetch(`${base}/api/v1/${isInstant ? 'query' : 'query_range'}`, {
    method: 'POST',
    body: new URLSearchParams(parameters as Record<string, string>),
  });
  const { status, error, data } = (await answer.json()) as {
    status: string;
    error?: string;
    data: { result: Found[] };
  };
  if (status !== 'success') throw new Error(`${error}: ${query}`);
  return data.result;
}

const STYLE = `
  body { font: 13px/1.3 sans-serif; margin: 12px; color: #222; background: #f4f5f5; width: ${WIDTH - 24}px }
  h1 { font-size: 18px; margin: 0 0 6px } h2 { font-size: 13px; margin: 6px 0 0 } h3 { font-size: 13px; margin: 0 0 6px }
  main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: ${ROW_PIXELS}px; gap: 4px }
  section { background: #fff; border: 1px solid #ddd; padding: 6px 8px; overflow: hidden }
  p { margin: 2px 0 } p b { font-size: 20px } svg text { font-size: 10px } table { border-collapse: collapse; width: 100% }
  td, th { font-size: 12px; text-align: left; padding: 1px 6px; border-bottom: 1px solid #eee } .legend { font-size: 10px; overflow: hidden; height: 26px }
  i { font-style: normal }`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: 'string' },
    from: { type: 'string' },
    until: { type: 'string' },
    rate: { type: 'string' },
    out: { type: 'string', default: IMAGES },
  },
});
const { url = '', from = '', until = '', rate = '', out } = values;
const [fromSeconds, untilSeconds] = [from, until].map((instant) => Date.parse(instant) / 1000);
const names = positionals.length > 0 ? positionals : Object.keys(DASHBOARDS);
const unknown = names.filter((name) => !Object.hasOwn(DASHBOARDS, name));
if (unknown.length > 0) throw new Error(`no dashboards: ${unknown.join(', ')}; there are ${Object.keys(DASHBOARDS)}`);
await draw(names, { url, fromSeconds, untilSeconds, rateSeconds: Number(rate) }, out);
