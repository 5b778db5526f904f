import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { type Document, isCollection, isMap, isNode, isPair, LineCounter, parseDocument } from 'yaml';
import type { Fault } from '#core/errors.ts';

/** Larger than any file a person writes; a bound on what one is made to read. */
export const YAML_CHARACTERS_MAX = 4 * 1024 * 1024;
/** Aliases could blow a small file up; people's files use a handful. */
const ALIASES_MAX = 100;
/** More than anybody reads; finding each one's line takes time. */
const FAULTS_MAX = 1000;

export type YamlFile = { value: unknown; lineOf(path: readonly (string | number)[]): number };

/**
 * `text`: every scalar is taken as it is written, so that 4.10 is not 4.1 and a number of 13 digits keeps them.
 * `charactersMax`: for files that programs write.
 */
export type YamlReading = { scalars?: 'typed' | 'text'; charactersMax?: number };

/** Parses YAML text; syntax errors come back as faults with their lines. */
export function parseYaml(
  text: string,
  file: string,
  { scalars = 'typed', charactersMax = YAML_CHARACTERS_MAX }: YamlReading = {},
): YamlFile | { faults: Fault[] } {
  if (text.length > charactersMax) return { faults: [{ file, expected: `at most ${charactersMax} characters` }] };
  const lines = new LineCounter();
  const schema = scalars === 'text' ? 'failsafe' : 'core';
  const document = parseDocument(text, { schema, lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  if (document.errors.length > 0) {
    return {
      faults: document.errors.map((error) => ({
        file,
        line: lines.linePos(error.pos[0]).line,
        expected: `YAML that parses: ${error.message}`,
      })),
    };
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
    if (containsItself(value, new Set()))
      return { faults: [{ file, expected: 'YAML that ends: an alias stands within what it names' }] };
    return { value, lineOf: (path) => lineOfPath(document, lines, path) };
  } catch (error) {
    return { faults: [{ file, expected: `YAML that resolves: ${(error as Error).message}` }] };
  }
}

/** Whether a value leads back to itself: aliases can make one that nobody could read to its end. */
function containsItself(value: unknown, above: Set<object>): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (above.has(value)) return true;
  above.add(value);
  const found = Object.values(value).some((inner) => containsItself(inner, above));
  above.delete(value);
  return found;
}

/** The line of the node at `path`, or of the nearest node above it that is in the file. */
function lineOfPath(document: Document.Parsed, lines: LineCounter, path: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const step of path) {
    if (!isCollection(node)) break;
    const pair = isMap(node) ? node.items.find((item) => isPair(item) && String(item.key) === String(step)) : undefined;
    const key = pair?.key;
    node = pair === undefined ? node.get(step, true) : pair.value;
    if (isNode(key)) offset = key.range?.[0] ?? offset;
    else if (isNode(node)) offset = node.range?.[0] ?? offset;
    else break;
  }
  return lines.linePos(offset).line;
}

/** What a format of a schema's texts accepts, and how it is called. */
export type Format = { expected: string; accepts(text: string): boolean };

export type CompiledSchema = { validate: ValidateFunction; formats: Readonly<Record<string, Format>> };

/**
 * Compiles a JSON Schema; validation fills defaults in and finds every fault at once. With formats, values are texts
 * that become what the schema says.
 */
export function compileSchema(schema: object, formats: Readonly<Record<string, Format>> = {}): CompiledSchema {
  const ajv = new Ajv({
    allErrors: true,
    useDefaults: true,
    verbose: true,
    discriminator: true,
    allowUnionTypes: true,
    strictTypes: false,
    coerceTypes: Object.keys(formats).length > 0,
  });
  for (const [name, { accepts }] of Object.entries(formats)) ajv.addFormat(name, { type: 'string', validate: accepts });
  return { validate: ajv.compile(schema), formats };
}

/** Checks (and completes with defaults) a value against a compiled schema. */
export function schemaFaults(
  { validate, formats }: CompiledSchema,
  value: unknown,
): { path: (string | number)[]; fault: Fault }[] {
  if (validate(value)) return [];
  const found = (validate.errors ?? []).slice(0, FAULTS_MAX).map((error) => faultOf(error, formats));
  const seen = new Set<string>();
  return found.filter(({ fault }) => {
    const key = `${fault.path} ${fault.expected}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function faultOf(error: ErrorObject, formats: CompiledSchema['formats']): { path: (string | number)[]; fault: Fault } {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
  const { keyword, params, data } = error;
  if (keyword === 'additionalProperties') {
    const known = Object.keys((error.parentSchema?.properties as object | undefined) ?? {});
    const name = params.additionalProperty as string;
    const near = nearest(name, known);
    return {
      path: [...path, name],
      fault: {
        path: formatPath([...path, name]),
        expected: `the name of a setting${near === undefined ? `: ${known.join(', ')}` : `; did you mean ${near}?`}`,
      },
    };
  }
  if (keyword === 'required') {
    const at = [...path, params.missingProperty as string];
    return { path: at, fault: { path: formatPath(at), expected: 'a value: it is missing' } };
  }
  return { path, fault: { path: formatPath(path), value: data, expected: expectation(error, formats) } };
}

const TYPES: Readonly<Record<string, string>> = { array: 'a list', object: 'a mapping', integer: 'a whole number' };

function expectation(error: ErrorObject, formats: CompiledSchema['formats']): string {
  const { keyword, params, schema, data, message } = error;
  const format = (error.parentSchema as { format?: string } | undefined)?.format;
  if (format !== undefined && (keyword === 'type' || keyword === 'format')) return formats[format].expected;
  switch (keyword) {
    case 'enum':
      return `one of ${(schema as unknown[]).join(', ')}`;
    case 'const':
      return JSON.stringify(schema);
    case 'type':
      if (schema === 'string' && typeof data === 'number') return `text: write it in quotes, as "${data}"`;
      return [schema as string | string[]]
        .flat()
        .map((type) => TYPES[type] ?? `a ${type}`)
        .join(' or ');
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `a number ${params.comparison} ${params.limit}`;
    case 'pattern':
      return PATTERNS[params.pattern as string] ?? `text that matches ${params.pattern}`;
    case 'discriminator':
      return `a known ${params.tag}`;
    default:
      return message ?? keyword;
  }
}

/** What people call the formats that patterns check. */
const PATTERNS: Record<string, string> = {
  '^\\d{4}-\\d{2}-\\d{2}$': 'a date as 2026-03-02',
  '^([01]\\d|2[0-3]):[0-5]\\d-(([01]\\d|2[0-3]):[0-5]\\d|24:00)$': 'a time window as 00:30-06:30',
  '^[A-Z]{4}$': 'an MPID of four capital letters',
  '^[a-z0-9][a-z0-9-]{0,59}$': 'a name of lower-case letters, digits and hyphens',
};

/** `users[2].share`. */
export function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  );
}

/** Of a name's letters this share may differ from what was meant. */
const TYPO_SHARE_MAX = 0.4;

function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((word) => ({ word, distance: editDistance(name.toLowerCase(), word.toLowerCase()) }));
  ranked.sort((a, b) => a.distance - b.distance);
  return ranked.length > 0 && ranked[0].distance <= TYPO_SHARE_MAX * name.length ? ranked[0].word : undefined;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(substitution, previous[j] + 1, row[j - 1] + 1);
    }
    previous = row;
  }
  return previous[b.length];
}
