import { DATA_KINDS, NO_DATA, REGISTERS } from '#core/matrix.ts';
import { type RequestFacts, requestCounter, unpackInto } from '#core/request-counter.ts';
import { DAY_MS, readWindow } from '#core/settlement-day.ts';
import { MHHS, modeOfRow, ON_DEMAND, rowOf, SCHEDULED, serviceOfRow, srvOfRow } from '#core/trt-row.ts';
import { DATA_SET } from '#fleet-sim/arrivals.ts';
import { drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { EventHeap } from '#fleet-sim/event-heap.ts';
import { networkOfMeter } from '#fleet-sim/fleet.ts';
import { deviceIdOf, exportMpanOf, HASH_CLASSES, importMpanOf } from '#fleet-sim/meter.ts';
import type { World } from '#fleet-sim/world.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import {
  newServiceRequest,
  REQUEST_KIND,
  type ServiceRequestFields,
  SOURCE,
  UNKNOWN_SRV,
  writeMarker,
  writeServiceRequest,
} from '#schemas/service-request.ts';
import {
  codeIndex,
  newServiceResponse,
  RESPONSE_KIND,
  RESPONSE_SOURCE,
  readResponseHead,
} from '#schemas/service-response.ts';
import { euiBytes, MPAN_KEY_BYTES, WIRE_HEADER_BYTES, writeMpanKey } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { Checkpoints } from '#services/platform/checkpoints.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { OffsetSet } from '#services/platform/offset-set.ts';
import { type OwnTail, type Recollection, tailKey } from '#services/platform/own-tail.ts';
import type { SimClock } from '#services/platform/sim-clock.ts';
import { type FinishedBatch, type Lane, StepOutput } from '#services/platform/step-output.ts';
import { type Ask, CellDemand, type Scratch } from './cell-demand.ts';
import { type Held, readHeld } from './held.ts';

export type UsersOptions = {
  world: World;
  scratch: Scratch;
  partition: number;
  partitions: number;
  schemaIds: { serviceRequest: number; serviceResponse: number; quarantineEvent: number };
  clock: SimClock;
  /** Simulated ms since the epoch: first and last requests. */
  startMs: number;
  endMs: number;
  nowMs: () => number;
};

/** How it stood with each lane when the partition was taken over, by mode. */
export type Tails = readonly [OwnTail, OwnTail];
export type Taken = { responses: number; quarantine: number };

/**
 * What was asked again, or released, in the last days: that is not asked a second time, whatever answers come twice. A
 * fleet that starts anew answers again, later and maybe otherwise, what was answered before.
 */
export class AskedBefore implements Recollection {
  readonly spanMs = REMEMBER_MS;
  readonly keys = new Set<number | string>();
  readonly #userByEui: ReadonlyMap<string, number>;
  readonly #facts: RequestFacts = { day: 0, row: 0, ordinal: 0, dataDay: 0, flags: 0, serial: 0 };

  constructor(world: World) {
    this.#userByEui = userByEuiOf(world);
  }

  add({ kind, mpan, counter, counterTop, originatorAt, deviceAt }: ServiceRequestFields, buffer: Buffer): void {
    if (kind === REQUEST_KIND.release) this.keys.add(releaseKey(mpan, counter));
    if (kind !== REQUEST_KIND.request || counterTop > 0) return;
    const facts = this.#facts;
    unpackInto(counter, facts);
    const user = this.#userByEui.get(buffer.toString('latin1', originatorAt, originatorAt + 8));
    if (user === undefined || (facts.ordinal & RE_REQUEST_MASK) === 0) return;
    const meter = buffer.readUInt32BE(deviceAt + 4);
    this.keys.add(reRequestKey(meter, user, facts.row, facts.dataDay, facts.ordinal));
  }

  clear(): void {
    this.keys.clear();
  }
}

