import { SRVS } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import type { Outcome } from '#fleet-sim/cell.ts';
import { cellOfMeter } from '#fleet-sim/fleet.ts';
import { HASH_CLASSES } from '#fleet-sim/meter.ts';
import type { MeterReads } from '#fleet-sim/meter-answer.ts';
import type { World } from '#fleet-sim/world.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { type DeviceRequestFields, newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { REQUEST_KIND, SOURCE } from '#schemas/service-request.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { Checkpoints } from '#services/platform/checkpoints.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { OffsetSet } from '#services/platform/offset-set.ts';
import type { SimClock } from '#services/platform/sim-clock.ts';
import { Answers, type FinishedBatch } from './answers.ts';
import { CellRunner } from './cell-runner.ts';
import type { NetworkStatistics } from './network-metrics.ts';
import { RequestPool } from './request-pool.ts';

/** What a restart must know at a place in a lane: last offset seen of each source, and up to when requests were in. */
export type LaneState = { seen: number[]; untilMs: number[] };
export type LaneStart = { offset: number; state: LaneState | undefined };
export type LaneCommit = { mode: number; offset: number; next: number; state: LaneState };

export type FleetOptions = {
  world: World;
  reads: MeterReads;
  partition: number;
  partitions: number;
  schemaIds: { deviceRequest: number; serviceResponse: number };
  clock: SimClock;
  /** Wall ms that the fleet waits for requests on their way, before it goes on without them. */
  patienceWallMs: number;
  /** Simulated instant of the run's first requests, ms since the epoch. */
  startMs: number;
  nowMs: () => number;
  /** By network. */
  statistics: readonly NetworkStatistics[];
  send(batch: FinishedBatch): Promise<unknown>;
};

/** Cells of a network in a partition, exchanges that they have and use at present, requests in their queues. */
export type NetworkState = { cells: number; capacity: number; busy: number; queued: number };

type Lane = {
  mode: number;
  /** Last offset taken of each source partition: what is not above it was seen. */
  seen: Float64Array;
  /** By source of markers: no request before this instant is on its way. Simulated ms since the epoch. */
  untilMs: Float64Array;
  done: OffsetSet;
  /** Offset behind what was taken. */
  next: number;
  checkpoints: Checkpoints<LaneState>;
};

const VALUE_BYTES_MAX = 4096;
const RUN_SLICE_MS_MAX = 5;
/** Cells are looked at this many at a time between two looks at the wall clock. */
const CELLS_A_LOOK = 16;

/**
 * The networks and meters behind one partition: its cells, fed from the two lanes of device-requests. Simulated time
 * goes on as far as the markers of both lanes say that everything is in; on a paced clock never beyond it, and never
 * further behind it than patience allows. So requests reach the network in the order of their time, whatever order
 * they came in, and a plan of the same scenario sees the same.
 */
export class PartitionFleet {
  readonly partition: number;
  /** Simulated instant up to which the cells have run, ms since the epoch. */
  nowMs: number;
  /** Where they began. */
  readonly beganMs: number;
  late = 0;
  duplicates = 0;
  #lateMsMax = 0;
  readonly answers: Answers;
  readonly #options: FleetOptions;
  readonly #originMs: number;
  readonly #pool = new RequestPool();
  readonly #cells: CellRunner[];
  readonly #cellAt: Int32Array;
  readonly #lanes: readonly [Lane, Lane];
  readonly #walk = new BatchWalk('fleet-sim');
  readonly #reader = new AvroReader();
  readonly #fields: DeviceRequestFields = newDeviceRequest();
  #runningTo: number;
  #nextCell = 0;

