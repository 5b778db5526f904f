import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SECURITY_SETTINGS } from '#services/platform/kafka/security.ts';
import { LOG_LEVELS } from '#services/platform/log.ts';
import { COMMON_SETTINGS, type Setting } from '#services/platform/settings.ts';
import { SERVICES } from '../bin/serve.ts';
import { CHART, HELM, render, valuesFile } from './test/chart.ts';

type Schema = {
  type?: string | string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  allOf?: Schema[];
  definitions?: Record<string, Schema>;
  enum?: unknown[];
  description?: string;
  minimum?: number;
  maximum?: number;
};

const SCHEMA = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;

/** Every part of a schema, by its path. */
function partsOf(schema: Schema, path: string): [string, Schema][] {
  const inner = Object.entries({ ...schema.properties, ...schema.definitions }).flatMap(([name, part]) =>
    partsOf(part, `${path}.${name}`),
  );
  const ofItems = schema.items === undefined ? [] : partsOf(schema.items, `${path}[]`);
  return [[path, schema], ...inner, ...ofItems];
}

describe('the schema of the values', () => {
  test('is closed everywhere: an object has the properties named, or texts', () => {
    const objects = partsOf(SCHEMA, '').filter(
      ([, { type, properties }]) => type === 'object' || properties !== undefined,
    );
    expect(objects.length).toBeGreaterThan(40);
    const open = objects.filter(
      ([, { additionalProperties: more }]) => more !== false && !(typeof more === 'object' && more.type === 'string'),
    );
    expect(open.map(([path]) => path)).toEqual([]);
  });

  test('knows the services and the settings that there are, and no others', () => {
    const of = (name: string) =>
      name === 'gateway' ? SCHEMA.properties?.gateway : SCHEMA.properties?.services.properties?.[name];
    for (const { name, settings } of SERVICES) {
      const known = of(name)?.properties?.settings.properties ?? {};
      // Where it listens, who it is and where its keys are the chart decides.
      const own = Object.keys(settings).filter((one) => name !== 'gateway' || !/^(listen-|source$|keys$)/.test(one));
      expect([name, Object.keys(known).sort()]).toEqual([name, own.sort()]);
      for (const [setting, { choices, type }] of Object.entries<Setting>(settings)) {
        if (known[setting] === undefined) continue;
        expect([setting, known[setting].enum]).toEqual([setting, choices]);
        if (type === 'integer') expect([setting, known[setting].type]).toEqual([setting, 'integer']);
      }
    }
    const names = Object.keys(SCHEMA.properties?.services.properties ?? {});
    expect(names.filter((name) => !SERVICES.some((service) => service.name === name))).toEqual([]);
  });

  test('takes what the settings of every service take', () => {
    const { kafka, partitions, logLevel, drainSeconds, sessionTimeoutMs } = SCHEMA.properties ?? {};
    expect(kafka.properties?.securityProtocol.enum).toEqual([...SECURITY_SETTINGS['security-protocol'].choices]);
    expect(kafka.properties?.sasl.properties?.mechanism.enum).toEqual([...SECURITY_SETTINGS['sasl-mechanism'].choices]);
    expect(partitions.enum).toEqual([...COMMON_SETTINGS.partitions.choices]);
    expect(logLevel.enum).toEqual([...LOG_LEVELS]);
    for (const [schema, setting] of [
      [drainSeconds, COMMON_SETTINGS['drain-seconds']],
      [sessionTimeoutMs, COMMON_SETTINGS['session-timeout-ms']],
    ] as const)
      expect([schema.minimum, schema.maximum]).toEqual([setting.min, setting.max]);
  });
});

