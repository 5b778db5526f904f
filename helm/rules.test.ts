import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { METRICS, NODE_METRICS } from '#services/platform/metrics/catalogue.ts';
import { isInstalled } from '#services/platform/test/installed.ts';
import { DASHBOARDS } from './dashboards/all.ts';
import { grafanaJson, RUNBOOKS } from './dashboards/grafana.ts';
import { filledIn } from './dashboards/panel.ts';

type Rule = {
  alert?: string;
  record?: string;
  expr: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};
type RuleFile = { groups: { name: string; rules: Rule[] }[] };
type RuleTests = { tests: { alert_rule_test?: { alertname: string; exp_alerts?: object[] }[] }[] };

const HELM = fileURLToPath(new URL('.', import.meta.url));
const RUNBOOK_FOLDER = fileURLToPath(new URL('../docs/operate/runbooks/', import.meta.url));
const ruleFiles = globSync('mdr-stream/rules/*.yaml', { cwd: HELM }).map((path) => join(HELM, path));
const testFiles = globSync('test/*.test.yaml', { cwd: HELM }).map((path) => join(HELM, path));
const rules = ruleFiles.flatMap((path) => yaml<RuleFile>(path).groups.flatMap((group) => group.rules));
const alerts = rules.filter(({ alert }) => alert !== undefined) as (Rule & { alert: string })[];
const queries = Object.entries(DASHBOARDS).flatMap(([name, { rows }]) =>
  rows.flatMap(({ panels }) =>
    panels.flatMap((panel) => panel.queries.map(({ expr }) => ({ name: `${name}: ${panel.title}`, expr, panel }))),
  ),
);
const hasPromtool = isInstalled('promtool', 'alerts and dashboards by promtool');
const folder = mkdtempSync(join(tmpdir(), 'mdr-rules-'));
afterAll(() => rmSync(folder, { recursive: true }));

function yaml<T>(path: string): T {
  return parse(readFileSync(path, 'utf8')) as T;
}

/** Names that look like metrics: of the product, of Node, of recording rules. */
function metricsIn(expr: string): string[] {
  return [...expr.matchAll(/\b(?:mdr[_:]|process_|nodejs_)[a-z0-9_:]+/g)].map(([name]) => name);
}

function unknownIn(expr: string): string[] {
  const known = [...Object.keys(METRICS), ...Object.keys(NODE_METRICS), ...rules.map(({ record }) => record)];
  return metricsIn(expr).filter(
    (name) => !known.includes(name) && !known.includes(name.replace(/_(bucket|sum|count)$/, '')),
  );
}

describe('alerts', () => {
  test.each(alerts)('$alert says how bad it is, what is wrong, and where to read what to do', (rule) => {
    const { alert, labels, annotations } = rule;
    expect(['warning', 'critical']).toContain(labels?.severity);
    expect(annotations?.summary).toMatch(/\w/);
    expect(annotations?.description).toMatch(/\.$/);
    expect(annotations?.runbook_url).toBe(`${RUNBOOKS}/${alert}.md`);
    const page = readFileSync(join(RUNBOOK_FOLDER, `${alert}.md`), 'utf8');
    expect(page.split('\n')[0]).toBe(`# ${alert}`);
    for (const part of ['## Confirm', '## Do']) expect(page).toContain(part);
  });

  test('every runbook is of an alert', () => {
    const pages = globSync('*.md', { cwd: RUNBOOK_FOLDER }).sort();
    expect(pages).toEqual(alerts.map(({ alert }) => `${alert}.md`).sort());
  });

  test.each(rules)('$expr asks for metrics that there are', ({ expr }) => {
    expect(metricsIn(expr)).not.toEqual([]);
    expect(unknownIn(expr)).toEqual([]);
  });

  test('each is tested firing and not firing', () => {
    const tested = testFiles.flatMap((path) => yaml<RuleTests>(path).tests.flatMap((one) => one.alert_rule_test ?? []));
    for (const { alert } of alerts) {
      const own = tested.filter(({ alertname }) => alertname === alert);
      expect([alert, own.some(({ exp_alerts }) => (exp_alerts ?? []).length > 0)]).toEqual([alert, true]);
      expect([alert, own.some(({ exp_alerts }) => (exp_alerts ?? []).length === 0)]).toEqual([alert, true]);
    }
  });

  test.skipIf(!hasPromtool)('are what Prometheus takes', () => {
    expect(promtool('check', 'rules', ...ruleFiles)).not.toContain('FAILED');
  });

  test.skipIf(!hasPromtool)('fire when they should, and only then', () => {
    expect(promtool('test', 'rules', ...testFiles)).not.toContain('FAILED');
  });
});

describe('dashboards', () => {
  test.each(queries)(
    '$name asks for metrics that there are, and links to a runbook that there is',
    ({ expr, panel }) => {
      expect(metricsIn(expr)).not.toEqual([]);
      expect(unknownIn(expr)).toEqual([]);
      if (panel.runbook !== undefined) expect(alerts.map(({ alert }) => alert)).toContain(panel.runbook);
    },
  );

  test.each(Object.entries(DASHBOARDS))('%s: its variables are used, and there are no others', (_, dashboard) => {
    const exprs = dashboard.rows.flatMap(({ panels }) =>
      panels.flatMap((panel) => panel.queries.map(({ expr }) => expr)),
    );
    const used = new Set(exprs.flatMap((expr) => [...expr.matchAll(/"\$([a-z]+)"/g)].map(([, name]) => name)));
    expect([...used].sort()).toEqual(dashboard.variables.map(({ name }) => name).sort());
  });

  test.each(Object.entries(DASHBOARDS))('%s: no panel lies over another, nor beyond the edge', (_, dashboard) => {
    const { panels } = grafanaJson(dashboard) as {
      panels: { gridPos: { x: number; y: number; w: number; h: number } }[];
    };
    const taken = new Set<string>();
    for (const { gridPos } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`)).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
    }
  });

  test.skipIf(!hasPromtool)('every query is one that Prometheus can read', () => {
    const path = join(folder, 'queries.yaml');
    const recorded = queries.map(({ expr }, k) => ({
      record: `query:${k}`,
      expr: filledIn(expr, { rangeSeconds: 3600, rateSeconds: 60 }),
    }));
    writeFileSync(path, stringify({ groups: [{ name: 'queries', rules: recorded }] }));
    expect(promtool('check', 'rules', path)).toContain(`SUCCESS: ${queries.length} rules found`);
  });
});

function promtool(...args: string[]): string {
  return execFileSync('promtool', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
