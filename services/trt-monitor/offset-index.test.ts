import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetIndex } from './offset-index.ts';

const ENTRIES = 20_000;

/** Offsets in runs, as they come, and others that fall where those do in a table of any size. */
const anOffset = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 300 }).map((k) => k * 4096),
  fc.integer({ min: 2 ** 31 - 8, max: 2 ** 31 + 8 }),
  fc.integer({ min: 2 ** 53 - 20, max: 2 ** 53 - 1 }),
);

test('knows the entries that a Map knows, whatever is set and deleted', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), anOffset), { maxLength: 400 }), (acts) => {
      const index = new OffsetIndex();
      const model = new Map<number, number>();
      const offsets = new Float64Array(ENTRIES).fill(-1);
      acts.forEach(([isSet, offset], entry) => {
        const known = model.get(offset);
        if (isSet && known === undefined) {
          offsets[entry] = offset;
          index.set(offset, entry, offsets);
          model.set(offset, entry);
        } else if (!isSet) {
          index.delete(offset, offsets);
          if (known !== undefined) offsets[known] = -1;
          model.delete(offset);
        }
      });
      expect(index.size).toBe(model.size);
      for (const [, offset] of acts) expect(index.get(offset, offsets)).toBe(model.get(offset) ?? -1);
    }),
  );
});

test('keeps what it knows as it grows and shrinks, in runs that overlap', () => {
  const index = new OffsetIndex();
  const offsets = new Float64Array(ENTRIES);
  const stragglers = new Set([5, 4099, 8192]);
  const place = (offset: number) => offset % ENTRIES;
  for (let offset = 0; offset < 5 * ENTRIES; offset++) {
    const old = offset - ENTRIES / 2;
    if (old >= 0 && !stragglers.has(old)) index.delete(old, offsets);
    // A straggler's entry is not to be used again.
    if (stragglers.has(place(offset)) && offset >= ENTRIES) continue;
    offsets[place(offset)] = offset;
    index.set(offset, place(offset), offsets);
  }
  for (const offset of stragglers) expect(index.get(offset, offsets)).toBe(offset);
  expect(index.get(5 * ENTRIES - 1, offsets)).toBe(ENTRIES - 1);
  expect(index.get(ENTRIES, offsets)).toBe(-1);
});
