import {
  type AccessRequest,
  type AccessTables,
  type DeviceTable,
  decideAccess,
  FACT,
  FACTS,
  type Fact,
  SMI_STATUSES,
  type SmiStatus,
  UNKNOWN_DEVICE,
  type User,
  type UserTable,
} from '#core/access-control.ts';
import { buildDeviceTable, type Device } from '#core/access-tables.ts';
import {
  DATA_KINDS,
  GENERATIONS,
  type Generation,
  type Matrix,
  NO_DATA,
  NO_REGISTER,
  ROLES,
  SRVS,
} from '#core/matrix.ts';
import { type Appointment, buildRegistrationTable, type RegistrationTable } from '#core/registration.ts';
import { type DayConvention, dayOf, daysOfWindow } from '#core/settlement-day.ts';
import type { FaultKind, Findings } from './findings.ts';
import { addVersion, type History, inForceBetween } from './histories.ts';
import { type Log, reportUnreadable } from './log.ts';
import type { MeteringPointRecord } from './record-types.ts';
import type { Requests } from './requests.ts';
import { hexOf, tableOfUser, type Users } from './users.ts';

/** What the rules say of one request. Several facts where a table changed while it was decided. */
export type Due = { facts: Fact[]; generations: number[]; isKnown: boolean };

/** `device`: the 8 bytes of its id as characters. `row`: in the device table. */
type MeteringPoint = { register: 'IMPORT' | 'EXPORT'; device: string; generation: number; row: number };

/**
 * Access control once more, for the MPANs that one partition's requests name: every value that a registration or a
 * metering point has had is a row of core's ordinary tables, and each request is decided on the rows in force when it
 * was decided.
 */
export class Access {
  readonly #matrix: Matrix;
  readonly #convention: DayConvention;
  readonly #users: Users;
  readonly #registrations: RegistrationTable;
  readonly #devices: DeviceTable;
  readonly #rows: ReadonlyMap<number, History<number>>;
  readonly #points: ReadonlyMap<number, History<MeteringPoint>>;
  readonly #isCompacted: { registrations: boolean; inventory: boolean };
  readonly #userTables = new Map<User | undefined, UserTable>();

  private constructor(
    read: Awaited<ReturnType<typeof readTables>>,
    users: Users,
    matrix: Matrix,
    convention: DayConvention,
  ) {
    this.#matrix = matrix;
    this.#convention = convention;
    this.#users = users;
    this.#rows = read.rows;
    this.#points = read.points;
    this.#isCompacted = read.isCompacted;
    this.#registrations = buildRegistrationTable(read.registrations).table;
    this.#devices = buildDeviceTable(read.devices, this.#registrations);
  }

  static async read(
    log: Log,
    partition: number,
    requests: Requests,
    users: Users,
    matrix: Matrix,
    convention: DayConvention,
    faults: Findings<FaultKind>,
    setAside: ReadonlySet<string>,
  ): Promise<Access> {
    const mpans = new Set(requests.mpan.subarray(0, requests.count));
    return new Access(await readTables(log, partition, mpans, faults, setAside), users, matrix, convention);
  }

