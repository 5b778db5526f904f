import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cellOfMeter,
  type FleetShape,
  layOutFleet,
  metersOfCell,
  networkOfCell,
  networkOfMeter,
} from '#fleet-sim/fleet.ts';

const shapes: fc.Arbitrary<FleetShape> = fc
  .record({
    seed: fc.integer(),
    meters: fc.integer({ min: 1, max: 3_000 }),
    metersPerCell: fc.integer({ min: 1, max: 500 }),
    exportShare: fc.double({ min: 0, max: 1, noNaN: true }),
    networks: fc.array(
      fc.record({
        name: fc.string(),
        generation: fc.constantFrom('SMETS1' as const, 'SMETS2' as const),
        share: fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 1, noNaN: true })),
      }),
      { minLength: 1, maxLength: 5 },
    ),
  })
  .filter((shape) => shape.networks.some((network) => network.share > 0));

describe('the layout of a fleet', () => {
  test('networks and cells cover every meter exactly once, in order', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const fleet = layOutFleet(shape);
        let meter = 0;
        let cell = 0;
        fleet.networks.forEach((network, index) => {
          expect([network.firstMeter, network.firstCell]).toEqual([meter, cell]);
          for (; cell < network.firstCell + network.cells; cell++) {
            expect(networkOfCell(fleet, cell)).toBe(index);
            const { first, end } = metersOfCell(fleet, cell);
            expect(first).toBe(meter);
            meter = end;
          }
          expect(meter).toBe(network.firstMeter + network.meters);
        });
        expect([meter, cell]).toEqual([shape.meters, fleet.cells]);
      }),
    );
  });

  test("the cell of a meter is the cell that holds it, and its network the cell's", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), (shape, pick) => {
        const fleet = layOutFleet(shape);
        const meter = pick % fleet.meters;
        const cell = cellOfMeter(fleet, meter);
        const { first, end } = metersOfCell(fleet, cell);
        expect(first).toBeLessThanOrEqual(meter);
        expect(meter).toBeLessThan(end);
        expect(networkOfMeter(fleet, meter)).toBe(networkOfCell(fleet, cell));
      }),
    );
  });

  test('a network has its share of the meters, to one meter', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const total = shape.networks.reduce((sum, network) => sum + network.share, 0);
        layOutFleet(shape).networks.forEach((network, index) => {
          expect(Math.abs(network.meters - (shape.meters * shape.networks[index].share) / total)).toBeLessThanOrEqual(
            1,
          );
        });
      }),
    );
  });

  test('cells of a network differ by at most one meter, at 30 million too', () => {
    const fleet = layOutFleet({
      seed: 1,
      meters: 30_000_000,
      metersPerCell: 10_000,
      exportShare: 0.05,
      networks: [
        { name: 'North', generation: 'SMETS2', share: 0.31 },
        { name: 'South', generation: 'SMETS2', share: 0.33 },
        { name: 'S1SP', generation: 'SMETS1', share: 0.36 },
      ],
    });
    for (let cell = 0; cell < fleet.cells; cell++) {
      const { first, end } = metersOfCell(fleet, cell);
      const network = fleet.networks[networkOfCell(fleet, cell)];
      expect(Math.abs(end - first - network.meters / network.cells)).toBeLessThan(1);
      expect(cellOfMeter(fleet, first)).toBe(cell);
      expect(cellOfMeter(fleet, end - 1)).toBe(cell);
    }
  });
});
