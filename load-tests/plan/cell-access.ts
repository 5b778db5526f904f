import { type AccessRequest, type AccessTables, decideAccess, type Fact } from '#core/access-control.ts';
import { DATA_KINDS, NO_DATA } from '#core/matrix.ts';
import { DAY_MS, dayOf } from '#core/settlement-day.ts';
import type { Portfolio } from '#fleet-sim/portfolio.ts';
import type { World } from '#fleet-sim/world.ts';

const REGISTER_READS = DATA_KINDS.indexOf('registers');

/** Access control on the requests of one cell: core's tables over the portfolio, and one request reused for all. */
export class CellAccess {
  readonly #world: World;
  readonly #tables: AccessTables;
  readonly #request: AccessRequest = {
    user: 0,
    role: 0,
    certificate: 0,
    srv: 0,
    scheduledSrv: -1,
    mode: 0,
    service: 0,
    device: 0,
    firstDay: 0,
    lastDay: 0,
    atMs: 0,
  };

  constructor(world: World, portfolio: Portfolio) {
    this.#world = world;
    this.#tables = {
      matrix: world.matrix,
      convention: world.scenario.dayConvention,
      users: world.userTable,
      devices: portfolio.devices,
      registrations: portfolio.registrations,
      // Thresholds count over the whole fleet, not over a cell: the run finds their cutoffs.
      anomaly: null,
    };
  }

  /** `dataDay`: the Settlement Day asked for, as a simulated day; a register is read for the day of the request. */
  decide(meter: number, user: number, srv: number, mode: number, service: number, dataDay: number, atMs: number): Fact {
    const { matrix, originDay, scenario, users } = this.#world;
    const request = this.#request;
    request.user = user;
    request.certificate = user;
    request.role = users[user].role;
    request.srv = srv;
    request.mode = mode;
    request.service = service;
    request.device = meter;
    request.atMs = originDay * DAY_MS + atMs;
    const data = matrix.data[srv];
    const today = dayOf(request.atMs, scenario.dayConvention);
    if (data === NO_DATA) {
      // A schedule is created for days to come, so it is the agent of today who may; 8.2 asks for no day.
      const isSchedule = srv === this.#world.srv.createSchedule;
      request.scheduledSrv = isSchedule ? this.#world.srv.importHalfHours : -1;
      request.firstDay = today;
      request.lastDay = isSchedule ? today : today - 1;
    } else {
      const asked = data === REGISTER_READS ? today : originDay + dataDay;
      request.firstDay = asked;
      request.lastDay = asked;
    }
    return decideAccess(request, this.#tables);
  }
}
