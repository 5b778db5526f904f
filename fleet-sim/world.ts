import type { UserTable } from '#core/access-control.ts';
import { type Matrix, MODES, type Mode, ROLES, srvIndex } from '#core/matrix.ts';
import { DAY_MS, dayOfMonth, daysInMonth, intervalsIn, monthOf, parseDay, yearOf } from '#core/settlement-day.ts';
import { EXISTING, MHHS, ON_DEMAND, ROWS_PER_SRV, rowOf } from '#core/trt-row.ts';
import { type CellSettings, LANE, type Lane } from '#fleet-sim/cell.ts';
import { type DayWindow, parseWindow } from '#fleet-sim/day-window.ts';
import { type Fleet, layOutFleet } from '#fleet-sim/fleet.ts';
import { cellSettings, trtMsOf } from '#fleet-sim/network-settings.ts';
import type { Scenario, UserSettings } from '#fleet-sim/scenario.ts';
import { serviceTimeTable } from '#fleet-sim/service-time.ts';
import { tableOfUsers } from '#fleet-sim/world-users.ts';

/** One User of the portfolio, in numbers. */
export type PlannedUser = {
  settings: UserSettings;
  role: number;
  schedule: DayWindow;
  onDemand: DayWindow;
  reRequestAfterMs: number;
  reRequestSpreadMs: number;
  /** Upper edges of the granularity draw: below the first half-hourly, below the second daily, else monthly. */
  halfHourlyBelow: number;
  dailyBelow: number;
  dailySrv: number;
};

/** A scenario compiled for simulation: the same in every worker, made from the scenario alone. */
export type World = {
  scenario: Scenario;
  matrix: Matrix;
  fleet: Fleet;
  /** First counted day, and the day whose midnight is instant 0 of the simulation: the warm-up's first. */
  firstDay: number;
  originDay: number;
  warmUpDays: number;
  warmUpStartMs: number;
  countedStartMs: number;
  countedEndMs: number;
  /** When the last TRT has run out. */
  horizonMs: number;
  rows: number;
  users: PlannedUser[];
  userTable: UserTable;
  /** Users by role with the upper edges of their shares, for draws. */
  byRole: Record<'MDR' | 'IS' | 'ES', { users: Int16Array; below: Float64Array }>;
  /** TRT in ms by network and row, -1 where not available to anyone. */
  trtMs: Float64Array[];
  /** Kind of service time of a row: its SRV. Kinds from `services.length` are the other traffic. */
  cells: CellSettings[];
  srv: Record<
    | 'registers'
    | 'exportRegisters'
    | 'importDaily'
    | 'exportDaily'
    | 'importHalfHours'
    | 'exportHalfHours'
    | 'createSchedule'
    | 'inventory',
    number
  >;
  /** Half-hours of each day from the one before the origin. */
  intervals: Uint8Array;
  /** For each simulated day: its day of the month from 0, and how many the month has. */
  dayOfMonth: Uint8Array;
  daysInMonth: Uint8Array;
  dccOnly: Int32Array;
  /** Changes of MDRA: indexes of the Users, and the simulated day whose 00:00 is the EFD. */
  changes: { from: number; to: number; day: number; window: DayWindow }[];
  bursts: { user: number; row: number; day: number; window: DayWindow; share: number }[];
  existing: { srv: number; row: number; lane: Lane; perMeterDay: number; window: DayWindow }[];
  other: { kind: number; lane: Lane; perMeterDay: number; window: DayWindow }[];
};

/** Days after the last counted one whose demand keeps the network busy while the last TRTs run out. */
const RUN_OUT_DAYS_MIN = 1;

