import type { User, UserTable } from '#core/access-control.ts';
import { buildUserTable } from '#core/access-tables.ts';
import { GENERATIONS, type Matrix, MODES, type Mode, ROLES, SERVICES, srvIndex, trtSecondsOf } from '#core/matrix.ts';
import {
  DAY_MS,
  dayFrom,
  dayOfMonth,
  daysInMonth,
  intervalsIn,
  monthOf,
  parseDay,
  yearOf,
} from '#core/settlement-day.ts';
import { type CellSettings, LANE, type Lane, type RetryPolicy } from '#fleet-sim/cell.ts';
import { drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { type Fleet, layOutFleet } from '#fleet-sim/fleet.ts';
import { type ServiceTime, serviceTimeTable } from '#fleet-sim/service-time.ts';
import type { NetworkSettings, RetrySettings, Scenario, UserSettings } from '#load-tests/scenario/scenario.ts';
import { type Counters, layOutCounters } from './counters.ts';
import { compileThresholds, type Threshold } from './threshold.ts';
import { ROWS_PER_SRV, rowOf } from './trt-row.ts';

export const SCHEDULED = MODES.indexOf('scheduled');
export const ON_DEMAND = MODES.indexOf('on-demand');
export const EXISTING = SERVICES.indexOf('existing');
export const MHHS = SERVICES.indexOf('mhhs');
/** A window of the day: ms after midnight UTC, and its length. */
export type DayWindow = { startMs: number; lengthMs: number };

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
export type Model = {
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
  counters: Counters;
  thresholds: Threshold[];
};

/** Days after the last counted one whose demand keeps the network busy while the last TRTs run out. */
const RUN_OUT_DAYS_MIN = 1;

export function compileModel(scenario: Scenario, matrix: Matrix): Model {
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
  const thresholds = compileThresholds(scenario, matrix);
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
    counters: layOutCounters({ days: scenario.days, rows, users: users.length, limits: limitsOf(thresholds) }),
    thresholds,
  };
}

/** The outages that one cell goes through: of those on its network, the ones whose share of cells it falls in. */
export function outagesOfCell(model: Model, network: number, cell: number): CellSettings['outages'] {
  const { outages } = model.scenario;
  const name = model.scenario.networks[network].name;
  const hit = outages.flatMap((outage, index) => {
    if (outage.network !== name) return [];
    // Occasion 0 picks the cells of a sample: they must not be the ones that are out.
    if (drawUnit(model.scenario.seed, cell, 1 + index, PURPOSE.cellPick) >= outage.cellsShare) return [];
    const startMs = model.countedStartMs + Math.round(outage.startHour * 3_600_000);
    const endMs = startMs + Math.round(outage.hours * 3_600_000);
    return [{ startMs, endMs, recoveryMs: Math.round(outage.recoveryMinutes * 60_000) }];
  });
  return hit.sort((a, b) => a.startMs - b.startMs);
}

/** Seconds of `withinSeconds` thresholds, each counted exactly beside the TRTs. */
export function limitsOf(thresholds: readonly Threshold[]): number[] {
  const limits = thresholds.flatMap(({ limitSeconds }) => (limitSeconds === undefined ? [] : [limitSeconds]));
  return [...new Set(limits)].sort((a, b) => a - b);
}

