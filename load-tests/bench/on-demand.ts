import { ROLES, SRVS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { requestCounter } from '#core/request-counter.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { EXISTING, ON_DEMAND, rowOf, SCHEDULED } from '#core/trt-row.ts';
import { deviceIdOf, importMpanOf } from '#fleet-sim/meter.ts';
import { supplierOf } from '#fleet-sim/portfolio.ts';
import type { World } from '#fleet-sim/world.ts';
import { endService, type ServiceProcess, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newServiceRequest, REQUEST_KIND, SOURCE, UNKNOWN_SRV, writeServiceRequest } from '#schemas/service-request.ts';
import { newServiceResponse, RESPONSE_KIND, readResponseHead } from '#schemas/service-response.ts';
import { euiBytes, MPAN_KEY_BYTES, WIRE_HEADER_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { createRawProducer, type RawProducer } from '#services/platform/kafka/raw-producer.ts';
import { BatchBuilder, BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { type Measurement, measured, progress } from './measure.ts';
import { onDemandStages } from './on-demand-stages.ts';
import { benchRun, benchService, publishRun } from './service-run.ts';

const METERS = 100_000;
const PARTITIONS = 4;
/** Scheduled requests in the lane before the services start: they have work for the whole measurement. */
const SCHEDULED_REQUESTS = Number(process.env.MDR_BENCH_SCHEDULED ?? 6_000_000);
const ON_DEMAND_PER_SECOND = 100;
const SECONDS_MAX = 60;
const SAMPLES_MIN = 300;
/** Services that have just begun compile what they run, with a backlog of millions before them: shown apart. */
const START_MS = 10_000;
/** Exchanges are short and the network is wide: what is measured is the platform. */
const SETTINGS = [
  `fleet.meters=${METERS}`,
  'fleet.notCommunicatingShare=0',
  'fleet.intermittentShare=0',
  'fleet.suspendedShare=0',
  'existing.other=[]',
  ...['CSP North', 'CSP Central', 'CSP South', 'S1SP'].flatMap((network) => [
    `networks[${network}].serviceTime={distribution: constant, seconds: 0.01}`,
    `networks[${network}].exchangesPerCell=2000`,
    `networks[${network}].attemptFailureShare=0`,
  ]),
];
const IS = ROLES.indexOf('IS');
const SRV_4_1_1 = SRVS.indexOf('4.1.1');
const SRV_4_6_1 = SRVS.indexOf('4.6.1');

/**
 * What the platform adds to an on-demand request while the scheduled lane is saturated: from its entry into
 * service-requests until its answer has been read off service-responses, less the time in the simulated network. In
 * real time.
 */
export async function onDemandLatency(): Promise<Measurement[]> {
  const kafka = await provideKafka({ onProgress: progress, isOwn: true });
  const prefix = 'on-demand.';
  const client = createKafka(kafka.brokers, 'mdr-bench', createLog('bench', 'silent'));
  const admin = client.admin();
  await admin.connect();
  const services: ServiceProcess[] = [];
  try {
    await ensureTopics(admin, prefix, PARTITIONS, { create: true });
    const schemaIds = await registerSchemas(kafka.registryUrl);
    const producer = await createRawProducer(client);
    const { record, model } = benchRun('settlement-day', SETTINGS, 1);
    await publishRun(producer, prefix, record, schemaIds);
    const registration = await benchService('registration', kafka, prefix, PARTITIONS, {}, 2);
    await untilReady(registration, 600_000);
    await endService(registration);
    await saturate(producer, prefix, model, schemaIds['service-requests.scheduled'], record.startMs);
    progress(`  ${SCHEDULED_REQUESTS} scheduled requests wait`);
    for (const name of ['fleet-sim', 'anomaly', 'access-control'])
      services.push(await benchService(name, kafka, prefix, PARTITIONS));
    const latencies = collect(client, prefix);
    await Promise.all(services.map((service) => untilReady(service, 600_000)));
    await publishRun(producer, prefix, { ...record, state: 'RUNNING', wallEpochMs: nowMs() }, schemaIds);
    const sent = await ask(producer, prefix, model, schemaIds['service-requests.on-demand'], record, services);
    await sleep(1000);
    await latencies.stop();
    for (const { stage, p50Ms, p99Ms, msMax } of await onDemandStages(client, prefix))
      progress(`  ${stage}: p50 ${p50Ms} ms, p99 ${p99Ms} ms, at most ${msMax} ms`);
    const { samples } = latencies;
    progress(`  ${samples.length} of ${sent} answered while scheduled requests waited`);
    const fromMs = samples[0].askedMs + START_MS;
    const [start, later] = [
      samples.filter(({ askedMs }) => askedMs < fromMs),
      samples.filter(({ askedMs }) => askedMs >= fromMs),
    ];
    if (later.length < SAMPLES_MIN) throw new Error(`only ${later.length} on-demand requests were measured`);
    return [
      ...rowsOf('on-demand-platform', later, 'p99 below 50 ms with the scheduled lane saturated'),
      ...rowsOf('on-demand-platform-at-start', start),
    ];
  } finally {
    for (const service of services) await endService(service);
    await admin.disconnect();
    await kafka.stop();
  }
}

function rowsOf(name: string, samples: readonly Sample[], target?: string): Measurement[] {
  const sorted = samples.map(({ platformMs }) => platformMs).sort((a, b) => a - b);
  const at = (share: number) =>
    Number(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(2));
  return [
    measured(`${name}-p50`, 'ms', [at(0.5)]),
    measured(`${name}-p99`, 'ms', [at(0.99)], target === undefined ? {} : { target }),
    measured(`${name}-max`, 'ms', [at(1)]),
  ];
}

async function saturate(
  producer: RawProducer,
  prefix: string,
  world: World,
  schemaId: number,
  startMs: number,
): Promise<void> {
  const writers = Array.from({ length: PARTITIONS }, () => new RequestWriter(world, schemaId, SCHEDULED));
  const batches: { partition: number; batch: Uint8Array; records: number }[] = [];
  // A request takes one batch of each partition.
  const flush = async () => {
    while (batches.length > 0) {
      const send = new Map(
        batches.map((entry) => [entry.partition, entry]).toReversed() as [number, (typeof batches)[number]][],
      );
      for (const entry of send.values()) batches.splice(batches.indexOf(entry), 1);
      await producer.send(
        [...send.values()].map((entry) => ({ topic: `${prefix}service-requests.scheduled`, ...entry })),
      );
    }
  };
  for (let k = 0; k < SCHEDULED_REQUESTS; k++) {
    const meter = k % METERS;
    const partition = partitionOfMpan(importMpanOf(world.fleet, meter), PARTITIONS);
    const writer = writers[partition];
    writer.write(meter, Math.floor(k / METERS), startMs, nowMs());
    if (writer.count === RECORDS_A_BATCH) {
      batches.push({ partition, ...writer.take() });
      if (batches.length >= 2 * PARTITIONS) await flush();
    }
  }
  writers.forEach((writer, partition) => {
    if (writer.count > 0) batches.push({ partition, ...writer.take() });
  });
  await flush();
}

const RECORDS_A_BATCH = 4000;

/** Sends on-demand requests at their rate for as long as scheduled ones wait; returns how many. */
async function ask(
  producer: RawProducer,
  prefix: string,
  world: World,
  schemaId: number,
  { startMs }: { startMs: number },
  services: readonly ServiceProcess[],
): Promise<number> {
  const writers = Array.from({ length: PARTITIONS }, () => new RequestWriter(world, schemaId, ON_DEMAND));
  const beganMs = nowMs();
  let sent = 0;
  let isSaturated = true;
  const watch = async () => {
    while (isSaturated && nowMs() - beganMs < SECONDS_MAX * 1000) {
      const access = (await statusOf(services[2])) as { lag: { topic: string; records: number }[] } | undefined;
      const lag = access?.lag.filter(({ topic }) => topic.endsWith('.scheduled')) ?? [];
      if (lag.length > 0 && lag.reduce((sum, { records }) => sum + records, 0) === 0) isSaturated = false;
      await sleep(100);
    }
    isSaturated = false;
  };
  const watching = watch();
  while (isSaturated) {
    const meter = (sent * 7919) % METERS;
    const partition = partitionOfMpan(importMpanOf(world.fleet, meter), PARTITIONS);
    const writer = writers[partition];
    writer.write(meter, Math.floor(sent / METERS), Math.floor(startMs + nowMs() - beganMs), nowMs());
    const { batch, records } = writer.take();
    void producer.send([{ topic: `${prefix}service-requests.on-demand`, partition, batch, records }]);
    sent++;
    const dueMs = beganMs + (sent * 1000) / ON_DEMAND_PER_SECOND;
    if (dueMs > nowMs()) await sleep(dueMs - nowMs());
  }
  await watching;
  return sent;
}

/** One answer: when its request was asked for, and what the platform took of the time since, wall ms. */
type Sample = { askedMs: number; platformMs: number };

function collect(client: ReturnType<typeof createKafka>, prefix: string): { samples: Sample[]; stop(): Promise<void> } {
  const samples: Sample[] = [];
  const cursor = new BatchCursor();
  const reader = new AvroReader();
  const response = newServiceResponse();
  const reading = readPartitions(client, {
    partitions: Array.from({ length: PARTITIONS }, (_, partition) => ({
      topic: `${prefix}service-responses`,
      partition,
      fromOffset: 0,
    })),
    maxWaitMs: 5,
    onBatch(batch) {
      cursor.open(batch);
      const readMs = nowMs();
      while (cursor.next()) {
        reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
        readResponseHead(reader, response);
        if (response.kind === RESPONSE_KIND.marker || response.mode !== ON_DEMAND) continue;
        const platformMs = response.platformMs + (readMs - response.sentWallMs);
        samples.push({ askedMs: response.receivedMs, platformMs });
      }
    },
  });
  return { samples, stop: reading.stop };
}

/** Requests of Suppliers for existing services, into batches of one partition. */
class RequestWriter {
  readonly #world: World;
  readonly #schemaId: number;
  readonly #mode: number;
  readonly #builder = new BatchBuilder(1_000_000);
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  readonly #request = {
    ...newServiceRequest(),
    kind: REQUEST_KIND.request,
    source: SOURCE.gateway,
    role: IS,
    scheduledSrv: UNKNOWN_SRV,
    service: EXISTING,
  };

  constructor(world: World, schemaId: number, mode: number) {
    this.#world = world;
    this.#schemaId = schemaId;
    this.#mode = mode;
  }

  get count(): number {
    return this.#builder.count;
  }

  write(meter: number, round: number, receivedMs: number, dueWallMs: number): void {
    const { fleet, originDay, userTable, matrix } = this.#world;
    const request = this.#request;
    const srv = this.#mode === SCHEDULED ? SRV_4_6_1 : SRV_4_1_1;
    request.position++;
    request.mpan = importMpanOf(fleet, meter);
    request.counter = requestCounter(1, rowOf(matrix.srv.indexOf(srv), this.#mode, EXISTING), round, 0, 0, 0);
    request.srv = srv;
    request.mode = this.#mode;
    request.receivedMs = receivedMs;
    request.windowStartMs = this.#mode === SCHEDULED ? originDay * DAY_MS : receivedMs;
    request.windowEndMs = this.#mode === SCHEDULED ? originDay * DAY_MS : receivedMs;
    request.dueWallMs = dueWallMs;
    writeMpanKey(this.#key, 0, request.mpan);
    const builder = this.#builder;
    const at = builder.begin(Math.floor(dueWallMs), this.#key, 0, MPAN_KEY_BYTES);
    const value = writeWireHeader(builder.buffer, at, this.#schemaId);
    const originator = euiBytes(userTable.users[supplierOf(this.#world, meter)].eui);
    builder.end(writeServiceRequest(builder.buffer, value, request, originator, euiBytes(deviceIdOf(meter))));
  }

  take(): { batch: Uint8Array; records: number } {
    const { count } = this.#builder;
    const batch = new Uint8Array(this.#builder.take());
    this.#builder.reset();
    return { batch, records: count };
  }
}
