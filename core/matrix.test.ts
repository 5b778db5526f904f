import { describe, expect, test } from 'vitest';
import shipped from './matrices/mp162-v0.4.json' with { type: 'json' };
import {
  DEFAULT_MATRIX,
  GENERATIONS,
  MODES,
  matrixRows,
  NO_REGISTER,
  ROLES,
  SERVICES,
  SRVS,
  srvIndex,
  trtSecondsOf,
  validateMatrix,
} from './matrix.ts';

// The table of the business requirements, sections 2.4 and 2.5 with footnote 3, as it is printed there.
const PRINTED = `
        existing S2     existing S1     MHHS S2         MHHS S1
        sched   OD      sched   OD      sched   OD      sched   OD
4.1.1   -       30      -       16      -       86400   -       86400
4.2     -       30      -       16      -       86400   -       86400
4.6.1   86400   30      86400   16      86400   86400   86400   86400
4.6.2   86400   30      -       -       86400   86400   -       -
4.8.1   86400   5600    86400   16      86400   86400   86400   86400
4.8.3   86400   30      86400   16      86400   86400   86400   86400
4.17    86400   30      -       -       86400   86400   -       -
5.1     -       86400   -       86400   -       86400   -       86400
5.2     -       86400   -       86400   -       86400   -       86400
5.3     -       86400   -       86400   -       86400   -       86400
8.2     -       30      -       30      -       30      -       30
`;
const COLUMNS = ['existing', 'mhhs'].flatMap((service) =>
  ['SMETS2', 'SMETS1'].flatMap((generation) =>
    ['scheduled', 'on-demand'].map((mode) => ({ service, generation, mode })),
  ),
);
const cells = PRINTED.trim()
  .split('\n')
  .slice(2)
  .flatMap((line) => {
    const [srv, ...columns] = line.trim().split(/\s+/);
    return columns.map((text, at) => ({ srv, ...COLUMNS[at], trtSeconds: text === '-' ? null : Number(text) }));
  });

