import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Fault, MdrError } from '#core/errors.ts';
import { PARTITIONS_ALLOWED, PARTITIONS_DEFAULT } from '#schemas/topics.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import { parseYaml } from './validated-yaml.ts';

/** One setting of a service: as a flag `--kebab-case`, an environment variable `MDR_SNAKE_CASE`, a key of the file. */
export type Setting = {
  type: 'text' | 'list' | 'integer' | 'choice';
  default?: string | number;
  min?: number;
  max?: number;
  choices?: readonly (string | number)[];
  /** What a text, or each item of a list, must look like. */
  form?: { pattern: RegExp; expected: string };
  /** Another environment variable that is heeded, by custom of the field. */
  environment?: string;
  doc: string;
};

/** What every service takes. */
export const COMMON_SETTINGS = {
  brokers: {
    type: 'list',
    environment: 'KAFKA_BROKERS',
    form: {
      pattern: /^(\[[\da-f:.]+\]|[^\s:/[\]]+):\d{1,5}$/i,
      expected: 'HOST:PORT, several with commas between them',
    },
    doc: 'Kafka brokers, HOST:PORT, with commas between them.',
  },
  registry: {
    type: 'text',
    environment: 'SCHEMA_REGISTRY_URL',
    form: { pattern: /^https?:\/\/\S+$/, expected: 'an http or https URL' },
    doc: 'URL of the schema registry (Confluent API).',
  },
  prefix: {
    type: 'text',
    default: 'mdr.',
    form: {
      pattern: /^[\w.-]{1,200}$/,
      expected: 'up to 200 letters, digits, dots, hyphens and underscores: what a topic may be called',
    },
    doc: 'What stands before the name of each topic and consumer group.',
  },
  partitions: {
    type: 'choice',
    default: PARTITIONS_DEFAULT,
    choices: PARTITIONS_ALLOWED,
    doc: 'Partitions of every topic.',
  },
  host: { type: 'text', default: '127.0.0.1', doc: 'Address that /metrics, /live, /ready and /status listen on.' },
  port: { type: 'integer', default: 9464, min: 0, max: 65_535, doc: 'Port of the same; 0 for any free one.' },
  workers: { type: 'integer', default: 1, min: 1, max: 64, doc: 'Threads of the worker pool.' },
  'log-level': { type: 'choice', default: 'warn', choices: LOG_LEVELS, doc: 'Least severe log line that is written.' },
  'drain-seconds': {
    type: 'integer',
    default: 20,
    min: 1,
    max: 600,
    doc: 'After SIGTERM: time to finish what was begun and commit it. Then the process ends all the same.',
  },
  'ends-with': {
    type: 'choice',
    default: 'signal',
    choices: ['signal', 'input'],
    doc: 'What it drains and ends at. signal: SIGTERM or SIGINT. input: the end of its standard input too, which comes when the process that has started it ends, however that ends.',
  },
  'session-timeout-ms': {
    type: 'integer',
    default: 10_000,
    min: 1000,
    max: 300_000,
    doc: 'A service not heard of for so long loses its partitions to the others.',
  },
} as const satisfies Record<string, Setting>;

export type ServiceSettings = {
  brokers: string[];
  registry: string;
  prefix: string;
  partitions: number;
  host: string;
  port: number;
  workers: number;
  logLevel: LogLevel;
  drainSeconds: number;
  endsWithInput: boolean;
  sessionTimeoutMs: number;
  /** Settings of the one service, by name. */
  own: Record<string, string | number | string[] | undefined>;
};

type Value = string | number | string[] | undefined;

/**
 * Reads the settings of a service: flags before environment before the file of `--config` before defaults. Throws
 * INPUT_INVALID with every fault at once, each with where it stands.
 */
export function readSettings(
  own: Readonly<Record<string, Setting>>,
  argv: string[],
  environment: NodeJS.ProcessEnv,
): ServiceSettings {
  const all: Record<string, Setting> = { ...COMMON_SETTINGS, ...own };
  const options = Object.fromEntries(Object.keys(all).map((name) => [name, { type: 'string' as const }]));
  const parsedArgs = parseArgs({ args: argv, options: { ...options, config: { type: 'string' } } });
  const flags = parsedArgs.values as Record<string, string | undefined>;
  const faults: Fault[] = [];
  const file = flags.config === undefined ? undefined : readFile(flags.config, all, faults);
  const values: Record<string, Value> = {};
  for (const [name, setting] of Object.entries(all)) {
    values[name] = settingValue(name, setting, flags[name], environment, file, faults);
  }
  for (const name of ['brokers', 'registry']) {
    if (values[name] === undefined && placeOf(name, all[name], flags[name], environment, file) === undefined)
      faults.push({ path: name, expected: `--${name} or ${all[name].environment}: 'mdr kafka up' prints both` });
  }
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', 'The settings cannot be used', faults);
  return {
    brokers: values.brokers as string[],
    registry: values.registry as string,
    prefix: values.prefix as string,
    partitions: values.partitions as number,
    host: values.host as string,
    port: values.port as number,
    workers: values.workers as number,
    logLevel: values['log-level'] as LogLevel,
    drainSeconds: values['drain-seconds'] as number,
    endsWithInput: values['ends-with'] === 'input',
    sessionTimeoutMs: values['session-timeout-ms'] as number,
    own: Object.fromEntries(Object.keys(own).map((name) => [name, values[name]])),
  };
}

