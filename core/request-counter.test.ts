import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  COUNTERS,
  DATA_DAY_MAX,
  DATA_DAY_MIN,
  DAYS,
  drawOrdinal,
  FLAGS,
  ORDINALS,
  occasionOf,
  occasionOfCounter,
  packRequestCounter,
  type RequestFacts,
  ROWS,
  requestCounter,
  SERIALS,
  unpackInto,
} from '#core/request-counter.ts';

const LARGEST: RequestFacts = {
  day: DAYS - 1,
  row: ROWS - 1,
  ordinal: ORDINALS - 1,
  dataDay: DATA_DAY_MAX,
  flags: FLAGS - 1,
  serial: SERIALS - 1,
};
const SMALLEST: RequestFacts = { day: 0, row: 0, ordinal: 0, dataDay: DATA_DAY_MIN, flags: 0, serial: 0 };

const below = (limit: number) => fc.nat(limit - 1);
const facts: fc.Arbitrary<RequestFacts> = fc.record({
  day: below(DAYS),
  row: below(ROWS),
  ordinal: below(ORDINALS),
  dataDay: fc.integer({ min: DATA_DAY_MIN, max: DATA_DAY_MAX }),
  flags: below(FLAGS),
  serial: below(SERIALS),
});

function unpacked(counter: number): RequestFacts {
  const out = { ...SMALLEST };
  unpackInto(counter, out);
  return out;
}

describe('a counter', () => {
  test('gives back what it was made of, and is exact as a number', () => {
    fc.assert(
      fc.property(facts, (request) => {
        const counter = packRequestCounter(request);
        expect(Number.isSafeInteger(counter)).toBe(true);
        expect(unpacked(counter)).toEqual(request);
      }),
      { numRuns: 5_000 },
    );
    for (const request of [SMALLEST, LARGEST]) expect(unpacked(packRequestCounter(request))).toEqual(request);
  });

  test('stands for one request: any counter is what its facts pack to', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (number) => {
        const counter = number % COUNTERS;
        expect(packRequestCounter(unpacked(counter))).toBe(counter);
      }),
    );
  });

  test('has the layout of the drawing', () => {
    const at = (bit: number, value: number) => BigInt(value) << BigInt(bit);
    fc.assert(
      fc.property(facts, (request) => {
        const { day, row, ordinal, dataDay, flags, serial } = request;
        const drawn = at(0, ordinal ^ ((dataDay & 63) << 5)) | at(12, row) | at(19, day);
        const rest = at(28, flags) | at(30, dataDay + 1) | at(41, serial);
        expect(BigInt(packRequestCounter(request))).toBe(drawn | rest);
      }),
    );
  });

  test("carries the occasion of a plan's draws", () => {
    fc.assert(
      fc.property(facts, (request) => {
        const { day, row, ordinal, dataDay } = request;
        expect(occasionOfCounter(packRequestCounter(request))).toBe(
          occasionOf(day, row, drawOrdinal(ordinal, dataDay)),
        );
      }),
    );
  });
});

test.each([
  ['day', 0, DAYS - 1],
  ['row', 0, ROWS - 1],
  ['ordinal', 0, ORDINALS - 1],
  ['dataDay', DATA_DAY_MIN, DATA_DAY_MAX],
  ['flags', 0, FLAGS - 1],
  ['serial', 0, SERIALS - 1],
] as const)('%s is a whole number from %i to %i, or nothing is packed', (name, min, max) => {
  for (const value of [min, max])
    expect(unpacked(packRequestCounter({ ...SMALLEST, [name]: value }))[name]).toBe(value);
  for (const value of [min - 1, max + 1, min + 0.5, Number.NaN]) {
    expect(() => packRequestCounter({ ...SMALLEST, [name]: value })).toThrow();
  }
});

test('what is no counter of ours is not unpacked', () => {
  for (const counter of [-1, 0.5, COUNTERS, Number.NaN]) expect(() => unpacked(counter)).toThrow(/counter/);
  expect(unpacked(COUNTERS - 1).serial).toBe(SERIALS - 1);
});

test('takes its facts one by one too', () => {
  const { day, row, ordinal, dataDay, flags, serial } = LARGEST;
  expect(requestCounter(day, row, ordinal, dataDay, flags, serial)).toBe(packRequestCounter(LARGEST));
});
