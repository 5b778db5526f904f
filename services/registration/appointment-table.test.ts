import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mpidCodeOf } from '#core/mpid-code.ts';
import { AppointmentList, NO_ETD } from './appointment-list.ts';
import { AppointmentTable, createAppointmentTable, FIRST_DAY, LAST_DAY } from './appointment-table.ts';

type Row = [role: number, mpid: number, efd: number, etd: number];

const rowOf: fc.Arbitrary<Row> = fc
  .tuple(
    fc.nat({ max: 2 }),
    fc.constantFrom('AAAA', 'MDRA', 'ZZZZ').map(mpidCodeOf),
    fc.oneof(fc.integer({ min: FIRST_DAY, max: LAST_DAY - 20 }), fc.constantFrom(FIRST_DAY, LAST_DAY - 20)),
    fc.option(fc.nat({ max: 20 })),
  )
  .map(([role, mpid, efd, days]) => [role, mpid, efd, days === null ? NO_ETD : efd + days]);
const storeOf = fc.record({
  // Few MPANs, so that lists grow and shrink; far apart, so that all bits of them count.
  mpan: fc.nat({ max: 40 }).map((k) => 1_000_000_000_000 + k * 219_000_000_123),
  sequence: fc.oneof(fc.nat({ max: 9 }), fc.integer({ min: 2 ** 32 - 2, max: Number.MAX_SAFE_INTEGER })),
  rows: fc.array(rowOf, { maxLength: 9 }),
});

function listOf(rows: readonly Row[]): AppointmentList {
  const list = new AppointmentList();
  for (const row of rows) list.put(...row);
  return list;
}

function rowsOf(list: AppointmentList): Row[] {
  return Array.from({ length: list.count }, (_, k) => [list.roles[k], list.mpids[k], list.efds[k], list.etds[k]]);
}

test('a list keeps the order of role and EFD, and one appointment of each', () => {
  fc.assert(
    fc.property(fc.array(rowOf, { maxLength: 30 }), (rows) => {
      const naive = new Map(rows.map((row) => [`${row[0]} ${row[2]}`, row]));
      const expected = [...naive.values()].sort((a, b) => a[0] - b[0] || a[2] - b[2]);
      const list = listOf(rows);
      expect(rowsOf(list)).toEqual(expected);
      expect(expected.every((row, k) => list.find(row[0], row[2]) === k)).toBe(true);
    }),
  );
});

test('a table holds what a Map would, over growth, and so does another over its memory', () => {
  fc.assert(
    fc.property(fc.array(storeOf, { maxLength: 200 }), (stores) => {
      const table = createAppointmentTable();
      const naive = new Map<number, { sequence: number; rows: Row[] }>();
      for (const { mpan, sequence, rows } of stores) {
        const list = listOf(rows);
        table.store(mpan, sequence, list);
        naive.set(mpan, { sequence, rows: rowsOf(list) });
      }
      const other = new AppointmentTable(table.handle);
      const found = new AppointmentList();
      for (const [mpan, { sequence, rows }] of naive) {
        const at = other.find(mpan);
        other.load(at, found);
        expect([other.sequence(at), rowsOf(found)]).toEqual([sequence, rows]);
      }
      expect(other.mpans).toBe(naive.size);
      expect(other.find(9_999_999_999_999)).toBe(-1);
    }),
  );
});

test('a hundred thousand MPANs of two appointments take 43 to 85 bytes each', () => {
  const table = createAppointmentTable();
  const list = listOf([
    [0, 1, FIRST_DAY, NO_ETD],
    [2, 2, FIRST_DAY, NO_ETD],
  ]);
  for (let k = 0; k < 100_000; k++) table.store(1_000_000_000_000 + k * 89_000_017, k, list);
  expect(table.mpans).toBe(100_000);
  expect(table.bytes / table.mpans).toBeGreaterThan(42);
  expect(table.bytes / table.mpans).toBeLessThan(86);
  for (let k = 0; k < 100_000; k += 997) expect(table.sequence(table.find(1_000_000_000_000 + k * 89_000_017))).toBe(k);
});
