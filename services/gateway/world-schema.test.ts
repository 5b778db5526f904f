import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROLES } from '#core/matrix.ts';
import { WORLD_FORMATS, WORLD_SCHEMA } from './world-schema.ts';

type Schema = {
  type: string;
  description: string;
  format?: string;
  enum?: readonly string[];
  default?: unknown;
  required?: readonly string[];
  properties?: Record<string, Schema>;
  items?: Schema;
};

/** One row a key: its path, what it takes, its default or whether it must be there, what it means. */
function rowsOf(schema: Schema, path: string): string[] {
  return entriesOf(schema).flatMap(([key, value]) => {
    const own = `${path}${key}`;
    const required = schema.required?.includes(key) ? 'required' : '';
    const need = value.default === undefined || value.type === 'object' ? required : String(value.default);
    const row = `| \`${own}\` | ${taken(value)} | ${need} | ${value.description} |`;
    return value.items === undefined ? [row, ...rowsOf(value, `${own}.`)] : [row, ...rowsOf(value.items, `${own}[].`)];
  });
}

/** A mapping by role is one row: all its keys take the same. */
function entriesOf({ properties = {} }: Schema): [string, Schema][] {
  return ROLES.every((role) => role in properties) ? [['ROLE', properties.MDR]] : Object.entries(properties);
}

function taken({ type, format, enum: values, items }: Schema): string {
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ');
  if (type === 'array') return items?.type === 'object' ? 'list of mappings' : `list: ${taken(items as Schema)}`;
  if (format !== undefined) return WORLD_FORMATS[format].expected.replace(/^an? /, '');
  return { object: 'mapping', integer: 'whole number', string: 'text' }[type] as string;
}

test('docs/using/ask.md lists every key of a world file as the schema has it', () => {
  const page = readFileSync(new URL('../../docs/using/ask.md', import.meta.url), 'utf8');
  const rows = rowsOf(WORLD_SCHEMA as unknown as Schema, '');
  expect(page.slice(page.indexOf('| `at` |')).trimEnd().split('\n')).toEqual(rows);
});
