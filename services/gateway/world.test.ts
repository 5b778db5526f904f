import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatFault, MdrError } from '#core/errors.ts';
import { readWorld } from './world.ts';

const EXAMPLE = readFileSync(new URL('../../docs/using/examples/world.yaml', import.meta.url), 'utf8');

function faultsOf(text: string): string[] {
  try {
    readWorld('w.yaml', text);
  } catch (error) {
    expect(error).toBeInstanceOf(MdrError);
    expect((error as MdrError).code).toBe('INPUT_INVALID');
    return (error as MdrError).faults.map(formatFault);
  }
  return [];
}

const SMALL = `users:
  - name: A
    eui: 90-B3-D5-1F-30-01-00-00
    category: MDR Party
    roles: { MDR: [AGNA] }
    gates: { ueptOn: {} }
devices:
  - { id: 00-DB-12-34-56-78-90-A0, type: ESME, generation: SMETS2, status: Commissioned, importMpan: 1012345678903 }
registrations:
  - mpan: 1012345678903
    appointments:
      - { mpid: AGNA, role: MDR, efd: 2014-01-01 }
`;
const edit = (from: string, to: string) => {
  expect(SMALL).toContain(from);
  return SMALL.replace(from, to);
};

test('the example world has no fault and nothing odd', () => {
  expect(readWorld('world.yaml', EXAMPLE).warnings).toEqual([]);
});

test('settings have their defaults, also when none is given', () => {
  expect(readWorld('w.yaml', SMALL)).toMatchObject({
    convention: 'utc',
    seed: 1,
    codes: {
      readUnknownSchedule: 'E050201',
      deleteUnknownSchedule: 'E050301',
      scheduleLimit: 'E050101',
      scheduleNeverRuns: 'E050102',
    },
  });
  expect(readWorld('w.yaml', `${SMALL}settings: { settlementDays: local, seed: 7 }\n`)).toMatchObject({
    convention: 'local',
    seed: 7,
    codes: { quarantineAlert: 'N36' },
  });
});

test('scalars are what is written: 4.10 is no 4.1, MPANs and dates stay whole', () => {
  expect(
    faultsOf(
      edit(
        'gates: { ueptOn: {} }',
        'gates: { ueptOn: {} }\n    anomalyThresholds: [{ srv: 4.10, count: 1, periodSeconds: 60 }]',
      ),
    ),
  ).toEqual([
    expect.stringMatching(/^w.yaml:7: users\[0\].anomalyThresholds\[0\].srv is "4.10", expected one of 4.1.1, 4.2/),
  ]);
});

test('every fault of the shape is named at once, with line and expectation', () => {
  const broken = edit('category: MDR Party', 'category: Big\n    colour: red')
    .replace('MDR: [AGNA]', 'MDR: [agna], XX: [A]')
    .replace('status: Commissioned', 'status: On')
    .replace('efd: 2014-01-01', 'efd: 2014-02-30')
    .replace('ueptOn: {}', '');
  expect(faultsOf(broken)).toEqual([
    expect.stringMatching(/^w.yaml:4: users\[0\].category is "Big", expected one of Large Supplier/),
    expect.stringMatching(/^w.yaml:5: users\[0\].colour expected the name of a setting: name, eui/),
    expect.stringMatching(/^w.yaml:6: users\[0\].roles.XX expected the name of a setting: IS/),
    expect.stringMatching(/^w.yaml:6: users\[0\].roles.MDR\[0\] is "agna", expected an MPID/),
    expect.stringMatching(/^w.yaml:7: users\[0\].gates.ueptOn expected a value: it is missing/),
    expect.stringMatching(/^w.yaml:9: devices\[0\].status is "On", expected one of Pending/),
    expect.stringMatching(/^w.yaml:13: registrations\[0\].appointments\[0\].efd is "2014-02-30", expected a date/),
  ]);
});

