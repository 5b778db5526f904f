import { describe, expect, test } from 'vitest';
import { draw32, drawUnit, PURPOSE, type Purpose } from '#fleet-sim/draws.ts';

const SEEDS = [0, 1, 42, -7, 0x7fffffff];
const DRAWS = 65_536;
/** Five standard deviations of a chi-square above its mean: about one false alarm in a million. */
const SIGMAS = 5;

describe('draws are uniform', () => {
  const axes: [string, (seed: number, n: number) => number][] = [
    ['over neighbouring subjects', (seed, n) => draw32(seed, n, 0, PURPOSE.identity)],
    ['over subjects a stride apart', (seed, n) => draw32(seed, n * 457, 20_000, PURPOSE.serviceTime)],
    ['over the occasions of one subject', (seed, n) => draw32(seed, 29_999_999, n, PURPOSE.profile)],
    ['over neighbouring seeds', (seed, n) => draw32(seed + n, 5, 3, PURPOSE.reachability)],
  ];
  for (const [name, draw] of axes) {
    test.each(SEEDS)(`${name}, in their first and last bits, seed %i`, (seed) => {
      const high = new Uint32Array(256);
      const low = new Uint32Array(256);
      for (let n = 0; n < DRAWS; n++) {
        const bits = draw(seed, n);
        high[bits >>> 24]++;
        low[bits & 255]++;
      }
      expectUniform(high);
      expectUniform(low);
    });
  }

  test('every bit is set in half of the draws', () => {
    for (let bit = 0; bit < 32; bit++) {
      let set = 0;
      for (let n = 0; n < DRAWS; n++) set += (draw32(9, n, 1, PURPOSE.mdra) >>> bit) & 1;
      expect(Math.abs(set - DRAWS / 2)).toBeLessThan((SIGMAS * Math.sqrt(DRAWS)) / 2);
    }
  });
});

describe('draws are independent', () => {
  const purposes = Object.values(PURPOSE);
  const pairs = purposes.flatMap((a) => purposes.filter((b) => b > a).map((b): [Purpose, Purpose] => [a, b]));

  test('between any two purposes of one subject', () => {
    for (const [a, b] of pairs) {
      expectIndependent(
        (n) => draw32(3, n, 0, a),
        (n) => draw32(3, n, 0, b),
        8_192,
      );
    }
  });

  test.each(SEEDS)('between an occasion and the next of one subject, seed %i', (seed) => {
    expectIndependent(
      (n) => draw32(seed, n, 100, PURPOSE.serviceTime),
      (n) => draw32(seed, n, 101, PURPOSE.serviceTime),
    );
    expectIndependent(
      (n) => draw32(seed, 77, n, PURPOSE.serviceTime),
      (n) => draw32(seed, 77, n + 1, PURPOSE.serviceTime),
    );
  });

  test.each([1, 2, 256, 4_096, 1_000_000])('between a subject and the one %i further', (apart) => {
    expectIndependent(
      (n) => draw32(1, n, 20_000, PURPOSE.reachability),
      (n) => draw32(1, n + apart, 20_000, PURPOSE.reachability),
    );
  });

  test('between a subject on a day and its neighbour on the day after', () => {
    expectIndependent(
      (n) => draw32(1, n, 20_000, PURPOSE.spellPhase),
      (n) => draw32(1, n + 1, 20_001, PURPOSE.spellPhase),
    );
  });

  test('between neighbouring seeds', () => {
    expectIndependent(
      (n) => draw32(1, n, 0, PURPOSE.mdra),
      (n) => draw32(2, n, 0, PURPOSE.mdra),
    );
  });
});

test('a unit draw is the 32 bits below one', () => {
  for (let n = 0; n < 1_000; n++) {
    const unit = drawUnit(1, n, 2, PURPOSE.mdra);
    expect(unit).toBe(draw32(1, n, 2, PURPOSE.mdra) / 2 ** 32);
    expect(unit).toBeLessThan(1);
  }
});

/** 16 x 16 cells of the first four bits of one draw against the first, and against the last, of the other. */
function expectIndependent(a: (n: number) => number, b: (n: number) => number, draws = DRAWS): void {
  const high = new Uint32Array(256);
  const low = new Uint32Array(256);
  for (let n = 0; n < draws; n++) {
    const row = (a(n) >>> 28) * 16;
    const other = b(n);
    high[row + (other >>> 28)]++;
    low[row + (other & 15)]++;
  }
  expectUniform(high);
  expectUniform(low);
}

function expectUniform(counts: Uint32Array): void {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  const freedom = counts.length - 1;
  expect(Math.abs(chiSquare - freedom)).toBeLessThan(SIGMAS * Math.sqrt(2 * freedom));
}
