import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

type Schema = {
  description?: string;
  type?: string | readonly string[];
  enum?: readonly unknown[];
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  items?: Schema;
  allOf?: readonly { $ref: string }[];
  definitions?: Record<string, Schema>;
  required?: readonly string[];
};
type Values = Record<string, unknown>;

const CHART = new URL('../helm/mdr-stream/', import.meta.url);
/** Where a value's own schema is that of Kubernetes, the reader knows it. */
const OF_KUBERNETES = ['resources', 'peers', 'tolerations'];

/** The README of the chart, from the schema of its values and their defaults. */
export function chartPage(made: string): string {
  const schema = JSON.parse(readFileSync(new URL('values.schema.json', CHART), 'utf8')) as Schema;
  const values = parse(readFileSync(new URL('values.yaml', CHART), 'utf8')) as Values;
  const chart = parse(readFileSync(new URL('Chart.yaml', CHART), 'utf8')) as { kubeVersion: string };
  const { services, global: _, ...others } = schema.properties as Record<string, Schema>;
  const [name, first] = Object.entries(services.properties as Record<string, Schema>)[0];
  const rows = describe({ properties: others }, values, '', schema);
  const ofServices = describe(
    without(first, ['settings', 'drop', 'resources']),
    serviceOf(values, name),
    'services.NAME',
    schema,
  );
  return `# mdr-stream for Kubernetes

${made} The stream's services on a Kafka and a schema registry of yours, for Kubernetes ${chart.kubeVersion.replace(/-0$/, '')}.
How to [install](../../docs/operate/install.md), [size](../../docs/operate/size.md), [upgrade](../../docs/operate/upgrade.md) and
[recover](../../docs/operate/recover.md) it, and how to [run a scenario](../../docs/operate/scenarios.md) on it.

\`\`\`
helm install mdr helm/mdr-stream --set 'kafka.brokers={kafka:9092}' --set registry.url=http://registry:8080/apis/ccompat/v7
\`\`\`

\`ci/\` has values for each feature, \`../examples/\` what they render to. Dashboards and alert rules are taken from
\`dashboards/*.json\` and \`rules/*.yaml\`, as they are.

## Values

| value | what it is | values | default |
|---|---|---|---|
${rows.join('\n')}

## Values of each service

${services.description}

| value | what it is | values | default |
|---|---|---|---|
${ofServices.join('\n')}

| service | requests | limits | settings |
|---|---|---|---|
${Object.entries(services.properties as Record<string, Schema>)
  .map(([service, of]) => serviceRow(service, of, serviceOf(values, service)))
  .join('\n')}

\`services.registration.drop.existingClaim\`: ${first.properties?.drop.properties?.existingClaim.description}
`;
}

function serviceOf(values: Values, name: string): Values {
  return (values.services as Record<string, Values>)[name];
}

function serviceRow(name: string, schema: Schema, values: Values): string {
  const { requests, limits } = values.resources as Record<string, Values>;
  const settings = Object.keys(schema.properties?.settings.properties ?? {});
  return `| ${name} | ${amounts(requests)} | ${amounts(limits)} | ${settings.map((one) => `\`${one}\``).join(' ')} |`;
}

function amounts(of: Values): string {
  return Object.entries(of)
    .map(([name, amount]) => `${name} ${amount}`)
    .join(', ');
}

function without(schema: Schema, names: readonly string[]): Schema {
  const kept = Object.entries(schema.properties ?? {}).filter(([name]) => !names.includes(name));
  return { ...schema, properties: Object.fromEntries(kept) };
}

function describe(schema: Schema, values: Values | undefined, path: string, root: Schema): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]) => {
    const at = path === '' ? name : `${path}.${name}`;
    const definition = part.allOf?.[0].$ref.split('/').at(-1);
    const of: Schema = definition === undefined ? part : { ...root.definitions?.[definition], ...part };
    const value = values?.[name];
    const isKnown = definition !== undefined && OF_KUBERNETES.includes(definition);
    if (of.properties !== undefined && !isKnown && name !== 'settings')
      return [
        ...(of.description === undefined ? [] : [`| **\`${at}\`** | ${of.description} | | |`]),
        ...describe(of, value as Values | undefined, at, root),
      ];
    const row = `| \`${at}\` | ${cell(of.description ?? '')} | ${cell(valuesOf(of))} | ${defaultOf(value)} |`;
    return [row, ...(of.items === undefined || isKnown ? [] : describe(of.items, undefined, `${at}[]`, root))];
  });
}

function valuesOf({ enum: choices, type, minimum, maximum, items, properties }: Schema): string {
  if (choices !== undefined) return choices.join(', ');
  if (properties !== undefined) return Object.keys(properties).join(', ');
  if (items !== undefined) return 'list';
  const range = minimum === undefined ? '' : ` from ${minimum} to ${maximum}`;
  return `${[type ?? ''].flat().join(' or ')}${range}`;
}

function defaultOf(value: unknown): string {
  if (value === undefined || value === '' || value === null) return '';
  const text = JSON.stringify(value);
  return text === '{}' || text === '[]' ? '' : `\`${typeof value === 'string' ? value : cell(text)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
