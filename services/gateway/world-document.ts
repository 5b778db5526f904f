import { type Fault, MdrError } from '#core/errors.ts';
import { compileSchema, formatPath, parseYaml, schemaFaults } from '#services/platform/validated-yaml.ts';
import { WORLD_FORMATS, WORLD_SCHEMA, type WorldDocument } from './world-schema.ts';

/** Path of a value in the document, as `['users', 2, 'eui']`. */
export type DocumentPath = readonly (string | number)[];

/** A document whose shape is that of WORLD_SCHEMA, and how to name a fault at one of its values. */
export type ReadDocument = { world: WorldDocument; faultAt(path: DocumentPath, expected: string): Fault };

/** A world of 10,000 devices is 4 MB; more than this is no file for one person's questions. */
const CHARACTERS_MAX = 16 * 1024 * 1024;

const schema = compileSchema(WORLD_SCHEMA, WORLD_FORMATS);

/**
 * Reads a world file's YAML. Every scalar is taken as it is written, and the schema says what becomes a number. Throws
 * INPUT_INVALID with every fault of the file's shape at once.
 */
export function readWorldDocument(file: string, text: string): ReadDocument {
  const parsed = parseYaml(text, file, { scalars: 'text', charactersMax: CHARACTERS_MAX });
  if ('faults' in parsed) throw new MdrError('INPUT_INVALID', `${file} is not YAML that can be read`, parsed.faults);
  const faults = schemaFaults(schema, parsed.value)
    .map(({ path, fault }): Fault => ({ file, line: parsed.lineOf(path), ...fault }))
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', `${file} is not a world`, faults);
  return {
    world: parsed.value as WorldDocument,
    faultAt: (path, expected) => {
      const value = valueAt(parsed.value, path);
      const shown = typeof value === 'object' ? {} : { value };
      return { file, line: parsed.lineOf(path), path: formatPath(path), ...shown, expected };
    },
  };
}

function valueAt(json: unknown, path: DocumentPath): unknown {
  return path.reduce<unknown>((value, step) => (value as Record<string | number, unknown> | undefined)?.[step], json);
}