describe('what the parts of a world say together', () => {
  const DEVICE = SMALL.split('\n')[7];
  const SCHEDULE =
    'schedules:\n  - { id: 1, user: 90-b3-d5-1f-30-01-00-00, role: MDR, device: 00-db-12-34-56-78-90-a0, srv: 4.8.1, frequency: Daily, startDate: 2014-02-01, window: { startOffsetDays: -1, startTime: 00:30:00, endOffsetDays: 0, endTime: 00:00:00 } }\n';
  const withSchedule = (from: string, to: string) => SMALL + SCHEDULE.replace(from, to);
  test.each([
    [
      'a wrong check digit',
      SMALL.replace('importMpan: 1012345678903', 'importMpan: 1012345678901'),
      /:8: devices\[0\].importMpan is "1012345678901", expected an MPAN whose last digit/,
    ],
    [
      'a device twice',
      edit(
        DEVICE,
        `${DEVICE}\n${DEVICE.toLowerCase().replace('esme', 'ESME').replace('smets2', 'SMETS2').replace('commissioned', 'Commissioned').replace('importmpan: 1012345678903', 'importMpan: 1412345678901')}`,
      ),
      /:9: devices\[1\].id .*each Device ID once/,
    ],
    [
      'one MPAN for both registers',
      edit('importMpan', 'exportMpan: 1012345678903, importMpan'),
      /each MPAN of one register once/,
    ],
    [
      'an MPAN registered twice',
      `${SMALL}  - { mpan: 1012345678903, appointments: [] }\n`,
      /registrations\[1\].mpan .*each MPAN once/,
    ],
    [
      'an MPID of two Users',
      edit(
        'devices:',
        '  - { name: B, eui: 90-B3-D5-1F-30-02-00-00, category: MDR Party, roles: { MDR: [AGNA] }, gates: { ueptOn: {} } }\ndevices:',
      ),
      /users\[1\].roles.MDR\[0\] .*each MPID of one User once/,
    ],
    [
      'an EUI of two Users',
      edit(
        'devices:',
        '  - { name: B, eui: 90-b3-d5-1f-30-01-00-00, category: MDR Party, roles: {}, gates: { ueptOn: {} } }\ndevices:',
      ),
      /users\[1\].eui .*each EUI once/,
    ],
    ['a schedule of nobody', withSchedule('1f-30-01', '1f-30-09'), /schedules\[0\].user .*one of the users/],
    ['a schedule for no device', withSchedule('90-a0', '90-a9'), /schedules\[0\].device .*one of the devices/],
    [
      'a schedule without a window',
      withSchedule(/, window.*\} \}/.exec(SCHEDULE)?.[0] ?? '', ' }'),
      /schedules\[0\] expected a window/,
    ],
    [
      'a schedule with its window turned round',
      withSchedule('endOffsetDays: 0', 'endOffsetDays: -2'),
      /does not end before it starts/,
    ],
    [
      'a schedule that ends before it starts',
      withSchedule('window:', 'endDate: 2013-01-01, window:'),
      /endDate .*not before startDate/,
    ],
    [
      'a hundred schedules of a User for a device',
      withSchedule(
        SCHEDULE.split('\n')[1],
        Array.from({ length: 100 }, (_, id) => SCHEDULE.split('\n')[1].replace('id: 1,', `id: ${id},`)).join('\n'),
      ),
      /schedules\[99\] expected at most 99/,
    ],
  ])('%s is refused', (_, text, expected) => {
    expect(faultsOf(text)).toEqual([expect.stringMatching(expected)]);
  });

  test.each([
    [
      'a wrong check digit, by setting',
      `${SMALL.replaceAll('1012345678903', '1012345678901')}settings: { mpanCheckDigits: warn }\n`,
      /check digit/,
    ],
    [
      'an appointed MPID of no User',
      edit('- { mpid: AGNA', '- { mpid: AGNZ'),
      /:12: .*mpid is "AGNZ", expected an MPID of one of the users/,
    ],
    [
      'an MPAN that is not registered',
      edit('  - mpan: 1012345678903', '  - mpan: 1412345678901'),
      /nobody may read this one/,
    ],
    [
      'a gap between appointments',
      edit(
        'efd: 2014-01-01 }',
        'efd: 2014-01-01, etd: 2014-02-01 }\n      - { mpid: AGNA, role: MDR, efd: 2014-03-01 }',
      ),
      /:11: registrations\[0\].appointments expected no gap in role MDR at 2014-02-02/,
    ],
    [
      'an overlap of appointments',
      edit(
        'efd: 2014-01-01 }',
        'efd: 2014-01-01, etd: 2014-04-01 }\n      - { mpid: AGNA, role: MDR, efd: 2014-03-01 }',
      ),
      /no overlap in role MDR at 2014-03-01/,
    ],
  ])('%s is reported and let pass', (_, text, expected) => {
    const { warnings } = readWorld('w.yaml', text);
    expect(warnings.map(formatFault)).toContainEqual(expect.stringMatching(expected));
  });
});

test.each([
  ['broken YAML', 'users: [\n  {a: 1,\n', /YAML/],
  ['a key twice', SMALL.replace('    category', '    name: B\n    category'), /:4: .*YAML/],
  ['nothing', '', /expected a mapping/],
  [
    'aliases that multiply',
    `a: &a [1]\n${'bcdefghij'
      .split('')
      .map((key, at) => `${key}: &${key} [${`*${'abcdefghij'[at]},`.repeat(10)}]`)
      .join('\n')}\n`,
    /YAML/,
  ],
  ['too much of it', `# ${'x'.repeat(16_777_216)}`, /at most 16777216/],
])('%s is refused', (_, text, expected) => {
  expect(faultsOf(text)[0]).toMatch(expected);
});
