import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  distributorOf,
  formatRequestId,
  hasValidCheckDigit,
  mpanCheckDigit,
  mpanFrom,
  parseDeviceId,
  parseMpan,
  parseMpid,
  parseRequestId,
  responseIdOf,
} from './identifiers.ts';

const first12 = fc.integer({ min: 100_000_000_000, max: 999_999_999_999 });
const eui = fc.stringMatching(/^[0-9A-F]{2}(-[0-9A-F]{2}){7}$/);

describe('MPAN', () => {
  test('the check digit is the weighted sum of the first 12 digits mod 11 mod 10', () => {
    const weights = [3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43];
    fc.assert(
      fc.property(first12, (digits) => {
        const sum = weights.reduce((total, weight, at) => total + weight * Number(String(digits)[at]), 0);
        expect(mpanCheckDigit(digits)).toBe((sum % 11) % 10);
        expect(mpanFrom(digits)).toBe(Number(`${digits}${(sum % 11) % 10}`));
      }),
    );
  });

  test('of the ten last digits exactly one is valid', () => {
    fc.assert(
      fc.property(first12, (digits) => {
        const valid = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((last) => hasValidCheckDigit(digits * 10 + last));
        expect(valid).toEqual([mpanFrom(digits) % 10]);
      }),
    );
  });

  test('is 13 digits, whatever its check digit, and its first two are the distributor', () => {
    expect(parseMpan('1012345678901')).toBe(1012345678901);
    expect(distributorOf(1012345678901)).toBe(10);
    expect(distributorOf(2399999999999)).toBe(23);
    for (const text of ['', '101234567890', '10123456789012', '0012345678901', '10123456789O1', ' 1012345678901']) {
      expect(parseMpan(text), text).toBeUndefined();
    }
  });
});

describe('Device ID', () => {
  test('is an EUI-64 in either case, and canonical in upper case', () => {
    fc.assert(
      fc.property(eui, (id) => {
        expect(parseDeviceId(id.toLowerCase())).toBe(id);
        expect(parseDeviceId(id)).toBe(id);
      }),
    );
    for (const text of [
      '',
      '00-DB-12-34-56-78-90',
      '00-DB-12-34-56-78-90-A0-11',
      '00DB1234567890A0',
      '00-DB-12-34-56-78-90-G0',
    ]) {
      expect(parseDeviceId(text), text).toBeUndefined();
    }
  });
});

test('an MPID is four upper-case letters', () => {
  expect(parseMpid('AGNA')).toBe('AGNA');
  for (const text of ['', 'AGN', 'AGNAB', 'agna', 'AGN1']) expect(parseMpid(text), text).toBeUndefined();
});

describe('RequestID', () => {
  test('parses to what it was formatted from, and the ResponseID swaps originator and target', () => {
    fc.assert(
      fc.property(eui, eui, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (originator, target, counter) => {
        const id = { originator, target, counter };
        expect(parseRequestId(formatRequestId(id))).toEqual(id);
        expect(formatRequestId(responseIdOf(id))).toBe(`${target}:${originator}:${counter}`);
      }),
    );
  });

  test('has a counter of 64 bits without leading zeros', () => {
    const eui64 = '90-B3-D5-1F-30-01-00-00';
    for (const counter of ['0', '1000', '18446744073709551615']) {
      expect(parseRequestId(`${eui64}:${eui64}:${counter}`)?.counter).toBe(BigInt(counter));
    }
    for (const counter of ['', '01', '-1', '1.0', '0x10', '18446744073709551616', '99999999999999999999']) {
      expect(parseRequestId(`${eui64}:${eui64}:${counter}`), counter).toBeUndefined();
    }
    expect(parseRequestId(`${eui64}:1000`)).toBeUndefined();
  });
});