const REQUEST_BYTES_MAX = 192;
const RUN_SLICE_MS_MAX = 5;
const ASKS_A_LOOK = 64;
/** The low bits of a request's ordinal: how often its data set was asked for before. */
const RE_REQUEST_MASK = 31;
const OK = codeIndex('I0');
const VALUE_BYTES_MAX = 1_048_576;
const EXPORT = REGISTERS.indexOf('export');
const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
const REGISTER_READS = DATA_KINDS.indexOf('registers');
/** Requests that will be made: re-requests and releases. Of a day's failures in a quarter of Great Britain. */
const PENDING_MAX = 1 << 23;
/** A failure that is answered a second time after so long was read before its first answer was forgotten. */
const REMEMBER_MS = 2 * DAY_MS;

type Pending = { kind: 'ask'; ask: Ask } | { kind: 'release'; held: Held };

/**
 * The Users of one partition's meters: what they ask on demand, again after a failure, and release from quarantine,
 * written in the order of simulated time. They run ahead of the fleet by no more than the time that they wait before
 * asking again, so that nothing they will ask has passed already.
 */
export class PartitionUsers {
  readonly partition: number;
  asked = 0;
  reRequests = 0;
  releases = 0;
  readonly #options: UsersOptions;
  readonly #originMs: number;
  /** Of this partition's cells, by their index in the fleet. */
  readonly #indexes: number[];
  readonly #cells: CellDemand[] = [];
  /** By the instant of each cell's next request; values are positions in `#cells`. */
  readonly #due: EventHeap;
  readonly #pendingAt = new EventHeap(1024, PENDING_MAX);
  #pending: (Pending | undefined)[] = [];
  #free: number[] = [];
  /** Re-requests planned, so that an answer that comes twice plans none: those of this day and of the one before. */
  #planned: [Set<number | string>, Set<number | string>] = [new Set(), new Set()];
  #plannedSinceMs: number;
  readonly #output = new StepOutput();
  readonly #lanes: readonly [Lane, Lane];
  readonly #positions: [number, number];
  /** What is in the log already, by mode: everything up to the instant, and these behind it. */
  readonly #before: readonly [{ untilMs: number; sent: Set<string> }, { untilMs: number; sent: Set<string> }];
  readonly #walk = new BatchWalk('users');
  readonly #reader = new AvroReader();
  readonly #response = newServiceResponse();
  readonly #request = { ...newServiceRequest(), source: SOURCE.users };
  readonly #facts: RequestFacts = { day: 0, row: 0, ordinal: 0, dataDay: 0, flags: 0, serial: 0 };
  readonly #ask: Ask = { meter: 0, user: 0, row: 0, flags: 0, dataDay: 0, day: 0, ordinal: 0, serial: 0 };
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  readonly #euis: Buffer[];
  readonly #userByEui: Map<string, number>;
  readonly #srvSymbol: number[];
  /** By mode, the requests that an answer was taken to: the User is given none but the first. */
  readonly #answered: readonly [OffsetSet, OffsetSet] = [new OffsetSet(), new OffsetSet()];
  readonly #checkpoints: { responses: Checkpoints<undefined>; quarantine: Checkpoints<undefined> };
  readonly #taken: Taken;
  /** How far the Users run ahead of the fleet: not beyond the least time between an answer and what is asked upon it. */
  readonly #aheadMsMax: number;
  /** The most of such times. */
  readonly #waitMsMax: number;
  #fleetMs: number;
  /** No failure taken is later, and nothing held. The fleet's markers stand behind later answers. */
  #answeredMs: number;
  #heldMs: number;
  #markedWallMs = 0;
  /** The last turn did not get to the end of what was due. */
  #isBehind = false;
  /** Everything up to this simulated instant has been written. */
  reachedMs: number;