describe('the matrix of MP162', () => {
  test.each(cells)(
    '$srv $service $generation $mode: $trtSeconds s',
    ({ srv, service, generation, mode, trtSeconds }) => {
      const roles = service === 'existing' ? ['IS', 'ES'] : ['IS', 'ES', 'MDR'];
      for (const role of ROLES) {
        const seconds = trtSecondsOf(
          DEFAULT_MATRIX,
          srvIndex(DEFAULT_MATRIX, srv),
          (GENERATIONS as readonly string[]).indexOf(generation),
          (MODES as readonly string[]).indexOf(mode),
          (SERVICES as readonly string[]).indexOf(service),
          ROLES.indexOf(role),
        );
        expect(seconds, role).toBe(trtSeconds !== null && roles.includes(role) ? trtSeconds : -1);
      }
    },
  );

  test('has a row for each SRV, generation, mode and service, with no roles where there is no TRT', () => {
    const rows = matrixRows(DEFAULT_MATRIX);
    expect(rows).toHaveLength(11 * 2 * 2 * 2);
    for (const { srv, service, generation, mode, trtSeconds } of cells) {
      const row = rows.find(
        (r) => r.srv === srv && r.service === service && r.generation === generation && r.mode === mode,
      );
      const roles = service === 'existing' ? ['IS', 'ES'] : ['IS', 'ES', 'MDR'];
      expect(row).toMatchObject({ trtSeconds, roles: trtSeconds === null ? [] : roles });
    }
  });

  test.each([
    ['4.1.1', 'Read Instantaneous Import Registers', 'HDM', null, null, 'import', 1],
    ['4.2', 'Read Instantaneous Export Register Values', 'HDM', null, null, 'export', 1],
    ['4.6.1', 'Retrieve Import Daily Read Log', 'HD', 31, 14, 'import', 1],
    ['4.6.2', 'Retrieve Export Daily Read Log', 'HD', 31, null, 'export', 1],
    ['4.8.1', 'Read Active Import Profile Data', 'H', 397, 397, 'import', 1],
    ['4.8.3', 'Read Export Profile Data', 'H', 93, 93, 'export', 1],
    ['4.17', 'Retrieve Daily Consumption Log', 'HD', 731, null, 'import', 1],
    ['5.1', 'Create Schedule', '', null, null, null, 8],
    ['5.2', 'Read Schedule', '', null, null, null, 8],
    ['5.3', 'Delete Schedule', '', null, null, null, 8],
    ['8.2', 'Read Inventory', '', null, null, null, 8],
  ])(
    '%s is "%s": granularities %s, kept %s and %s days, register %s, CommandVariant %i',
    (srv, name, granularities, smets2, smets1, register, commandVariant) => {
      const at = srvIndex(DEFAULT_MATRIX, srv);
      const row = DEFAULT_MATRIX.services[at];
      expect(row).toMatchObject({ srv, name, register, commandVariant });
      expect(row.granularities.map((g) => g[0].toUpperCase()).join('')).toBe(granularities);
      expect(DEFAULT_MATRIX.keptDays[at * 2 + GENERATIONS.indexOf('SMETS2')]).toBe(smets2 ?? -1);
      expect(DEFAULT_MATRIX.keptDays[at * 2 + GENERATIONS.indexOf('SMETS1')]).toBe(smets1 ?? -1);
      expect(DEFAULT_MATRIX.register[at]).toBe(
        register === null ? NO_REGISTER : ['import', 'export'].indexOf(register),
      );
    },
  );

  test('caps an answer at what the DUIS schema allows', () => {
    const caps = DEFAULT_MATRIX.services.map(({ srv, entriesMax }) => [srv, entriesMax]);
    expect(caps.filter(([, max]) => max !== null)).toEqual([
      ['4.6.1', 31],
      ['4.6.2', 31],
      ['4.8.1', 397 * 48],
      ['4.8.3', 93 * 48],
      ['4.17', 731],
    ]);
  });

  test('does not know other Service Requests', () => {
    expect(DEFAULT_MATRIX.services.map(({ srv }) => srv)).toEqual(SRVS);
    expect(srvIndex(DEFAULT_MATRIX, '4.8.2')).toBe(-1);
  });
});

