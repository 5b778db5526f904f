import {
  type AccessRequest,
  type AccessTables,
  decideAccess,
  type Fact,
  UNKNOWN_DEVICE,
} from '#core/access-control.ts';
import { DATA_KINDS, type Matrix, NO_DATA, REGISTERS, SRVS } from '#core/matrix.ts';
import { type DayConvention, dayOf, firstDayOfWindow, lastDayOfWindow } from '#core/settlement-day.ts';
import type { RequestReader } from '#schemas/request-reader.ts';
import { UNKNOWN_GENERATION, UNKNOWN_ROLE } from '#schemas/service-request.ts';
import type { MpanTable } from './mpan-table.ts';
import type { UserDirectory } from './users.ts';

/**
 * core's decision on one request after another: the MPAN's record is laid out as the only row of a device table and of
 * a registration table, and core decides on those.
 */
export class Decision {
  readonly #matrix: Matrix;
  readonly #convention: DayConvention;
  /** Position in the matrix of each SRV symbol, -1 where it has none: UNKNOWN is the last. */
  readonly #srvOfSymbol: Int8Array;
  readonly #request: AccessRequest;
  #table: MpanTable;
  #users: UserDirectory;
  #tables: AccessTables;
  #mpidCodes = new Int32Array(0);

  /** Of the request decided last: row of its User, -1 unknown. */
  user = -1;
  /** Position in GENERATIONS of the device asked for, UNKNOWN_GENERATION where it is not known. */
  generation: number = UNKNOWN_GENERATION;

  constructor(matrix: Matrix, convention: DayConvention, table: MpanTable, users: UserDirectory) {
    this.#matrix = matrix;
    this.#convention = convention;
    this.#srvOfSymbol = new Int8Array(SRVS.length + 1).fill(-1);
    matrix.srv.forEach((symbol, srv) => {
      this.#srvOfSymbol[symbol] = srv;
    });
    this.#request = {
      user: -1,
      role: -1,
      certificate: -1,
      srv: -1,
      scheduledSrv: -1,
      mode: 0,
      service: 0,
      device: UNKNOWN_DEVICE,
      firstDay: 0,
      lastDay: -1,
      // A double from the start: a field that holds small integers first is laid out anew when an instant comes.
      atMs: 0.5,
    };
    this.#table = table;
    this.#users = users;
    this.#tables = this.#layOut(ROW_TENURES_MIN);
  }

  /** What the next requests are decided by. */
  use(table: MpanTable, users: UserDirectory): void {
    if (users === this.#users && table.longestRow <= this.#mpidCodes.length) {
      this.#table = table;
      return;
    }
    this.#table = table;
    this.#users = users;
    this.#tables = this.#layOut(Math.max(ROW_TENURES_MIN, table.longestRow));
  }

  decide(reader: RequestReader): Fact {
    const request = this.#request;
    const { euis } = this.#users;
    const { buffer, originatorAt, signerAt, role } = reader;
    this.user = euis.find(buffer, originatorAt);
    request.user = this.user;
    request.certificate = signerAt < 0 ? this.user : euis.find(buffer, signerAt);
    request.role = role === UNKNOWN_ROLE ? -1 : role;
    request.srv = this.#srvOfSymbol[reader.srv];
    request.scheduledSrv = this.#srvOfSymbol[reader.scheduledSrv];
    request.mode = reader.mode;
    request.service = reader.service;
    request.atMs = reader.receivedMs;
    request.device = this.findDevice(reader);
    this.#setDays(reader);
    return decideAccess(request, this.#tables);
  }

  /** Row 0 where the MPAN has the device asked for, with its record laid out; sets `generation`. */
  findDevice(reader: RequestReader): number {
    const table = this.#table;
    const { buffer, deviceAt } = reader;
    const at = table.find(reader.mpan);
    if (at < 0 || !table.isDevice(at, buffer.readInt32BE(deviceAt), buffer.readInt32BE(deviceAt + 4))) {
      this.generation = UNKNOWN_GENERATION;
      return UNKNOWN_DEVICE;
    }
    const { devices, registrations, users } = this.#tables;
    const register = table.register(at);
    const row = table.hasRegistration(at) ? 0 : -1;
    devices.importRow[0] = register === IMPORT ? row : -1;
    devices.exportRow[0] = register === IMPORT ? -1 : row;
    devices.kind[0] = table.kind(at);
    devices.status[0] = table.status(at);
    this.generation = table.generation(at);
    devices.generation[0] = this.generation;
    const { ownerOfMpid } = this.#users;
    const codes = this.#mpidCodes;
    const count = table.copyTenures(at, registrations, codes);
    for (let k = 0; k < count; k++) users.mpidOwner[k] = ownerOfMpid[codes[k]];
    return 0;
  }

  // As `plan` asks: a schedule is created for days to come, so it is the agent of today who may; the others of the SRVs
  // without data ask for no day; a register is read for the day of the request.
  #setDays(reader: RequestReader): void {
    const request = this.#request;
    const convention = this.#convention;
    const { receivedMs, windowStartMs, windowEndMs } = reader;
    const data = request.srv < 0 ? NO_DATA : this.#matrix.data[request.srv];
    if (data === HALF_HOURS || data === DAILY_LOG) {
      const log = data === DAILY_LOG ? 'daily' : 'half-hours';
      request.firstDay = firstDayOfWindow(windowStartMs, windowEndMs, log, convention);
      request.lastDay = lastDayOfWindow(windowStartMs, windowEndMs, log, convention);
      return;
    }
    const today = dayOf(receivedMs, convention);
    request.firstDay = today;
    request.lastDay = data === NO_DATA && reader.srv !== CREATE_SCHEDULE ? today - 1 : today;
  }

  #layOut(tenures: number): AccessTables {
    this.#mpidCodes = new Int32Array(tenures);
    return {
      matrix: this.#matrix,
      convention: this.#convention,
      users: { ...this.#users.table, mpidOwner: new Int16Array(tenures) },
      devices: {
        kind: new Uint8Array(1),
        generation: new Uint8Array(1),
        status: new Uint8Array(1),
        importRow: new Int32Array(1),
        exportRow: new Int32Array(1),
        ids: null,
      },
      registrations: {
        mpans: new Float64Array(1),
        first: new Int32Array(2),
        mpid: new Uint16Array(tenures),
        role: new Uint8Array(tenures),
        from: new Int32Array(tenures),
        until: new Int32Array(tenures),
        mpids: [],
      },
      // Thresholds count by User, over all partitions: the anomaly check is a step of its own.
      anomaly: null,
    };
  }
}

const ROW_TENURES_MIN = 16;
const IMPORT = REGISTERS.indexOf('import');
const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
const DAILY_LOG = DATA_KINDS.indexOf('daily-log');
const CREATE_SCHEDULE = SRVS.indexOf('5.1');
