import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type Fault, formatFault, MdrError } from '#core/errors.ts';
import matrixFile from '#core/matrices/mp162-v0.4.json' with { type: 'json' };
import { faultsOf, linesOf, SMALL } from '#load-tests/test/scenario-faults.ts';
import { builtInScenarios, loadScenario, parseScenario } from './load.ts';

describe('every built-in scenario', () => {
  test('is there by name', () => {
    expect(builtInScenarios()).toEqual(
      expect.arrayContaining([
        'agent-switch',
        'autumn-change',
        'gb-settlement-day',
        'outage-72h',
        'settlement-day',
        'spring-change',
      ]),
    );
  });

  test.each(builtInScenarios())('%s is valid, complete, and named as its file', (name) => {
    const { scenario, matrix } = loadScenario(name);
    expect(scenario.name).toBe(name);
    expect(scenario.title).not.toBe('');
    expect(scenario.thresholds.length).toBeGreaterThan(0);
    expect(matrix.name).toBe(scenario.matrix);
    // What was filled in is valid as it stands.
    expect(parseScenario(stringify(scenario), `${name}.yaml`).scenario).toEqual(scenario);
  });
});

test('defaults are filled in, and nothing that was given is changed', () => {
  const { scenario } = parseScenario(SMALL, 'my.yaml');
  expect(scenario.fleet).toMatchObject({ meters: 1000, metersPerCell: 5000, notCommunicatingShare: 0.09 });
  expect(scenario.networks.map(({ name }) => name)).toEqual(['CSP North', 'CSP Central', 'CSP South', 'S1SP']);
  expect(scenario.users[1].granularity).toEqual({ halfHourly: 0.8, daily: 0.15, monthly: 0.05 });
  expect(scenario.anomaly.answer).toBe('hold');
});

test('every fault of the form comes at once, each with its line and what was expected', () => {
  const text = `name: My Scenario
fleet:
  metres: 1000
  metersPerCell: many
days: 0
firstDay: 2 March
users:
  - { name: Agent One, mpid: aone, role: MDRA, share: 1.5 }
  - { name: Supplier One, mpid: SONE, role: IS }
existing:
  reads:
    - { srv: 4.2, mode: later, perMeterDay: -1 }
bursts:
  - { user: AONE, srv: 4.6.1, window: 25:00-26:00, share: 0.1 }
networks:
  - { name: N, generation: SMETS2, share: 1, serviceTime: { distribution: normal } }
`;
  expect(linesOf(text).toSorted()).toEqual(
    [
      'my.yaml:1: name is "My Scenario", expected a name of lower-case letters, digits and hyphens',
      'my.yaml:2: fleet.meters expected a value: it is missing',
      'my.yaml:3: fleet.metres expected the name of a setting; did you mean meters?',
      'my.yaml:4: fleet.metersPerCell is "many", expected a whole number',
      'my.yaml:5: days is 0, expected a number >= 1',
      'my.yaml:6: firstDay is "2 March", expected a date as 2026-03-02',
      'my.yaml:8: users[0].mpid is "aone", expected an MPID of four capital letters',
      'my.yaml:8: users[0].role is "MDRA", expected one of MDR, IS, ES',
      'my.yaml:8: users[0].share is 1.5, expected a number <= 1',
      'my.yaml:9: users[1].share expected a value: it is missing',
      'my.yaml:12: existing.reads[0].srv is 4.2, expected text: write it in quotes, as "4.2"',
      'my.yaml:12: existing.reads[0].mode is "later", expected one of scheduled, on-demand',
      'my.yaml:12: existing.reads[0].perMeterDay is -1, expected a number >= 0',
      'my.yaml:14: bursts[0].window is "25:00-26:00", expected a time window as 00:30-06:30',
      'my.yaml:16: networks[0].serviceTime is {"distribution":"normal"}, expected a known distribution',
    ].toSorted(),
  );
});

