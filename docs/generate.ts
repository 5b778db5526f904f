import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FACTS } from '#core/access-control.ts';
import { ERRORS } from '#core/errors.ts';
import { DEFAULT_MATRIX, matrixRows } from '#core/matrix.ts';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { DASHBOARDS } from '#helm/dashboards/all.ts';
import { grafanaJson } from '#helm/dashboards/grafana.ts';
import { METRICS as THRESHOLD_METRICS } from '#load-tests/plan/threshold.ts';
import { SCENARIO_SCHEMA } from '#load-tests/scenario/schema.ts';
import {
  PARTITIONS_ALLOWED,
  PARTITIONS_DEFAULT,
  schemaText,
  TOPICS,
  type TopicName,
  topicSettings,
} from '#schemas/topics.ts';
import { ASSUMED_CODES } from '#services/gateway/assumed-codes.ts';
import { SIGNATURE_FAULTS } from '#services/gateway/xml-signature.ts';
import { METRICS, NODE_METRICS, PROCESS_LABEL } from '#services/platform/metrics/catalogue.ts';
import { COMPONENTS, type MetricDeclaration, seriesMaxOf } from '#services/platform/metrics/declaration.ts';
import { COMMON_SETTINGS, type Setting } from '#services/platform/settings.ts';
import { SERVICES } from '../bin/serve.ts';
import { chartPage } from './chart-page.ts';

/** Pages and files that are made from the code: path from the project's root, and text. */
export function generatedFiles(): Record<string, string> {
  return {
    'docs/reference/scenario.md': scenarioPage(),
    'docs/reference/matrix.md': matrixPage(),
    'docs/reference/codes.md': codesPage(),
    'docs/reference/topics.md': topicsPage(),
    'docs/reference/services.md': servicesPage(),
    'helm/mdr-stream/README.md': chartPage(MADE),
    'docs/reference/metrics.md': metricsPage(),
    ...Object.fromEntries(
      Object.entries(DASHBOARDS).map(([name, dashboard]) => [
        `helm/mdr-stream/dashboards/${name}.json`,
        `${JSON.stringify(grafanaJson(dashboard), null, 2)}\n`,
      ]),
    ),
    'load-tests/scenario.schema.json': `${JSON.stringify(SCENARIO_SCHEMA, null, 2)}\n`,
  };
}

const ROOT = new URL('../', import.meta.url);
const MADE = 'Made by `make docs` from the code; change it there.';

/** Whether the file in the tree is what would be made now. */
export function isCurrent(path: string): boolean {
  return readFileSync(new URL(path, ROOT), 'utf8') === generatedFiles()[path];
}

type Schema = {
  description?: string;
  type?: string | readonly string[];
  enum?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  required?: readonly string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
  oneOf?: readonly Schema[];
};

function scenarioPage(): string {
  const rows: string[] = [];
  describe(SCENARIO_SCHEMA as Schema, '', rows);
  return `# Scenario files

${MADE} A scenario is a YAML file; \`mdr scenarios NAME\` prints a built-in one to start from. Editors complete and
check it with \`load-tests/scenario.schema.json\`. Every setting can be changed on the command line too:
\`--set networks[S1SP].exchangesPerCell=4\`. A default marked [assumption] has no public source: set it to what you know.

| setting | what it is | values | default |
|---|---|---|---|
${rows.join('\n')}

## Thresholds

\`METRIC{FILTER=VALUE, ...} COMPARISON NUMBER\`, where the comparison is one of \`>= <= > < ==\`. Each is judged by itself:
held, broken, or undecided where the 95 % interval of a sampled run straddles the number or there was nothing to judge.

| metric | what it is | filters |
|---|---|---|
${Object.entries(THRESHOLD_METRICS)
  .map(([name, { says, filters }]) => `| \`${name}\` | ${says} | ${filters.map((one) => `\`${one}\``).join(' ')} |`)
  .join('\n')}
`;
}

