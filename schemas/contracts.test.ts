import { readdirSync, readFileSync } from 'node:fs';
import avsc from 'avsc';
import { describe, expect, test } from 'vitest';
import { SMI_STATUSES } from '#core/access-control.ts';
import { GENERATIONS, MODES, REGISTERS, ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { APPOINTED_ROLES } from '#core/registration.ts';
import { RESPONSE_CODES } from '#core/response-codes.ts';
import { FREQUENCIES } from '#core/schedule.ts';
import { type AvroField, type AvroRecord, BREAKING_CHANGES, withNewField } from './test/breaking-changes.ts';
import { schemaText, subjectOf, TOPICS, type TopicName } from './topics.ts';

const TOPIC_NAMES = Object.keys(TOPICS) as TopicName[];
const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as AvroRecord;
const namesIn = (folder: string) =>
  readdirSync(new URL(folder, import.meta.url))
    .filter((file) => file.endsWith('.avsc'))
    .map((file) => file.slice(0, -'.avsc'.length))
    .sort();
const SCHEMAS = namesIn('.');
const SAMPLES = 200;

/** Why records written with one schema cannot be read with another; undefined where they can. */
function incompatibility(written: AvroRecord, readWith: AvroRecord): string | undefined {
  const writer = avsc.Type.forSchema(structuredClone(written) as avsc.Schema);
  const reader = avsc.Type.forSchema(structuredClone(readWith) as avsc.Schema);
  try {
    const resolver = reader.createResolver(writer);
    for (let k = 0; k < SAMPLES; k++) reader.fromBuffer(writer.toBuffer(writer.random()), resolver);
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

describe('schemas and those that were released', () => {
  test('every schema has been released, and every released one is there', () => {
    expect(namesIn('released/')).toEqual(SCHEMAS);
  });

  test.each(SCHEMAS)('today %s reads what was written with the released one', (name) => {
    expect(incompatibility(read(`released/${name}.avsc`), read(`${name}.avsc`))).toBeUndefined();
  });

  test.each(Object.entries(BREAKING_CHANGES))('%s would be noticed', (_, { schema, change }) => {
    const changed = read(`${schema}.avsc`);
    change(changed);
    expect(incompatibility(read(`released/${schema}.avsc`), changed)).toBeDefined();
  });

  test.each(SCHEMAS)('a new field of %s with a default is no such change', (name) => {
    expect(incompatibility(read(`released/${name}.avsc`), withNewField(read(`${name}.avsc`)))).toBeUndefined();
  });
});

type Found = { path: string; field: AvroField };
type Named = { name?: string; doc?: string; type?: string; symbols?: string[]; fields?: AvroField[]; items?: unknown };

/** All fields and all named types of a schema, however deep. */
function* partsOf(type: unknown, path: string): Generator<Found | { path: string; named: Named }> {
  if (Array.isArray(type)) for (const branch of type) yield* partsOf(branch, path);
  else if (typeof type === 'object' && type !== null) {
    const named = type as Named;
    if (named.name !== undefined) yield { path, named };
    if (named.items !== undefined) yield* partsOf(named.items, path);
    for (const field of named.fields ?? []) {
      yield { path: `${path}.${field.name}`, field };
      yield* partsOf(field.type, `${path}.${field.name}`);
    }
  }
}

const PARTS = SCHEMAS.flatMap((name) => [...partsOf(read(`${name}.avsc`), name)]);
const FIELDS = PARTS.filter((part): part is Found => 'field' in part);
const NAMED = PARTS.flatMap((part) => ('named' in part ? [part.named] : []));

/** Numbers that measure nothing: names, places and counts. */
const NO_QUANTITIES = new Set([
  'mpan',
  'counter',
  'id',
  'sequence',
  'source',
  'position',
  'partition',
  'sourcePartition',
  'offset',
  'sourceOffset',
  'requestOffset',
  'count',
  'speed',
  'fact',
  'scheduleId',
  'responseOffset',
  'importMpan',
  'exportMpan',
]);
const UNIT = /(Ms|Seconds|Days|Wh|Varh|Bytes)$/;

describe('what a schema says', () => {
  const fieldsOf = (name: string) => FIELDS.filter(({ path }) => path.startsWith(`${name}.`));

  test.each(SCHEMAS)('each field of %s says in a sentence what it is', (name) => {
    expect(fieldsOf(name).filter(({ field }) => !/^\S.*\.$/s.test(field.doc ?? ''))).toEqual([]);
  });

  test('each type of a name says it too, and is the same wherever it stands', () => {
    const definitions = new Map<string, string>();
    for (const { name, doc, ...rest } of NAMED) {
      expect(doc, name).toMatch(/\S/);
      const text = JSON.stringify({ doc, ...rest });
      expect(definitions.get(name as string) ?? text, name).toBe(text);
      definitions.set(name as string, text);
    }
  });

  test.each(SCHEMAS)('each quantity of %s has its unit in its name', (name) => {
    const wrong = fieldsOf(name).filter(({ field }) => {
      const number = numberOf(field.type);
      // A date is called what happens on it; the calendar is its unit.
      if (number === undefined || number.logicalType === 'date' || NO_QUANTITIES.has(field.name)) return false;
      return !(number.logicalType === 'timestamp-millis' ? /Ms$/ : UNIT).test(field.name);
    });
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

/** The number that a field is or may be, or a list of it. */
function numberOf(type: unknown): { logicalType?: string } | undefined {
  if (Array.isArray(type)) return type.map(numberOf).find((found) => found !== undefined);
  if (typeof type === 'string') return ['int', 'long', 'float', 'double'].includes(type) ? {} : undefined;
  const { type: inner, items, logicalType } = type as { type: unknown; items?: unknown; logicalType?: string };
  if (inner === 'array') return numberOf(items);
  if (typeof inner !== 'string' || numberOf(inner) === undefined) return undefined;
  return logicalType === undefined ? {} : { logicalType };
}

describe('enums have the order of core', () => {
  const constant = (text: string) => text.toUpperCase().replaceAll('-', '_').replaceAll(' ', '_');
  const ORDERS: Record<string, readonly string[]> = {
    Role: [...ROLES, 'UNKNOWN'],
    AppointedRole: ROLES.filter((role) => (APPOINTED_ROLES as readonly string[]).includes(role)),
    Srv: [...SRVS.map((srv) => `SRV_${srv.replaceAll('.', '_')}`), 'UNKNOWN'],
    Mode: MODES.map(constant),
    Service: SERVICES.map(constant),
    Generation: [...GENERATIONS, 'UNKNOWN'],
    ResponseCode: [...Object.keys(RESPONSE_CODES), 'UNKNOWN'],
    SmiStatus: SMI_STATUSES,
    Register: REGISTERS.map(constant),
    Frequency: FREQUENCIES.map((frequency) => frequency.replace('-', '')),
  };

  test.each(Object.entries(ORDERS))('%s', (name, symbols) => {
    const found = NAMED.filter((named) => named.name === name);
    expect(found.length).toBeGreaterThan(0);
    for (const named of found) expect(named.symbols).toEqual(symbols);
  });
});

describe('schemas, topics and subjects', () => {
  test('every schema is that of a topic, and every topic has one', () => {
    expect([...new Set(TOPIC_NAMES.map((name) => TOPICS[name].schema))].sort()).toEqual(SCHEMAS);
    for (const name of TOPIC_NAMES) expect(JSON.parse(schemaText(name))).toEqual(read(`${TOPICS[name].schema}.avsc`));
  });

  test('topics of one schema share its subject, and no others do', () => {
    const schemasOf = Map.groupBy(TOPIC_NAMES, subjectOf);
    for (const [subject, names] of schemasOf) {
      expect(new Set(names.map((name) => TOPICS[name].schema)).size).toBe(1);
      expect(subject).toBe(`mdr.${TOPICS[names[0]].schema}-value`);
    }
    expect(schemasOf.size).toBe(SCHEMAS.length);
  });
});