  due(requests: Requests, index: number): Due {
    const { startMs, endMs } = decisionTime(requests, index);
    const mpan = requests.mpan[index];
    const user = requests.user[index];
    const rows = inForceBetween(this.#rows.get(mpan), startMs, endMs, this.#isCompacted.registrations);
    const points = inForceBetween(this.#points.get(mpan), startMs, endMs, this.#isCompacted.inventory);
    const users = this.#users.inForceBetween(user, startMs, endMs);
    const facts = new Set<Fact>();
    const generations = new Set<number>();
    for (const point of points.values) {
      const isDevice = point !== undefined && requests.isFor(index, point.device);
      if (isDevice) generations.add(point.generation);
      for (const row of rows.values) {
        for (const value of users.values) {
          facts.add(this.#decide(requests, index, isDevice ? point : undefined, row ?? -1, value));
        }
      }
    }
    return {
      facts: [...facts],
      generations: [...generations],
      isKnown: rows.isKnown && points.isKnown && users.isKnown,
    };
  }

  /**
   * The first Settlement Day of the window asked for that was not the User's, by every registration then in force;
   * undefined where all were its own by one of them. Found from the tenures of each day, not by core's `coversDays`.
   */
  firstForeignDay(requests: Requests, index: number): number | undefined {
    const { first, last } = this.#daysAsked(requests, index);
    const srv = requests.srv[index];
    if (srv < 0 || this.#matrix.register[srv] === NO_REGISTER || last < first) return undefined;
    const { startMs, endMs } = decisionTime(requests, index);
    const rows = inForceBetween(this.#rows.get(requests.mpan[index]), startMs, endMs, this.#isCompacted.registrations);
    const users = this.#users.inForceBetween(requests.user[index], startMs, endMs);
    if (!rows.isKnown || !users.isKnown) return undefined;
    let foreign: number | undefined;
    for (const row of rows.values) {
      for (const user of users.values) {
        const day = this.#firstForeignDayOf(row ?? -1, user, requests.role[index], first, last);
        if (day === undefined) return undefined;
        foreign = day;
      }
    }
    return foreign;
  }

  #firstForeignDayOf(row: number, user: User | undefined, role: number, first: number, last: number) {
    const { mpid, mpids, until } = this.#registrations;
    for (let day = first; day <= last; ) {
      const holder = this.#tenureOn(row, role, day);
      if (holder < 0 || user === undefined || !hasMpid(user, mpids[mpid[holder]])) return day;
      day = until[holder];
    }
    return undefined;
  }

  #tenureOn(row: number, role: number, day: number): number {
    const { first, role: roles, from, until } = this.#registrations;
    if (row < 0) return -1;
    for (let at = first[row]; at < first[row + 1]; at++) {
      if (roles[at] === role && from[at] <= day && day < until[at]) return at;
    }
    return -1;
  }

  #decide(
    requests: Requests,
    index: number,
    point: MeteringPoint | undefined,
    row: number,
    user: User | undefined,
  ): Fact {
    if (point !== undefined) {
      this.#devices.importRow[point.row] = point.register === 'IMPORT' ? row : -1;
      this.#devices.exportRow[point.row] = point.register === 'EXPORT' ? row : -1;
    }
    const { first, last } = this.#daysAsked(requests, index);
    // The table holds the originator alone, so whoever else signed is not in it.
    const isKnown = user !== undefined;
    const isOwnSignature = requests.signer[index] === requests.user[index];
    const request: AccessRequest = {
      user: isKnown ? 0 : -1,
      role: requests.role[index],
      certificate: isKnown && isOwnSignature ? 0 : -1,
      srv: requests.srv[index],
      scheduledSrv: requests.scheduledSrv[index],
      mode: requests.mode[index],
      service: requests.service[index],
      device: point === undefined ? UNKNOWN_DEVICE : point.row,
      firstDay: first,
      lastDay: last,
      atMs: requests.receivedMs[index],
    };
    return decideAccess(request, this.#tables(user));
  }

  #tables(user: User | undefined): AccessTables {
    let users = this.#userTables.get(user);
    if (users === undefined) {
      users = tableOfUser(user, this.#registrations);
      this.#userTables.set(user, users);
    }
    return {
      matrix: this.#matrix,
      convention: this.#convention,
      users,
      devices: this.#devices,
      registrations: this.#registrations,
      // Thresholds are a ledger of their own: they count over all partitions.
      anomaly: null,
    };
  }

  /** A log is asked for by its window; a register, or a schedule, on the day of the request; the others for no day. */
  #daysAsked(requests: Requests, index: number): { first: number; last: number } {
    const srv = requests.srv[index];
    const data = srv < 0 ? NO_DATA : this.#matrix.data[srv];
    if (data === HALF_HOURS || data === DAILY_LOG) {
      const log = data === DAILY_LOG ? 'daily' : 'half-hours';
      return daysOfWindow(requests.windowStartMs[index], requests.windowEndMs[index], log, this.#convention);
    }
    const today = dayOf(requests.receivedMs[index], this.#convention);
    const asksToday = data !== NO_DATA || (srv >= 0 && this.#matrix.srv[srv] === CREATE_SCHEDULE);
    return { first: today, last: asksToday ? today : today - 1 };
  }
}

/** As a response says it: the code, and by what access control decided. */
export function decisionText(fact: number): string {
  const known = FACTS[fact];
  return known === undefined ? `fact ${fact}` : `${known.code} (${known.fact})`;
}

export function isAccepted(fact: number): boolean {
  return fact === FACT.accepted;
}

const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
const DAILY_LOG = DATA_KINDS.indexOf('daily-log');
const CREATE_SCHEDULE = SRVS.indexOf('5.1');

function hasMpid({ roles }: User, mpid: string): boolean {
  for (const role of ROLES) if (roles[role]?.includes(mpid)) return true;
  return false;
}

/** From when the request was written until its decision was; from then on where nothing was decided. */
function decisionTime(requests: Requests, index: number): { startMs: number; endMs: number } {
  const startMs = requests.writtenMs[index];
  return { startMs, endMs: Math.max(startMs, requests.decidedMs[index]) };
}

async function readTables(
  log: Log,
  partition: number,
  mpans: ReadonlySet<number>,
  faults: Findings<FaultKind>,
  setAside: ReadonlySet<string>,
) {
  const registrations: { mpan: number; appointments: Appointment[] }[] = [];
  const rows = new Map<number, History<number>>();
  const mpids = new Map<string, string>();
  const registrationReading = await log.read(
    'registrations',
    partition,
    ({ value, key, writtenMs }) => {
      const mpan = value?.mpan ?? Number(key);
      if (!mpans.has(mpan)) return;
      const history = historyOf(rows, mpan);
      if (value === null) return addVersion(history, writtenMs, history.sequence, undefined);
      const appointments = value.appointments.map(({ mpid, role, efd, etd }) => ({
        mpid: interned(mpids, mpid),
        role,
        efd,
        ...(etd === null ? {} : { etd }),
      }));
      addVersion(history, writtenMs, value.sequence, registrations.push({ mpan, appointments }) - 1);
    },
    reportUnreadable(faults, setAside, 'registrations', partition),
  );
  const devices: Device[] = [];
  const points = new Map<number, History<MeteringPoint>>();
  const inventoryReading = await log.read(
    'inventory',
    partition,
    ({ value, key, writtenMs }) => {
      const mpan = value?.mpan ?? Number(key);
      if (!mpans.has(mpan)) return;
      const history = historyOf(points, mpan);
      if (value === null) return addVersion(history, writtenMs, history.sequence, undefined);
      // A device has a generation: a value without one is set aside by access control.
      if (value.generation === 'UNKNOWN') return;
      const device = deviceOf(value);
      addVersion(history, writtenMs, value.sequence, {
        register: value.register,
        device: value.device.toString('latin1', 0, 8),
        generation: GENERATIONS.indexOf(device.generation),
        row: devices.push(device) - 1,
      });
    },
    reportUnreadable(faults, setAside, 'inventory', partition),
  );
  const isCompacted = { registrations: registrationReading.isCompacted, inventory: inventoryReading.isCompacted };
  return { registrations, rows, devices, points, isCompacted };
}

function historyOf<T>(histories: Map<number, History<T>>, mpan: number): History<T> {
  let history = histories.get(mpan);
  if (history === undefined) {
    history = { versions: [], sequence: 0 };
    histories.set(mpan, history);
  }
  return history;
}

function interned(texts: Map<string, string>, text: string): string {
  const known = texts.get(text);
  if (known !== undefined) return known;
  texts.set(text, text);
  return text;
}

function deviceOf({ device, kind, generation, status }: MeteringPointRecord): Device {
  const known = SMI_STATUSES.find((one): one is SmiStatus => one === status);
  if (known === undefined) throw new Error(`status ${status} is none of the schema's`);
  return {
    id: hexOf(device),
    esme: kind === 'ESME',
    generation: generation as Generation,
    status: known,
  };
}