function describe(schema: Schema, path: string, rows: string[]): void {
  for (const [name, setting] of Object.entries(schema.properties ?? {})) {
    const at = path === '' ? name : `${path}.${name}`;
    const isRequired = schema.required?.includes(name) === true;
    rows.push(
      `| \`${at}\` | ${cell(setting.description ?? '')} | ${cell(valuesOf(setting))} | ${defaultOf(setting, isRequired)} |`,
    );
    if (setting.properties !== undefined) describe(setting, at, rows);
    if (setting.items?.properties !== undefined) describe(setting.items, `${at}[]`, rows);
  }
}

function valuesOf(setting: Schema): string {
  if (setting.enum !== undefined) return setting.enum.join(', ');
  if (setting.oneOf !== undefined) {
    return setting.oneOf
      .map(({ properties }) =>
        Object.entries(properties ?? {})
          .map(([name, one]) => (one.const === undefined ? name : `${name}: ${String(one.const)}`))
          .join(', '),
      )
      .map((text) => `{${text}}`)
      .join(' or ');
  }
  const type = [setting.type ?? ''].flat().join(' or ');
  const low = setting.minimum ?? setting.exclusiveMinimum;
  const from = low === undefined ? '' : setting.minimum === undefined ? ` above ${low}` : ` from ${low}`;
  return `${type}${from}${setting.maximum === undefined ? '' : ` to ${setting.maximum}`}`;
}

const DEFAULT_CHARACTERS_MAX = 60;

function defaultOf(setting: Schema, isRequired: boolean): string {
  if (isRequired) return 'required';
  if (setting.default === undefined) return '';
  const text = JSON.stringify(setting.default);
  if (text === '{}' || text === '""') return '';
  return text.length > DEFAULT_CHARACTERS_MAX ? 'see `mdr scenarios NAME --json`' : `\`${cell(text)}\``;
}

