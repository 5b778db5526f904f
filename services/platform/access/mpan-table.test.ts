import avsc from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SMI_STATUSES } from '#core/access-control.ts';
import { GENERATIONS, ROLES } from '#core/matrix.ts';
import { MPID_CODES, mpidCodeOf, mpidOf } from '#core/mpid-code.ts';
import { APPOINTED_ROLES, type Appointment, buildRegistrationTable, coversDays } from '#core/registration.ts';
import { schemaText } from '#schemas/topics.ts';
import { createMpanTable, FIRST_DAY, MpanTable } from './mpan-table.ts';
import { APPOINTMENTS_MAX, applyMeteringPoint, applyRegistration } from './table-updates.ts';

const registrationType = avsc.Type.forSchema(JSON.parse(schemaText('registrations')));
const meteringPointType = avsc.Type.forSchema(JSON.parse(schemaText('inventory')));
const FIRST_MPAN = 1_000_000_000_000;

type MeteringPoint = {
  mpan: number;
  sequence: number;
  register: 'IMPORT' | 'EXPORT';
  device: Buffer;
  kind: 'ESME' | 'OTHER';
  generation: string;
  status: string;
};

const mpids = fc.constantFrom('AAAA', 'MDRA', 'SUPP', 'ZZZZ', 'QXYZ');
const days = fc.integer({ min: FIRST_DAY, max: FIRST_DAY + 40 });
const appointmentOf = fc.record(
  { mpid: mpids, role: fc.constantFrom(...APPOINTED_ROLES), efd: days, etd: days },
  { requiredKeys: ['mpid', 'role', 'efd'] },
) as fc.Arbitrary<Appointment>;
const mpanOf = fc.integer({ min: FIRST_MPAN, max: 9_999_999_999_999 });
const meteringPointOf = fc.record({
  mpan: mpanOf,
  sequence: fc.integer({ min: 0, max: 2 ** 52 }),
  register: fc.constantFrom('IMPORT' as const, 'EXPORT' as const),
  device: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  kind: fc.constantFrom('ESME' as const, 'OTHER' as const),
  generation: fc.constantFrom(...GENERATIONS),
  status: fc.constantFrom(...SMI_STATUSES),
});

function register(table: MpanTable, mpan: number, appointments: readonly Appointment[]): void {
  const value = registrationType.toBuffer({
    mpan,
    sequence: 1,
    appointments: appointments.map((one) => ({ ...one, etd: one.etd ?? null })),
  });
  expect(applyRegistration(table, mpan, value, 0, value.length)).toBeUndefined();
}

function install(table: MpanTable, point: MeteringPoint): void {
  const value = meteringPointType.toBuffer(point);
  expect(applyMeteringPoint(table, point.mpan, value, 0, value.length)).toBeUndefined();
}

function tenuresOf(table: MpanTable, mpan: number): { mpid: string; role: number; from: number; until: number }[] {
  const size = table.longestRow;
  const codes = new Int32Array(size);
  const row = {
    mpans: new Float64Array(1),
    first: new Int32Array(2),
    mpid: new Uint16Array(size),
    role: new Uint8Array(size),
    from: new Int32Array(size),
    until: new Int32Array(size),
    mpids: [],
  };
  const count = table.copyTenures(table.find(mpan), row, codes);
  return Array.from({ length: count }, (_, k) => ({
    mpid: mpidOf(codes[row.mpid[k]]),
    role: row.role[k],
    from: row.from[k],
    until: row.until[k],
  }));
}

function deviceOf(table: MpanTable, mpan: number): Omit<MeteringPoint, 'sequence' | 'device'> {
  const at = table.find(mpan);
  return {
    mpan,
    register: table.register(at) === 0 ? 'IMPORT' : 'EXPORT',
    kind: table.kind(at) === 0 ? 'ESME' : 'OTHER',
    generation: GENERATIONS[table.generation(at)],
    status: SMI_STATUSES[table.status(at)],
  };
}

function isDevice(table: MpanTable, mpan: number, eui: Buffer): boolean {
  return table.isDevice(table.find(mpan), eui.readInt32BE(0), eui.readInt32BE(4));
}

