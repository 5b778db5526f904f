import { DAY_MS } from '#core/settlement-day.ts';
import { deadlineMs, isBreach } from '#core/trt-clock.ts';
import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { REQUEST_KIND, SOURCE } from '#schemas/service-request.ts';
import {
  codeIndex,
  newServiceResponse,
  RESPONSE_KIND,
  RESPONSE_SOURCE,
  readResponseHead,
} from '#schemas/service-response.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { Checkpoints } from '#services/platform/checkpoints.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { OffsetSet } from '#services/platform/offset-set.ts';
import type { SimClock } from '#services/platform/sim-clock.ts';
import type { DeadlineSlack } from './deadline-slack.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import { OpenRequests } from './open-requests.ts';
import { seriesOf, type TrtCounts, type TrtTable } from './trt-counts.ts';

/** A breach to be published: everything of trt-breach.avsc, EUI-64s as bytes. */
export type Breach = {
  mode: number;
  requestOffset: number;
  mpan: number;
  originator: Buffer;
  device: Buffer;
  counter: number;
  counterTop: number;
  srv: number;
  service: number;
  generation: number;
  receivedMs: number;
  quarantinedMs: number;
  trtSeconds: number;
  deadlineMs: number;
  answered: boolean;
};

/** What a restart must know at a place in a lane of device-requests. */
export type LaneState = {
  /** Last offset seen of each source partition. */
  seen: number[];
  /** By source of markers: no request before this instant follows. */
  untilMs: number[];
  /** Requests of a lower offset in service-requests are settled: none of them comes any more. */
  requestOffset: number;
};
/** `next`: offsets below it were counted by the process before. */
export type LaneStart = { offset: number; next: number; state: LaneState | undefined };
/** `nowMs`: breaches up to then were published by the process before. */
export type ResponsesStart = { offset: number; next: number; nowMs: number };

export type MonitorCommit = {
  lanes: { mode: number; offset: number; next: number; state: LaneState }[];
  responses: ResponsesStart;
};

export type MonitorOptions = {
  partition: number;
  partitions: number;
  schemaIds: { deviceRequest: number; serviceResponse: number };
  trts: TrtTable;
  counts: TrtCounts;
  clock: SimClock;
  /** On a paced clock: wall ms that an answer in time may still be on its way when its deadline has passed. */
  graceWallMs: number;
  startMs: number;
  countedStartMs: number;
  countedEndMs: number;
  errorsCountAsWithin: boolean;
  nowMs: () => number;
  onBreach(breach: Breach): void;
};

type Lane = {
  seen: Float64Array;
  untilMs: Float64Array;
  /** Offsets of device-requests whose request is answered. */
  done: OffsetSet;
  /** Offsets of service-requests that have an answer. */
  answered: OffsetSet;
  checkpoints: Checkpoints<LaneState>;
  next: number;
  /** Offsets below were counted before the restart. */
  countFrom: number;
  /** The highest offset of service-requests seen. */
  requestOffset: number;
  /** The same as it was at earlier instants. */
  requestOffsets: Checkpoints<number>;
};

const VALUE_BYTES_MAX = 1_048_576;
/**
 * On demand, requests come out of the anomaly check in another order than they went in, and those held come when their
 * User releases them: at most so much simulated time later.
 */
const HELD_MS_MAX = 2 * DAY_MS;
const OK = codeIndex('I0');

/**
 * The Target Response Times of one partition: what is open, what was answered in time, and what was not at the moment
 * its time runs out. The present is where the fleet says it is (its markers in service-responses), and further by the
 * wall time that it is behind the clock of the run, less some grace.
 */
export class PartitionMonitor {
  readonly partition: number;
  /** Requests received on counted days that are not answered. */
  openCounted = 0;
  /** The present of this partition, simulated ms since the epoch. */
  nowMs: number;
  readonly #options: MonitorOptions;
  readonly #lanes: readonly [Lane, Lane];
  readonly #open = new OpenRequests();
  readonly #wheel: DeadlineWheel;
  readonly #walk = new BatchWalk('trt-monitor');
  readonly #reader = new AvroReader();
  readonly #request = newDeviceRequest();
  readonly #response = newServiceResponse();
  readonly #responses: Checkpoints<undefined>;
  readonly #responsesCountFrom: number;
  readonly #publishedUntilMs: number;
  #responsesNext: number;
  /** Answers up to here are in the topic: until they are taken, the clock is ahead of what is known here. */
  #responsesEnd: number;
  /** Wall instant at which they were the last. */
  #endWallMs = Number.NEGATIVE_INFINITY;
  #fleetMs: number;
  /** No answer taken, of those to requests of the lanes, is later. */
  #answeredMs: number;

