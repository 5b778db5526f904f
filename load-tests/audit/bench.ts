/**
 * Writes a run in which nothing is wrong to a broker and audits it: how fast, and in how much memory.
 *
 *   node load-tests/audit/bench.ts REQUESTS [PARTITIONS]     with KAFKA_BROKERS and SCHEMA_REGISTRY_URL
 */
import { mpanFrom } from '#core/identifiers.ts';
import { SRVS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { readWindow } from '#core/settlement-day.ts';
import { writeLong } from '#schemas/avro-binary.ts';
import { writeDeviceRequest } from '#schemas/device-request.ts';
import { newServiceRequest, writeServiceRequest } from '#schemas/service-request.ts';
import { newServiceResponse, RESPONSE_SOURCE, writeServiceResponse } from '#schemas/service-response.ts';
import type { TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { createRawProducer, type RawProducer } from '#services/platform/kafka/raw-producer.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import { registerSchemas, type SchemaIds } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { givenKafka } from '#services/platform/kafka-provider/given.ts';
import { createLog } from '#services/platform/log.ts';
import { runAudit } from './audit.ts';
import { renderAudit } from './summary.ts';
import { ALPHA, createWriter, DAY, deviceOf, RECEIVED_MS, WrittenRun } from './test/written-run.ts';

const [requests, partitions] = [Number(process.argv[2] ?? 300_000), Number(process.argv[3] ?? 4)];
const given = givenKafka({});
if (given === undefined) throw new Error('KAFKA_BROKERS and SCHEMA_REGISTRY_URL say where');
const { brokers, registryUrl } = given;
const prefix = `audit-bench-${Math.trunc(performance.timeOrigin)}.`;

async function writeRun(): Promise<void> {
  const kafka = createKafka(brokers, 'audit-bench', createLog('audit-bench', 'silent'));
  const admin = kafka.admin();
  await admin.connect();
  await ensureTopics(admin, prefix, partitions, { create: true });
  await admin.disconnect();
  const ids = await registerSchemas(registryUrl);
  const small = new WrittenRun();
  small.run();
  small.user(ALPHA, 'ALPH');
  await (await createWriter(brokers, registryUrl)).fill(small, prefix);
  const producer = await createRawProducer(kafka);
  const writers = Array.from({ length: partitions }, (_, partition) => new PartitionWriter(producer, ids, partition));
  for (let number = 0; number < requests; number++) {
    const mpan = mpanFrom(200_000_000_000 + number);
    await writers[partitionOfMpan(mpan, partitions)].add(mpan, number);
  }
  for (const writer of writers) await writer.flush();
  await producer.disconnect();
}

/** One read of one meter after another, with everything that the services write about it. */
class PartitionWriter {
  readonly #producer: RawProducer;
  readonly #ids: SchemaIds;
  readonly #partition: number;
  readonly #builders = new Map<TopicName, BatchBuilder>();
  readonly #key = Buffer.alloc(13);
  readonly #request = {
    ...newServiceRequest(),
    role: 2,
    srv: SRVS.indexOf('4.8.1'),
    service: 1,
    receivedMs: RECEIVED_MS,
  };
  readonly #response = { ...newServiceResponse(), source: RESPONSE_SOURCE.fleet, role: 2, srv: this.#request.srv };
  readonly #scratch = Buffer.alloc(256);
  readonly #rows = Uint32Array.from({ length: 48 }, (_, k) => 200 + 7 * k);
  #offset = 0;

  constructor(producer: RawProducer, ids: SchemaIds, partition: number) {
    this.#producer = producer;
    this.#ids = ids;
    this.#partition = partition;
  }

  async add(mpan: number, number: number): Promise<void> {
    const device = deviceOf(number);
    const offset = this.#offset++;
    const { startMs, endMs } = readWindow(DAY - 1, 'utc');
    writeMpanKey(this.#key, 0, mpan);
    await this.#put('registrations', (buffer, at) => writeRegistration(buffer, at, mpan));
    await this.#put('inventory', (buffer, at) => writeMeteringPoint(buffer, at, mpan, device));
    const said = { mpan, counter: number, position: offset + 1, windowStartMs: startMs, windowEndMs: endMs };
    const request = Object.assign(this.#request, said, { dueWallMs: nowMs() });
    const end = writeServiceRequest(this.#scratch, 0, request, ALPHA, device);
    await this.#put('service-requests.scheduled', (buffer, at) => at + this.#scratch.copy(buffer, at, 0, end));
    await this.#put('device-requests.scheduled', (buffer, at) =>
      writeDeviceRequest(buffer, at, this.#scratch, 0, end, 1, offset, this.#partition, offset, 0),
    );
    const answered = {
      requestOffset: offset,
      mpan,
      counter: number,
      service: 1,
      generation: 1,
      receivedMs: RECEIVED_MS,
    };
    const answer = { answeredMs: RECEIVED_MS + 60_000, firstStampMs: startMs, stepMs: 1_800_000, rows: 48 };
    const response = Object.assign(this.#response, answered, answer);
    const none = new Uint32Array(0);
    await this.#put('service-responses', (buffer, at) =>
      writeServiceResponse(buffer, at, response, ALPHA, 0, device, 0, this.#rows, none, 0, none, 0),
    );
  }

  async flush(): Promise<void> {
    for (const topic of this.#builders.keys()) await this.#send(topic);
  }

  async #put(topic: TopicName, write: (buffer: Buffer, at: number) => number): Promise<void> {
    let builder = this.#builders.get(topic);
    if (builder === undefined) {
      builder = new BatchBuilder(512 * 1024);
      this.#builders.set(topic, builder);
    }
    if (!builder.fits(1024)) await this.#send(topic);
    const at = builder.begin(Math.floor(nowMs()), this.#key, 0, this.#key.length);
    writeWireHeader(builder.buffer, at, this.#ids[topic]);
    builder.end(write(builder.buffer, at + WIRE_HEADER_BYTES));
  }

  async #send(topic: TopicName): Promise<void> {
    const builder = this.#builders.get(topic) as BatchBuilder;
    if (builder.count === 0) return;
    const { count: records } = builder;
    await this.#producer.send([
      { topic: prefix + topic, partition: this.#partition, batch: builder.finish(), records },
    ]);
    builder.reset();
  }
}

/** One MDRA since long ago. */
function writeRegistration(buffer: Buffer, at: number, mpan: number): number {
  let to = writeLong(buffer, writeLong(buffer, at, mpan), 1);
  to = writeLong(buffer, to, 1);
  to = writeLong(buffer, to, 4);
  to += buffer.write('ALPH', to, 'latin1');
  buffer[to++] = 2 << 1;
  to = writeLong(buffer, to, DAY - 500);
  buffer[to++] = 0;
  buffer[to++] = 0;
  return to;
}

function writeMeteringPoint(buffer: Buffer, at: number, mpan: number, device: Buffer): number {
  let to = writeLong(buffer, writeLong(buffer, at, mpan), 1);
  buffer[to++] = 0;
  to += device.copy(buffer, to);
  buffer[to++] = 0;
  buffer[to++] = 1 << 1;
  buffer[to++] = 3 << 1;
  return to;
}

await writeRun();
const report = await runAudit({ brokers, registryUrl, prefix, isAllDemanded: true, isDeadLetterFault: true });
process.stdout.write(renderAudit(report, 5));
const { seconds, cpuSeconds } = report.figures;
const rate = (per: number) => Math.round(requests / per).toLocaleString('en-GB');
process.stdout.write(`${rate(seconds)} requests/s, ${rate(cpuSeconds)} requests a CPU-second\n`);
await (await createWriter(brokers, registryUrl)).erase(prefix);