describe('registrations', () => {
  test('cover the days that core says, whatever the appointments', () => {
    const asked = fc.tuple(days, fc.integer({ min: 0, max: 20 }), mpids, fc.constantFrom(...APPOINTED_ROLES));
    fc.assert(
      fc.property(
        mpanOf,
        fc.array(appointmentOf, { maxLength: 8 }),
        fc.array(asked),
        (mpan, appointments, questions) => {
          const table = createMpanTable();
          register(table, mpan, appointments);
          const { table: model } = buildRegistrationTable([{ mpan, appointments }]);
          const tenures = tenuresOf(table, mpan);
          const packedModel = {
            ...model,
            first: Int32Array.of(0, tenures.length),
            mpid: Uint16Array.from(tenures, (_, k) => k),
            role: Uint8Array.from(tenures, ({ role }) => role),
            from: Int32Array.from(tenures, ({ from }) => from),
            until: Int32Array.from(tenures, ({ until }) => until),
          };
          for (const [first, more, mpid, role] of questions) {
            const asUser = (all: string[]) => Int16Array.from(all, (one) => (one === mpid ? 1 : -1));
            const question = [
              ROLES.indexOf(role),
              asUser(tenures.map((one) => one.mpid)),
              1,
              first,
              first + more,
            ] as const;
            const expected = coversDays(model, 0, question[0], asUser(model.mpids), 1, first, first + more);
            expect(coversDays(packedModel, 0, ...question)).toBe(expected);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('days before 2000 count from its first day, days beyond 2179 as open', () => {
    const table = createMpanTable();
    register(table, FIRST_MPAN, [
      { mpid: 'AAAA', role: 'IS', efd: -40_000, etd: 90_000 },
      { mpid: 'BBBB', role: 'MDR', efd: -40_000, etd: -5 },
      { mpid: 'CCCC', role: 'ES', efd: 2 ** 31 - 2 },
    ]);
    const open = 2 ** 31 - 1;
    expect(tenuresOf(table, FIRST_MPAN)).toEqual([
      { mpid: 'AAAA', role: ROLES.indexOf('IS'), from: FIRST_DAY, until: open },
      { mpid: 'BBBB', role: ROLES.indexOf('MDR'), from: FIRST_DAY, until: FIRST_DAY },
      { mpid: 'CCCC', role: ROLES.indexOf('ES'), from: FIRST_DAY + 65_534, until: open },
    ]);
  });

  test('that cannot be used are refused with their reason, and change nothing', () => {
    const table = createMpanTable();
    register(table, FIRST_MPAN, [{ mpid: 'AAAA', role: 'IS', efd: 20_000 }]);
    const before = tenuresOf(table, FIRST_MPAN);
    const one = { mpid: 'BBBB', role: 'IS', efd: 1, etd: null };
    const good = { mpan: FIRST_MPAN, sequence: 1, appointments: [one] };
    const bytes = registrationType.toBuffer(good);
    const refused = (value: Buffer) => applyRegistration(table, FIRST_MPAN, value, 0, value.length)?.reason;
    for (let end = 0; end < bytes.length; end++) expect(refused(bytes.subarray(0, end))).toBe('UNDECODABLE');
    expect(refused(Buffer.concat([bytes, Buffer.from([0])]))).toBe('UNDECODABLE');
    expect(refused(registrationType.toBuffer({ ...good, mpan: FIRST_MPAN + 1 }))).toBe('IMPOSSIBLE_VALUE');
    for (const mpid of ['', 'AAA', 'AAAAA', 'aaaa', 'AA1A', 'AÄA'])
      expect(refused(registrationType.toBuffer({ ...good, appointments: [{ ...one, mpid }] }))).toBe(
        'IMPOSSIBLE_VALUE',
      );
    const many = { ...good, appointments: new Array(APPOINTMENTS_MAX + 1).fill(one) };
    expect(refused(registrationType.toBuffer(many))).toBe('OVERSIZED');
    expect(tenuresOf(table, FIRST_MPAN)).toEqual(before);
  });

  test('written in blocks with their length, as Avro allows, are read alike', () => {
    const [head, second] = [[20_000], [20_010]].map(([efd]) =>
      registrationType.toBuffer({
        mpan: FIRST_MPAN,
        sequence: 0,
        appointments: [{ mpid: 'AAAA', role: 'MDR', efd, etd: null }],
      }),
    );
    const item = (value: Buffer) => value.subarray(value.length - 11, value.length - 1);
    const start = head.subarray(0, head.length - 12);
    const block = (value: Buffer) => Buffer.concat([Buffer.from([1, 2 * item(value).length]), item(value)]);
    const value = Buffer.concat([start, block(head), block(second), Buffer.from([0])]);
    const table = createMpanTable();
    expect(applyRegistration(table, FIRST_MPAN, value, 0, value.length)).toBeUndefined();
    expect(tenuresOf(table, FIRST_MPAN).map(({ from }) => from)).toEqual([20_000, 20_010]);
  });
});

describe('the inventory', () => {
  test('is read as avsc writes it', () => {
    fc.assert(
      fc.property(meteringPointOf, (point) => {
        const table = createMpanTable();
        install(table, point);
        const { sequence, device, ...rest } = point;
        expect(deviceOf(table, point.mpan)).toEqual(rest);
        expect(isDevice(table, point.mpan, device)).toBe(true);
        expect(isDevice(table, point.mpan, Buffer.from(device.map((byte, at) => (at === 7 ? byte ^ 1 : byte))))).toBe(
          false,
        );
      }),
    );
  });

  test('that cannot be used is refused with its reason', () => {
    const [point] = fc.sample(meteringPointOf, 1);
    const bytes = meteringPointType.toBuffer(point);
    const refused = (value: Buffer) =>
      applyMeteringPoint(createMpanTable(), point.mpan, value, 0, value.length)?.reason;
    expect(refused(bytes)).toBeUndefined();
    for (let end = 0; end < bytes.length; end++) expect(refused(bytes.subarray(0, end))).toBe('UNDECODABLE');
    expect(refused(Buffer.concat([bytes, bytes]))).toBe('UNDECODABLE');
    expect(refused(meteringPointType.toBuffer({ ...point, generation: 'UNKNOWN' }))).toBe('IMPOSSIBLE_VALUE');
    expect(refused(meteringPointType.toBuffer({ ...point, mpan: point.mpan - 1 }))).toBe('IMPOSSIBLE_VALUE');
  });

  test('random bytes are refused or read, and nothing is thrown', () => {
    const table = createMpanTable();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        applyMeteringPoint(table, FIRST_MPAN, Buffer.from(bytes), 0, bytes.length);
        applyRegistration(table, FIRST_MPAN, Buffer.from(bytes), 0, bytes.length);
      }),
      { numRuns: 5000 },
    );
  });
});

test('the table agrees with a Map under changes, removals, growth and changes of thread', () => {
  type Known = { point?: MeteringPoint; tenures?: ReturnType<typeof tenuresOf> };
  const model = new Map<number, Known>();
  let table = createMpanTable();
  // Sequential MPANs of one region, few enough that most changes meet an MPAN that is known.
  const mpans = fc.integer({ min: 0, max: 6000 }).map((k) => 2_000_000_000_000 + k * 10);
  const change = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('install' as const), point: meteringPointOf }) },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('register' as const), list: fc.array(appointmentOf, { maxLength: 6 }) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'remove device' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'remove registration' as const }) },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(mpans, change), { minLength: 200, maxLength: 400 }), (changes) => {
      table = new MpanTable(structuredClone(table.handle));
      for (const [mpan, one] of changes) {
        const known = model.get(mpan) ?? {};
        model.set(mpan, known);
        if (one.kind === 'install') {
          known.point = { ...one.point, mpan };
          install(table, known.point);
        } else if (one.kind === 'register') {
          register(table, mpan, one.list);
          known.tenures = coreTenures(mpan, one.list);
        } else if (one.kind === 'remove device') {
          delete known.point;
          table.removeDevice(mpan);
        } else {
          delete known.tenures;
          table.removeRegistration(mpan);
        }
      }
    }),
    { numRuns: 100, endOnFailure: true },
  );
  expect(model.size).toBeGreaterThan(4000);
  for (const [mpan, { point, tenures }] of model) {
    const at = table.find(mpan);
    expect(at >= 0 && table.hasDevice(at)).toBe(point !== undefined);
    expect(at >= 0 && table.hasRegistration(at)).toBe(tenures !== undefined);
    if (point !== undefined) {
      const { sequence, device, ...rest } = point;
      expect(deviceOf(table, mpan)).toEqual(rest);
      expect(isDevice(table, mpan, device)).toBe(true);
    }
    if (tenures !== undefined) expect(byRole(tenuresOf(table, mpan))).toEqual(byRole(tenures));
    expect(table.find(mpan + 1)).toBe(-1);
  }
  const known = [...model.values()];
  expect(table.devices).toBe(known.filter(({ point }) => point !== undefined).length);
  expect(table.mpans).toBe(known.filter(({ point, tenures }) => point !== undefined || tenures !== undefined).length);
  expect(table.registrations).toBe(known.filter(({ tenures }) => tenures !== undefined).length);
});

