import type { DeviceTable } from '#core/access-control.ts';
import { KIND_ESME, SMI_STATUSES } from '#core/access-control.ts';
import { GENERATIONS, ROLES } from '#core/matrix.ts';
import type { RegistrationTable } from '#core/registration.ts';
import { DAY_MAX } from '#core/settlement-day.ts';
import { drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { hasExport } from '#fleet-sim/meter.ts';
import type { World } from '#fleet-sim/world.ts';

export const HALF_HOURLY = 0;
export const DAILY = 1;
export const MONTHLY = 2;
export const NOBODY = -1;

/**
 * Who reads which meter of one cell, and the tables that access control asks: row m is the cell's meter m; its import
 * MPAN is registration row 2m, its export MPAN 2m + 1. Reused from cell to cell.
 */
export type Portfolio = {
  meters: number;
  firstMeter: number;
  supplier: Int16Array;
  /** 1 where the home has an export MPAN; its Supplier is NOBODY where the scenario has no Export Supplier. */
  exports: Uint8Array;
  exportSupplier: Int16Array;
  /** The MDR User appointed on the first simulated day; NOBODY where the Supplier is its own MDRA. */
  mdra: Int16Array;
  /** The MDR User from `changeDay` (a simulated day) on; NOBODY where there is no change. */
  nextMdra: Int16Array;
  changeDay: Int16Array;
  change: Int16Array;
  granularity: Uint8Array;
  devices: DeviceTable;
  registrations: RegistrationTable;
};

const TENURES_A_METER_MAX = 6;
const COMMISSIONED = SMI_STATUSES.indexOf('Commissioned');
const SUSPENDED = SMI_STATUSES.indexOf('Suspended');
const IS = ROLES.indexOf('IS');
const ES = ROLES.indexOf('ES');
const MDR = ROLES.indexOf('MDR');

export function createPortfolio(world: World): Portfolio {
  const meters = Math.max(
    ...world.fleet.networks.map((network) => Math.ceil(network.meters / Math.max(1, network.cells))),
  );
  return {
    meters: 0,
    firstMeter: 0,
    supplier: new Int16Array(meters),
    exports: new Uint8Array(meters),
    exportSupplier: new Int16Array(meters),
    mdra: new Int16Array(meters),
    nextMdra: new Int16Array(meters),
    changeDay: new Int16Array(meters),
    change: new Int16Array(meters),
    granularity: new Uint8Array(meters),
    devices: {
      kind: new Uint8Array(meters).fill(KIND_ESME),
      generation: new Uint8Array(meters),
      status: new Uint8Array(meters),
      importRow: Int32Array.from({ length: meters }, (_, meter) => 2 * meter),
      exportRow: new Int32Array(meters),
      ids: null,
    },
    registrations: {
      mpans: new Float64Array(0),
      first: new Int32Array(2 * meters + 1),
      mpid: new Uint16Array(meters * TENURES_A_METER_MAX),
      role: new Uint8Array(meters * TENURES_A_METER_MAX),
      from: new Int32Array(meters * TENURES_A_METER_MAX),
      until: new Int32Array(meters * TENURES_A_METER_MAX),
      mpids: world.scenario.users.map(({ mpid }) => mpid),
    },
  };
}

/** Draws the portfolio of `meters` meters from fleet index `firstMeter` on. */
export function fillPortfolio(
  portfolio: Portfolio,
  world: World,
  network: number,
  firstMeter: number,
  meters: number,
): void {
  portfolio.meters = meters;
  portfolio.firstMeter = firstMeter;
  const generation = GENERATIONS.indexOf(world.fleet.networks[network].generation);
  const { suspendedShare } = world.scenario.fleet;
  const { seed } = world.scenario;
  let tenures = 0;
  for (let meter = 0; meter < meters; meter++) {
    const index = firstMeter + meter;
    drawAgents(portfolio, world, meter, index);
    portfolio.devices.generation[meter] = generation;
    const isSuspended = drawUnit(seed, index, 0, PURPOSE.smiStatus) < suspendedShare;
    portfolio.devices.status[meter] = isSuspended ? SUSPENDED : COMMISSIONED;
    portfolio.devices.exportRow[meter] = portfolio.exports[meter] === 0 ? -1 : 2 * meter + 1;
    tenures = register(portfolio, world, meter, tenures);
  }
}

/** The Import Supplier of a meter, by its index in the fleet. */
export function supplierOf(world: World, index: number): number {
  return pick(world.byRole.IS, drawUnit(world.scenario.seed, index, 0, PURPOSE.supplier));
}

/** The Export Supplier of a meter that exports. */
export function exportSupplierOf(world: World, index: number): number {
  return pick(world.byRole.ES, drawUnit(world.scenario.seed, index, 1, PURPOSE.supplier));
}

function drawAgents(portfolio: Portfolio, world: World, meter: number, index: number): void {
  const { seed } = world.scenario;
  const supplier = supplierOf(world, index);
  const exports = hasExport(world.fleet, index);
  const ownMdra = supplier === NOBODY ? 0 : world.users[supplier].settings.ownMdraShare;
  // One draw decides both: below the Supplier's own share it is its own MDRA, the rest is spread over the agents.
  const u = drawUnit(seed, index, 0, PURPOSE.mdra);
  const mdra = u < ownMdra ? NOBODY : pick(world.byRole.MDR, (u - ownMdra) / (1 - ownMdra));
  portfolio.supplier[meter] = supplier;
  portfolio.exports[meter] = exports ? 1 : 0;
  portfolio.exportSupplier[meter] = exports ? exportSupplierOf(world, index) : NOBODY;
  portfolio.mdra[meter] = mdra;
  portfolio.nextMdra[meter] = NOBODY;
  drawChange(portfolio, world, meter, index);
  const reader = mdra === NOBODY ? supplier : mdra;
  const g = drawUnit(seed, index, 0, PURPOSE.granularity);
  const user = reader === NOBODY ? undefined : world.users[reader];
  portfolio.granularity[meter] =
    user === undefined || g < user.halfHourlyBelow ? HALF_HOURLY : g < user.dailyBelow ? DAILY : MONTHLY;
}

/** A meter changes its agent once in a run at most: by the first of the changes that draws it. */
function drawChange(portfolio: Portfolio, world: World, meter: number, index: number): void {
  const { changes, seed } = world.scenario;
  const mdra = portfolio.mdra[meter];
  if (mdra === NOBODY) return;
  for (let change = 0; change < changes.length; change++) {
    if (world.changes[change].from !== mdra) continue;
    if (drawUnit(seed, index, change, PURPOSE.agentChange) >= changes[change].share) continue;
    portfolio.nextMdra[meter] = world.changes[change].to;
    portfolio.changeDay[meter] = world.changes[change].day;
    portfolio.change[meter] = change;
    return;
  }
}

/** The User's index where its share of the draw lies; NOBODY where the scenario has no User of the role. */
function pick({ users, below }: { users: Int16Array; below: Float64Array }, u: number): number {
  const last = users.length - 1;
  if (last < 0) return NOBODY;
  let k = 0;
  while (k < last && u >= below[k]) k++;
  return users[k];
}

/** Writes the tenures of the meter's two MPANs behind the first `at`; returns how many there are then. */
function register(portfolio: Portfolio, world: World, meter: number, at: number): number {
  const { first } = portfolio.registrations;
  first[2 * meter] = at;
  let end = addAgents(portfolio, world, meter, at);
  if (portfolio.supplier[meter] !== NOBODY) {
    end = addTenure(portfolio.registrations, end, portfolio.supplier[meter], IS, 0, DAY_MAX);
  }
  first[2 * meter + 1] = end;
  if (portfolio.exports[meter] !== 0) {
    end = addAgents(portfolio, world, meter, end);
    const supplier = portfolio.exportSupplier[meter];
    if (supplier !== NOBODY) end = addTenure(portfolio.registrations, end, supplier, ES, 0, DAY_MAX);
  }
  first[2 * meter + 2] = end;
  return end;
}

/** MDRA appointments: MPID, role, EFD and the day before which they end. */
function addAgents(portfolio: Portfolio, world: World, meter: number, at: number): number {
  const mdra = portfolio.mdra[meter];
  if (mdra === NOBODY) return at;
  const next = portfolio.nextMdra[meter];
  if (next === NOBODY) return addTenure(portfolio.registrations, at, mdra, MDR, 0, DAY_MAX);
  const efd = world.originDay + portfolio.changeDay[meter];
  const end = addTenure(portfolio.registrations, at, mdra, MDR, 0, efd);
  return addTenure(portfolio.registrations, end, next, MDR, efd, DAY_MAX);
}

function addTenure(
  table: RegistrationTable,
  at: number,
  user: number,
  role: number,
  from: number,
  until: number,
): number {
  table.mpid[at] = user;
  table.role[at] = role;
  table.from[at] = from;
  table.until[at] = until;
  return at + 1;
}