  constructor(options: FleetOptions, starts: readonly [LaneStart, LaneStart]) {
    const { world, partition, partitions } = options;
    this.partition = partition;
    this.#options = options;
    this.#originMs = world.originDay * DAY_MS;
    this.answers = new Answers(options, this.#pool);
    this.#lanes = [
      newLane(SCHEDULED, partition, partitions, starts[SCHEDULED], options.startMs),
      newLane(ON_DEMAND, partition, partitions, starts[ON_DEMAND], options.startMs),
    ];
    this.nowMs = Math.max(options.startMs, this.#everythingInUntil());
    this.beganMs = this.nowMs;
    this.#runningTo = this.nowMs;
    const kindOfSrv = Int32Array.from(SRVS, (_, symbol) => world.matrix.srv.indexOf(symbol));
    const { cells } = world.fleet;
    this.#cellAt = new Int32Array(cells).fill(-1);
    this.#cells = [];
    for (let index = 0; index < cells; index++) {
      if ((index % HASH_CLASSES) % partitions !== partition) continue;
      const onAnswer = (request: number, outcome: Outcome, atMs: number) => this.#answer(request, outcome, atMs);
      const network = world.fleet.networks.findLastIndex((one) => one.cells > 0 && index >= one.firstCell);
      const startMs = this.nowMs - this.#originMs;
      const statistics = options.statistics[network];
      this.#cellAt[index] = this.#cells.length;
      this.#cells.push(new CellRunner(world, index, startMs, statistics, this.#pool, kindOfSrv, onAnswer));
    }
  }

  /** The longest that an on-demand request, taken since this was asked last, had been on its way: wall ms. */
  takeLateMsMax(): number {
    const lateMs = this.#lateMsMax;
    this.#lateMsMax = 0;
    return lateMs;
  }

  /** Requests that wait for an answer of their meter. */
  get open(): number {
    return this.#pool.open;
  }

  get exchanges(): number {
    return this.#cells.reduce((sum, cell) => sum + cell.exchanges, 0);
  }

  /** How the cells stand at this moment, by network. */
  networkStates(): NetworkState[] {
    const states = this.#options.world.fleet.networks.map(
      (): NetworkState => ({ cells: 0, capacity: 0, busy: 0, queued: 0 }),
    );
    for (const { network, capacity, busy, queued } of this.#cells) {
      const state = states[network];
      state.cells++;
      state.capacity += capacity;
      state.busy += busy;
      state.queued += queued;
    }
    return states;
  }

