import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { endHash, mpanHash, partitionOfMpan, startHash } from '#core/partition.ts';

const require = createRequire(import.meta.url);
const murmur2: (key: string) => number = require('kafkajs/src/producer/partitioners/default/murmur2');
const { Partitioners } = require('kafkajs');
const partitioner = Partitioners.DefaultPartitioner();

const mpans = fc.integer({ min: 10 ** 12, max: 10 ** 13 - 1 });

// From Kafka's own UtilsTest.testMurmur2.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('the murmur2 that we are held against hashes %s as Kafka does', (key, hash) => {
  expect(murmur2(key)).toBe(hash);
});

describe("an MPAN's partition", () => {
  test("is that of Kafka's default partitioner for its 13 digits", () => {
    fc.assert(
      fc.property(mpans, fc.integer({ min: 1, max: 100 }), (mpan, partitions) => {
        const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({ partitionId, leader: 0 }));
        const expected = partitioner({ topic: 'device-requests', partitionMetadata, message: { key: String(mpan) } });
        expect(partitionOfMpan(mpan, partitions)).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([10 ** 12, 10 ** 13 - 1, 1_000_000_000_001, 1_000_010_000_100, 2_399_999_999_990])(
    'is by the whole hash, %i with its noughts and nines too',
    (mpan) => {
      expect(mpanHash(mpan)).toBe(murmur2(String(mpan)) & 0x7fffffff);
    },
  );

  test('may be found by trying endings', () => {
    fc.assert(
      fc.property(mpans, (mpan) => {
        const ending = Math.floor(mpan / 10) % 10_000;
        expect(endHash(startHash(Math.floor(mpan / 1e5)), ending, mpan % 10)).toBe(mpanHash(mpan));
      }),
    );
  });

  test.each([0, 10 ** 12 - 1, 10 ** 13, -1, Number.NaN])('is not asked of %d, which has no 13 digits', (mpan) => {
    expect(() => partitionOfMpan(mpan, 6)).toThrow(/13 digits/);
  });
});
