import fc from 'fast-check';
import { SaxesParser } from 'saxes';
import { describe, expect, test } from 'vitest';
import { renderHtml } from './html.ts';
import type { Report } from './report.ts';
import { madeReport } from './test/made-report.ts';
import { HOSTILE, MAKINGS } from './test/makings.ts';

type Element = { name: string; attributes: Record<string, string>; text: string; children: Element[] };

/** The page as a tree; throws where it is not well-formed. */
function parse(page: string): Element {
  const root: Element = { name: '', attributes: {}, text: '', children: [] };
  const open = [root];
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('opentag', ({ name, attributes }) => {
    const element: Element = { name, attributes: attributes as Record<string, string>, text: '', children: [] };
    open.at(-1)!.children.push(element);
    open.push(element);
  });
  parser.on('text', (text) => {
    for (const element of open) element.text += text;
  });
  parser.on('closetag', () => void open.pop());
  parser.write(page).close();
  return root;
}

function all(element: Element, where: (element: Element) => boolean): Element[] {
  return element.children.flatMap((child) => [...(where(child) ? [child] : []), ...all(child, where)]);
}

function tables(root: Element): Map<string, string[][]> {
  return new Map(
    all(root, ({ name }) => name === 'table').map((table) => {
      const rows = all(table, ({ name }) => name === 'tr');
      const cells = rows.map((row) => row.children.map(({ text }) => text.replaceAll('\u00a0', ' ').trim()));
      return [all(table, ({ name }) => name === 'caption')[0].text, cells];
    }),
  );
}

function number(text: string): number {
  return text === '–' ? 0 : Number(text.replace(/[^\d.-]/g, ''));
}

function column(rows: string[][], head: string): number[] {
  const index = rows[0].indexOf(head);
  expect(index, head).toBeGreaterThanOrEqual(0);
  return rows.slice(1).map((row) => number(row[index]));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, value) => total + value, 0);