  constructor(
    options: UsersOptions,
    tails: Tails,
    taken: Taken,
    askedBefore: ReadonlySet<number | string> = new Set(),
  ) {
    const { world, partition, partitions, startMs, schemaIds } = options;
    this.partition = partition;
    this.#options = options;
    this.#originMs = world.originDay * DAY_MS;
    this.#euis = world.userTable.users.map(({ eui }) => euiBytes(eui));
    this.#userByEui = userByEuiOf(world);
    this.#planned = [new Set(askedBefore), new Set()];
    this.#srvSymbol = world.matrix.services.map((_, srv) => world.matrix.srv[srv]);
    this.#lanes = [
      this.#output.lane('service-requests.scheduled', partition, schemaIds.serviceRequest),
      this.#output.lane('service-requests.on-demand', partition, schemaIds.serviceRequest),
    ];
    this.#positions = [tails[SCHEDULED].position, tails[ON_DEMAND].position];
    const before = ({ untilMs, sent }: OwnTail) => ({ untilMs: untilMs ?? startMs - 1, sent });
    this.#before = [before(tails[SCHEDULED]), before(tails[ON_DEMAND])];
    this.reachedMs = Math.min(this.#before[0].untilMs, this.#before[1].untilMs);
    this.#fleetMs = startMs;
    this.#answeredMs = startMs;
    this.#heldMs = startMs;
    this.#plannedSinceMs = this.reachedMs;
    this.#taken = taken;
    const at = (offset: number) => new Checkpoints<undefined>({ offset, untilMs: startMs, known: undefined });
    this.#checkpoints = { responses: at(taken.responses), quarantine: at(taken.quarantine) };
    const waits = world.users
      .filter(({ settings }) => settings.reRequests.max > 0)
      .map(({ reRequestAfterMs, reRequestSpreadMs }) => [reRequestAfterMs, reRequestSpreadMs]);
    const { answer, answerAfterMinutes } = world.scenario.anomaly;
    if (answer === 'process') waits.push([Math.round(answerAfterMinutes * 60_000), 0]);
    this.#aheadMsMax = Math.max(WAIT_MS_MIN, Math.min(AHEAD_MS_MAX, ...waits.map(([afterMs]) => afterMs)));
    this.#waitMsMax = Math.max(0, ...waits.map(([afterMs, spreadMs]) => afterMs + spreadMs));
    const indexes = Array.from({ length: world.fleet.cells }, (_, index) => index).filter(
      (index) => (index % HASH_CLASSES) % partitions === partition,
    );
    this.#due = new EventHeap(Math.max(1, indexes.length), Math.max(2, 2 * indexes.length));
    this.#indexes = indexes;
  }