test('MPANs that come and go do not make the table larger', () => {
  const table = createMpanTable();
  const point = fc.sample(meteringPointOf, 1)[0];
  for (let k = 0; k < 100_000; k++) {
    install(table, { ...point, mpan: FIRST_MPAN + k });
    if (k >= 100) table.removeDevice(FIRST_MPAN + k - 100);
  }
  expect([table.devices, table.mpans]).toEqual([100, 100]);
  expect(table.handle.records.byteLength).toBe(createMpanTable().handle.records.byteLength);
});

test('every MPID has a number of its own, and back', () => {
  for (let code = 0; code < MPID_CODES; code += 97) expect(mpidCodeOf(mpidOf(code))).toBe(code);
  expect([mpidCodeOf('AAAA'), mpidCodeOf('ZZZZ')]).toEqual([0, MPID_CODES - 1]);
  for (const text of ['', 'AAA', 'AAAAA', 'aaaa', 'A-AA']) expect(mpidCodeOf(text)).toBe(-1);
});

function coreTenures(mpan: number, appointments: readonly Appointment[]): ReturnType<typeof tenuresOf> {
  const { table } = buildRegistrationTable([{ mpan, appointments }]);
  return Array.from(table.from, (from, k) => ({
    mpid: table.mpids[table.mpid[k]],
    role: table.role[k],
    from,
    until: table.until[k],
  }));
}

function byRole(tenures: ReturnType<typeof tenuresOf>): ReturnType<typeof tenuresOf> {
  return tenures.toSorted((a, b) => a.role - b.role || a.from - b.from);
}
