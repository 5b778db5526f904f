import type { Dashboard, Panel, Variable } from './panel.ts';

/** Of Grafana 10 and later. */
const SCHEMA_VERSION = 39;
const COLUMNS = 24;
const HEIGHT = 8;
const STAT_HEIGHT = 5;
const ROW_HEIGHT = 1;
const DATASOURCE = { type: 'prometheus', uid: '$datasource' } as const;
const REFRESH = '30s';

/** Where runbooks stand, to be replaced by where an operator keeps them: alerts name theirs by it too. */
export const RUNBOOKS = 'https://mdr-stream.example/docs/operate/runbooks';

/** A dashboard as Grafana's JSON. All of them are linked to each other by their tag. */
export function grafanaJson({ uid, title, description, from, variables, rows }: Dashboard): unknown {
  const panels: unknown[] = [];
  let [x, y, rowHeight, id] = [0, 0, 0, 1];
  for (const row of rows) {
    y += rowHeight;
    [x, rowHeight] = [0, 0];
    panels.push({
      id: id++,
      type: 'row',
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: at(x, y, COLUMNS, 1),
    });
    y += ROW_HEIGHT;
    for (const panel of row.panels) {
      const height = panel.height ?? (panel.kind === 'stat' ? STAT_HEIGHT : HEIGHT);
      if (x + panel.width > COLUMNS) {
        y += rowHeight;
        [x, rowHeight] = [0, 0];
      }
      panels.push(panelJson(panel, id++, at(x, y, panel.width, height)));
      x += panel.width;
      rowHeight = Math.max(rowHeight, height);
    }
  }
  return {
    uid,
    title,
    description,
    tags: ['mdr-stream'],
    timezone: 'utc',
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: REFRESH,
    time: { from, to: 'now' },
    annotations: { list: [] },
    links: [
      {
        type: 'dashboards',
        title: 'mdr-stream',
        tags: ['mdr-stream'],
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    templating: { list: [datasourceVariable(), ...variables.map(variableJson)] },
    panels,
  };
}

function at(x: number, y: number, w: number, h: number): { x: number; y: number; w: number; h: number } {
  return { x, y, w, h };
}

function panelJson(panel: Panel, id: number, gridPos: ReturnType<typeof at>): unknown {
  const { kind, title, description, queries, unit, bounds, runbook } = panel;
  return {
    id,
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    ...(runbook === undefined
      ? {}
      : { links: [{ title: `Runbook ${runbook}`, url: `${RUNBOOKS}/${runbook}.md`, targetBlank: true }] }),
    targets: queries.map(({ expr, legend, isInstant = kind === 'stat' || kind === 'table' }, k) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + k),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      instant: isInstant,
      range: !isInstant,
      format: kind === 'table' ? 'table' : kind === 'heatmap' ? 'heatmap' : 'time_series',
    })),
    fieldConfig: { defaults: { unit, ...thresholdsJson(bounds), ...customJson(kind) }, overrides: [] },
    options: optionsJson(kind, unit),
    ...(kind === 'table' ? { transformations: [{ id: 'merge', options: {} }, hideTime()] } : {}),
  };
}

function thresholdsJson(bounds: Panel['bounds']): object {
  if (bounds === undefined) return { color: { mode: 'palette-classic' } };
  const { amber, red, isFalling = false } = bounds;
  const steps = isFalling
    ? [
        { color: 'red', value: null },
        { color: 'orange', value: red },
        { color: 'green', value: amber },
      ]
    : [
        { color: 'green', value: null },
        { color: 'orange', value: amber },
        { color: 'red', value: red },
      ];
  return { color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps } };
}

function customJson(kind: Panel['kind']): object {
  return kind === 'timeseries'
    ? { custom: { lineWidth: 1, fillOpacity: 8, showPoints: 'never', spanNulls: false } }
    : {};
}

function optionsJson(kind: Panel['kind'], unit: string): unknown {
  switch (kind) {
    case 'timeseries':
      return { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } };
    case 'stat':
      return { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, textMode: 'value_and_name' };
    case 'table':
      return { showHeader: true, cellHeight: 'sm' };
    case 'heatmap':
      return { calculate: false, yAxis: { unit }, color: { mode: 'scheme', scheme: 'Spectral', steps: 64 } };
  }
}

function hideTime(): unknown {
  return { id: 'organize', options: { excludeByName: { Time: true } } };
}

function datasourceVariable(): unknown {
  return { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', hide: 0 };
}

function variableJson({ name, label, metric, of }: Variable): unknown {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    query: { query: `label_values(${metric}, ${of})`, refId: name },
    definition: `label_values(${metric}, ${of})`,
    includeAll: true,
    allValue: '.*',
    multi: true,
    current: { text: 'All', value: '$__all' },
    refresh: 2,
    sort: 1,
  };
}