/** The lines of a `--help` text that describe settings. */
export function describeSettings(settings: Readonly<Record<string, Setting>>): string {
  return Object.entries(settings)
    .map(([name, setting]) => {
      const range = setting.choices === undefined ? '' : ` One of ${setting.choices.join(', ')}.`;
      const usual = setting.default === undefined ? '' : ` [${setting.default}]`;
      return `  --${name.padEnd(20)} ${setting.doc}${range}${usual} (${variablesOf(name, setting).join(', ')})\n`;
    })
    .join('');
}

type SettingsFile = { path: string; value: Record<string, unknown>; lineOf(path: readonly string[]): number };

function readFile(path: string, all: Record<string, Setting>, faults: Fault[]): SettingsFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new MdrError('INPUT_UNREADABLE', `The settings file ${path} cannot be read: ${(error as Error).message}`);
  }
  const yaml = parseYaml(text, path);
  if ('faults' in yaml) {
    faults.push(...yaml.faults);
    return undefined;
  }
  const { value } = yaml;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    faults.push({ file: path, expected: 'a mapping of settings to values' });
    return undefined;
  }
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(all, key)) {
      const expected = `the name of a setting: ${Object.keys(all).join(', ')}`;
      faults.push({ file: path, line: yaml.lineOf([key]), path: key, expected });
    }
  }
  return { path, value: value as Record<string, unknown>, lineOf: (at) => yaml.lineOf(at) };
}

/** Environment variables of a setting, those heeded first before the others. */
function variablesOf(name: string, { environment }: Setting): string[] {
  const own = `MDR_${name.toUpperCase().replaceAll('-', '_')}`;
  return environment === undefined ? [own] : [own, environment];
}

/** The value that goes before all others, and where it stands; undefined where nobody gives one. */
function placeOf(
  name: string,
  setting: Setting,
  flag: string | undefined,
  environment: NodeJS.ProcessEnv,
  file: SettingsFile | undefined,
): { value: unknown; place: Partial<Fault> } | undefined {
  if (flag !== undefined) return { value: flag, place: { path: `--${name}` } };
  const variable = variablesOf(name, setting).find((candidate) => environment[candidate] !== undefined);
  if (variable !== undefined) return { value: environment[variable], place: { path: variable } };
  if (file === undefined || !Object.hasOwn(file.value, name)) return undefined;
  return { value: file.value[name], place: { file: file.path, line: file.lineOf([name]), path: name } };
}

function settingValue(
  name: string,
  setting: Setting,
  flag: string | undefined,
  environment: NodeJS.ProcessEnv,
  file: SettingsFile | undefined,
  faults: Fault[],
): Value {
  const given = placeOf(name, setting, flag, environment, file);
  return given === undefined ? setting.default : parsed(setting, given.value, given.place, faults);
}

function parsed(setting: Setting, value: unknown, place: Partial<Fault>, faults: Fault[]): Value {
  const refuse = (expected: string): undefined => {
    faults.push({ ...place, value, expected });
    return undefined;
  };
  const { form = ANY_TEXT } = setting;
  switch (setting.type) {
    case 'text':
      return typeof value === 'string' && form.pattern.test(value) ? value : refuse(form.expected);
    case 'list': {
      const list: unknown[] = Array.isArray(value) ? value : typeof value === 'string' ? value.split(',') : [];
      const items = list.map((item) => (typeof item === 'string' ? item.trim() : item)).filter((item) => item !== '');
      const fits = items.length > 0 && items.every((item) => typeof item === 'string' && form.pattern.test(item));
      return fits ? (items as string[]) : refuse(form.expected);
    }
    case 'integer': {
      // Neither true nor [5] is a number, as `Number` would have it.
      const isNumber = typeof value === 'number' || (typeof value === 'string' && /^-?\d+$/.test(value.trim()));
      const { min = 0, max = Number.MAX_SAFE_INTEGER } = setting;
      const number = Number(value);
      const fits = isNumber && Number.isInteger(number) && number >= min && number <= max;
      return fits ? number : refuse(`a whole number from ${min} to ${max}`);
    }
    case 'choice': {
      const isScalar = typeof value === 'number' || typeof value === 'string';
      const chosen = setting.choices?.find((choice) => isScalar && String(choice) === String(value));
      return chosen ?? refuse(`one of ${setting.choices?.join(', ')}`);
    }
  }
}

const ANY_TEXT = { pattern: /\S/, expected: 'a text' };
