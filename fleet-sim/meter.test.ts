import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { distributorOf, hasValidCheckDigit, mpanFrom, parseDeviceId, parseMpan } from '#core/identifiers.ts';
import { GENERATIONS } from '#core/matrix.ts';
import { mpanHash, partitionOfMpan } from '#core/partition.ts';
import { yearOf } from '#core/settlement-day.ts';
import { cellOfMeter, type Fleet, layOutFleet, metersOfCell } from '#fleet-sim/fleet.ts';
import {
  deviceIdOf,
  exportMpanOf,
  HASH_CLASSES,
  hasExport,
  importMpanOf,
  installedDayOfMeter,
  loadMeter,
  METERS_MAX,
  meterOfDeviceId,
  meterOfMpan,
  newMeter,
  REGISTER,
} from '#fleet-sim/meter.ts';

const fleet = fleetOf(30_000_000, 11);
const meters = fc.integer({ min: 0, max: fleet.meters - 1 });
const following = (distributor: number): number => (distributor === 23 ? 10 : distributor + 1);

describe('identity', () => {
  test('an MPAN leads back to its meter and register', () => {
    fc.assert(
      fc.property(meters, (meter) => {
        expect(meterOfMpan(fleet, importMpanOf(fleet, meter))).toEqual({ meter, register: REGISTER.import });
        const exportMpan = exportMpanOf(fleet, meter);
        expect(exportMpan !== undefined).toBe(hasExport(fleet, meter));
        if (exportMpan !== undefined) {
          expect(meterOfMpan(fleet, exportMpan)).toEqual({ meter, register: REGISTER.export });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('an MPAN has 13 digits, a licence area and a valid check digit', () => {
    fc.assert(
      fc.property(meters, (meter) => {
        for (const mpan of [importMpanOf(fleet, meter), exportMpanOf(fleet, meter)]) {
          if (mpan === undefined) continue;
          expect(parseMpan(String(mpan))).toBe(mpan);
          expect(hasValidCheckDigit(mpan)).toBe(true);
          expect(distributorOf(mpan)).toBeGreaterThanOrEqual(10);
          expect(distributorOf(mpan)).toBeLessThanOrEqual(23);
        }
      }),
    );
  });

  test("no number but a meter's own MPAN leads to a meter", () => {
    fc.assert(
      fc.property(meters, fc.integer({ min: 1, max: 10 ** 12 }), (meter, apart) => {
        const other = importMpanOf(fleet, meter) + apart;
        const found = meterOfMpan(fleet, other);
        if (found === undefined) return;
        const own = found.register === REGISTER.import ? importMpanOf : exportMpanOf;
        expect(own(fleet, found.meter)).toBe(other);
      }),
    );
    const last = importMpanOf(fleet, fleet.meters - 1);
    expect(meterOfMpan(fleetOf(fleet.meters - 1, 11), last)).toBeUndefined();
    for (const mpan of [0, -1, 0.5, Number.NaN, 10 ** 13, last + 1]) expect(meterOfMpan(fleet, mpan)).toBeUndefined();
  });

  test('MPANs and Device IDs of a run of meters are all different', () => {
    const mpans = new Set<number>();
    const devices = new Set<string>();
    let registers = 0;
    for (let meter = 0; meter < 100_000; meter++) {
      mpans.add(importMpanOf(fleet, meter));
      const exportMpan = exportMpanOf(fleet, meter);
      if (exportMpan !== undefined) mpans.add(exportMpan);
      registers += exportMpan === undefined ? 1 : 2;
      devices.add(deviceIdOf(meter));
    }
    expect(mpans.size).toBe(registers);
    expect(devices.size).toBe(100_000);
  });

  test('serials fit their ten digits up to the largest fleet', () => {
    const largest = fleetOf(METERS_MAX, 3);
    const mpan = importMpanOf(largest, METERS_MAX - 1);
    expect(meterOfMpan(largest, mpan)).toEqual({ meter: METERS_MAX - 1, register: REGISTER.import });
    expect(String(mpan)).toHaveLength(13);
  });

  test('a Device ID is a canonical EUI-64 and leads back to its meter', () => {
    fc.assert(
      fc.property(meters, (meter) => {
        const id = deviceIdOf(meter);
        expect(parseDeviceId(id)).toBe(id);
        expect(meterOfDeviceId(fleet, id)).toBe(meter);
      }),
    );
    for (const id of ['00-DB-12-34-56-78-90-A0', deviceIdOf(fleet.meters), '02-4D-44-52-00-00-00', '']) {
      expect(meterOfDeviceId(fleet, id)).toBeUndefined();
    }
  });

  test('a larger fleet keeps the identities of a smaller one, but for the digits that follow the cell', () => {
    const small = fleetOf(1_000, 11);
    const slotOf = (mpan: number | undefined) => mpan && Math.floor(mpan / 1_000) % 10 ** 8;
    for (let meter = 0; meter < 1_000; meter++) {
      const isSameCell = cellOfMeter(small, meter) === cellOfMeter(fleet, meter);
      for (const own of [importMpanOf, exportMpanOf]) {
        const [inSmall, inLarge] = [own(small, meter), own(fleet, meter)];
        expect(slotOf(inSmall)).toBe(slotOf(inLarge));
        if (isSameCell) expect(inSmall).toBe(inLarge);
      }
    }
  });
});

describe("a meter's MPANs", () => {
  test('hash to the class of its cell', () => {
    fc.assert(
      fc.property(meters, (meter) => {
        const hashClass = cellOfMeter(fleet, meter) % HASH_CLASSES;
        expect(mpanHash(importMpanOf(fleet, meter)) % HASH_CLASSES).toBe(hashClass);
        const exportMpan = exportMpanOf(fleet, meter);
        if (exportMpan !== undefined) expect(mpanHash(exportMpan) % HASH_CLASSES).toBe(hashClass);
      }),
      { numRuns: 5_000 },
    );
  });

  test.each([1, 2, 4, 8, 16])("lie with those of the cell's other meters in one of %i partitions", (partitions) => {
    for (const cell of [0, 1, 17, fleet.cells - 1]) {
      const { first, end } = metersOfCell(fleet, cell);
      const found = new Set<number>();
      for (let meter = first; meter < end; meter += 7) {
        found.add(partitionOfMpan(importMpanOf(fleet, meter), partitions));
        const exportMpan = exportMpanOf(fleet, meter);
        if (exportMpan !== undefined) found.add(partitionOfMpan(exportMpan, partitions));
      }
      expect([...found]).toEqual([cell % partitions]);
    }
  });

  test('have the first free digits that do', () => {
    fc.assert(
      fc.property(meters, (meter) => {
        const mpan = importMpanOf(fleet, meter);
        const first12 = Math.floor(mpan / 10);
        const hashClass = cellOfMeter(fleet, meter) % HASH_CLASSES;
        const earlier = Array.from({ length: first12 % 100 }, (_, k) => mpanFrom(first12 - (first12 % 100) + k));
        for (const candidate of earlier) expect(mpanHash(candidate) % HASH_CLASSES).not.toBe(hashClass);
      }),
    );
  });

  test("go on to the next distributor's where none of the hundred does, and lead back all the same", () => {
    const exporting = { ...fleet, exportShare: 1 };
    let wentOn = 0;
    for (let meter = 0; meter < 20_000; meter++) {
      const both = [importMpanOf(exporting, meter), exportMpanOf(exporting, meter) as number];
      // The distributor is drawn for the meter: where its MPANs differ in it, one has gone on.
      if (distributorOf(both[0]) === distributorOf(both[1])) continue;
      wentOn++;
      const isExport = following(distributorOf(both[0])) === distributorOf(both[1]);
      const [stayed, moved] = isExport ? both : both.toReversed();
      expect(distributorOf(moved)).toBe(following(distributorOf(stayed)));
      const serial = Math.floor((moved % 1e11) / 1_000) * 100;
      for (let free = 0; free < 100; free++) {
        const candidate = mpanFrom(distributorOf(stayed) * 1e10 + serial + free);
        expect(mpanHash(candidate) % HASH_CLASSES).not.toBe(cellOfMeter(fleet, meter) % HASH_CLASSES);
      }
      expect(meterOfMpan(exporting, moved)).toEqual({ meter, register: isExport ? REGISTER.export : REGISTER.import });
    }
    const expected = 20_000 * 2 * (15 / 16) ** 100;
    expect(Math.abs(wentOn - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });
});

describe('a meter', () => {
  test("is of its network's generation and installed in the years of that generation", () => {
    fc.assert(
      fc.property(meters, (index) => {
        const meter = newMeter();
        loadMeter(fleet, index, meter);
        const [first, last] = GENERATIONS[meter.generation] === 'SMETS1' ? [2013, 2019] : [2017, 2025];
        expect(GENERATIONS[meter.generation]).toBe(index < fleet.networks[1].firstMeter ? 'SMETS2' : 'SMETS1');
        expect(meter.installedDay).toBe(installedDayOfMeter(fleet, index));
        expect(yearOf(meter.installedDay)).toBeGreaterThanOrEqual(first);
        expect(yearOf(meter.installedDay)).toBeLessThanOrEqual(last);
      }),
    );
  });

  test('is the same whichever meter was made before it', () => {
    const reused = newMeter();
    fc.assert(
      fc.property(meters, (index) => {
        const fresh = newMeter();
        loadMeter(fleet, index, fresh);
        loadMeter(fleet, index, reused);
        expect(reused).toEqual(fresh);
      }),
    );
  });

  test('homes that export are the share asked for', () => {
    let exporting = 0;
    for (let meter = 0; meter < 100_000; meter++) exporting += hasExport(fleet, meter * 300) ? 1 : 0;
    expect(exporting / 100_000).toBeCloseTo(fleet.exportShare, 2);
    expect(hasExport({ ...fleet, exportShare: 0 }, 5)).toBe(false);
    expect(hasExport({ ...fleet, exportShare: 1 }, 5)).toBe(true);
  });
});

function fleetOf(count: number, seed: number): Fleet {
  return layOutFleet({
    seed,
    meters: count,
    metersPerCell: 10_000,
    exportShare: 0.06,
    networks: [
      { name: 'South', generation: 'SMETS2', share: 2 },
      { name: 'S1SP', generation: 'SMETS1', share: 1 },
    ],
  });
}
