import type { Generation } from '#core/matrix.ts';

/** A network that reaches meters of one generation: a CSP region for SMETS2, the S1SP for SMETS1. */
export type NetworkShape = { name: string; generation: Generation; share: number };

export type FleetNetwork = {
  name: string;
  generation: Generation;
  /** Index in the fleet of the network's first meter; its meters are contiguous. */
  firstMeter: number;
  meters: number;
  /** Index in the fleet of the network's first cell. */
  firstCell: number;
  cells: number;
};

/** The fleet: nothing of it is stored but these numbers; a meter is made from (seed, index). */
export type Fleet = {
  seed: number;
  meters: number;
  cells: number;
  networks: readonly FleetNetwork[];
  /** Share of homes whose ESME also has an export MPAN, 0..1. */
  exportShare: number;
};

export type FleetShape = {
  seed: number;
  meters: number;
  metersPerCell: number;
  exportShare: number;
  networks: readonly NetworkShape[];
};

/** Lays the meters out over networks by share (cumulative shares, rounded) and each network's meters over equal cells. */
export function layOutFleet(shape: FleetShape): Fleet {
  const shareTotal = shape.networks.reduce((sum, network) => sum + network.share, 0);
  const networks: FleetNetwork[] = [];
  let shareSoFar = 0;
  let firstMeter = 0;
  let firstCell = 0;
  for (const { name, generation, share } of shape.networks) {
    shareSoFar += share;
    const end = Math.round((shape.meters * shareSoFar) / shareTotal);
    const meters = end - firstMeter;
    const cells = meters === 0 ? 0 : Math.max(1, Math.round(meters / shape.metersPerCell));
    networks.push({ name, generation, firstMeter, meters, firstCell, cells });
    firstMeter = end;
    firstCell += cells;
  }
  return { seed: shape.seed, meters: shape.meters, cells: firstCell, networks, exportShare: shape.exportShare };
}

/** Index in `fleet.networks` of the network that reaches this meter. */
export function networkOfMeter(fleet: Fleet, meter: number): number {
  const { networks } = fleet;
  for (let k = networks.length - 1; k >= 0; k--)
    if (networks[k].meters > 0 && meter >= networks[k].firstMeter) return k;
  return -1;
}

/** Index in `fleet.networks` of the network that this cell belongs to. */
export function networkOfCell(fleet: Fleet, cell: number): number {
  return fleet.networks.findLastIndex((network) => network.cells > 0 && cell >= network.firstCell);
}

/** The meters of one cell as a half-open range of fleet indexes. */
export function metersOfCell(fleet: Fleet, cell: number): { first: number; end: number } {
  const network = fleet.networks[networkOfCell(fleet, cell)];
  const k = cell - network.firstCell;
  return {
    first: network.firstMeter + Math.floor((network.meters * k) / network.cells),
    end: network.firstMeter + Math.floor((network.meters * (k + 1)) / network.cells),
  };
}

/** The cell of a meter: the inverse of {@link metersOfCell}. */
export function cellOfMeter(fleet: Fleet, meter: number): number {
  const network = fleet.networks[networkOfMeter(fleet, meter)];
  const k = meter - network.firstMeter;
  return network.firstCell + Math.floor(((k + 1) * network.cells - 1) / network.meters);
}