  /** Draws the cells one by one; true when all are there. To be called until then. */
  prepare(): boolean {
    const { world, scratch } = this.#options;
    const index = this.#indexes[this.#cells.length];
    if (index === undefined) return true;
    const cell = new CellDemand(world, scratch, index, this.reachedMs + 1 - this.#originMs);
    this.#due.push(cell.nextAtMs, this.#cells.length);
    this.#cells.push(cell);
    return this.#cells.length === this.#indexes.length;
  }

  get pending(): number {
    return this.#pendingAt.size;
  }

  takeResponses(batches: readonly Buffer[], fromOffset: number, nextOffset: number): DeadLetter[] {
    const walk = this.#walk;
    const response = this.#response;
    this.#checkpoints.responses.note(fromOffset, this.#answeredMs, () => undefined);
    walk.begin({ topic: 'service-responses', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      if (!walk.hasValue(this.#options.schemaIds.serviceResponse, VALUE_BYTES_MAX)) continue;
      const { buffer, valueAt, valueLength } = walk.cursor;
      try {
        this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
        readResponseHead(this.#reader, response);
      } catch (error) {
        if (!(error instanceof MalformedBinary)) throw error;
        walk.setAside('UNDECODABLE', error.message);
        continue;
      }
      if (response.kind === RESPONSE_KIND.marker) this.#fleetMs = Math.max(this.#fleetMs, response.answeredMs);
      else if (!this.#answered[response.mode].add(response.requestOffset)) continue;
      else if (response.code !== OK && response.source === RESPONSE_SOURCE.fleet) {
        this.#answeredMs = Math.max(this.#answeredMs, response.answeredMs);
        this.#takeFailure(buffer);
      }
    }
    this.#taken.responses = nextOffset;
    return walk.deadLetters;
  }

  takeQuarantine(batches: readonly Buffer[], fromOffset: number, nextOffset: number): DeadLetter[] {
    const walk = this.#walk;
    const { world, schemaIds } = this.#options;
    const { answer, answerAfterMinutes } = world.scenario.anomaly;
    this.#checkpoints.quarantine.note(fromOffset, this.#heldMs, () => undefined);
    walk.begin({ topic: 'quarantine', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      if (!walk.hasValue(schemaIds.quarantineEvent, VALUE_BYTES_MAX)) continue;
      const { buffer, valueAt, valueLength } = walk.cursor;
      try {
        this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
        const held = readHeld(this.#reader);
        if (held === undefined || answer !== 'process') continue;
        // Others than those of the scenario answer for themselves.
        if (!this.#userByEui.has(held.originator.toString('latin1'))) continue;
        this.#heldMs = Math.max(this.#heldMs, held.atMs);
        const releaseMs = held.atMs + Math.round(answerAfterMinutes * 60_000);
        if (this.#isFirst(releaseKey(held.request.mpan, held.request.counter)))
          this.#plan(releaseMs, { kind: 'release', held });
      } catch (error) {
        if (!(error instanceof MalformedBinary)) throw error;
        walk.setAside('UNDECODABLE', error.message);
      }
    }
    this.#taken.quarantine = nextOffset;
    return walk.deadLetters;
  }

  /** Writes what is due, for a few milliseconds. `isIdle`: there is no more until time or the fleet goes on. */
  run(): { batches: FinishedBatch[]; isIdle: boolean } {
    const { clock, endMs, nowMs } = this.#options;
    const wallMs = nowMs();
    if (clock.isPaced && !this.#isBehind && wallMs - this.#markedWallMs < MARK_EVERY_WALL_MS) return NOTHING;
    const untilMs = Math.min(endMs - 1, Math.floor(clock.now()), this.#fleetMs + this.#aheadMsMax);
    if (untilMs <= this.reachedMs) return NOTHING;
    this.#markedWallMs = wallMs;
    const endWallMs = wallMs + RUN_SLICE_MS_MAX;
    const untilRelativeMs = untilMs - this.#originMs;
    let isDone = false;
    for (let asks = 0; ; asks++) {
      const cellAtMs = this.#due.firstAtMs;
      const pendingAtMs = this.#pendingAt.firstAtMs;
      const next = Math.min(cellAtMs, pendingAtMs);
      if (next > untilRelativeMs) {
        isDone = true;
        break;
      }
      if (asks % ASKS_A_LOOK === ASKS_A_LOOK - 1 && nowMs() > endWallMs) break;
      if (pendingAtMs <= cellAtMs) this.#actOn(this.#pendingAt.pop(), pendingAtMs, wallMs);
      else this.#askFrom(this.#due.pop(), cellAtMs, wallMs);
    }
    this.#isBehind = !isDone;
    // Where it stopped early, what comes next is at this instant or later.
    const nextMs = this.#originMs + Math.min(this.#due.firstAtMs, this.#pendingAt.firstAtMs);
    this.reachedMs = isDone ? untilMs : Math.max(this.reachedMs, Math.min(untilMs, nextMs - 1));
    this.#forget();
    for (const mode of [SCHEDULED, ON_DEMAND]) this.#mark(mode, wallMs);
    return { batches: this.#output.take(), isIdle: isDone };
  }

  /** Where a restart reads from, by topic: what stands before has led to all that it will. */
  committable(): { topic: 'service-responses' | 'quarantine'; offset: number; next: number }[] {
    const doneMs = this.reachedMs - this.#waitMsMax;
    return [
      {
        topic: 'service-responses',
        offset: this.#checkpoints.responses.before(doneMs).offset,
        next: this.#taken.responses,
      },
      { topic: 'quarantine', offset: this.#checkpoints.quarantine.before(doneMs).offset, next: this.#taken.quarantine },
    ];
  }

  /** The User asks again, on demand, for what did not come. [MP162 2.6.4] */
  #takeFailure(buffer: Buffer): void {
    const { world } = this.#options;
    const { counter, counterTop, originatorAt, deviceAt, answeredMs } = this.#response;
    const user = this.#userByEui.get(buffer.toString('latin1', originatorAt, originatorAt + 8));
    if (user === undefined || counterTop > 0) return;
    const facts = this.#facts;
    unpackInto(counter, facts);
    if ((facts.flags & DATA_SET) === 0) return;
    const { settings, reRequestAfterMs, reRequestSpreadMs } = world.users[user];
    const meter = buffer.readUInt32BE(deviceAt + 4);
    const row = rowOf(srvOfRow(facts.row), ON_DEMAND, MHHS);
    const isLast = (facts.ordinal & RE_REQUEST_MASK) >= settings.reRequests.max;
    if (isLast || meter >= world.fleet.meters || world.trtMs[networkOfMeter(world.fleet, meter)][row] < 0) return;
    const { dataDay, ordinal, serial } = facts;
    const unit = drawUnit(world.scenario.seed, meter, dataDay * 64 + ordinal, PURPOSE.reRequestDelay);
    const askAtMs = answeredMs + reRequestAfterMs + Math.floor(unit * reRequestSpreadMs);
    if (!this.#isFirst(reRequestKey(meter, user, row, dataDay, ordinal + 1))) return;
    const day = Math.floor((askAtMs - this.#originMs) / DAY_MS);
    const ask = { meter, user, row, flags: DATA_SET, dataDay, day, ordinal: ordinal + 1, serial };
    this.#plan(askAtMs, { kind: 'ask', ask });
  }

  /** Whether this is planned for the first time, and was not written by whoever had the partition before. */
  #isFirst(key: number | string): boolean {
    if (this.#planned[0].has(key) || this.#planned[1].has(key)) return false;
    this.#planned[0].add(key);
    return true;
  }

  #forget(): void {
    if (this.reachedMs - this.#plannedSinceMs < REMEMBER_MS) return;
    this.#planned = [new Set(), this.#planned[0]];
    this.#plannedSinceMs = this.reachedMs;
  }

  #plan(atMs: number, pending: Pending): void {
    const slot = this.#free.pop() ?? this.#pending.length;
    this.#pending[slot] = pending;
    // An answer that comes late does not make its User ask at an instant that is said to be over.
    const earliestMs = Math.max(this.reachedMs, this.#before[ON_DEMAND].untilMs) + 1;
    this.#pendingAt.push(Math.max(atMs, earliestMs) - this.#originMs, slot);
  }

  #actOn(slot: number, atMs: number, wallMs: number): void {
    const pending = this.#pending[slot] as Pending;
    this.#pending[slot] = undefined;
    this.#free.push(slot);
    if (pending.kind === 'release') this.#release(pending.held, this.#originMs + atMs, wallMs);
    else if (this.#write(pending.ask, this.#originMs + atMs, wallMs)) this.reRequests++;
  }

  #askFrom(place: number, atMs: number, wallMs: number): void {
    const cell = this.#cells[place];
    if (cell.take(this.#ask)) this.#write(this.#ask, this.#originMs + atMs, wallMs);
    this.#due.push(cell.nextAtMs, place);
  }

  /** Puts a request into its lane, unless it is in the log already. */
  #write(ask: Ask, atMs: number, wallMs: number): boolean {
    const { world, clock } = this.#options;
    const { fleet, matrix, scenario, originDay } = world;
    const srv = srvOfRow(ask.row);
    const mode = modeOfRow(ask.row);
    const request = this.#request;
    const isExport = matrix.register[srv] === EXPORT;
    request.kind = REQUEST_KIND.request;
    request.mpan = (isExport ? exportMpanOf(fleet, ask.meter) : undefined) ?? importMpanOf(fleet, ask.meter);
    request.counter = requestCounter(ask.day, ask.row, ask.ordinal, ask.dataDay, ask.flags, ask.serial);
    if (this.#isWritten(mode, atMs, request.mpan, request.counter)) return false;
    request.role = world.users[ask.user].role;
    request.srv = this.#srvSymbol[srv];
    request.scheduledSrv = srv === world.srv.createSchedule ? this.#srvSymbol[world.srv.importHalfHours] : UNKNOWN_SRV;
    request.mode = mode;
    request.service = serviceOfRow(ask.row);
    request.receivedMs = atMs;
    const data = matrix.data[srv];
    const asked = originDay + ask.dataDay;
    if (data === NO_DATA || data === REGISTER_READS) {
      request.windowStartMs = atMs;
      request.windowEndMs = atMs;
    } else if (data === HALF_HOURS) {
      const { startMs, endMs } = readWindow(asked, scenario.dayConvention);
      request.windowStartMs = startMs;
      request.windowEndMs = endMs;
    } else {
      // A daily row is stamped at the midnight that ends its day.
      request.windowStartMs = (asked + 1) * DAY_MS;
      request.windowEndMs = (asked + 1) * DAY_MS;
    }
    request.dueWallMs = clock.dueWallMs(atMs);
    this.#send(mode, this.#euis[ask.user], euiBytes(deviceIdOf(ask.meter)), wallMs);
    this.asked++;
    return true;
  }

  #release(held: Held, atMs: number, wallMs: number): void {
    Object.assign(this.#request, held.request);
    const request = this.#request;
    request.kind = REQUEST_KIND.release;
    request.source = SOURCE.users;
    request.receivedMs = atMs;
    request.dueWallMs = this.#options.clock.dueWallMs(atMs);
    if (this.#isWritten(ON_DEMAND, atMs, request.mpan, request.counter)) return;
    this.#send(ON_DEMAND, held.originator, held.device, wallMs);
    this.releases++;
  }

  #isWritten(mode: number, atMs: number, mpan: number, counter: number): boolean {
    const { untilMs, sent } = this.#before[mode];
    return atMs <= untilMs || (sent.size > 0 && sent.has(tailKey(atMs, mpan, counter)));
  }

  #send(mode: number, originator: Uint8Array, device: Uint8Array, wallMs: number): void {
    const lane = this.#lanes[mode];
    this.#request.position = ++this.#positions[mode];
    writeMpanKey(this.#key, 0, this.#request.mpan);
    const at = lane.begin(Math.floor(wallMs), this.#key, 0, MPAN_KEY_BYTES, REQUEST_BYTES_MAX);
    lane.end(writeServiceRequest(lane.buffer, at, this.#request, originator, device));
  }

  #mark(mode: number, wallMs: number): void {
    const lane = this.#lanes[mode];
    const at = lane.begin(Math.floor(wallMs), this.#key, 0, -1, REQUEST_BYTES_MAX);
    lane.end(writeMarker(lane.buffer, at, SOURCE.users, this.#positions[mode], mode, this.reachedMs, wallMs));
  }
}

/**
 * Names a re-request among those of two days: a number, since there are millions in a night.
 *
 *     meter 26 bits | user 8 | row 7 | data day 6 | how often before 5
 */
function releaseKey(mpan: number, counter: number): string {
  return `release ${mpan} ${counter}`;
}

function userByEuiOf(world: World): Map<string, number> {
  return new Map(world.userTable.users.map(({ eui }, user) => [euiBytes(eui).toString('latin1'), user]));
}

function reRequestKey(meter: number, user: number, row: number, dataDay: number, ordinal: number): number {
  const low = (row << 11) | ((dataDay & 63) << 5) | (ordinal & RE_REQUEST_MASK);
  return (meter * 256 + (user & 255)) * 2 ** 18 + low;
}

const NOTHING = { batches: [], isIdle: true };
/** Users who ask again at once wait at least so long: the fleet could not go on otherwise. */
const WAIT_MS_MIN = 1000;
/** Where nobody asks anything upon an answer: what is written a day ahead waits in the broker, and that has room for it. */
const AHEAD_MS_MAX = DAY_MS;
/** As often as this the fleet is told, on a paced clock, that nothing more is to come before now. */
const MARK_EVERY_WALL_MS = 50;
