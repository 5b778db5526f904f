import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FACTS } from '#core/access-control.ts';
import { ERRORS } from '#core/errors.ts';
import { DEFAULT_MATRIX, matrixRows } from '#core/matrix.ts';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { METRICS } from '#load-tests/plan/threshold.ts';
import { SCENARIO_SCHEMA } from '#load-tests/scenario/schema.ts';

/** Pages and files that are made from the code: path from the project's root, and text. */
export function generatedFiles(): Record<string, string> {
  return {
    'docs/reference/scenario.md': scenarioPage(),
    'docs/reference/matrix.md': matrixPage(),
    'docs/reference/codes.md': codesPage(),
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
${Object.entries(METRICS)
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
  const errors = Object.entries(ERRORS).map(([code, { exitCode, help }]) => `| ${code} | ${exitCode} | ${help} |`);
  return `# Codes

${MADE}

## Response codes

| code | meaning |
|---|---|
${codes.join('\n')}

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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(generatedFiles())) writeFileSync(new URL(path, ROOT), text);
}