export function compileWorld(scenario: Scenario, matrix: Matrix): World {
  const fleet = layOutFleet({
    seed: scenario.seed,
    meters: scenario.fleet.meters,
    metersPerCell: scenario.fleet.metersPerCell,
    exportShare: scenario.fleet.exportShare,
    networks: scenario.networks,
  });
  const firstDay = parseDay(scenario.firstDay);
  if (firstDay === undefined) throw new Error('the scenario was not validated');
  const warmUpDays = Math.ceil(scenario.warmUpHours / 24);
  const originDay = firstDay - warmUpDays;
  const countedStartMs = warmUpDays * DAY_MS;
  const countedEndMs = countedStartMs + scenario.days * DAY_MS;
  const trtSecondsMax = matrix.trtSeconds.reduce((max, seconds) => Math.max(max, seconds), 0);
  const horizonMs = countedEndMs + trtSecondsMax * 1000 + quarantineMsMax(scenario);
  const simulatedDays = Math.ceil(horizonMs / DAY_MS) + RUN_OUT_DAYS_MIN;
  const days = Array.from({ length: simulatedDays + 1 }, (_, k) => originDay + k - 1);
  const users = scenario.users.map((user) => planUser(user, matrix));
  const rows = matrix.services.length * ROWS_PER_SRV;
  return {
    scenario,
    matrix,
    fleet,
    firstDay,
    originDay,
    warmUpDays,
    warmUpStartMs: countedStartMs - scenario.warmUpHours * 3_600_000,
    countedStartMs,
    countedEndMs,
    horizonMs,
    rows,
    users,
    userTable: tableOfUsers(scenario.users, scenario.firstDay),
    byRole: {
      MDR: sharesOf(scenario.users, 'MDR'),
      IS: sharesOf(scenario.users, 'IS'),
      ES: sharesOf(scenario.users, 'ES'),
    },
    trtMs: scenario.networks.map((network) => trtMsOf(network, matrix, rows)),
    cells: scenario.networks.map((network) => cellSettings(network, scenario, matrix)),
    srv: {
      registers: srvIndex(matrix, '4.1.1'),
      exportRegisters: srvIndex(matrix, '4.2'),
      importDaily: srvIndex(matrix, '4.6.1'),
      exportDaily: srvIndex(matrix, '4.6.2'),
      importHalfHours: srvIndex(matrix, '4.8.1'),
      exportHalfHours: srvIndex(matrix, '4.8.3'),
      createSchedule: srvIndex(matrix, '5.1'),
      inventory: srvIndex(matrix, '8.2'),
    },
    intervals: Uint8Array.from(days, (day) => intervalsIn(day, scenario.dayConvention)),
    dayOfMonth: Uint8Array.from(days, (day) => dayOfMonth(day) - 1),
    daysInMonth: Uint8Array.from(days, (day) => daysInMonth(yearOf(day), monthOf(day))),
    dccOnly: serviceTimeTable({
      distribution: 'lognormal',
      medianSeconds: scenario.platform.dccOnlyMedianMs / 1000,
      p95Seconds: scenario.platform.dccOnlyP95Ms / 1000,
    }),
    ...compileDemand(scenario, matrix, warmUpDays),
  };
}

/** The demand beside the daily routine, in indexes. */
function compileDemand(scenario: Scenario, matrix: Matrix, warmUpDays: number) {
  const userOf = (mpid: string) => scenario.users.findIndex((user) => user.mpid === mpid);
  return {
    changes: scenario.changes.map((change) => ({
      from: userOf(change.from),
      to: userOf(change.to),
      day: warmUpDays + change.day - 1,
      window: parseWindow(change.window),
    })),
    bursts: scenario.bursts.map((burst) => ({
      user: userOf(burst.user),
      row: rowOf(srvIndex(matrix, burst.srv), ON_DEMAND, MHHS),
      day: warmUpDays + burst.day - 1,
      window: parseWindow(burst.window),
      share: burst.share,
    })),
    existing: scenario.existing.reads.map(({ srv, mode, perMeterDay, window }) => ({
      srv: srvIndex(matrix, srv),
      row: rowOf(srvIndex(matrix, srv), MODES.indexOf(mode), EXISTING),
      lane: laneOf(mode),
      perMeterDay,
      window: parseWindow(window),
    })),
    other: scenario.existing.other.map(({ lane, perMeterDay, window }, index) => ({
      kind: matrix.services.length + index,
      lane: laneOf(lane),
      perMeterDay,
      window: parseWindow(window),
    })),
  };
}

function laneOf(mode: Mode): Lane {
  return mode === 'scheduled' ? LANE.scheduled : LANE.onDemand;
}

function quarantineMsMax({ anomaly }: Scenario): number {
  return anomaly.answer === 'process' ? anomaly.answerAfterMinutes * 60_000 : 0;
}

function planUser(settings: UserSettings, matrix: Matrix): PlannedUser {
  return {
    settings,
    role: ROLES.indexOf(settings.role),
    schedule: parseWindow(settings.scheduleWindow),
    onDemand: parseWindow(settings.onDemandWindow),
    reRequestAfterMs: Math.round(settings.reRequests.afterMinutes * 60_000),
    reRequestSpreadMs: Math.round(settings.reRequests.spreadMinutes * 60_000),
    halfHourlyBelow: settings.granularity.halfHourly,
    dailyBelow: settings.granularity.halfHourly + settings.granularity.daily,
    dailySrv: srvIndex(matrix, settings.dailySrv),
  };
}

function sharesOf(users: readonly UserSettings[], role: 'MDR' | 'IS' | 'ES') {
  const indexes = users.flatMap((user, index) => (user.role === role ? [index] : []));
  let below = 0;
  const edges = indexes.map((index) => {
    below += users[index].share;
    return below;
  });
  return { users: Int16Array.from(indexes), below: Float64Array.from(edges) };
}