/** What helm says to values that it refuses, without what it says to all. */
function refusal(example: string | undefined, set: readonly string[]): string[] {
  try {
    render([
      ...(example === undefined ? [] : ['-f', valuesFile(example)]),
      ...set.flatMap((one) => ['--set-json', one]),
    ]);
  } catch (error) {
    const lines = String((error as { stderr?: unknown }).stderr).split('\n');
    return lines.filter((line) => /^(- at '|[a-z][\w.[\]-]*: )/.test(line) && line !== 'mdr-stream: ');
  }
  throw new Error(`these values are taken: ${set.join(' ')}`);
}

describe.skipIf(HELM === undefined)('values that do not go together are refused with a sentence, all at once', () => {
  const SASL = 'kafka.sasl={"username":"mdr","password":"p"}';
  const KEYS = '{"secret":"k","users":["90-B3-D5-1F-30-01-00-01"]}';
  test.each<[string | undefined, string[], string[]]>([
    [
      undefined,
      [],
      [
        'kafka.brokers: name at least one broker as HOST:PORT; the chart brings no Kafka',
        "registry.url: give the URL of a schema registry with Confluent's API; the chart brings none",
      ],
    ],
    ['smallest', ['kafka.securityProtocol="SASL_SSL"'], ['kafka.sasl.username: SASL_SSL needs a name']],
    [
      'smallest',
      [SASL],
      ['kafka.sasl.username: PLAINTEXT has no use for a name; set kafka.securityProtocol to SASL_SSL'],
    ],
    [
      'smallest',
      ['kafka.securityProtocol="SASL_SSL"', 'kafka.sasl.username="mdr"', 'registry.password="p"'],
      [
        'kafka.sasl.existingSecret: give the Secret of the password, or the password itself',
        'registry.username: a password is given without a name',
      ],
    ],
    [
      'secured-kafka',
      ['kafka.sasl.password="p"', 'registry.password="p"'],
      [
        'kafka.sasl.password: kafka.sasl.existingSecret is given too; leave one of them out',
        'registry.password: registry.existingSecret is given too; leave one of them out',
      ],
    ],
    [
      'smallest',
      ['kafka.ca.secret="ca"', 'kafka.client.secret="client"', 'registry.ca.secret="ca"'],
      [
        'kafka.ca.secret: PLAINTEXT has no use for certificates; set kafka.securityProtocol to SSL or SASL_SSL',
        'kafka.client.secret: PLAINTEXT has no use for certificates; set kafka.securityProtocol to SSL or SASL_SSL',
        'registry.ca.secret: a registry at http: shows no certificate',
      ],
    ],
    [
      'smallest',
      ['image.tag="1"', `image.digest="sha256:${'0'.repeat(64)}"`],
      ['image.tag: image.digest is given too; leave one of them out'],
    ],
    [
      'smallest',
      ['services.users.replicas=5'],
      ['services.users.replicas: 5 processes share 4 partitions; those beyond would have nothing to do'],
    ],
    [
      'smallest',
      ['services.access-control.autoscaling.enabled=true', 'services.access-control.keda.enabled=true'],
      [
        'services.access-control.keda.enabled: services.access-control.autoscaling is on too; two that scale would undo each other',
      ],
    ],
    [
      'smallest',
      ['services.anomaly.autoscaling={"enabled":true,"minReplicas":6,"maxReplicas":5}'],
      [
        'services.anomaly.autoscaling.minReplicas: 6 is more than maxReplicas, 5',
        'services.anomaly.autoscaling.maxReplicas: 5 processes would share 4 partitions; those beyond would have nothing to do',
      ],
    ],
    [
      'smallest',
      ['services.fleet-sim.keda.enabled=true', 'services.scheduler.keda.enabled=true'],
      [
        'services.fleet-sim.keda.enabled: it commits where a restart would begin, so its lag in Kafka is what is open and not what is behind; use services.fleet-sim.autoscaling',
        'services.scheduler.keda.enabled: it takes nothing from a topic and has no lag; use services.scheduler.autoscaling',
      ],
    ],
    [
      'registrations',
      ['services.registration.replicas=2', 'services.registration.settings.drop="/else"'],
      [
        'services.registration.drop.existingClaim: one process alone may watch a folder; set replicas to 1, without autoscaling',
        'services.registration.settings.drop: services.registration.drop.existingClaim gives the folder; leave one of them out',
      ],
    ],
    [
      'smallest',
      ['gateway.enabled=true', 'gateway.settings.transport="plain"'],
      [
        'gateway.keys.secret: name the Secret with the files of mdr pki; without keys nobody can be let in',
        'gateway.keys.users: list the EUI-64s of the Users whose certificates are in the Secret',
        'gateway.settings.transport: plain HTTP is for a loopback address; in a cluster it is tls',
      ],
    ],
    [
      'smallest',
      [
        'services.users.enabled=false',
        'services.registration.settings.load="nothing"',
        'scenarios=[{"name":"a","scenario":"day","services":"deployed","schedule":"0 0 * * *"},{"name":"a","file":"x","services":"deployed"},{"name":"b"}]',
      ],
      [
        'scenarios[0].schedule: a set of topics has one run, so a scenario on the deployed services runs once; leave schedule out or set services to own',
        'scenarios[0].services: deployed needs services.users',
        'scenarios[0].services: deployed needs services.registration.settings.load to be fleet, as nobody else fills the topics',
        'scenarios[1].name: there are two scenarios a',
        'scenarios[1].services: deployed needs services.users',
        'scenarios[1].services: deployed needs services.registration.settings.load to be fleet, as nobody else fills the topics',
        'scenarios[2]: give either scenario, the name of a built-in one, or file, the text of one',
        'scenarios: a set of topics has one run, so one scenario at most may be on the deployed services',
      ],
    ],
    ['smallest', ['kafka.broker=["a:1"]'], ["- at '/kafka': additional properties 'broker' not allowed"]],
    ['smallest', ['partitions=3'], ["- at '/partitions': value must be one of 1, 2, 4, 8, 16"]],
    ['smallest', ['services.gateway={}'], ["- at '/services': additional properties 'gateway' not allowed"]],
    [
      'smallest',
      ['services.users.settings={"lag-max":1}'],
      ["- at '/services/users/settings': additional properties 'lag-max' not allowed"],
    ],
    [
      'smallest',
      [`gateway={"keys":${KEYS.replace('-01"', '-1"')}}`],
      [expect.stringMatching(/^- at '\/gateway\/keys\/users\/0': /)],
    ],
  ])('%s with %j', (example, set, sentences) => {
    expect(refusal(example, set)).toEqual(sentences);
  });
});