  /** `responsesEnd`: offset behind the answers that are there already. */
  constructor(
    options: MonitorOptions,
    lanes: readonly [LaneStart, LaneStart],
    responses: ResponsesStart,
    responsesEnd: number,
  ) {
    this.partition = options.partition;
    this.#options = options;
    this.#lanes = [newLane(SCHEDULED, options, lanes[SCHEDULED]), newLane(ON_DEMAND, options, lanes[ON_DEMAND])];
    this.nowMs = options.startMs;
    this.#fleetMs = options.startMs;
    this.#wheel = new DeadlineWheel(this.nowMs);
    this.#responses = new Checkpoints({ offset: responses.offset, untilMs: options.startMs, known: undefined });
    this.#responsesCountFrom = responses.next;
    this.#responsesNext = responses.offset;
    this.#responsesEnd = responsesEnd;
    this.#answeredMs = options.startMs;
    this.#publishedUntilMs = responses.nowMs;
  }

  get open(): number {
    return this.#open.size;
  }

  /**
   * No request received up to here is still to come, and the fleet's answers up to here were taken: what of it is not
   * open has its verdict. Simulated ms since the epoch.
   */
  get completeMs(): number {
    return Math.min(this.#fleetMs, ...this.#lanes.map(({ untilMs }) => least(untilMs)));
  }

  /** Adds the open requests of this partition that are in time to what is known of deadlines. */
  addSlack(into: DeadlineSlack): void {
    into.add(this.#open, this.nowMs);
  }

  /**
   * Answers are to be kept back until the requests that the process before had taken are known again: whether a late
   * one was published as a breach before it came is not known without its request.
   */
  get takesResponses(): boolean {
    return this.#lanes.every(({ next, countFrom }) => next >= countFrom);
  }

  takeRequests(mode: number, batches: readonly Buffer[], fromOffset: number, nextOffset: number): DeadLetter[] {
    const lane = this.#lanes[mode];
    const walk = this.#walk;
    const topic = mode === SCHEDULED ? 'device-requests.scheduled' : 'device-requests.on-demand';
    const untilMs = least(lane.untilMs);
    lane.requestOffsets.note(fromOffset, untilMs, () => lane.requestOffset);
    lane.checkpoints.note(fromOffset, untilMs, () => stateOf(mode, lane));
    walk.begin({ topic, partition: this.partition, batches, fromOffset });
    let next = fromOffset;
    while (walk.next()) {
      const { cursor } = walk;
      lane.done.addRange(next, cursor.offset);
      next = cursor.offset + 1;
      if (!walk.hasValue(this.#options.schemaIds.deviceRequest, VALUE_BYTES_MAX)) lane.done.add(cursor.offset);
      else this.#takeRequest(mode, lane);
    }
    lane.done.addRange(next, nextOffset);
    lane.next = nextOffset;
    // What ran out before its request came is noticed at once: what is committed says that everything up to now was.
    this.#expire();
    return walk.deadLetters;
  }

  takeResponses(
    batches: readonly Buffer[],
    fromOffset: number,
    nextOffset: number,
    highWatermark: number,
  ): DeadLetter[] {
    const walk = this.#walk;
    const takenWallMs = this.#options.nowMs();
    this.#responses.note(fromOffset, this.#answeredMs, () => undefined);
    walk.begin({ topic: 'service-responses', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      if (!walk.hasValue(this.#options.schemaIds.serviceResponse, VALUE_BYTES_MAX)) continue;
      const { buffer, valueAt, valueLength, offset } = walk.cursor;
      try {
        this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
        readResponseHead(this.#reader, this.#response);
      } catch (error) {
        if (!(error instanceof MalformedBinary)) throw error;
        walk.setAside('UNDECODABLE', error.message);
        continue;
      }
      if (this.#response.kind === RESPONSE_KIND.marker)
        this.#fleetMs = Math.max(this.#fleetMs, this.#response.answeredMs);
      else this.#takeAnswer(takenWallMs, offset >= this.#responsesCountFrom, buffer);
    }
    this.#responsesNext = nextOffset;
    this.#responsesEnd = Math.max(this.#responsesEnd, highWatermark);
    return walk.deadLetters;
  }

  /**
   * At a wall instant, the last that a broker was asked, the answers ended there. Without this the clock proves nothing:
   * who was stopped for a while, or cut off, would take all for late that was answered meanwhile.
   */
  noteEnd(endOffset: number, askedWallMs: number): void {
    this.#responsesEnd = Math.max(this.#responsesEnd, endOffset);
    this.#endWallMs = askedWallMs;
  }

  /** Moves the present on and notices what has run out. */
  advance(): void {
    // A late answer that the process before has taken came before its request, perhaps: it is no breach again.
    if (this.#responsesNext < this.#responsesCountFrom) return;
    const { clock, graceWallMs } = this.#options;
    let nowMs = this.#fleetMs;
    const isUpToDate = this.#responsesNext >= this.#responsesEnd;
    if (clock.isPaced && isUpToDate) {
      // What the fleet is behind is the platform's time, and that is charged by the wall, not at the clock's speed.
      const behindWallMs = (clock.at(this.#endWallMs) - nowMs) / clock.speed;
      nowMs += Math.max(0, behindWallMs - graceWallMs);
    }
    if (nowMs <= this.nowMs) return;
    this.nowMs = nowMs;
    this.#expire();
  }

  /**
   * Where a restart reads each topic from. Nothing until this process stands where the one before stood: what that one
   * had counted and published is not known here before.
   */
  committable(): MonitorCommit | undefined {
    const isBehind = this.#responsesNext < this.#responsesCountFrom || this.nowMs < this.#publishedUntilMs;
    if (isBehind || !this.takesResponses) return undefined;
    let oldestMs = Number.POSITIVE_INFINITY;
    const lanes = this.#lanes.map((lane, mode) => {
      const { offset, untilMs, known } = lane.checkpoints.atOrBefore(lane.done.low);
      oldestMs = Math.min(oldestMs, untilMs);
      lane.answered.raiseTo(known.requestOffset);
      return { mode, offset, next: lane.next, state: known };
    });
    // An answer to a request that is read again stands behind the fleet's marker of the instant it was received.
    const { offset } = this.#responses.before(oldestMs);
    return { lanes, responses: { offset, next: this.#responsesNext, nowMs: this.nowMs } };
  }

  /** What came in a warm-up, or after the last day, is in no count: as in the report of a run. */
  #isOfCountedDay(receivedMs: number): boolean {
    const { countedStartMs, countedEndMs } = this.#options;
    return receivedMs >= countedStartMs && receivedMs < countedEndMs;
  }

  #expire(): void {
    this.#wheel.expire(
      this.nowMs,
      (request) => this.#open.deadlineMs[request],
      (request) => this.#breach(request, false),
    );
  }

  #takeRequest(mode: number, lane: Lane): void {
    const { cursor } = this.#walk;
    const fields = this.#request;
    try {
      this.#reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
      readDeviceRequest(this.#reader, fields);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      this.#walk.setAside('UNDECODABLE', error.message);
      lane.done.add(cursor.offset);
      return;
    }
    const { request, sourcePartition, sourceOffset, requestOffset } = fields;
    const isKnown = sourcePartition >= 0 && sourcePartition < lane.seen.length;
    if (!isKnown) {
      this.#walk.setAside('IMPOSSIBLE_VALUE', `sourcePartition is ${sourcePartition}, expected a partition`);
      lane.done.add(cursor.offset);
      return;
    }
    if (sourceOffset <= lane.seen[sourcePartition]) {
      lane.done.add(cursor.offset);
      return;
    }
    lane.seen[sourcePartition] = sourceOffset;
    if (request.kind === REQUEST_KIND.marker) {
      const source = mode === SCHEDULED ? request.source : sourcePartition;
      if (source < lane.untilMs.length && request.receivedMs > lane.untilMs[source])
        lane.untilMs[source] = request.receivedMs;
      lane.done.add(cursor.offset);
      return;
    }
    if (requestOffset > lane.requestOffset) lane.requestOffset = requestOffset;
    const series = seriesOf(request.srv, mode, request.service, fields.generation);
    if (cursor.offset >= lane.countFrom && this.#isOfCountedDay(request.receivedMs))
      this.#options.counts.received[series]++;
    if (lane.answered.has(requestOffset)) {
      lane.done.add(cursor.offset);
      return;
    }
    this.#begin(mode, series, cursor.offset, cursor.buffer);
  }

  #begin(mode: number, series: number, ownOffset: number, buffer: Buffer): void {
    const { trts, counts } = this.#options;
    const { request, requestOffset, generation, quarantinedMs } = this.#request;
    const trtSeconds = trts.secondsOf(request.srv, generation, mode, request.service, request.role);
    const wasTaken = ownOffset < this.#lanes[mode].countFrom;
    const open = this.#open;
    const index = open.add(mode, requestOffset);
    this.#wheel.reserve(open.slots);
    open.ownOffset[index] = ownOffset;
    open.mpan[index] = request.mpan;
    open.counter[index] = request.counter;
    open.counterTop[index] = request.counterTop;
    open.receivedMs[index] = request.receivedMs;
    open.quarantinedMs[index] = quarantinedMs;
    open.trtSeconds[index] = trtSeconds;
    open.deadlineMs[index] = deadlineMs(request.receivedMs, trtSeconds, quarantinedMs);
    open.series[index] = series;
    open.srv[index] = request.srv;
    open.service[index] = request.service;
    open.generation[index] = generation;
    for (let k = 0; k < 8; k++) {
      open.originator[8 * index + k] = buffer[request.originatorAt + k];
      open.device[8 * index + k] = buffer[request.deviceAt + k];
    }
    if (this.#isOfCountedDay(request.receivedMs)) {
      counts.open[series]++;
      this.openCounted++;
    }
    if (trtSeconds < 0) open.isBreached[index] = 1;
    else if (wasTaken && open.deadlineMs[index] < this.#publishedUntilMs) open.isBreached[index] = 1;
    else {
      open.isBreached[index] = 0;
      this.#wheel.add(index, open.deadlineMs[index]);
    }
  }

  #takeAnswer(takenWallMs: number, isNew: boolean, buffer: Buffer): void {
    const response = this.#response;
    const { counts, trts, errorsCountAsWithin } = this.#options;
    const { mode, requestOffset, srv, service, generation, role } = response;
    const lane = this.#lanes[mode];
    if (!lane.answered.add(requestOffset)) {
      if (isNew) counts.duplicates++;
      return;
    }
    const isCounted = isNew && this.#isOfCountedDay(response.receivedMs);
    const series = seriesOf(srv, mode, service, generation);
    const isRefusal = response.source === RESPONSE_SOURCE.accessControl;
    if (isCounted) counts.end(series, role, response.code, isRefusal);
    if (isRefusal) {
      if (isNew) counts.refusals++;
      if (isCounted) counts.refused[response.code]++;
      return;
    }
    if (isNew) counts.answers[mode]++;
    this.#answeredMs = Math.max(this.#answeredMs, response.answeredMs);
    const trtSeconds = trts.secondsOf(srv, generation, mode, service, role);
    // The verdict goes by what the answer says, so that the same log gives the same one: a monitor that was away, or is
    // behind, would charge that to the answers which waited for it.
    const latencyMs = response.answeredMs - response.receivedMs - response.quarantinedMs + response.platformMs;
    const isLate = trtSeconds >= 0 && isBreach(0, trtSeconds, 0, latencyMs);
    const index = this.#open.find(mode, requestOffset);
    const wasBreached = index >= 0 && this.#open.isBreached[index] !== 0 && this.#open.trtSeconds[index] >= 0;
    if (isCounted) {
      counts.answered(series, latencyMs);
      counts.platformTook(mode, response.platformMs + Math.max(0, takenWallMs - response.sentWallMs));
      const hasData = response.code === OK;
      if (!isLate && !wasBreached && (hasData || errorsCountAsWithin)) {
        counts.within[series]++;
        if (!hasData) counts.withinWithoutData[series]++;
      } else if (!isLate && !wasBreached) counts.missedWithoutData[series]++;
    }
    if (index < 0) {
      // What the platform answers itself was never open here; what overtook its request is late all the same.
      if (response.source === RESPONSE_SOURCE.anomaly && isCounted) counts.received[series]++;
      if (isLate && isNew) this.#publishLate(series, trtSeconds, buffer);
      return;
    }
    if (isLate && !wasBreached) {
      this.#wheel.remove(index);
      // Where the answer was counted before the restart, the breach was published then.
      if (isNew) this.#breach(index, true);
    } else if (this.#open.isBreached[index] === 0) this.#wheel.remove(index);
    this.#settle(index, lane);
  }

  #settle(index: number, lane: Lane): void {
    const open = this.#open;
    if (this.#isOfCountedDay(open.receivedMs[index])) {
      this.#options.counts.open[open.series[index]]--;
      this.openCounted--;
    }
    lane.done.add(open.ownOffset[index]);
    open.remove(index);
  }

  #breach(index: number, answered: boolean): void {
    const open = this.#open;
    open.isBreached[index] = 1;
    if (this.#isOfCountedDay(open.receivedMs[index])) this.#options.counts.breaches[open.series[index]]++;
    this.#options.onBreach({
      mode: open.mode[index],
      requestOffset: open.requestOffset[index],
      mpan: open.mpan[index],
      originator: Buffer.from(open.originator.subarray(8 * index, 8 * index + 8)),
      device: Buffer.from(open.device.subarray(8 * index, 8 * index + 8)),
      counter: open.counter[index],
      counterTop: open.counterTop[index],
      srv: open.srv[index],
      service: open.service[index],
      generation: open.generation[index],
      receivedMs: open.receivedMs[index],
      quarantinedMs: open.quarantinedMs[index],
      trtSeconds: open.trtSeconds[index],
      deadlineMs: open.deadlineMs[index],
      answered,
    });
  }

  #publishLate(series: number, trtSeconds: number, buffer: Buffer): void {
    const { originatorAt, deviceAt, ...response } = this.#response;
    if (this.#isOfCountedDay(response.receivedMs)) this.#options.counts.breaches[series]++;
    this.#options.onBreach({
      ...response,
      originator: Buffer.from(buffer.subarray(originatorAt, originatorAt + 8)),
      device: Buffer.from(buffer.subarray(deviceAt, deviceAt + 8)),
      trtSeconds,
      deadlineMs: deadlineMs(response.receivedMs, trtSeconds, response.quarantinedMs),
      answered: true,
    });
  }
}

function newLane(mode: number, { partitions, startMs }: MonitorOptions, start: LaneStart): Lane {
  const markers = mode === SCHEDULED ? [SOURCE.scheduler, SOURCE.users].length : partitions;
  const state = start.state ?? {
    seen: Array<number>(partitions).fill(-1),
    untilMs: Array<number>(markers).fill(startMs),
    requestOffset: 0,
  };
  return {
    seen: Float64Array.from(state.seen),
    untilMs: Float64Array.from(state.untilMs),
    done: new OffsetSet(start.offset),
    answered: new OffsetSet(state.requestOffset),
    checkpoints: new Checkpoints({ offset: start.offset, untilMs: Math.min(...state.untilMs), known: state }),
    next: start.offset,
    countFrom: start.next,
    requestOffset: state.requestOffset,
    requestOffsets: new Checkpoints({ offset: start.offset, untilMs: startMs, known: state.requestOffset }),
  };
}

function stateOf(mode: number, lane: Lane): LaneState {
  const { seen, untilMs, requestOffset, requestOffsets } = lane;
  const settled = mode === SCHEDULED ? requestOffset : requestOffsets.before(least(untilMs) - HELD_MS_MAX).known;
  return { seen: Array.from(seen), untilMs: Array.from(untilMs), requestOffset: settled };
}

function least(values: Float64Array): number {
  let found = values[0];
  for (let k = 1; k < values.length; k++) if (values[k] < found) found = values[k];
  return found;
}
