import { FACT } from '#core/access-control.ts';
import { type Matrix, MODES, SRVS } from '#core/matrix.ts';
import { partitionOfKey, partitionOfMpan } from '#core/partition.ts';
import { ANSWER_BYTES_MAX, type Answer, writeAnswer } from '#schemas/answer-writer.ts';
import { LONG_BYTES_MAX, MalformedBinary, writeLong } from '#schemas/avro-binary.ts';
import { writeDeviceRequest } from '#schemas/device-request.ts';
import { DEVICE_REQUEST_BYTES_MAX, RequestReader } from '#schemas/request-reader.ts';
import { QUARANTINE_KIND, REQUEST_KIND, UNKNOWN_GENERATION } from '#schemas/service-request.ts';
import { codeIndex, RESPONSE_SOURCE } from '#schemas/service-response.ts';
import { MPAN_KEY_BYTES, WIRE_HEADER_BYTES, writeMpanKey } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { type FinishedBatch, StepOutput } from '#services/platform/step-output.ts';
import type { AnomalyPartition, HeldRequest } from './partition-state.ts';

export type AnomalyStepSettings = {
  matrix: Matrix;
  partitions: number;
  /** As the registry gave them. */
  schemaIds: { deviceRequest: number; serviceResponse: number; quarantineEvent: number };
};

/** Records of one partition of `anomaly-checks`, in order of their offsets from one task to the next. */
export type AnomalyTask = {
  /** Whole record batches, one or more in each. */
  batches: readonly Uint8Array[];
  nowWallMs: number;
};

export type AnomalyResult = {
  outputs: FinishedBatch[];
  /** For the dead-letters topic; sent with the outputs. */
  deadLetters: DeadLetter[];
  counts: AnomalyCounts;
};

export type AnomalyCounts = {
  forwarded: number;
  /** By the DCC itself, without a network. */
  answered: number;
  held: number;
  released: number;
  deleted: number;
  duplicates: number;
  markers: number;
};

/**
 * The anomaly check on raw record batches: counts by User, holds what exceeds, sends on the rest. It changes the
 * partition's state, and runs where that is kept. One object serves all partitions of a process.
 */
export class AnomalyStep {
  readonly #settings: AnomalyStepSettings;
  readonly #output = new StepOutput();
  readonly #walk = new BatchWalk('anomaly');
  readonly #reader = new RequestReader();
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  /** By SRV symbol: position in the matrix, -1 where it has none; and 1 where the DCC itself answers. */
  readonly #srvOfSymbol = new Int8Array(SRVS.length + 1).fill(-1);
  readonly #isForDcc = new Uint8Array(SRVS.length + 1);
  #nowWallMs = 0.5;
  #timestampMs = 0;
  #isSending = true;
  #counts = newCounts();
  /** What is read again is not counted again. */
  readonly #uncounted = newCounts();

  constructor(settings: AnomalyStepSettings) {
    this.#settings = settings;
    settings.matrix.services.forEach(({ target }, srv) => {
      const symbol = settings.matrix.srv[srv];
      this.#srvOfSymbol[symbol] = srv;
      this.#isForDcc[symbol] = target === 'dcc' ? 1 : 0;
    });
  }