describe.each(Object.entries(MAKINGS))('the page of %s', (_, making) => {
  const report = madeReport(making);
  const page = renderHtml(report);
  const root = parse(page);

  test('is well-formed, refers to nothing outside itself and shows no figure that is none', () => {
    expect(page.match(/https?:|url\((?!"#)|@import|<link|<img|<iframe/)).toBeNull();
    expect(page.match(/ style=| on[a-z]+=/)).toBeNull();
    const shown = page.replace(/<script>.*<\/script>/s, '');
    expect(shown.match(/\bNaN\b|\bundefined\b|\bInfinity\b|\[object/)).toBeNull();
  });

  test('has headings in order, ids once, and a title and description for each chart', () => {
    const levels = all(root, ({ name }) => /^h\d$/.test(name)).map(({ name }) => Number(name[1]));
    expect(levels[0]).toBe(1);
    for (let i = 1; i < levels.length; i++) expect(levels[i] - levels[i - 1]).toBeLessThanOrEqual(1);
    const ids = all(root, ({ attributes }) => attributes.id !== undefined).map(({ attributes }) => attributes.id);
    expect(new Set(ids).size).toBe(ids.length);
    const charts = all(root, ({ attributes }) => attributes.role === 'img');
    for (const chart of charts) {
      expect(chart.attributes['aria-labelledby'].split(' ')).toEqual(
        chart.children.slice(0, 2).map((child) => child.attributes.id),
      );
      expect(chart.children.slice(0, 2).map(({ text }) => text)).not.toContain('');
    }
    for (const link of all(root, ({ name }) => name === 'a')) expect(ids).toContain(link.attributes.href.slice(1));
  });

  test('has tables whose sums are those of the report', () => {
    const found = tables(root);
    const trt = found.get('Target Response Times by Service Request')!;
    for (const [head, total] of [
      ['Requests', sum(report.trt.map((row) => row.requests))],
      ['Within TRT', sum(report.trt.map((row) => row.withinTrt))],
      ['Breaches', report.ledger.breaches],
      ['Open', report.ledger.open],
    ] as const) {
      const figures = column(trt, head);
      expect(sum(figures.slice(0, -1))).toBe(total);
      expect(figures.at(-1)).toBe(total);
    }
    const breaches = found.get('Breaches by hour and network')!;
    for (const network of report.networks) {
      const figures = column(breaches, network.name);
      expect(figures.slice(0, -1)).toEqual(network.breachesByHour);
      expect(figures.at(-1)).toBe(sum(network.breachesByHour));
    }
    const answers = sum(report.series.onDemand.map((point) => point.count));
    expect(sum(column(found.get('On-demand latency over time')!, 'Answers').slice(0, -1))).toBe(answers);
    expect(column(found.get('Conduct of each User')!, 'Requests')).toEqual(report.users.map((row) => row.requests));
    expect(found.get('Thresholds of the scenario')).toHaveLength(report.thresholds.length + 1);
  });

  test('has a section on the platform, with its contents entry, only where services were driven', () => {
    const { platform } = report;
    const sections = all(root, ({ attributes }) => attributes.id === 'platform');
    const links = all(root, ({ attributes }) => attributes.href === '#platform');
    expect([sections.length, links.length]).toEqual(platform === undefined ? [0, 0] : [1, 1]);
    expect(page.includes('mdr load')).toBe(platform !== undefined);
    if (platform === undefined) return;
    const found = tables(root);
    const services = found.get('What the services used')!;
    expect(column(services, 'Processes').at(-1)).toBe(sum(platform.services.map(({ processes }) => processes)));
    expect(services.slice(1, -1).map(([name]) => name)).toEqual(platform.services.map(({ name }) => name));
    expect(column(found.get("The platform's own time")!, 'Answers')).toEqual(
      (['on-demand', 'on-demand', 'scheduled', 'scheduled'] as const).map((mode) => platform.latency[mode].count),
    );
    expect(Math.max(...column(found.get('The platform over wall time')!, 'not taken'))).toBe(platform.lag.peakRecords);
  });

  test('says the verdict and every caution in words', () => {
    const verdict = all(root, ({ attributes }) => attributes.id === 'verdict')[0];
    expect(verdict.text.toLowerCase()).toContain(report.verdict);
    expect(page.includes('Partial report')).toBe(!report.run.complete);
    expect(page.includes('Estimated from')).toBe(report.run.sample !== null);
  });

  test('gives the command and the facts that reproduce the run', () => {
    expect(all(root, ({ attributes }) => attributes.id === 'command')[0].text).toBe(report.run.command);
    const run = all(root, ({ attributes }) => attributes.id === 'run')[0].text;
    for (const fact of [report.scenario.name, report.run.digest, report.run.version, report.run.machine.cpu])
      expect(run).toContain(fact);
  });
});

test('names from outside are shown as text, never as markup', () => {
  const report = madeReport({ seed: 1, names: { scenario: HOSTILE, network: HOSTILE, user: HOSTILE } });
  const root = parse(renderHtml(report));
  expect(all(root, ({ name }) => name === 'script')).toHaveLength(1);
  expect(all(root, ({ name }) => name === 'img')).toHaveLength(0);
  expect(all(root, ({ name }) => name === 'h1')[0].text).toContain('</title><script>alert(1)</script>');
});

test('any name leaves the page well-formed', () => {
  const pieces = fc.string({
    unit: fc.constantFrom('<', '>', '&', '"', "'", '`', '$', '{', '\u0000', '\ud800', '\u202e', 'é', ']]>', '-->'),
  });
  fc.assert(
    fc.property(
      pieces,
      (name) => void parse(renderHtml(madeReport({ seed: 1, names: { scenario: name, network: name, user: name } }))),
    ),
    { numRuns: 20 },
  );
});

test('a run of months is drawn with cells and labels that stay apart', () => {
  const report: Report = madeReport({ seed: 1, days: 60 });
  const root = parse(renderHtml(report));
  const chart = all(root, ({ attributes }) => attributes['aria-labelledby']?.startsWith('heat-map-wide') === true)[0];
  const cells = all(chart, ({ attributes }) => attributes.class?.startsWith('cell ') === true);
  for (const cell of cells) expect(Number(cell.attributes.width)).toBeGreaterThan(3);
});
