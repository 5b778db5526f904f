import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { formatFault, MdrError } from '#core/errors.ts';
import { COMMON_SETTINGS, describeSettings, readSettings, type Setting } from './settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'mdr-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));

const OWN = {
  'grace-ms': { type: 'integer', default: 0, min: 0, max: 1000, doc: 'How long.' },
  file: { type: 'text', doc: 'A file.' },
  load: { type: 'choice', default: 'fleet', choices: ['fleet', 'nothing'], doc: 'What.' },
} as const satisfies Record<string, Setting>;
const GIVEN = ['--brokers', 'a:1', '--registry', 'http://r'];

function fileOf(text: string): string {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** The faults of settings that cannot be used, each as a person reads it. */
function faultsOf(argv: string[], environment: NodeJS.ProcessEnv = {}): string[] {
  try {
    readSettings(OWN, argv, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(MdrError);
    const { code, faults } = error as MdrError;
    expect(code).toBe('INPUT_INVALID');
    return faults.map(formatFault);
  }
  throw new Error('these settings are taken');
}

describe('settings of a service', () => {
  test('are the defaults where nothing is said', () => {
    expect(readSettings(OWN, GIVEN, {})).toEqual({
      brokers: ['a:1'],
      registry: 'http://r',
      prefix: 'mdr.',
      partitions: 4,
      host: '127.0.0.1',
      port: 9464,
      workers: 1,
      logLevel: 'warn',
      drainSeconds: 20,
      endsWithInput: false,
      sessionTimeoutMs: 10_000,
      own: { 'grace-ms': 0, file: undefined, load: 'fleet' },
    });
  });

  test('come from a flag before a variable before the file before the default', () => {
    const config = fileOf('port: 1\nworkers: 2\ngrace-ms: 3\nprefix: file.\nbrokers: [f:1, f:2]\n');
    const environment = {
      MDR_PORT: '10',
      MDR_WORKERS: '20',
      MDR_GRACE_MS: '30',
      KAFKA_BROKERS: 'e:1, e:2,',
      SCHEMA_REGISTRY_URL: 'http://e',
    };
    const settings = readSettings(OWN, ['--config', config, '--port', '100', '--load', 'nothing'], environment);
    expect(settings).toMatchObject({ port: 100, workers: 20, prefix: 'file.', partitions: 4 });
    expect(settings.own).toEqual({ 'grace-ms': 30, file: undefined, load: 'nothing' });
    expect(settings.brokers).toEqual(['e:1', 'e:2']);
    expect(readSettings(OWN, ['--config', config], { SCHEMA_REGISTRY_URL: 'http://e' })).toMatchObject({
      brokers: ['f:1', 'f:2'],
      port: 1,
      workers: 2,
    });
  });

  test("take our own variable before the field's", () => {
    const environment = { MDR_BROKERS: 'own:1', KAFKA_BROKERS: 'custom:1', SCHEMA_REGISTRY_URL: 'http://r' };
    expect(readSettings(OWN, [], environment).brokers).toEqual(['own:1']);
  });

  test('that cannot be used are all named at once, each with where it stands', () => {
    const config = fileOf('# settings\nport: 70000\nworker: 2\n\npartitions: 3\ndrain-seconds: soon\nhost: 5\n');
    expect(faultsOf(['--config', config, '--workers', '0', '--load', 'all'], { MDR_LOG_LEVEL: 'loud' })).toEqual([
      expect.stringMatching(/yaml:3: worker expected the name of a setting: brokers, registry, .*, load$/),
      expect.stringMatching(/yaml:5: partitions is 3, expected one of 1, 2, 4, 8, 16$/),
      expect.stringMatching(/yaml:7: host is 5, expected a text$/),
      expect.stringMatching(/yaml:2: port is 70000, expected a whole number from 0 to 65535$/),
      '--workers is "0", expected a whole number from 1 to 64',
      'MDR_LOG_LEVEL is "loud", expected one of debug, info, warn, error, silent',
      expect.stringMatching(/yaml:6: drain-seconds is "soon", expected a whole number from 1 to 600$/),
      '--load is "all", expected one of fleet, nothing',
      "brokers expected --brokers or KAFKA_BROKERS: 'mdr kafka up' prints both",
      "registry expected --registry or SCHEMA_REGISTRY_URL: 'mdr kafka up' prints both",
    ]);
  });

  test.each<[string, string]>([
    ['--port=', '--port is "", expected a whole number from 0 to 65535'],
    ['--port=1.5', '--port is "1.5", expected a whole number from 0 to 65535'],
    ['--port=0x10', '--port is "0x10", expected a whole number from 0 to 65535'],
    ['--port=1e3', '--port is "1e3", expected a whole number from 0 to 65535'],
    [
      '--prefix=',
      '--prefix is "", expected up to 200 letters, digits, dots, hyphens and underscores: what a topic may be called',
    ],
    [
      '--prefix=mdr/',
      '--prefix is "mdr/", expected up to 200 letters, digits, dots, hyphens and underscores: what a topic may be called',
    ],
    ['--brokers=,', '--brokers is ",", expected HOST:PORT, several with commas between them'],
    ['--brokers=a:1,b', '--brokers is "a:1,b", expected HOST:PORT, several with commas between them'],
    ['--registry=localhost:8081', '--registry is "localhost:8081", expected an http or https URL'],
  ])('%s is refused', (flag, fault) => {
    expect(faultsOf([...GIVEN, flag])).toEqual([fault]);
  });

  test.each<[string, RegExp]>([
    ['port: true', /:1: port is true, expected a whole number/],
    ['port: [1]', /:1: port is \[1\], expected a whole number/],
    ['port: null', /:1: port is null, expected a whole number/],
    ['brokers: 5', /:1: brokers is 5, expected HOST:PORT/],
    ['brokers: [{a: 1}]', /:1: brokers is \[\{"a":1\}\], expected HOST:PORT/],
    ['- port', /expected a mapping of settings to values$/],
    ['partitions: [4]', /:1: partitions is \[4\], expected one of/],
    ['', /expected a mapping of settings to values$/],
    ['port: 1\nport: 2', /:2: expected YAML that parses/],
  ])('a file of %j is refused', (text, fault) => {
    const flags = GIVEN.filter((flag) => !text.startsWith('brokers') || (flag !== '--brokers' && flag !== 'a:1'));
    expect(faultsOf([...flags, '--config', fileOf(text)])[0]).toMatch(fault);
  });

  test('a file that cannot be read is another matter than one that is wrong', () => {
    expect(() => readSettings(OWN, [...GIVEN, '--config', join(folder, 'none.yaml')], {})).toThrow(
      expect.objectContaining({ code: 'INPUT_UNREADABLE', exitCode: 2 }),
    );
  });

  test('a flag that there is not is refused by its name', () => {
    expect(() => readSettings(OWN, [...GIVEN, '--grace', '5'], {})).toThrow(/Unknown option '--grace'/);
  });
});

test('describeSettings gives each setting a line with its choices, its default and its variable', () => {
  const lines = describeSettings({ ...COMMON_SETTINGS, ...OWN })
    .trimEnd()
    .split('\n');
  expect(lines).toHaveLength(Object.keys(COMMON_SETTINGS).length + 3);
  expect(lines[3]).toBe(
    '  --partitions           Partitions of every topic. One of 1, 2, 4, 8, 16. [4] (MDR_PARTITIONS)',
  );
  expect(lines[0]).toMatch(/\(MDR_BROKERS, KAFKA_BROKERS\)$/);
  expect(lines.find((line) => line.startsWith('  --grace-ms'))).toBe(
    '  --grace-ms             How long. [0] (MDR_GRACE_MS)',
  );
  expect(lines.find((line) => line.startsWith('  --file'))).toBe('  --file                 A file. (MDR_FILE)');
});