test('every fault of the meaning comes at once, each with its line and what was expected', () => {
  const text = `name: my
firstDay: 2026-02-30
fleet: { meters: 1000 }
users:
  - { name: Agent One, mpid: AONE, role: MDR, share: 0.5 }
  - { name: Agent Two, mpid: AONE, role: MDR, share: 0.6, scheduleWindow: 06:00-05:00 }
  - name: Supplier One
    mpid: SONE
    role: IS
    share: 1
    granularity: { halfHourly: 0.5, daily: 0.1, monthly: 0.1 }
    onboarding:
      securityAssessments: [2025-01-01, 2025-06-31]
networks:
  - { name: North, generation: SMETS2, share: 0.5, serviceTimes: { 4.8.2: { distribution: constant, seconds: 1 } } }
  - { name: North, generation: SMETS1, share: 0.4 }
existing:
  reads: [{ srv: 4.9.9, mode: scheduled, perMeterDay: 1, window: 10:00-10:00 }]
changes:
  - { day: 1, share: 0.1, from: SONE, to: SONE }
bursts:
  - { user: NONE, srv: 4.9.8, window: 10:00-11:00, share: 0.1 }
  - { user: NONE, srv: "9.9", window: 10:00-11:00, share: 0.1 }
outages:
  - { network: North, startHour: 3, hours: 5 }
  - { network: West, startHour: 3, hours: 5 }
  - { network: North, startHour: 8, hours: 1 }
thresholds:
  - withinTrt{mode=on-demand} >= 99
  - withinTrt{network=West} >= 0.99
`;
  const agents = 'expected the MPID of an MDR User: AONE, AONE';
  const srvs = '4.1.1, 4.2, 4.6.1, 4.6.2, 4.8.1, 4.8.3, 4.17, 5.1, 5.2, 5.3, 8.2';
  expect(linesOf(text).toSorted()).toEqual(
    [
      'my.yaml:2: firstDay is "2026-02-30", expected a day of the calendar',
      'my.yaml:4: users is 1.1, expected shares of the MDR Users that add up to 1',
      'my.yaml:6: users[1].mpid is "AONE", expected an MPID that no other User has',
      'my.yaml:6: users[1].scheduleWindow is "06:00-05:00", expected a window that ends after it starts, on one day',
      'my.yaml:11: users[2].granularity is 0.7, expected shares that add up to 1',
      'my.yaml:13: users[2].onboarding.securityAssessments is "2025-06-31", expected a day of the calendar',
      "my.yaml:14: networks is 0.9, expected networks' shares that add up to 1",
      `my.yaml:15: networks[0].serviceTimes.4.8.2 expected no such SRV; the matrix has ${srvs}`,
      'my.yaml:16: networks[1].name is "North", expected a name that no other network has',
      `my.yaml:18: existing.reads[0].srv is "4.9.9", expected an SRV of the matrix: ${srvs}`,
      'my.yaml:18: existing.reads[0].window is "10:00-10:00", expected a window that ends after it starts, on one day',
      `my.yaml:20: changes[0].from is "SONE", ${agents}`,
      `my.yaml:20: changes[0].to is "SONE", ${agents}`,
      'my.yaml:20: changes[0].to is "SONE", expected another agent than the outgoing one',
      'my.yaml:22: bursts[0].user is "NONE", expected an MPID of a User: AONE, AONE, SONE',
      `my.yaml:22: bursts[0].srv is "4.9.8", expected an SRV of the matrix: ${srvs}`,
      'my.yaml:23: bursts[1].user is "NONE", expected an MPID of a User: AONE, AONE, SONE',
      `my.yaml:23: bursts[1].srv is "9.9", expected an SRV of the matrix: ${srvs}`,
      'my.yaml:26: outages[1].network is "West", expected a network\'s name: North, North',
      'my.yaml:27: outages[2] expected outages of North apart from each other; this meets outages[0]',
      'my.yaml:29: thresholds[0] is "withinTrt{mode=on-demand} >= 99", expected a bound from 0 to 1: withinTrt is a share',
      'my.yaml:30: thresholds[1] is "withinTrt{network=West} >= 0.99", expected network to be one of North, North',
    ].toSorted(),
  );
});