  /** Takes raw batches of a lane; what cannot be used is returned to be set aside. */
  take(mode: number, batches: readonly Buffer[], fromOffset: number, nextOffset: number): DeadLetter[] {
    const lane = this.#lanes[mode];
    const walk = this.#walk;
    const takenWallMs = this.#options.nowMs();
    const topic = mode === SCHEDULED ? 'device-requests.scheduled' : 'device-requests.on-demand';
    lane.checkpoints.note(fromOffset, laneUntil(lane), () => stateOf(lane));
    walk.begin({ topic, partition: this.partition, batches, fromOffset });
    let next = fromOffset;
    while (walk.next()) {
      const { offset } = walk.cursor;
      lane.done.addRange(next, offset);
      next = offset + 1;
      if (
        !walk.hasValue(this.#options.schemaIds.deviceRequest, VALUE_BYTES_MAX) ||
        !this.#takeRecord(lane, takenWallMs)
      )
        lane.done.add(offset);
    }
    // Offsets that hold no record, or none that could be read.
    lane.done.addRange(next, nextOffset);
    lane.next = nextOffset;
    return walk.deadLetters;
  }

  /** Runs the cells for a few milliseconds. True when there is no more to do until more comes or the clock moves on. */
  run(): boolean {
    if (this.#nextCell === 0) {
      const target = this.#target();
      if (target <= this.nowMs) return true;
      this.#runningTo = target;
    }
    const untilMs = this.#runningTo - this.#originMs;
    const endWallMs = this.#options.nowMs() + RUN_SLICE_MS_MAX;
    while (this.#nextCell < this.#cells.length) {
      const end = Math.min(this.#nextCell + CELLS_A_LOOK, this.#cells.length);
      while (this.#nextCell < end) this.#cells[this.#nextCell++].run(untilMs);
      if (this.#nextCell < this.#cells.length && this.#options.nowMs() > endWallMs) return false;
    }
    this.#nextCell = 0;
    this.nowMs = this.#runningTo;
    this.answers.mark(this.nowMs);
    return this.#target() <= this.nowMs;
  }

  /** Where a restart reads each lane from, by its mode. Only what is answered and acknowledged lies before. */
  committable(): LaneCommit[] {
    return this.#lanes.map((lane) => {
      const { offset, known } = lane.checkpoints.atOrBefore(lane.done.low);
      return { mode: lane.mode, offset, next: lane.next, state: known };
    });
  }

  /** A request's answer was acknowledged. */
  settle(mode: number, ownOffset: number): void {
    this.#lanes[mode].done.add(ownOffset);
  }

  #everythingInUntil(): number {
    return Math.min(laneUntil(this.#lanes[SCHEDULED]), laneUntil(this.#lanes[ON_DEMAND]));
  }

  #target(): number {
    const { clock, patienceWallMs } = this.#options;
    const certain = this.#everythingInUntil();
    if (!clock.isPaced) return certain;
    const now = Math.floor(clock.now());
    return Math.max(Math.min(certain, now), now - patienceWallMs * clock.speed);
  }

  /** False where the record asks for nothing (any more): a marker, a replay, one set aside. */
  #takeRecord(lane: Lane, takenWallMs: number): boolean {
    const { cursor } = this.#walk;
    const fields = this.#fields;
    try {
      this.#reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
      readDeviceRequest(this.#reader, fields);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      return this.#walk.setAside('UNDECODABLE', error.message);
    }
    const { request, sourcePartition, sourceOffset } = fields;
    if (sourcePartition < 0 || sourcePartition >= lane.seen.length)
      return this.#walk.setAside('IMPOSSIBLE_VALUE', `sourcePartition is ${sourcePartition}, expected a partition`);
    if (sourceOffset <= lane.seen[sourcePartition]) {
      this.duplicates++;
      return false;
    }
    lane.seen[sourcePartition] = sourceOffset;
    if (request.kind === REQUEST_KIND.marker) {
      const source = lane.mode === SCHEDULED ? request.source : sourcePartition;
      if (source < lane.untilMs.length && request.receivedMs > lane.untilMs[source])
        lane.untilMs[source] = request.receivedMs;
      return false;
    }
    this.#offer(lane, takenWallMs);
    return true;
  }

  #offer(lane: Lane, takenWallMs: number): void {
    const { buffer, offset } = this.#walk.cursor;
    const { request, quarantinedMs } = this.#fields;
    const index = this.#pool.take();
    this.#pool.put(index, this.#fields, buffer, lane.mode, offset, takenWallMs);
    const meter = buffer.readUInt32BE(request.deviceAt + 4);
    if (lane.mode === ON_DEMAND && quarantinedMs === 0)
      this.#lateMsMax = Math.max(this.#lateMsMax, takenWallMs - request.dueWallMs);
    const atMs = request.receivedMs + quarantinedMs;
    if (atMs <= this.nowMs) this.late++;
    const cell = this.#cellOf(buffer, request.deviceAt, meter, request.srv);
    if (cell === undefined) this.answers.foreign(index, Math.max(atMs, this.nowMs));
    else cell.offer(index, atMs - this.#originMs);
  }

  /** The cell of a device of the simulated fleet in this partition; undefined for any other device or SRV. */
  #cellOf(buffer: Buffer, deviceAt: number, meter: number, srv: number): CellRunner | undefined {
    const { fleet, matrix } = this.#options.world;
    const isOurs = buffer.readUInt32BE(deviceAt) === FLEET_DEVICES && meter < fleet.meters;
    if (!isOurs || srv >= SRVS.length || matrix.srv.indexOf(srv) < 0) return undefined;
    const at = this.#cellAt[cellOfMeter(fleet, meter)];
    return at < 0 ? undefined : this.#cells[at];
  }

  #answer(request: number, outcome: Outcome, atMs: number): void {
    this.answers.add(request, outcome, this.#originMs + atMs);
  }
}

/** First half of the Device IDs of the simulated fleet: 02-4D-44-52. */
const FLEET_DEVICES = 0x024d4452;

function newLane(mode: number, partition: number, partitions: number, start: LaneStart, startMs: number): Lane {
  // Markers on the scheduled lane come from the scheduler and from the Users; on demand they come through each
  // partition of the anomaly check.
  const markers = mode === SCHEDULED ? [SOURCE.scheduler, SOURCE.users].length : partitions;
  const state = start.state ?? {
    seen: Array<number>(partitions).fill(-1),
    untilMs: Array<number>(markers).fill(startMs),
  };
  if (state.seen.length !== partitions || state.untilMs.length !== markers)
    throw new Error(`what was committed for partition ${partition} is of another number of partitions`);
  return {
    mode,
    seen: Float64Array.from(state.seen),
    untilMs: Float64Array.from(state.untilMs),
    done: new OffsetSet(start.offset),
    next: start.offset,
    checkpoints: new Checkpoints({ offset: start.offset, untilMs: Math.min(...state.untilMs), known: state }),
  };
}

function laneUntil(lane: Lane): number {
  let least = lane.untilMs[0];
  for (let k = 1; k < lane.untilMs.length; k++) if (lane.untilMs[k] < least) least = lane.untilMs[k];
  return least;
}

function stateOf(lane: Lane): LaneState {
  return { seen: Array.from(lane.seen), untilMs: Array.from(lane.untilMs) };
}
