import { occasionOf, occasionOfCounter } from '#core/request-counter.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { SCHEDULED } from '#core/trt-row.ts';
import { Cell, LANE, type Lane, type Outcome } from '#fleet-sim/cell.ts';
import { EventHeap } from '#fleet-sim/event-heap.ts';
import { advanceStream, createStreams, type Stream, startStream } from '#fleet-sim/existing-load.ts';
import { metersOfCell, networkOfCell } from '#fleet-sim/fleet.ts';
import { outagesOfCell } from '#fleet-sim/network-settings.ts';
import type { Occupancy } from '#fleet-sim/occupancy.ts';
import type { World } from '#fleet-sim/world.ts';
import type { RequestPool } from './request-pool.ts';

/** Called when a request that came from outside is answered, by its index in the pool. */
export type OnAnswer = (request: number, outcome: Outcome, atMs: number) => void;

const NOT_JUDGED = -1;
/** Requests on their way to one cell: a day of its meters many times over. */
const ARRIVALS_MAX = 1 << 22;

/**
 * One cell of `mdr plan`, fed from outside: requests arrive by `offer`, the other traffic of the network is its own, and
 * time goes on by `run`. Instants are milliseconds after midnight of the world's origin day.
 */
export class CellRunner {
  readonly firstMeter: number;
  readonly meters: number;
  readonly network: number;
  readonly #world: World;
  readonly #index: number;
  readonly #cell: Cell;
  readonly #arrivals = new EventHeap(16, ARRIVALS_MAX);
  readonly #streams: Stream[];
  /** Number of the first of `#streams` among all streams of the world: its draws go by it. */
  readonly #firstStream: number;
  readonly #pool: RequestPool;
  readonly #kindOfSrv: Int32Array;
  #requestOf = new Int32Array(0);
  #day: number;
  #nowMs: number;

  constructor(
    world: World,
    index: number,
    startMs: number,
    statistics: { busy: Occupancy; queue: readonly [Occupancy, Occupancy] },
    pool: RequestPool,
    kindOfSrv: Int32Array,
    onAnswer: OnAnswer,
  ) {
    this.#world = world;
    this.#index = index;
    this.#pool = pool;
    this.#kindOfSrv = kindOfSrv;
    this.network = networkOfCell(world.fleet, index);
    const { first, end } = metersOfCell(world.fleet, index);
    this.firstMeter = first;
    this.meters = end - first;
    this.#cell = new Cell((slot, outcome, atMs) => {
      const request = this.#requestOf[slot];
      if (request !== NOT_JUDGED) onAnswer(request, outcome, atMs);
    }, statistics);
    const settings = { ...world.cells[this.network], outages: outagesOfCell(world, this.network, index) };
    this.#cell.reset(settings, world.scenario.seed, first, this.meters, world.originDay);
    this.#firstStream = world.existing.length;
    this.#streams = createStreams(world).slice(this.#firstStream);
    this.#day = Math.floor(startMs / DAY_MS);
    this.#nowMs = startMs;
    this.#startDay();
    // What came before the start is not made up for.
    for (const stream of this.#streams) {
      while (this.#day * DAY_MS + stream.nextAtMs < startMs) this.#advanceStream(stream);
    }
  }

  /** A request that reaches the network at an instant, or now where that is past. */
  offer(request: number, atMs: number): void {
    this.#arrivals.push(Math.max(atMs, this.#nowMs), request);
  }

  /** Requests that have not reached the network yet, in it, or waiting to be tried again. */
  get open(): number {
    return this.#arrivals.size + this.#cell.open;
  }

  get exchanges(): number {
    return this.#cell.exchanges;
  }

  get busy(): number {
    return this.#cell.busy;
  }

  get capacity(): number {
    return this.#cell.capacity;
  }

  get queued(): number {
    return this.#cell.queued;
  }

  /** Lets everything due up to an instant happen, in the order that a plan has it. */
  run(untilMs: number): void {
    const cell = this.#cell;
    for (;;) {
      const stream = this.#firstDue();
      const streamAtMs = stream === undefined ? NEVER : this.#day * DAY_MS + stream.nextAtMs;
      const arrivalAtMs = this.#arrivals.firstAtMs;
      const midnightMs = (this.#day + 1) * DAY_MS;
      const cellAtMs = cell.nextAtMs;
      const next = Math.min(cellAtMs, arrivalAtMs, streamAtMs, midnightMs);
      if (next > untilMs) break;
      this.#nowMs = next;
      if (cellAtMs === next) cell.step(cellAtMs);
      else if (arrivalAtMs === next) this.#arrive(this.#arrivals.pop(), next);
      else if (streamAtMs === next) this.#passBy(stream as Stream, next);
      else {
        this.#day++;
        this.#startDay();
      }
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #arrive(request: number, atMs: number): void {
    const pool = this.#pool;
    const lane = pool.mode(request) === SCHEDULED ? LANE.scheduled : LANE.onDemand;
    const occasion = occasionOfCounter(pool.counter(request));
    const meter = pool.meter(request) - this.firstMeter;
    const slot = this.#take(meter, lane, this.#kindOfSrv[pool.srv(request)], occasion);
    this.#requestOf[slot] = request;
    this.#cell.enqueue(slot, atMs);
  }

  /** Other traffic: it holds an exchange and nobody waits for its answer here. */
  #passBy(stream: Stream, atMs: number): void {
    const index = this.#firstStream + this.#streams.indexOf(stream);
    const occasion = occasionOf(this.#day, this.#world.rows + index, stream.number & 2047);
    const slot = this.#take(stream.meter, stream.lane, stream.kind, occasion);
    this.#requestOf[slot] = NOT_JUDGED;
    this.#cell.enqueue(slot, atMs);
    this.#advanceStream(stream);
  }

  #take(meter: number, lane: Lane, kind: number, occasion: number): number {
    const slot = this.#cell.take(meter, lane, kind, occasion);
    const { slots } = this.#cell;
    if (this.#requestOf.length < slots) {
      const longer = new Int32Array(slots);
      longer.set(this.#requestOf);
      this.#requestOf = longer;
    }
    return slot;
  }

  #firstDue(): Stream | undefined {
    let first: Stream | undefined;
    for (const stream of this.#streams) {
      if (stream.nextAtMs !== NEVER && (first === undefined || stream.nextAtMs < first.nextAtMs)) first = stream;
    }
    return first;
  }

  #startDay(): void {
    const { seed } = this.#world.scenario;
    this.#streams.forEach((stream, k) => {
      startStream(stream, this.#firstStream + k, seed, this.#index, this.#day, this.meters);
    });
  }

  #advanceStream(stream: Stream): void {
    const index = this.#firstStream + this.#streams.indexOf(stream);
    advanceStream(stream, index, this.#world.scenario.seed, this.#index, this.#day, this.meters);
  }
}

const NEVER = Number.POSITIVE_INFINITY;
