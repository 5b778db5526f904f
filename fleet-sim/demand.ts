import { MHHS, modeOfRow, ON_DEMAND, rowOf, SCHEDULED } from '#core/trt-row.ts';
import { type Arrivals, addArrival, DATA_SET, EVERY_DAY, FIRST, sortArrivals } from '#fleet-sim/arrivals.ts';
import { timeIn } from '#fleet-sim/day-window.ts';
import { draw32, drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { DAILY, HALF_HOURLY, NOBODY, type Portfolio } from '#fleet-sim/portfolio.ts';
import type { World } from '#fleet-sim/world.ts';

/**
 * What the Users of one cell ask for. The daily list is the same every day: each data set by schedule where the
 * matrix schedules it, on demand where it does not. [MP162 2.6.1-2.6.4]
 */
export function fillDailyReads(daily: Arrivals, world: World, network: number, portfolio: Portfolio): void {
  daily.size = 0;
  addDailyReads(daily, world, network, portfolio);
  sortArrivals(daily);
}

// A loop of its own: compiled while it runs, it would be thrown away at a call behind it, once a cell.
function addDailyReads(daily: Arrivals, world: World, network: number, portfolio: Portfolio): void {
  for (let meter = 0; meter < portfolio.meters; meter++) {
    const mdra = portfolio.mdra[meter];
    const reader = mdra === NOBODY ? portfolio.supplier[meter] : mdra;
    if (portfolio.nextMdra[meter] === NOBODY) {
      addReads(daily, world, network, portfolio, meter, reader, 0, EVERY_DAY);
    } else {
      // The outgoing agent's schedule is removed at the EFD; the incoming one's reads its first own day a day later.
      const efd = portfolio.changeDay[meter];
      addReads(daily, world, network, portfolio, meter, reader, 0, efd);
      addReads(daily, world, network, portfolio, meter, portfolio.nextMdra[meter], efd + 1, EVERY_DAY);
    }
  }
}

/** Requests of one day beside the daily list: monthly register reads, changes of agent, bursts. */
export function fillDayReads(list: Arrivals, world: World, network: number, portfolio: Portfolio, day: number): void {
  list.size = 0;
  addMonthlyReads(list, world, network, portfolio, day);
  if (world.changes.length > 0) addChanges(list, world, network, portfolio, day);
  for (let burst = 0; burst < world.bursts.length; burst++) {
    if (world.bursts[burst].day === day) addBurst(list, world, portfolio, burst);
  }
  sortArrivals(list);
}

/** Row of the first attempt at an SRV's data: by schedule where the network's matrix has it. -1: not available. */
function firstAttemptRow(world: World, network: number, srv: number): number {
  if (srv < 0) return -1;
  const scheduled = rowOf(srv, SCHEDULED, MHHS);
  return world.trtMs[network][scheduled] >= 0 ? scheduled : onDemandRow(world, network, srv);
}

/** Row of an SRV on demand for MHHS; -1 where the matrix does not have it so on the network's meters. */
function onDemandRow(world: World, network: number, srv: number): number {
  if (srv < 0) return -1;
  const row = rowOf(srv, ON_DEMAND, MHHS);
  return world.trtMs[network][row] >= 0 ? row : -1;
}

function addReads(
  daily: Arrivals,
  world: World,
  network: number,
  portfolio: Portfolio,
  meter: number,
  reader: number,
  fromDay: number,
  untilDay: number,
): void {
  if (reader === NOBODY) return;
  const granularity = portfolio.granularity[meter];
  const { srv, users } = world;
  const isMdr = portfolio.mdra[meter] !== NOBODY;
  const exporter = portfolio.exports[meter] === 0 ? NOBODY : isMdr ? reader : portfolio.exportSupplier[meter];
  if (granularity === HALF_HOURLY) {
    addRead(daily, world, network, portfolio, meter, reader, srv.importHalfHours, fromDay, untilDay);
    if (exporter !== NOBODY)
      addRead(daily, world, network, portfolio, meter, exporter, srv.exportHalfHours, fromDay, untilDay);
  } else if (granularity === DAILY) {
    const wanted = users[reader].dailySrv;
    const importDaily = firstAttemptRow(world, network, wanted) >= 0 ? wanted : srv.importDaily;
    addRead(daily, world, network, portfolio, meter, reader, importDaily, fromDay, untilDay);
    if (exporter === NOBODY) return;
    // SMETS1 keeps no export daily log: its register is read instead. [MP162 3]
    const exportDaily = firstAttemptRow(world, network, srv.exportDaily) >= 0 ? srv.exportDaily : srv.exportRegisters;
    addRead(daily, world, network, portfolio, meter, exporter, exportDaily, fromDay, untilDay);
  }
}

function addRead(
  daily: Arrivals,
  world: World,
  network: number,
  portfolio: Portfolio,
  meter: number,
  user: number,
  srv: number,
  fromDay: number,
  untilDay: number,
): void {
  const row = firstAttemptRow(world, network, srv);
  if (row < 0) return;
  const { schedule, onDemand } = world.users[user];
  const bits = draw32(world.scenario.seed, portfolio.firstMeter + meter, srv, PURPOSE.scheduleTime);
  const isScheduled = modeOfRow(row) === SCHEDULED;
  const atMs = timeIn(isScheduled ? schedule : onDemand, bits);
  addArrival(daily, atMs, meter, user, row, isScheduled ? FIRST | DATA_SET : DATA_SET, fromDay, untilDay);
}

/** One register read a calendar month a meter, spread evenly over the month's days. [MP162 2.6.1, 2.6.3, 2.6.4] */
function addMonthlyReads(list: Arrivals, world: World, network: number, portfolio: Portfolio, day: number): void {
  const { srv } = world;
  const registers = onDemandRow(world, network, srv.registers);
  const exportRegisters = onDemandRow(world, network, srv.exportRegisters);
  const dayOfMonth = world.dayOfMonth[day + 1];
  const days = world.daysInMonth[day + 1];
  for (let meter = 0; meter < portfolio.meters; meter++) {
    if (portfolio.granularity[meter] === DAILY) continue;
    const bits = draw32(world.scenario.seed, portfolio.firstMeter + meter, 0, PURPOSE.monthlyDay);
    if (bits % days !== dayOfMonth) continue;
    const mdra = mdraOn(portfolio, meter, day);
    const reader = mdra === NOBODY ? portfolio.supplier[meter] : mdra;
    if (reader === NOBODY) continue;
    const window = world.users[reader].onDemand;
    const timeBits = draw32(world.scenario.seed, portfolio.firstMeter + meter, day, PURPOSE.onDemandTime);
    if (registers >= 0) addArrival(list, timeIn(window, timeBits), meter, reader, registers, DATA_SET);
    const exporter = mdra === NOBODY ? portfolio.exportSupplier[meter] : mdra;
    if (portfolio.exports[meter] === 0 || exporter === NOBODY || exportRegisters < 0) continue;
    addArrival(list, timeIn(window, timeBits), meter, exporter, exportRegisters, DATA_SET);
  }
}

/** The MDR User appointed on a simulated day; NOBODY where the Supplier is its own MDRA. */
export function mdraOn(portfolio: Portfolio, meter: number, day: number): number {
  const next = portfolio.nextMdra[meter];
  return next !== NOBODY && day >= portfolio.changeDay[meter] ? next : portfolio.mdra[meter];
}

/**
 * What a change of agent adds. On the EFD the incoming agent reads the inventory and creates its schedule, the
 * outgoing one asks on demand for its last day; some ask for days that are not theirs, and are refused E4.
 */
function addChanges(list: Arrivals, world: World, network: number, portfolio: Portfolio, day: number): void {
  const { seed } = world.scenario;
  const inventory = onDemandRow(world, network, world.srv.inventory);
  const createSchedule = onDemandRow(world, network, world.srv.createSchedule);
  for (let meter = 0; meter < portfolio.meters; meter++) {
    if (portfolio.nextMdra[meter] === NOBODY) continue;
    const sinceDays = day - portfolio.changeDay[meter];
    if (sinceDays !== 0 && sinceDays !== 1) continue;
    const index = portfolio.firstMeter + meter;
    const change = portfolio.change[meter];
    const settings = world.scenario.changes[change];
    const { from, to, window } = world.changes[change];
    const read = changedRead(world, network, portfolio.granularity[meter]);
    const u = (occasion: number) => drawUnit(seed, index, 1000 + change * 8 + occasion, PURPOSE.agentChange);
    const at = (occasion: number) => timeIn(window, u(occasion) * 4294967296);
    if (sinceDays === 0) {
      if (inventory >= 0) addArrival(list, at(0), meter, to, inventory, 0);
      if (createSchedule >= 0) addArrival(list, at(0), meter, to, createSchedule, 0);
      if (read < 0) continue;
      if (u(1) < settings.outgoingReadsLastDayShare) addArrival(list, at(2), meter, from, read, DATA_SET);
      if (u(3) < settings.incomingOverreachShare) addArrival(list, at(4), meter, to, read, DATA_SET);
    } else if (read >= 0 && u(5) < settings.outgoingOverreachShare) {
      addArrival(list, at(6), meter, from, read, DATA_SET);
    }
  }
}

/** On-demand row of the daily data set of a granularity; -1 for monthly, which reads no day. */
function changedRead(world: World, network: number, granularity: number): number {
  const { srv } = world;
  if (granularity !== HALF_HOURLY && granularity !== DAILY) return -1;
  return onDemandRow(world, network, granularity === HALF_HOURLY ? srv.importHalfHours : srv.importDaily);
}

function addBurst(list: Arrivals, world: World, portfolio: Portfolio, burst: number): void {
  const { user, row, window, share, day } = world.bursts[burst];
  const { seed } = world.scenario;
  for (let meter = 0; meter < portfolio.meters; meter++) {
    const isOwn =
      mdraOn(portfolio, meter, day) === user ||
      portfolio.supplier[meter] === user ||
      portfolio.exportSupplier[meter] === user;
    if (!isOwn) continue;
    const index = portfolio.firstMeter + meter;
    if (drawUnit(seed, index, burst, PURPOSE.burst) >= share) continue;
    const bits = draw32(seed, index, 1000 + burst, PURPOSE.burst);
    addArrival(list, timeIn(window, bits), meter, user, row, DATA_SET);
  }
}
