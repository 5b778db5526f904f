import { expect, test } from 'vitest';
import { Positions } from './positions.ts';

const TENURE = 2 ** 32;

test('positions go up by one; one that is missing is a gap, one that was there a replay', () => {
  const positions = new Positions();
  positions.reach(0, 1, 10);
  positions.reach(0, 2, 11);
  expect(positions.isReplay(0, 2)).toBe(true);
  expect(positions.missingUpTo(0, 2)).toBeUndefined();
  expect(positions.missingUpTo(0, 3)).toEqual({ first: 3, last: 3, behindOffset: 11 });
});

test('a new tenure numbers on from a multiple of 2^32: no gap before it, and what the one before writes is a replay', () => {
  const positions = new Positions();
  positions.reach(1, 7, 20);
  expect(positions.missingUpTo(1, TENURE)).toBeUndefined();
  positions.reach(1, TENURE, 21);
  expect(positions.isReplay(1, 8)).toBe(true);
  expect(positions.isReplayedMarker(1, 8)).toBe(true);
  expect(positions.isReplayedMarker(1, TENURE)).toBe(false);
  expect(positions.missingUpTo(1, TENURE + 1)).toEqual({ first: TENURE + 1, last: TENURE + 1, behindOffset: 21 });
  expect(positions.missingUpTo(1, 3 * TENURE)).toBeUndefined();
});

test('where the fence of a tenure could not be read, its first record is missing none but itself', () => {
  const positions = new Positions();
  positions.reach(1, 7, 20);
  expect(positions.missingUpTo(1, TENURE + 1 - 1)).toBeUndefined();
  expect(positions.missingUpTo(1, TENURE + 2 - 1)).toEqual({ first: TENURE + 1, last: TENURE + 1, behindOffset: 20 });
});
