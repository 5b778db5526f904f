import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import type { Fleet } from '#fleet-sim/fleet.ts';
import { SAMPLED_CELLS_MIN } from './estimate.ts';

/**
 * The cells to simulate, at random within each network, in an order drawn over all of them: whatever part of the
 * list is done when a run is stopped is a random sample too.
 */
export function selectCells(fleet: Fleet, oneIn: number, seed: number): Int32Array {
  const picked = fleet.networks.flatMap((network) => {
    const cells = byDraw(range(network.firstCell, network.cells), seed, PURPOSE.cellPick);
    const wanted = Math.max(SAMPLED_CELLS_MIN, Math.round(network.cells / oneIn));
    return oneIn === 1 ? cells : cells.slice(0, wanted);
  });
  return Int32Array.from(byDraw(picked, seed, PURPOSE.cellOrder));
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, k) => first + k);
}

function byDraw(cells: readonly number[], seed: number, purpose: typeof PURPOSE.cellPick | typeof PURPOSE.cellOrder) {
  const keyed = cells.map((cell) => ({ cell, key: draw32(seed, cell, 0, purpose) }));
  keyed.sort((a, b) => a.key - b.key || a.cell - b.cell);
  return keyed.map(({ cell }) => cell);
}
