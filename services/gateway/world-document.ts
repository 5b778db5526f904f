import { Ajv, type DefinedError } from 'ajv';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { type Fault, MdrError } from '#core/errors.ts';
import { WORLD_FORMATS, WORLD_SCHEMA, type WorldDocument } from './world-schema.ts';

/** A world of 10,000 devices is 4 MB; more than this is no file for one person's questions. */
const BYTES_MAX = 16_777_216;

/** Path of a value in the document, as `['users', 2, 'eui']`. */
export type DocumentPath = readonly (string | number)[];

/** A document whose shape is that of WORLD_SCHEMA, and how to name a fault at one of its values. */
export type ReadDocument = { world: WorldDocument; faultAt(path: DocumentPath, expected: string): Fault };

/**
 * Reads a world file's YAML. Every scalar is taken as it is written (an MPAN keeps its digits, `4.10` is not 4.1), and
 * the schema says what becomes a number. Throws INPUT_INVALID with every fault of the file's shape at once.
 */
export function readWorldDocument(file: string, text: string): ReadDocument {
  if (text.length > BYTES_MAX) {
    throw new MdrError('INPUT_INVALID', `${file} is too large`, [
      { file, expected: `at most ${BYTES_MAX} characters` },
    ]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines });
  const syntax = document.errors.map(
    (error): Fault => ({
      file,
      line: lines.linePos(error.pos[0]).line,
      expected: `YAML (${firstLine(error.message)})`,
    }),
  );
  if (syntax.length > 0) {
    throw new MdrError('INPUT_INVALID', `${file} is not YAML`, syntax);
  }
  const json = toJson(file, document);
  const place = (path: DocumentPath, expected: string, value?: unknown): Fault => {
    const line = lineOf(document, lines, path);
    return {
      file,
      ...(line === undefined ? {} : { line }),
      path: formatPath(path),
      ...(value === undefined ? {} : { value }),
      expected,
    };
  };
  if (!validate(json)) {
    const faults = (validate.errors as DefinedError[])
      .map((error) => faultOf(error, place))
      .sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
    throw new MdrError('INPUT_INVALID', `${file} is not a world`, faults);
  }
  return {
    world: json as WorldDocument,
    faultAt: (path, expected) => place(path, expected, scalarOf(valueAt(json, path))),
  };
}

const ajv = new Ajv({ allErrors: true, coerceTypes: true, useDefaults: true, verbose: true });
for (const [name, { accepts }] of Object.entries(WORLD_FORMATS)) {
  ajv.addFormat(name, { type: 'string', validate: accepts });
}
const validate = ajv.compile<WorldDocument>(WORLD_SCHEMA);

function toJson(file: string, document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // Aliases that would multiply: the parser refuses to expand them.
    throw new MdrError('INPUT_INVALID', `${file} is not a world`, [{ file, expected: `YAML (${String(error)})` }]);
  }
}

type Place = (path: DocumentPath, expected: string, value?: unknown) => Fault;

function faultOf(error: DefinedError, place: Place): Fault {
  const path = error.instancePath.split('/').slice(1).map(stepOf);
  switch (error.keyword) {
    case 'required':
      return place(path, `the key ${error.params.missingProperty}`);
    case 'additionalProperties': {
      const keys = Object.keys((error.parentSchema as { properties: object }).properties);
      return place([...path, error.params.additionalProperty], `one of the keys ${keys.join(', ')}`);
    }
    case 'enum':
      return place(path, `one of ${error.params.allowedValues.join(', ')}`, error.data);
    case 'format':
      return place(path, WORLD_FORMATS[error.params.format].expected, error.data);
    case 'type':
      return place(
        path,
        typeExpectation(error.parentSchema as { format?: string; type: string }),
        scalarOf(error.data),
      );
    case 'minimum':
    case 'maximum':
      return place(path, `a number ${error.params.comparison} ${error.params.limit}`, error.data);
    case 'pattern':
      return place(path, `a code that matches ${error.params.pattern}`, error.data);
    default:
      return place(path, `a value that ${error.message}`, scalarOf(error.data));
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a mapping',
  integer: 'a whole number',
  string: 'a text',
};

function typeExpectation({ format, type }: { format?: string; type: string }): string {
  return format === undefined ? TYPE_NAMES[type] : WORLD_FORMATS[format].expected;
}

function scalarOf(value: unknown): unknown {
  return typeof value === 'object' ? undefined : value;
}

function stepOf(step: string): string | number {
  return /^\d+$/.test(step) ? Number(step) : step.replaceAll('~1', '/').replaceAll('~0', '~');
}

function valueAt(json: unknown, path: DocumentPath): unknown {
  return path.reduce<unknown>((value, step) => (value as Record<string | number, unknown> | undefined)?.[step], json);
}

function formatPath(path: DocumentPath): string {
  return path
    .reduce<string>((text, step) => text + (typeof step === 'number' ? `[${step}]` : `.${step}`), '')
    .replace(/^\./, '');
}

/** The line of the value at the path, or of its key, or of the nearest thing around it that the document has. */
function lineOf(document: Document, lines: LineCounter, path: DocumentPath): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const parent = length === 0 ? undefined : document.getIn(path.slice(0, length - 1), true);
    const key = isMap(parent)
      ? parent.items.map((pair) => pair.key).find((node) => isScalar(node) && node.value === String(path[length - 1]))
      : document.getIn(path.slice(0, length), true);
    if (isNode(key) && key.range) {
      return lines.linePos(key.range[0]).line;
    }
  }
  return undefined;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0];
}