describe('a matrix file', () => {
  // biome-ignore lint/suspicious/noExplicitAny: each case breaks the document in a way that its type forbids
  type Broken = any;
  const valid = (): Broken => structuredClone(shipped);

  test('that is sound becomes the matrix, under its own name', () => {
    const renamed = valid();
    renamed.name = 'duis-5.3';
    renamed.services[1].modes.scheduled = true;
    renamed.services[1].trtSeconds.mhhs.SMETS2.scheduled = 86_400;
    const result = validateMatrix(renamed);
    if ('faults' in result) return expect.fail(JSON.stringify(result.faults));
    expect(result.matrix.name).toBe('duis-5.3');
    const before = matrixRows(DEFAULT_MATRIX);
    const changed = matrixRows(result.matrix).filter((row, at) => row.trtSeconds !== before[at].trtSeconds);
    expect(changed).toEqual([
      expect.objectContaining({
        srv: '4.2',
        generation: 'SMETS2',
        mode: 'scheduled',
        service: 'mhhs',
        trtSeconds: 86_400,
      }),
    ]);
  });

  test.each<[string, (json: Broken) => void, string]>([
    [
      'an SRV twice',
      (json) => {
        json.services[1].srv = '4.1.1';
      },
      'services[1].srv',
    ],
    [
      'an unknown SRV',
      (json) => {
        json.services[1].srv = '4.10';
      },
      'services[1].srv',
    ],
    [
      'a negative TRT',
      (json) => {
        json.services[0].trtSeconds.existing.SMETS2.onDemand = -30;
      },
      'services[0].trtSeconds.existing.SMETS2.onDemand',
    ],
    [
      'a TRT of no time',
      (json) => {
        json.services[0].trtSeconds.mhhs.SMETS1.onDemand = 0;
      },
      'services[0].trtSeconds.mhhs.SMETS1.onDemand',
    ],
    [
      'a TRT as text',
      (json) => {
        json.services[0].trtSeconds.mhhs.SMETS1.onDemand = '24 h';
      },
      'services[0].trtSeconds.mhhs.SMETS1.onDemand',
    ],
    [
      'a scheduled TRT of an SRV that is not scheduled',
      (json) => {
        json.services[0].trtSeconds.mhhs.SMETS2.scheduled = 86400;
      },
      'services[0].trtSeconds.mhhs.SMETS2.scheduled',
    ],
    [
      'an unknown role',
      (json) => {
        json.services[2].trtSeconds.mhhs.roles[2] = 'MDRA';
      },
      'services[2].trtSeconds.mhhs.roles[2]',
    ],
    [
      'a role twice',
      (json) => {
        json.services[2].trtSeconds.mhhs.roles[2] = 'IS';
      },
      'services[2].trtSeconds.mhhs.roles[2]',
    ],
    [
      'a missing cell',
      (json) => {
        delete json.services[3].trtSeconds.existing.SMETS1.scheduled;
      },
      'services[3].trtSeconds.existing.SMETS1.scheduled',
    ],
    [
      'a missing generation',
      (json) => {
        delete json.services[3].trtSeconds.existing.SMETS1;
      },
      'services[3].trtSeconds.existing.SMETS1',
    ],
    [
      'a missing service',
      (json) => {
        delete json.services[3].trtSeconds.mhhs;
      },
      'services[3].trtSeconds.mhhs',
    ],
    [
      'an unknown key',
      (json) => {
        json.services[4].trt = 5;
      },
      'services[4].trt',
    ],
    [
      'a misspelt granularity',
      (json) => {
        json.services[4].granularities = ['half hourly'];
      },
      'services[4].granularities[0]',
    ],
    [
      'a register without data',
      (json) => {
        json.services[4].data = null;
      },
      'services[4].register',
    ],
    [
      'a fraction of a day kept',
      (json) => {
        json.services[4].keptDays.SMETS1 = 1.5;
      },
      'services[4].keptDays.SMETS1',
    ],
    [
      'an unknown CommandVariant',
      (json) => {
        json.services[4].commandVariant = 4;
      },
      'services[4].commandVariant',
    ],
    [
      'no services',
      (json) => {
        json.services = [];
      },
      'services',
    ],
    [
      'no name',
      (json) => {
        delete json.name;
      },
      'name',
    ],
  ])('with %s is refused at the place', (_, breakIt, path) => {
    const json = valid();
    breakIt(json);
    const result = validateMatrix(json);
    expect('faults' in result && result.faults.map((fault) => fault.path)).toEqual([path]);
  });

  test('with several faults hears of all of them at once', () => {
    const json = valid();
    json.name = '';
    json.services[0].srv = '9.9';
    json.services[5].modes.onDemand = 'yes';
    json.services[8].trtSeconds.existing.SMETS2.onDemand = null;
    delete json.services[10].entriesMax;
    const result = validateMatrix(json);
    expect('faults' in result && result.faults.map((fault) => fault.path)).toEqual([
      'name',
      'services[0].srv',
      'services[5].modes.onDemand',
      'services[10].entriesMax',
    ]);
  });

  test.each([
    [null],
    [7],
    ['mp162'],
    [[]],
    [{}],
    [{ name: 'x', source: 'y', services: 'z' }],
    [{ name: 'x', source: 'y', services: [null, 3] }],
  ])('%j is refused without a crash', (json) => {
    expect(validateMatrix(json)).toHaveProperty('faults');
  });
});