describe('YAML that cannot be used is refused with its line', () => {
  test.each([
    [
      'a key that comes twice',
      `${SMALL}days: 1\ndays: 2\n`,
      'my.yaml:8: expected YAML that parses: Map keys must be unique',
    ],
    ['a list without its end', `${SMALL}outages: [1, 2\n`, 'my.yaml:8: expected YAML that parses: Flow sequence'],
    ['a tab for indentation', `${SMALL}\tdays: 3\n`, 'my.yaml:7: expected YAML that parses: Tabs are not allowed'],
    ['two documents', `${SMALL}---\nname: b\n`, 'my.yaml:7: expected YAML that parses: Source contains multiple'],
    ['an alias of nothing', `${SMALL}networks: *none\n`, 'my.yaml: expected YAML that resolves: Unresolved alias'],
    ['nothing at all', '', 'my.yaml:1: is null, expected a mapping'],
    ['a list', '- a\n', 'my.yaml:1: is ["a"], expected a mapping'],
    ['a text', 'hello\n', 'my.yaml:1: is "hello", expected a mapping'],
    ['__proto__ for a key', `${SMALL}__proto__: { x: 1 }\n`, 'my.yaml:7: __proto__ expected the name of a setting'],
    ['infinity', `${SMALL}anomaly: { thresholdPerMeter: .inf }\n`, 'my.yaml:7: anomaly.thresholdPerMeter is'],
    ['a value that contains itself', `${SMALL}existing: &e\n  reads: *e\n`, 'my.yaml: expected YAML that ends'],
  ])('%s', (_, text, expected) => {
    const lines = linesOf(text);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines[0].slice(0, expected.length)).toBe(expected);
  });

  test('what is too large, too deep or would grow by aliases is refused in bounded time', () => {
    const letters = [...'abcdefghijklmnop'];
    const bomb = letters.map((key, k) => `${key}: &${key} [${Array(9).fill(k === 0 ? 'x' : `*${letters[k - 1]}`)}]`);
    const started = performance.now();
    expect(linesOf(bomb.join('\n'))).toEqual([expect.stringContaining('Excessive alias count')]);
    expect(linesOf('x'.repeat(5_000_000))).toEqual(['my.yaml: expected at most 4194304 characters']);
    expect(linesOf(`a: ${'['.repeat(50_000)}`).length).toBeGreaterThan(0);
    expect(linesOf(Array.from({ length: 5000 }, (_, k) => `key${k}: 1`).join('\n')).length).toBe(1000);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test('a run that could not be held in memory is refused', () => {
    const text = SMALL.replace('meters: 1000', 'meters: 50000000\n  metersPerCell: 100');
    expect(linesOf(`${text}days: 366\nanomaly: { periodSeconds: 60 }\nnetworks:\n${networks(20)}`)).toEqual([
      'my.yaml:4: fleet.metersPerCell is 100, expected at least 250: a fleet has at most 200000 cells',
      'my.yaml:9: anomaly.periodSeconds is 60, expected at least 702 with so many days, Users and networks',
    ]);
  });

  function networks(count: number): string {
    return Array.from({ length: count }, (_, k) => `  - { name: N${k}, generation: SMETS2, share: 0.05 }\n`).join('');
  }
});

test('shares are compared with a tolerance: 0.333 x 3 is meant to be 1', () => {
  const users = ['AONE', 'ATWO', 'ATRI'].map((mpid) => ({ name: mpid, mpid, role: 'MDR', share: 0.333 }));
  expect(faultsOf(stringify({ name: 'my', fleet: { meters: 9 }, users }))).toEqual([]);
  users[0].share = 0.32;
  expect(faultsOf(stringify({ name: 'my', fleet: { meters: 9 }, users }))).toHaveLength(1);
});

describe('the matrix by file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mdr-matrix-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const scenarioFile = join(folder, 'my.yaml');

  function withMatrix(name: string, content: string, more = ''): () => ReturnType<typeof loadScenario> {
    writeFileSync(join(folder, name), content);
    writeFileSync(scenarioFile, `${SMALL}matrix: ${name}\n${more}`);
    return () => loadScenario(scenarioFile);
  }

  function faultsOfLoad(load: () => unknown): Fault[] {
    try {
      load();
    } catch (error) {
      if (error instanceof MdrError) return [...error.faults];
      throw error;
    }
    return [];
  }

  test('stands beside the scenario, and rules', () => {
    const changed = structuredClone(matrixFile);
    changed.name = 'ours';
    changed.services[0].trtSeconds.mhhs.SMETS2.onDemand = 60;
    const { matrix } = withMatrix('ours.json', JSON.stringify(changed))();
    expect(matrix.name).toBe('ours');
  });

  test('is refused with every fault, its file and its path', () => {
    const changed = structuredClone(matrixFile);
    changed.services[0].trtSeconds.mhhs.SMETS2.onDemand = -5;
    changed.services[1].srv = changed.services[0].srv;
    const faults = faultsOfLoad(withMatrix('bad.json', JSON.stringify(changed)));
    expect(faults.length).toBeGreaterThanOrEqual(2);
    for (const { file, path } of faults) expect([file, typeof path]).toEqual([join(folder, 'bad.json'), 'string']);
  });

  test('that is no JSON, or not there, is named with the line of the scenario', () => {
    const [noJson] = faultsOfLoad(withMatrix('text.json', 'hello'));
    expect(formatFault(noJson)).toMatch(/my\.yaml:7: matrix is "text\.json", expected JSON in .*text\.json/);
    writeFileSync(scenarioFile, `${SMALL}matrix: none.json\n`);
    const [none] = faultsOfLoad(() => loadScenario(scenarioFile));
    expect(formatFault(none)).toMatch(/my\.yaml:7: matrix is "none\.json", expected mp162-v0\.4 or a file/);
  });
});

test('a name that is neither built in nor a file is answered with the names that are', () => {
  expect(() => loadScenario('settlement-dya')).toThrow(/no scenario or file settlement-dya; built in are agent-switch/);
  expect(() => loadScenario(tmpdir())).toThrow(MdrError);
});

test('faults of form in one part hide no faults of meaning in the others', () => {
  const text = `${SMALL.replace('meters: 1000', 'meters: many')}firstDay: 2026-02-30
thresholds: [withinTRT >= 0.9]
`;
  const faults = linesOf(text);
  expect(faults).toHaveLength(3);
  expect(faults.join()).toMatch(/fleet\.meters.*firstDay.*thresholds\[0\]/);
});

test.each([
  ['bursts', '[{ user: AONE, srv: 4.6.1, day: 5, window: 10:00-11:00, share: 0.1 }]', 'a day of the run, which has 1'],
  ['outages', '[{ network: S1SP, startHour: 24, hours: 1 }]', 'an hour before 24, when the run ends'],
  ['platform', '{ dccOnlyMedianMs: 900, dccOnlyP95Ms: 100 }', 'at least the median, 900'],
])('%s that could not be meant are faults', (key, value, expected) => {
  const faults = linesOf(`${SMALL}${key}: ${value}\n`);
  expect(faults).toHaveLength(1);
  expect(faults[0]).toContain(expected);
});