/** Text that may stand in a table. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function matrixPage(): string {
  const rows = matrixRows(DEFAULT_MATRIX).map(({ srv, name, generation, mode, service, roles, trtSeconds }) =>
    [srv, name, generation, mode, service, roles.join(' ') || '-', trtSeconds ?? '-'].join(' | '),
  );
  return `# The SR/TRT matrix ${DEFAULT_MATRIX.name}

${MADE} Source: ${DEFAULT_MATRIX.source}. \`mdr matrix\` prints it; a scenario names another by \`matrix: FILE\`, a JSON
file of the form of \`core/matrices/${DEFAULT_MATRIX.name}.json\`.

| SRV | name | meter | mode | service | roles | TRT, s |
|---|---|---|---|---|---|---|
${rows.map((row) => `| ${row} |`).join('\n')}
`;
}

function codesPage(): string {
  const codes = Object.entries(RESPONSE_CODES).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  const facts = FACTS.filter(({ step }) => step > 0).map(({ fact, step, code }) => `| ${step} | ${fact} | ${code} |`);
  const signatures = Object.values(SIGNATURE_FAULTS).map((says) => `| ${says} | E1 |`);
  const assumed = Object.values(ASSUMED_CODES).map(({ says, default: code }) => `| ${code} | ${cell(says)} |`);
  const errors = Object.entries(ERRORS).map(([code, { exitCode, help }]) => `| ${code} | ${exitCode} | ${help} |`);
  return `# Codes

${MADE}

## Response codes

| code | meaning |
|---|---|
${codes.join('\n')}

## Codes assumed

The DUIS schema lists them, and no source of this project says what they mean: each is a setting with this default.

| code | meaning |
|---|---|
${assumed.join('\n')}

## What the signature of a request is refused for

Where signatures are verified, before access control. A signature of another form than
[the one taken](../using/signatures.md) is refused with the document, as is all that is no DUIS Request.

| fact | answer |
|---|---|
${signatures.join('\n')}

## What access control decides on

The steps in order; the first failure answers.

| step | fact | answer |
|---|---|---|
${facts.join('\n')}

## Errors of the command line

| code | exit code | what to do |
|---|---|---|
${errors.join('\n')}

Exit codes of \`mdr plan\`: 0 every threshold holds, 1 one is broken, 2 bad input, 3 could not run, 4 undecided.
`;
}

type AvroField = { name: string; type: AvroType; doc: string };
type AvroType =
  | string
  | AvroType[]
  | {
      type: string;
      name?: string;
      doc?: string;
      symbols?: string[];
      items?: AvroType;
      fields?: AvroField[];
      logicalType?: string;
    };

function topicsPage(): string {
  const rows = (Object.keys(TOPICS) as TopicName[]).map((name) => {
    const { key, schema } = TOPICS[name];
    const settings = Object.entries(topicSettings(name)).map(([setting, value]) => `${setting}=${value}`);
    return `| \`${name}\` | ${key} | [${schema}](#${schema}) | ${settings.join(', ')} |`;
  });
  const schemas = [...new Map(Object.entries(TOPICS).map(([name, { schema }]) => [schema, name as TopicName]))];
  return `# Topics and their values

${MADE} Declared in \`schemas/topics.ts\` and \`schemas/*.avsc\`; \`mdr topics\` creates them and registers the schemas.
A topic's name has the platform's prefix before it (\`mdr.\` unless set otherwise). All topics have the same number of
partitions, ${PARTITIONS_DEFAULT} unless set (${PARTITIONS_ALLOWED.join(', ')}). A key is 13 digits of an MPAN, 16 hexadecimal digits (upper case) of
a User's EUI-64, or \`run\`; a record goes where Kafka's default partitioner puts its key. MARKER records have no key.
Values are in Confluent's wire format: a zero byte, the schema's id in four bytes, Avro.

| topic | key | value | settings |
|---|---|---|---|
${rows.join('\n')}

${schemas.map(([, topic]) => schemaPart(topic)).join('\n')}`;
}

function schemaPart(topic: TopicName): string {
  const schema = JSON.parse(schemaText(topic)) as { name: string; doc: string; fields: AvroField[] };
  const rows: string[] = [];
  listFields(schema.fields, '', rows);
  return `## ${TOPICS[topic].schema}

${schema.doc}

| field | type | what it is |
|---|---|---|
${rows.join('\n')}
`;
}

function listFields(fields: readonly AvroField[], path: string, rows: string[]): void {
  for (const { name, type, doc } of fields) {
    rows.push(`| \`${path}${name}\` | ${cell(typeText(type))} | ${cell(doc)}${enumText(type)} |`);
    const inner = recordIn(type);
    if (inner?.fields !== undefined) listFields(inner.fields, `${path}${name}.`, rows);
  }
}

function recordIn(type: AvroType): { fields?: AvroField[] } | undefined {
  if (typeof type === 'string') return undefined;
  if (Array.isArray(type)) return type.map(recordIn).find((one) => one !== undefined);
  return type.fields !== undefined ? type : type.items === undefined ? undefined : recordIn(type.items);
}

function typeText(type: AvroType): string {
  if (typeof type === 'string') return type.replace('mdr.', '');
  if (Array.isArray(type)) return type.map(typeText).join(' or ');
  if (type.items !== undefined) return `list of ${typeText(type.items)}`;
  return type.name ?? type.logicalType ?? type.type;
}

function enumText(type: AvroType): string {
  if (typeof type === 'string' || Array.isArray(type) || type.symbols === undefined) return '';
  return cell(` (${type.symbols.join(', ')}) ${type.doc ?? ''}`);
}

function servicesPage(): string {
  const parts = SERVICES.map(({ name, summary, settings }) => {
    const own = Object.keys(settings).length === 0 ? '' : `\n\n${settingsTable(settings)}`;
    return `## ${name}\n\n\`mdr serve ${name}\`: ${summary}.${own}\n\n${metricsTable(name)}`;
  });
  return `# Services

${MADE} Each is a process, \`mdr serve NAME\`; any number of one kind share its partitions. How they work together stands
in [the stream](../internals/stream.md), how to run them in [operating the services](../operate/services.md). Metrics that all
of them have stand in [the metrics](metrics.md).

## Settings of every service

A flag goes before an environment variable, a variable before a key of the YAML file given by \`--config\`.

${settingsTable(COMMON_SETTINGS)}

${parts.join('\n\n')}
`;
}

function settingsTable(settings: Readonly<Record<string, Setting>>): string {
  const rows = Object.entries(settings).map(([name, { doc, default: usual, choices, environment, isSecret }]) => {
    const variables = [`MDR_${name.toUpperCase().replaceAll('-', '_')}`, environment].filter(
      (one) => one !== undefined,
    );
    const values = choices === undefined ? '' : ` One of ${choices.join(', ')}.`;
    const flag = isSecret ? name : `--${name}`;
    return `| \`${flag}\` | ${cell(doc)}${values} | ${usual === undefined ? '' : `\`${usual}\``} | ${variables.map((one) => `\`${one}\``).join(' ')} |`;
  });
  return `| setting | what it is | default | environment |\n|---|---|---|---|\n${rows.join('\n')}`;
}

function metricsTable(service: string): string {
  const rows = metricsOf(service).map(([name, { help }]) => `| [\`${name}\`](metrics.md#${name}) | ${cell(help)} |`);
  return `| metric | what it is |\n|---|---|\n${rows.join('\n')}`;
}

function metricsOf(component: string): [string, MetricDeclaration][] {
  return Object.entries(METRICS)
    .filter(([, metric]) => metric.component === component)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function metricsPage(): string {
  const parts = ['all', ...COMPONENTS].map((component) => {
    const title = component === 'all' ? 'Of every service' : component;
    return `## ${title}\n\n${metricsOf(component).map(metricPart).join('\n')}`;
  });
  const node = Object.entries(NODE_METRICS).map(([name, says]) => `| \`${name}\` | ${cell(says)} |`);
  return `# Metrics

${MADE} Every service answers \`/metrics\` in Prometheus' text, or as OpenMetrics to who accepts it. Each series has
the label \`${PROCESS_LABEL}\`: ${COMPONENTS.map((one) => `\`${one}\``).join(', ')}.

No label holds an MPAN, a Device ID or a RequestID. *Series* is what one process has of a metric at most.
Counters begin at 0 with their process, as Prometheus expects. What a service counts of requests stands in arrays of its
own, and is copied when it is scraped.

Metrics of Target Response Times count the requests received on counted days, as the report of a run does: those of its
warm-up and those after its last day are in none of them. \`trt_service\` is what the field calls the service of a
request, existing or MHHS: Prometheus' operator gives every series a label \`service\` of its own.

${parts.join('\n')}
## Of Node

Every process has those of prom-client too; dashboards and alerts use these of them.

| metric | what it is |
|---|---|
${node.join('\n')}
`;
}

function metricPart([name, metric]: [string, MetricDeclaration]): string {
  const { type, unit, labels, edges, seriesMax, help } = metric;
  const rows = Object.entries(labels).map(
    ([label, bound]) =>
      `| \`${label}\` | ${typeof bound === 'number' ? `up to ${bound} values` : bound.map((one) => `\`${one}\``).join(' ')} |`,
  );
  const because = seriesMax === undefined ? '' : ` (${seriesMax.because})`;
  return `### ${name}

${help}.

${type}, ${unit}; at most ${seriesMaxOf(metric)} series${because}.${edges === undefined ? '' : ` Buckets end at ${edges.join(', ')} and +Inf.`}
${rows.length === 0 ? '' : `\n| label | values |\n|---|---|\n${rows.join('\n')}\n`}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(generatedFiles())) writeFileSync(new URL(path, ROOT), text);
}