  run(state: AnomalyPartition, { batches, nowWallMs }: AnomalyTask): AnomalyResult {
    const walk = this.#walk;
    const { partition, sendFrom } = state;
    this.#nowWallMs = nowWallMs;
    this.#timestampMs = Math.floor(nowWallMs);
    const counts = newCounts();
    walk.begin({ topic: 'anomaly-checks', partition, batches, fromOffset: state.nextOffset });
    while (walk.next()) {
      this.#isSending = walk.cursor.offset >= sendFrom;
      this.#counts = this.#isSending ? counts : this.#uncounted;
      if (walk.hasValue(this.#settings.schemaIds.deviceRequest, DEVICE_REQUEST_BYTES_MAX)) this.#take(state);
    }
    state.moveOn(walk.nextOffset);
    const deadLetters = walk.deadLetters.filter(({ offset }) => offset >= sendFrom);
    return { outputs: this.#output.take(), deadLetters, counts };
  }

  #take(state: AnomalyPartition): void {
    const walk = this.#walk;
    const reader = this.#reader;
    const { buffer, valueAt, valueLength } = walk.cursor;
    try {
      reader.readDeviceRequest(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      walk.setAside('UNDECODABLE', error.message);
      return;
    }
    const impossibility = reader.impossibility() ?? this.#impossibility();
    if (impossibility !== undefined) {
      walk.setAside('IMPOSSIBLE_VALUE', impossibility);
      return;
    }
    if (!this.#belongsHere(state.partition)) return;
    const { sourcePartition, sourceOffset, kind } = reader;
    if (sourceOffset <= state.seen[sourcePartition]) {
      this.#counts.duplicates++;
      return;
    }
    state.seen[sourcePartition] = sourceOffset;
    if (kind === REQUEST_KIND.marker) this.#mark(state);
    else if (kind !== REQUEST_KIND.request) this.#settle(state);
    else this.#check(state);
  }

  #impossibility(): string | undefined {
    const { kind, mode, sourcePartition, sourceOffset, requestOffset, buffer, originatorAt } = this.#reader;
    const { partitions } = this.#settings;
    if (sourcePartition < 0 || sourcePartition >= partitions)
      return `sourcePartition is ${sourcePartition}, expected 0 to ${partitions - 1}`;
    if (sourceOffset < 0 || requestOffset < 0)
      return `sourceOffset is ${sourceOffset} and requestOffset ${requestOffset}, expected both from 0`;
    if (kind === REQUEST_KIND.marker) return undefined;
    if (mode !== ON_DEMAND) return `mode is ${MODES[mode]}, expected on-demand`;
    const { buffer: batch, keyAt, keyLength } = this.#walk.cursor;
    const expected = buffer.toString('hex', originatorAt, originatorAt + 8).toUpperCase();
    const key = keyLength < 0 ? '' : batch.toString('latin1', keyAt, keyAt + Math.min(keyLength, 32));
    return key === expected ? undefined : `the key is ${JSON.stringify(key)}, expected ${expected}, the originator`;
  }

  #belongsHere(partition: number): boolean {
    if (this.#reader.kind === REQUEST_KIND.marker) return true;
    const { partitions } = this.#settings;
    const { buffer, keyAt, keyLength } = this.#walk.cursor;
    const owner = partitionOfKey(buffer.subarray(keyAt, keyAt + keyLength), partitions);
    if (owner === partition) return true;
    return this.#walk.setAside('WRONG_PARTITION', `the originator belongs to partition ${owner} of ${partitions}`);
  }

  #mark(state: AnomalyPartition): void {
    const { sourcePartition, receivedMs } = this.#reader;
    const before = state.watermarkMs;
    state.markedMs[sourcePartition] = Math.max(state.markedMs[sourcePartition], receivedMs);
    const watermarkMs = state.watermarkMs;
    this.#counts.markers++;
    if (watermarkMs <= before || !this.#isSending) return;
    for (let partition = 0; partition < this.#settings.partitions; partition++)
      this.#sendMarker(state, partition, watermarkMs);
  }

  #check(state: AnomalyPartition): void {
    const reader = this.#reader;
    const { offset } = this.#walk.cursor;
    const { buffer, originatorAt, requestIdEnd, requestAt, requestEnd, srv, receivedMs } = reader;
    const { mpan, generation, requestOffset } = reader;
    const eui = buffer.toString('latin1', originatorAt, originatorAt + 8);
    if (state.counts.isExcess(eui, this.#srvOfSymbol[srv], receivedMs, offset)) {
      const request = Buffer.from(buffer.subarray(requestAt, requestEnd));
      const held: HeldRequest = { request, mpan, generation, requestOffset, receivedMs };
      state.hold(buffer.toString('latin1', originatorAt, requestIdEnd), held);
      this.#counts.held++;
      this.#sendEvent(state, QUARANTINE_KIND.held, receivedMs, request, 0, request.length, held, 0);
      return;
    }
    if (this.#isForDcc[srv] === 1) {
      this.#answer(reader, mpan, generation, requestOffset, 0, reader.dueWallMs);
      return;
    }
    this.#counts.forwarded++;
    this.#sendRequest(state, mpan, buffer, requestAt, requestEnd, generation, requestOffset, 0);
  }

  // What was held goes on or is dropped: nothing of it is kept here, so neither can come a second time.
  #settle(state: AnomalyPartition): void {
    const { buffer, originatorAt, requestIdEnd, receivedMs, kind } = this.#reader;
    const isRelease = kind === REQUEST_KIND.release;
    const held = state.settle(buffer.toString('latin1', originatorAt, requestIdEnd));
    if (held === undefined) {
      const id = buffer.toString('hex', originatorAt, requestIdEnd);
      const said = isRelease ? 'RELEASE' : 'DELETE';
      this.#walk.setAside('IMPOSSIBLE_VALUE', `kind is ${said}, and no request of RequestID ${id} is held`);
      return;
    }
    const { request } = held;
    const quarantinedMs = Math.max(0, receivedMs - held.receivedMs);
    const event = isRelease ? QUARANTINE_KIND.released : QUARANTINE_KIND.deleted;
    this.#sendEvent(state, event, receivedMs, request, 0, request.length, held, quarantinedMs);
    if (isRelease) this.#release(state, held, quarantinedMs);
    else this.#counts.deleted++;
  }

  #release(state: AnomalyPartition, held: HeldRequest, quarantinedMs: number): void {
    const reader = this.#reader;
    const { dueWallMs } = reader;
    const { request, mpan, generation, requestOffset } = held;
    this.#counts.released++;
    reader.readServiceRequest(request, 0, request.length);
    if (this.#isForDcc[reader.srv] === 1) {
      this.#answer(reader, mpan, generation, requestOffset, quarantinedMs, dueWallMs);
      return;
    }
    this.#counts.forwarded++;
    this.#sendRequest(state, mpan, request, 0, request.length, generation, requestOffset, quarantinedMs);
  }

  #sendRequest(
    state: AnomalyPartition,
    mpan: number,
    request: Buffer,
    requestAt: number,
    requestEnd: number,
    generation: number,
    requestOffset: number,
    quarantinedMs: number,
  ): void {
    if (!this.#isSending) return;
    const { partitions, schemaIds } = this.#settings;
    const { offset } = this.#walk.cursor;
    const lane = this.#output.lane(
      'device-requests.on-demand',
      partitionOfMpan(mpan, partitions),
      schemaIds.deviceRequest,
    );
    writeMpanKey(this.#key, 0, mpan);
    const at = lane.begin(this.#timestampMs, this.#key, 0, MPAN_KEY_BYTES, REWRITTEN_BYTES_MAX);
    const end = writeDeviceRequest(
      lane.buffer,
      at,
      request,
      requestAt,
      requestEnd,
      generation,
      requestOffset,
      state.partition,
      offset,
      quarantinedMs,
    );
    lane.end(end);
  }

  // The marker that completed the minimum, with the minimum in place of its own instant.
  #sendMarker(state: AnomalyPartition, partition: number, watermarkMs: number): void {
    const { offset, buffer: batch, keyAt, keyLength } = this.#walk.cursor;
    const { buffer, requestAt, requestEnd, receivedAt, receivedEnd } = this.#reader;
    const lane = this.#output.lane('device-requests.on-demand', partition, this.#settings.schemaIds.deviceRequest);
    const scratch = this.#marker;
    let to = buffer.copy(scratch, 0, requestAt, receivedAt);
    to = writeLong(scratch, to, watermarkMs);
    to += buffer.copy(scratch, to, receivedEnd, requestEnd);
    const at = lane.begin(this.#timestampMs, batch, keyAt, keyLength, REWRITTEN_BYTES_MAX);
    lane.end(
      writeDeviceRequest(lane.buffer, at, scratch, 0, to, UNKNOWN_GENERATION, offset, state.partition, offset, 0),
    );
  }

  readonly #marker = Buffer.alloc(REWRITTEN_BYTES_MAX);

  // Of the DCC itself: at once, apart from the time in quarantine.
  #answer(
    request: RequestReader,
    mpan: number,
    generation: number,
    requestOffset: number,
    quarantinedMs: number,
    dueWallMs: number,
  ): void {
    this.#counts.answered++;
    if (!this.#isSending) return;
    const { partitions, schemaIds } = this.#settings;
    const answer: Answer = {
      source: RESPONSE_SOURCE.anomaly,
      mode: ON_DEMAND,
      requestOffset,
      generation,
      code: SUCCESS,
      fact: FACT.accepted,
      quarantinedMs,
      answeredMs: request.receivedMs + quarantinedMs,
      platformMs: Math.max(0, this.#nowWallMs - dueWallMs),
      sentWallMs: this.#nowWallMs,
    };
    const lane = this.#output.lane('service-responses', partitionOfMpan(mpan, partitions), schemaIds.serviceResponse);
    writeMpanKey(this.#key, 0, mpan);
    const at = lane.begin(this.#timestampMs, this.#key, 0, MPAN_KEY_BYTES, ANSWER_BYTES_MAX);
    lane.end(writeAnswer(lane.buffer, at, request, answer));
  }

  #sendEvent(
    state: AnomalyPartition,
    kind: number,
    atMs: number,
    request: Buffer,
    requestAt: number,
    requestEnd: number,
    { mpan, generation, requestOffset }: HeldRequest,
    quarantinedMs: number,
  ): void {
    if (!this.#isSending) return;
    const { partitions, schemaIds } = this.#settings;
    const { offset } = this.#walk.cursor;
    const lane = this.#output.lane('quarantine', partitionOfMpan(mpan, partitions), schemaIds.quarantineEvent);
    writeMpanKey(this.#key, 0, mpan);
    const at = lane.begin(this.#timestampMs, this.#key, 0, MPAN_KEY_BYTES, EVENT_BYTES_MAX);
    const { buffer } = lane;
    buffer[at] = kind << 1;
    const to = writeLong(buffer, at + 1, atMs);
    const end = writeDeviceRequest(
      buffer,
      to,
      request,
      requestAt,
      requestEnd,
      generation,
      requestOffset,
      state.partition,
      offset,
      quarantinedMs,
    );
    lane.end(end);
  }
}

const ON_DEMAND = MODES.indexOf('on-demand');
const SUCCESS = codeIndex('I0');
/** Of a device request that came as long as it may, with the numbers behind the request written anew. */
const REWRITTEN_BYTES_MAX = DEVICE_REQUEST_BYTES_MAX + 5 * LONG_BYTES_MAX;
const EVENT_BYTES_MAX = REWRITTEN_BYTES_MAX + LONG_BYTES_MAX + 1;

function newCounts(): AnomalyCounts {
  return { forwarded: 0, answered: 0, held: 0, released: 0, deleted: 0, duplicates: 0, markers: 0 };
}
