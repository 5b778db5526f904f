import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeviceIndex } from './device-index.ts';

const anyMpan = fc.integer({ min: 1e12, max: 1e13 - 1 });
const anyChange = fc.record({
  first: fc.constantFrom(0, -1, 0x90b3d51f | 0),
  second: fc.nat(300),
  register: fc.nat(1),
  mpan: anyMpan,
  clears: fc.boolean(),
});

test('a device has the MPANs it was given last, and none that was taken from it', () => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 600 }), (changes) => {
      const index = new DeviceIndex();
      const model = new Map<string, number>();
      const devices = new Set<string>();
      for (const { first, second, register, mpan, clears } of changes) {
        const key = `${first} ${second} ${register}`;
        if (clears) {
          const held = model.get(key) ?? mpan;
          index.clear(first, second, register, held + 1);
          index.clear(first, second, register, held);
          model.delete(key);
        } else {
          index.set(first, second, register, mpan);
          model.set(key, mpan);
          devices.add(`${first} ${second}`);
        }
      }
      for (const { first, second, register } of changes)
        expect(index.mpan(first, second, register)).toBe(model.get(`${first} ${second} ${register}`) ?? 0);
      expect(index.devices).toBe(devices.size);
    }),
  );
});

test('it grows: 3,000 devices keep their MPANs', () => {
  const index = new DeviceIndex();
  for (let k = 0; k < 3000; k++) index.set(k * 7919, ~k, k & 1, 1e12 + k);
  for (let k = 0; k < 3000; k++) expect(index.mpan(k * 7919, ~k, k & 1)).toBe(1e12 + k);
  expect(index.mpan(1, 1, 0)).toBe(0);
});
