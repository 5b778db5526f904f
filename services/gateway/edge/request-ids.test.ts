import fc from 'fast-check';
import { expect, test } from 'vitest';
import { REQUEST_ID_BYTES, RequestIds } from './request-ids.ts';

const idOf = (number: number): Buffer => {
  const bytes = Buffer.alloc(REQUEST_ID_BYTES, 1);
  bytes.writeUInt32BE(number, 20);
  return bytes;
};

test('an id is known for as long as was said, and forgotten within half as long again', () => {
  const anyArrival = fc.record({ afterMs: fc.nat(60), number: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(anyArrival, { maxLength: 200 }), (arrivals) => {
      const ids = new RequestIds(100, 1000);
      const rememberedMs = new Map<number, number>();
      let nowMs = 0;
      for (const { afterMs, number } of arrivals) {
        nowMs += afterMs;
        const isNew = ids.add(idOf(number), 0, nowMs);
        const ageMs = nowMs - (rememberedMs.get(number) ?? Number.NEGATIVE_INFINITY);
        if (ageMs <= 100) expect(isNew).toBe(false);
        if (ageMs >= 150) expect(isNew).toBe(true);
        if (isNew) rememberedMs.set(number, nowMs);
      }
    }),
  );
});

test('ten thousand ids are told apart, and more than allowed are said to be too many', () => {
  const ids = new RequestIds(1000, 10_000);
  for (let k = 0; k < 10_000; k++) expect(ids.add(idOf(k), 0, 5)).toBe(true);
  expect(ids.isFull).toBe(true);
  for (let k = 0; k < 10_000; k++) expect(ids.add(idOf(k), 0, 900)).toBe(false);
  expect(ids.size).toBe(10_000);
});
