import type { Fact } from '#core/access-control.ts';
import { DATA_KINDS } from '#core/matrix.ts';
import { COUNTERS, type RequestFacts, unpackInto } from '#core/request-counter.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { ON_DEMAND, rowOf, SCHEDULED } from '#core/trt-row.ts';
import { cellOfMeter, networkOfCell, networkOfMeter } from '#fleet-sim/fleet.ts';
import { bucketMsOf, Occupancy } from '#fleet-sim/occupancy.ts';
import { CellCounts, UNCOUNTED } from '#load-tests/plan/cell-counts.ts';
import { DAY } from '#load-tests/plan/counters.ts';
import type { Model } from '#load-tests/plan/model.ts';
import { recordLength, writeRecord } from '#load-tests/plan/records.ts';
import { bucketsOf, createTally, type Tally } from '#load-tests/plan/tally.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import {
  newServiceRequest,
  REQUEST_KIND,
  readServiceRequest,
  type ServiceRequestFields,
} from '#schemas/service-request.ts';
import {
  codeOf,
  newServiceResponse,
  RESPONSE_KIND,
  RESPONSE_SOURCE,
  readResponseHead,
} from '#schemas/service-response.ts';
import type { TopicName } from '#schemas/topics.ts';
import { euiBytes, WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import type { Kafka } from '#services/platform/kafka/client.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { OffsetSet } from '#services/platform/offset-set.ts';
import type { OccupancyStatus } from './run.ts';

/** The platform's own time by mode: a histogram in tenths of a millisecond up to 10 s, then the last bucket. */
export type PlatformLatency = { counts: Float64Array; count: number; sumMs: number; maxMs: number };
export type LoadTally = {
  tally: Tally;
  /** One record a cell, as a plan has them. */
  records: Float64Array;
  platform: readonly [PlatformLatency, PlatformLatency];
  all: AllRequests;
};
/** Requests of all the topics, warm-up and what came after the counted days included, as the audit has them. */
export type AllRequests = { received: number; answeredOrRefused: number };

export const PLATFORM_BUCKETS = 100_000;
export const PLATFORM_BUCKET_MS = 0.1;

const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
const FLEET_FIELD: Readonly<Record<string, number>> = {
  I0: DAY.data,
  E20: DAY.cannotCommunicate,
  E21: DAY.noResponse,
};

/**
 * Counts a run from its topics, as a plan counts its requests: each one where it was received, then what became of it.
 * Read off the topics and not asked of the services, so that a report rests on what was delivered. `presentMs`: how far
 * a run came that was ended early, Infinity for a whole one; what is open then and still in time is judged by nothing.
 */
export async function tallyTopics(
  kafka: Kafka,
  prefix: string,
  partitions: number,
  model: Model,
  occupancy: readonly OccupancyStatus[],
  presentMs: number,
): Promise<LoadTally> {
  const counting = new Counting(model, presentMs);
  for (let partition = 0; partition < partitions; partition++) await counting.countPartition(kafka, prefix, partition);
  return { ...counting.finish(occupancy), platform: counting.platform, all: counting.all };
}

class Counting {
  readonly platform: readonly [PlatformLatency, PlatformLatency] = [newLatency(), newLatency()];
  readonly all: AllRequests = { received: 0, answeredOrRefused: 0 };
  readonly #model: Model;
  readonly #tally: Tally;
  /** By cell. */
  readonly #counts: CellCounts[];
  readonly #users: Map<string, number>;
  readonly #originMs: number;
  readonly #presentMs: number;
  readonly #matrixSrv: Int32Array;
  readonly #reader = new AvroReader();
  readonly #facts: RequestFacts = { day: 0, row: 0, ordinal: 0, dataDay: 0, flags: 0, serial: 0 };

  constructor(model: Model, presentMs: number) {
    this.#model = model;
    this.#presentMs = presentMs;
    this.#tally = createTally(model);
    this.#counts = Array.from({ length: model.fleet.cells }, (_, cell) => {
      const network = networkOfCell(model.fleet, cell);
      const counts = new CellCounts(model);
      counts.start(network, this.#tally.networks[network]);
      return counts;
    });
    this.#users = new Map(model.userTable.users.map(({ eui }, user) => [euiBytes(eui).toString('latin1'), user]));
    this.#originMs = model.originDay * DAY_MS;
    this.#matrixSrv = Int32Array.from({ length: 12 }, (_, symbol) => model.matrix.srv.indexOf(symbol));
  }

  async countPartition(kafka: Kafka, prefix: string, partition: number): Promise<void> {
    const held = await this.#readHeld(kafka, prefix, partition);
    const answered = await this.#countAnswers(kafka, prefix, partition, held);
    await this.#countRequests(kafka, prefix, partition, SCHEDULED, answered, held);
    await this.#countRequests(kafka, prefix, partition, ON_DEMAND, answered, held);
  }

  finish(occupancy: readonly OccupancyStatus[]): { tally: Tally; records: Float64Array } {
    const model = this.#model;
    const { fleet } = model;
    const length = recordLength(model);
    const records = new Float64Array(fleet.cells * length);
    const nothing = this.#occupancy([], []);
    this.#counts.forEach((counts, cell) => {
      const network = networkOfCell(fleet, cell);
      // The fleet knows exchanges and queues by network: they are put down to its first cell.
      const isFirst = cell === fleet.networks[network].firstCell;
      const { busyEdges, busySteps, queueEdges, queueSteps } = occupancy[network];
      const busy = isFirst ? this.#occupancy(busyEdges, busySteps) : nothing;
      const queues = [0, 1].map((lane) => (isFirst ? this.#occupancy(queueEdges[lane], queueSteps[lane]) : nothing));
      counts.finish(0, 0, busy, [queues[0], queues[1]]);
      writeRecord(model, cell, network, counts.counted, records, cell * length);
    });
    return { tally: this.#tally, records };
  }

  #occupancy(edges: readonly number[], steps: readonly number[]): Occupancy {
    const { scenario, countedStartMs } = this.#model;
    const one = new Occupancy(bucketMsOf(scenario.days), bucketsOf(this.#model), countedStartMs);
    one.edges.set(edges.slice(0, one.edges.length));
    one.steps.set(steps.slice(0, one.steps.length));
    return one;
  }

  /** Requests that were held as anomalies, by offset: true where they were let go. */
  async #readHeld(kafka: Kafka, prefix: string, partition: number): Promise<Map<number, boolean>> {
    const held = new Map<number, boolean>();
    const fields = newDeviceRequest();
    const reader = this.#reader;
    await this.#walk(kafka, prefix, 'quarantine', partition, () => {
      const isRelease = reader.int() === 1;
      reader.long();
      readDeviceRequest(reader, fields);
      held.set(fields.requestOffset, isRelease);
    });
    return held;
  }

  async #countAnswers(
    kafka: Kafka,
    prefix: string,
    partition: number,
    held: ReadonlyMap<number, boolean>,
  ): Promise<readonly [OffsetSet, OffsetSet]> {
    const answered = [new OffsetSet(), new OffsetSet()] as const;
    const response = newServiceResponse();
    const { reader, model } = { reader: this.#reader, model: this.#model };
    await this.#walk(kafka, prefix, 'service-responses', partition, (buffer) => {
      readResponseHead(reader, response);
      if (response.kind === RESPONSE_KIND.marker || !answered[response.mode].add(response.requestOffset)) return;
      this.all.answeredOrRefused++;
      const counts = this.#countsOf(buffer, response.deviceAt);
      const user = this.#users.get(buffer.toString('latin1', response.originatorAt, response.originatorAt + 8));
      if (counts === undefined || user === undefined) return;
      const { mode, receivedMs, quarantinedMs, answeredMs, platformMs } = response;
      const atMs = receivedMs - this.#originMs;
      const day = counts.dayOf(atMs);
      if (day === UNCOUNTED) return;
      const row = rowOf(this.#matrixSrv[response.srv], mode, response.service);
      if (response.source === RESPONSE_SOURCE.accessControl) {
        counts.refused(day, user, row, response.fact as Fact, atMs);
        return;
      }
      addLatency(this.platform[mode], platformMs);
      if (mode === ON_DEMAND && held.has(response.requestOffset)) {
        counts.quarantined(day, user);
        counts.released(day);
      }
      const code = codeOf(response.code) as string;
      const field = response.source === RESPONSE_SOURCE.anomaly ? DAY.dccOnly : FLEET_FIELD[code];
      const hasData = code === 'I0';
      const latencyMs = answeredMs - receivedMs - quarantinedMs + platformMs;
      counts.accepted(day, row);
      counts.answered(day, row, user, field, atMs + quarantinedMs, latencyMs, hasData);
      if (hasData && model.matrix.data[this.#matrixSrv[response.srv]] === HALF_HOURS)
        counts.halfHours(day, Math.abs(reader.long()));
    });
    return answered;
  }

  async #countRequests(
    kafka: Kafka,
    prefix: string,
    partition: number,
    mode: number,
    answered: readonly [OffsetSet, OffsetSet],
    held: ReadonlyMap<number, boolean>,
  ): Promise<void> {
    const topic = mode === SCHEDULED ? 'service-requests.scheduled' : 'service-requests.on-demand';
    const request = newServiceRequest();
    const seen: number[] = [];
    await this.#walk(kafka, prefix, topic, partition, (buffer, offset) => {
      readServiceRequest(this.#reader, request);
      const { kind, source, position, receivedMs } = request;
      // A marker that begins a new tenure of its source stands above what came before.
      const isReplay = position <= (seen[source] ?? 0);
      if (!isReplay) seen[source] = position;
      if (kind !== REQUEST_KIND.request || isReplay) return;
      this.all.received++;
      const counts = this.#countsOf(buffer, request.deviceAt);
      const user = this.#users.get(buffer.toString('latin1', request.originatorAt, request.originatorAt + 8));
      if (counts === undefined || user === undefined) return;
      const atMs = receivedMs - this.#originMs;
      const day = counts.dayOf(atMs);
      if (day === UNCOUNTED) return;
      this.#received(counts, day, user, request, atMs);
      if (answered[mode].has(offset)) return;
      if (mode === ON_DEMAND && held.get(offset) === false) counts.quarantined(day, user);
      else {
        const row = rowOf(this.#matrixSrv[request.srv], mode, request.service);
        if (receivedMs + this.#trtMs(buffer, request.deviceAt, row) >= this.#presentMs) {
          counts.undecided(day);
          return;
        }
        counts.accepted(day, row);
        counts.leftOpen(day, row, user, atMs);
      }
    });
  }

  #trtMs(buffer: Buffer, deviceAt: number, row: number): number {
    const { fleet, trtMs } = this.#model;
    return trtMs[networkOfMeter(fleet, buffer.readUInt32BE(deviceAt + 4))][row];
  }

  #received(counts: CellCounts, day: number, user: number, request: ServiceRequestFields, atMs: number): void {
    const facts = this.#facts;
    if (request.counter < COUNTERS) unpackInto(request.counter, facts);
    counts.received(day, user, facts.flags, request.mode, facts.ordinal, atMs);
  }

  /** The counters of the cell that a device lies in; undefined where it is none of the fleet's. */
  #countsOf(buffer: Buffer, deviceAt: number): CellCounts | undefined {
    const meter = buffer.readUInt32BE(deviceAt + 4);
    return meter < this.#model.fleet.meters ? this.#counts[cellOfMeter(this.#model.fleet, meter)] : undefined;
  }

  /** Every value of a partition of a topic, the reader on its first field. */
  async #walk(
    kafka: Kafka,
    prefix: string,
    topic: TopicName,
    partition: number,
    visit: (buffer: Buffer, offset: number) => void,
  ): Promise<void> {
    const untilOffset = (await endOffsets(kafka, prefix + topic))[partition];
    const cursor = new BatchCursor();
    const reader = this.#reader;
    if (untilOffset === 0) return;
    await readPartitions(kafka, {
      partitions: [{ topic: prefix + topic, partition, fromOffset: 0, untilOffset }],
      onBatch(batch) {
        cursor.open(batch, 0, untilOffset);
        while (cursor.next()) {
          if (cursor.valueLength < WIRE_HEADER_BYTES) continue;
          reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
          visit(cursor.buffer, cursor.offset);
        }
      },
    }).done;
  }
}

/** The latency below which a share of the requests stayed, ms. */
export function platformPercentileMs({ counts, count }: PlatformLatency, share: number): number {
  let seen = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    seen += counts[bucket];
    if (seen > 0 && seen >= share * count) return (bucket + 1) * PLATFORM_BUCKET_MS;
  }
  return 0;
}

function newLatency(): PlatformLatency {
  return { counts: new Float64Array(PLATFORM_BUCKETS), count: 0, sumMs: 0, maxMs: 0 };
}

function addLatency(into: PlatformLatency, ms: number): void {
  into.counts[Math.min(PLATFORM_BUCKETS - 1, Math.floor(ms / PLATFORM_BUCKET_MS))]++;
  into.count++;
  into.sumMs += ms;
  if (ms > into.maxMs) into.maxMs = ms;
}
