import { DATA_DAY_MAX, DAYS, requestCounter } from '#core/request-counter.ts';
import { executesOn, FREQUENCIES } from '#core/schedule.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { rowOf, SCHEDULED } from '#core/trt-row.ts';
import { DATA_SET, FIRST } from '#fleet-sim/arrivals.ts';
import { newServiceRequest, REQUEST_KIND, SOURCE, writeMarker, writeServiceRequest } from '#schemas/service-request.ts';
import { MPAN_KEY_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import { tailKey } from '#services/platform/own-tail.ts';
import { type ExecutionOrder, placeOf } from './execution-order.ts';
import { NO_WINDOW, type ScheduleRows } from './schedule-table.ts';

export type FanOut = {
  /** Executions after this instant, and up to the next, ms since the epoch. */
  afterMs: number;
  untilMs: number;
  /** Where in the order of the first day to go on, when the last batch ended in the middle of an instant; else -1. */
  place: number;
  /** Position of the last record written. */
  position: number;
  /** Requests that were written already. */
  sent: ReadonlySet<string>;
  schemaId: number;
  /** Midnight of the first simulated day. */
  epochMs: number;
  /** Matrix index of each Srv symbol. */
  matrixSrv: Int32Array;
  /** Wall instant at which a simulated one is due: `wallEpochMs + (t - startMs) / speed`, now where speed is 0. */
  due: { startMs: number; wallEpochMs: number; speed: number; nowMs: number };
};

export type FannedOut = {
  batch: ArrayBuffer;
  records: number;
  executions: number;
  /** Everything up to then is written. */
  reachedMs: number;
  /** As FanOut's. Until it is -1 again the schedules must stay as they are. */
  place: number;
  position: number;
};

/** Executions of one batch: a few milliseconds of work for whoever takes it. */
export const EXECUTIONS_A_BATCH_MAX = 4000;
const BATCH_BYTES = 640 * 1024;
const RECORD_BYTES_MAX = 192;

/**
 * The next executions of one partition in the order of their time, as a batch of service-requests.scheduled that ends
 * with a MARKER. Eligibility is checked where every request's is: at access control. Stops early, and says where, when
 * the batch is full.
 */
export class FanOutStep {
  readonly #builder = new BatchBuilder(BATCH_BYTES);
  readonly #request = { ...newServiceRequest(), kind: REQUEST_KIND.request, source: SOURCE.scheduler, mode: SCHEDULED };
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);

  run(rows: ScheduleRows, order: ExecutionOrder, task: FanOut): FannedOut {
    const builder = this.#builder;
    builder.reset();
    const wallMs = Math.floor(task.due.nowMs);
    let { position } = task;
    let executions = 0;
    let reachedMs = task.untilMs;
    let nextPlace = -1;
    let writtenMs = Number.NEGATIVE_INFINITY;
    let day = Math.floor((task.afterMs + 1) / DAY_MS);
    let place = task.place >= 0 ? task.place : placeOf(order, rows, task.afterMs + 1 - day * DAY_MS);
    const lastDay = Math.floor(task.untilMs / DAY_MS);
    scan: for (; day <= lastDay; day++, place = 0) {
      for (; place < order.order.length; place++) {
        const at = order.order[place];
        const executionMs = day * DAY_MS + rows.timeMs(at);
        if (executionMs > task.untilMs) break scan;
        if (executions >= EXECUTIONS_A_BATCH_MAX || !builder.fits(2 * RECORD_BYTES_MAX)) {
          // What the marker says is true in the middle of an instant too: nothing before it follows.
          reachedMs = executionMs - 1;
          if (executionMs === writtenMs) nextPlace = place;
          break scan;
        }
        if (!executesOn(FREQUENCIES[rows.frequency(at)], rows.startDay(at), rows.endDay(at), day)) continue;
        this.#describe(rows, at, day, executionMs, task);
        const { receivedMs, mpan, counter } = this.#request;
        if (task.sent.size > 0 && task.sent.has(tailKey(receivedMs, mpan, counter))) continue;
        this.#request.position = ++position;
        this.#write(rows, at, wallMs, task.schemaId);
        writtenMs = executionMs;
        executions++;
      }
    }
    const at = builder.beginWithoutKey(wallMs);
    const value = writeWireHeader(builder.buffer, at, task.schemaId);
    builder.end(writeMarker(builder.buffer, value, SOURCE.scheduler, position, SCHEDULED, reachedMs, task.due.nowMs));
    return { batch: builder.take(), records: builder.count, executions, reachedMs, place: nextPlace, position };
  }

  #describe(rows: ScheduleRows, at: number, day: number, executionMs: number, task: FanOut): void {
    const request = this.#request;
    const { startMs, wallEpochMs, speed, nowMs } = task.due;
    const simulatedDay = day - task.epochMs / DAY_MS;
    const row = rowOf(Math.max(0, task.matrixSrv[rows.srv(at)]), SCHEDULED, rows.service(at));
    const dataDay = Math.max(-1, Math.min(DATA_DAY_MAX, simulatedDay - 1));
    request.mpan = rows.mpan(at);
    request.counter = requestCounter(
      ((simulatedDay % DAYS) + DAYS) % DAYS,
      row,
      0,
      dataDay,
      FIRST | DATA_SET,
      rows.serial(at),
    );
    request.role = rows.role(at);
    request.srv = rows.srv(at);
    request.service = rows.service(at);
    request.receivedMs = executionMs;
    if (rows.windowStartDays(at) === NO_WINDOW) {
      request.windowStartMs = executionMs;
      request.windowEndMs = executionMs;
    } else {
      request.windowStartMs = (day + rows.windowStartDays(at)) * DAY_MS + rows.windowStartMs(at);
      request.windowEndMs = (day + rows.windowEndDays(at)) * DAY_MS + rows.windowEndMs(at);
    }
    request.dueWallMs = speed > 0 ? wallEpochMs + (executionMs - startMs) / speed : nowMs;
  }

  #write(rows: ScheduleRows, at: number, wallMs: number, schemaId: number): void {
    const builder = this.#builder;
    writeMpanKey(this.#key, 0, this.#request.mpan);
    const value = builder.begin(wallMs, this.#key, 0, MPAN_KEY_BYTES);
    const from = writeWireHeader(builder.buffer, value, schemaId);
    const { bytes } = rows;
    builder.end(
      writeServiceRequest(builder.buffer, from, this.#request, bytes, bytes, rows.userAt(at), rows.deviceAt(at)),
    );
  }
}
