import { SRVS } from '#core/matrix.ts';
import { DAY_MS, HALF_HOUR_MS } from '#core/settlement-day.ts';
import { OUTCOME, type Outcome } from '#fleet-sim/cell.ts';
import { cellOfMeter, networkOfCell } from '#fleet-sim/fleet.ts';
import { answerRead, type MeterAnswer, newMeterAnswer, TOU_REGISTERS_MAX } from '#fleet-sim/meter-answer.ts';
import {
  codeIndex,
  newServiceResponse,
  RESPONSE_BYTES_MAX,
  RESPONSE_SOURCE,
  RESPONSE_VALUE_BYTES_MAX,
  writeResponseMarker,
  writeServiceResponse,
} from '#schemas/service-response.ts';
import { MPAN_KEY_BYTES, WIRE_HEADER_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import type { FleetOptions } from './partition-fleet.ts';
import type { RequestPool } from './request-pool.ts';

/** A batch of service-responses, and which requests are settled once it is acknowledged: [mode, ownOffset, ...]. */
export type FinishedBatch = { batch: ArrayBuffer; records: number; settles: Float64Array };

/** A batch is sent when it has so many bytes: large enough for the broker to like, small enough not to delay. */
const BATCH_BYTES = 128 * 1024;
/** The longest answer: 13 months of half-hours, two values each. */
const BUILDER_BYTES = 1024 * 1024;
/** Markers nobody needs are left out: at most one in so much wall or simulated time. */
const MARK_EVERY_WALL_MS = 20;
const MARK_EVERY_SIMULATED_MS = 60_000;

const CODE = {
  [OUTCOME.data]: codeIndex('I0'),
  [OUTCOME.cannotCommunicate]: codeIndex('E20'),
  [OUTCOME.noResponse]: codeIndex('E21'),
} as const;
const PROFILES = [SRVS.indexOf('4.8.1'), SRVS.indexOf('4.8.3')];

/** The answers of one partition's meters, written into batches of service-responses in the order they are given. */
export class Answers {
  answered = 0;
  rows = 0;
  readonly #options: FleetOptions;
  readonly #pool: RequestPool;
  readonly #builder = new BatchBuilder(BUILDER_BYTES);
  readonly #response = { ...newServiceResponse(), source: RESPONSE_SOURCE.fleet };
  readonly #meterAnswer: MeterAnswer;
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  readonly #matrixSrv: Int32Array;
  readonly #networkOfCell: Uint8Array;
  #settles: number[] = [];
  #markedMs = Number.NEGATIVE_INFINITY;
  #markedWallMs = Number.NEGATIVE_INFINITY;

  constructor(options: FleetOptions, pool: RequestPool) {
    this.#options = options;
    this.#pool = pool;
    this.#meterAnswer = newMeterAnswer(options.reads);
    const { fleet } = options.world;
    this.#networkOfCell = Uint8Array.from({ length: fleet.cells }, (_, cell) => networkOfCell(fleet, cell));
    this.#matrixSrv = Int32Array.from(SRVS, (_, symbol) => options.world.matrix.srv.indexOf(symbol));
  }

  /** Answers a request of the fleet at an instant, and forgets it. */
  add(request: number, outcome: Outcome, atMs: number): void {
    const pool = this.#pool;
    const answer = this.#meterAnswer;
    answer.rows = 0;
    answer.touRegisters = 0;
    answer.hasReactive = false;
    if (outcome === OUTCOME.data) {
      const srv = this.#matrixSrv[pool.srv(request)];
      const [startMs, endMs] = [pool.windowStartMs(request), pool.windowEndMs(request)];
      const { reads, world } = this.#options;
      answerRead(reads, world.fleet, pool.meter(request), srv, startMs, endMs, atMs, answer);
    }
    this.#countLatency(request, atMs);
    this.#write(request, CODE[outcome], atMs);
  }

  /** A device that is none of the fleet's cannot be reached. */
  foreign(request: number, atMs: number): void {
    this.#meterAnswer.rows = 0;
    this.#meterAnswer.touRegisters = 0;
    this.#meterAnswer.hasReactive = false;
    this.#write(request, CODE[OUTCOME.cannotCommunicate], atMs);
  }

  /** Says that nothing answered before an instant follows, and sends what there is. */
  mark(untilMs: number): void {
    const wallMs = this.#options.nowMs();
    const isDue =
      wallMs - this.#markedWallMs >= MARK_EVERY_WALL_MS || untilMs - this.#markedMs >= MARK_EVERY_SIMULATED_MS;
    if (isDue) {
      const builder = this.#builder;
      if (!builder.fits(RESPONSE_BYTES_MAX)) this.flush();
      const at = builder.beginWithoutKey(Math.floor(wallMs));
      const value = writeWireHeader(builder.buffer, at, this.#options.schemaIds.serviceResponse);
      builder.end(writeResponseMarker(builder.buffer, value, Math.floor(untilMs), wallMs));
      this.#markedMs = untilMs;
      this.#markedWallMs = wallMs;
    }
    this.flush();
  }

  flush(): void {
    const builder = this.#builder;
    if (builder.count === 0) return;
    const finished = { batch: builder.take(), records: builder.count, settles: Float64Array.from(this.#settles) };
    builder.reset();
    this.#settles = [];
    void this.#options.send(finished);
  }

  /** Before the request is forgotten. */
  #countLatency(request: number, atMs: number): void {
    const pool = this.#pool;
    const { world, statistics } = this.#options;
    const network = this.#networkOfCell[cellOfMeter(world.fleet, pool.meter(request))];
    statistics[network].latency[pool.mode(request)].add(
      (atMs - pool.receivedMs(request) - pool.quarantinedMs(request)) / 1000,
    );
  }

  #write(request: number, code: number, atMs: number): void {
    const pool = this.#pool;
    const answer = this.#meterAnswer;
    const response = this.#response;
    const builder = this.#builder;
    const wallMs = this.#options.nowMs();
    const reactiveRows = answer.hasReactive ? answer.rows : 0;
    const touValues = answer.rows * (answer.touRegisters === 0 ? 0 : TOU_REGISTERS_MAX);
    const bytes =
      WIRE_HEADER_BYTES + RESPONSE_BYTES_MAX + (answer.rows + reactiveRows + touValues) * RESPONSE_VALUE_BYTES_MAX;
    if (builder.count > 0 && (builder.bytes + bytes > BATCH_BYTES || !builder.fits(bytes + MPAN_KEY_BYTES)))
      this.flush();
    response.mode = pool.mode(request);
    response.requestOffset = pool.requestOffset(request);
    response.mpan = pool.mpan(request);
    response.counter = pool.counter(request);
    response.counterTop = pool.counterTop(request);
    response.role = pool.role(request);
    response.srv = pool.srv(request);
    response.service = pool.service(request);
    response.generation = pool.generation(request);
    response.code = code;
    response.receivedMs = pool.receivedMs(request);
    response.quarantinedMs = pool.quarantinedMs(request);
    response.answeredMs = atMs;
    response.platformMs = this.#platformMs(request, atMs, wallMs);
    response.sentWallMs = wallMs;
    response.rows = answer.rows;
    response.firstStampMs = answer.rows === 0 ? 0 : answer.stampsMs[0];
    response.stepMs = answer.rows === 0 ? 0 : PROFILES.includes(response.srv) ? HALF_HOUR_MS : DAY_MS;
    writeMpanKey(this.#key, 0, response.mpan);
    const at = builder.begin(Math.floor(wallMs), this.#key, 0, MPAN_KEY_BYTES);
    const value = writeWireHeader(builder.buffer, at, this.#options.schemaIds.serviceResponse);
    const end = writeServiceResponse(
      builder.buffer,
      value,
      response,
      pool.bytes,
      pool.originatorAt(request),
      pool.bytes,
      pool.deviceAt(request),
      answer.activeWh,
      answer.reactiveVarh,
      reactiveRows,
      answer.touWh,
      touValues,
    );
    builder.end(end);
    this.#settles.push(pool.mode(request), pool.ownOffset(request));
    this.answered++;
    this.rows += answer.rows;
    pool.release(request);
  }

  /**
   * Wall time since the request was due, less what its time in the network and in quarantine takes at the clock's
   * speed. On a clock that does not pace there is no such share: then it is the time until the fleet had the request.
   */
  #platformMs(request: number, atMs: number, wallMs: number): number {
    const pool = this.#pool;
    const { clock } = this.#options;
    const dueWallMs = pool.dueWallMs(request);
    // What was in quarantine meanwhile had no wall time of its own there: nothing can be said.
    if (!clock.isPaced) return pool.quarantinedMs(request) > 0 ? 0 : Math.max(0, pool.takenWallMs(request) - dueWallMs);
    const modelledMs = atMs - pool.receivedMs(request);
    return Math.max(0, wallMs - dueWallMs - modelledMs / clock.speed);
  }
}