export function parseWindow(text: string): DayWindow {
  const [start, end] = text.split('-').map((time) => {
    const [hours, minutes] = time.split(':').map(Number);
    return (hours * 60 + minutes) * 60_000;
  });
  return { startMs: start, lengthMs: end - start };
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

/** Access control's table: MPIDs stand in the order of the Users, so an MPID's index is its User's. */
function tableOfUsers(settings: readonly UserSettings[], firstDay: string): UserTable {
  const users = settings.map((user, index) => accessUser(user, index, firstDay));
  const mpids = settings.map((user) => user.mpid);
  return buildUserTable(users, { ...NO_REGISTRATIONS, mpids });
}

const NO_REGISTRATIONS = {
  mpans: new Float64Array(0),
  first: new Int32Array(1),
  mpid: new Uint16Array(0),
  role: new Uint8Array(0),
  from: new Int32Array(0),
  until: new Int32Array(0),
};

function accessUser(user: UserSettings, index: number, firstDay: string): User {
  const { onboarding, role } = user;
  const dayOrNothing = (text: string | null) => (text === null ? undefined : parseDay(text));
  const daysOf = (texts: readonly string[]) => texts.flatMap((text) => parseDay(text) ?? []);
  const accededOn = dayOrNothing(onboarding.acceded);
  const ueptOn = dayOrNothing(onboarding.uept);
  const adtDeclaredOn = dayOrNothing(onboarding.adtDeclared);
  const suspended = dayOrNothing(onboarding.suspendedFrom);
  return {
    name: user.name,
    eui: `90-B3-D5-1F-30-${(0x4000 + index).toString(16).toUpperCase().replace(/^(..)/, '$1-')}-00`,
    category: role === 'MDR' ? 'MDR Party' : 'Large Supplier',
    roles: { [role]: [user.mpid] },
    ...(suspended === undefined ? {} : { suspended }),
    gates: {
      ...(accededOn === undefined ? {} : { accededOn }),
      ueptOn: ueptOn === undefined ? {} : { [role]: ueptOn },
      securityAssessments:
        onboarding.securityAssessments === undefined ? yearly(firstDay) : daysOf(onboarding.securityAssessments),
      privacyAssessments:
        onboarding.privacyAssessments === undefined ? yearly(firstDay) : daysOf(onboarding.privacyAssessments),
      ...(adtDeclaredOn === undefined ? {} : { adtDeclaredOn }),
    },
    anomalyThresholds: [],
  };
}

/** Assessed on every New Year's Day about the run, which is a year long at most. */
function yearly(firstDay: string): number[] {
  const year = Number(firstDay.slice(0, 4));
  return [-2, -1, 0, 1, 2].map((offset) => dayFrom(year + offset, 1, 1));
}

function trtMsOf({ generation }: NetworkSettings, matrix: Matrix, rows: number): Float64Array {
  const trtMs = new Float64Array(rows).fill(-1);
  const g = GENERATIONS.indexOf(generation);
  for (let srv = 0; srv < matrix.services.length; srv++) {
    for (let mode = 0; mode < MODES.length; mode++) {
      for (let service = 0; service < SERVICES.length; service++) {
        // One TRT a combination: the matrix differs between roles only in who is eligible.
        const seconds = ROLES.map((_, role) => trtSecondsOf(matrix, srv, g, mode, service, role));
        trtMs[rowOf(srv, mode, service)] = Math.max(...seconds) < 0 ? -1 : Math.max(...seconds) * 1000;
      }
    }
  }
  return trtMs;
}

function cellSettings(network: NetworkSettings, scenario: Scenario, matrix: Matrix): CellSettings {
  // Equal times share a table: the fewer there are, the more of them stay in the processor's cache.
  const tables = new Map<string, Int32Array>();
  const tableOf = (time: ServiceTime): Int32Array => {
    const key = JSON.stringify(time);
    const table = tables.get(key) ?? serviceTimeTable(time);
    tables.set(key, table);
    return table;
  };
  const ofSrv = matrix.services.map(({ srv }) => tableOf(network.serviceTimes[srv] ?? network.serviceTime));
  const ofOther = scenario.existing.other.map(({ serviceTime }) => tableOf(serviceTime));
  const retry: [RetryPolicy, RetryPolicy] = [
    retryPolicy(network.retries.scheduled),
    retryPolicy(network.retries.onDemand),
  ];
  if (LANE.scheduled !== 0) throw new Error('retry policies stand in the order of the lanes');
  return {
    exchangesMax: network.exchangesPerCell,
    startsPerSecondMax: network.startsPerSecondPerCell ?? Number.POSITIVE_INFINITY,
    serviceTimes: [...ofSrv, ...ofOther],
    noAnswerMs: Math.round(network.noAnswerSeconds * 1000),
    attemptFailureShare: network.attemptFailureShare,
    reachability: {
      notCommunicatingShare: scenario.fleet.notCommunicatingShare,
      spellDays: scenario.fleet.spellDays,
      intermittentShare: scenario.fleet.intermittentShare,
      intermittentHours: scenario.fleet.intermittentHours,
    },
    retry,
    outages: [],
  };
}

function retryPolicy(settings: RetrySettings): RetryPolicy {
  return {
    attemptsMax: settings.attemptsMax,
    backoffMs: Math.round(settings.backoffSeconds * 1000),
    factor: settings.factor,
    giveUpMs: Math.round(settings.giveUpSeconds * 1000),
  };
}
