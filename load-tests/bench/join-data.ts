import avsc from 'avsc';
import { SMI_STATUSES, type User } from '#core/access-control.ts';
import type { Mpan } from '#core/identifiers.ts';
import { MODES, ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import type { Appointment } from '#core/registration.ts';
import { DAY_MS, readWindow, type SettlementDay } from '#core/settlement-day.ts';
import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import { type Fleet, layOutFleet } from '#fleet-sim/fleet.ts';
import { deviceIdOf, generationOfMeter, importMpanOf } from '#fleet-sim/meter.ts';
import { writeFixed, writeLong, writeString } from '#schemas/avro-binary.ts';
import { newServiceRequest, REQUEST_KIND, SOURCE, writeServiceRequest } from '#schemas/service-request.ts';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { euiBytes, MPAN_KEY_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { RawProducer } from '#services/platform/kafka/raw-producer.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';

/** What the join is measured on: as many MPANs as the seam's proof had, each with one device. */
export type JoinShape = { seed: number; mpans: number; requests: number; partitions: number };
export const JOIN_SHAPE: JoinShape = { seed: 1, mpans: 1_000_000, requests: 2_000_000, partitions: 4 };

/** The day of the requests; they read the day before. */
export const TODAY: SettlementDay = 20_514;
const AGENTS = 20;
const SUPPLIERS = 6;
/** Every so many MPANs have another agent from the day on that is read: the one before asks, and is refused E4. */
const CHANGED_ONE_IN = 20;
/** Every so many MPANs have no Supplier registered yet. */
const WITHOUT_SUPPLIER_ONE_IN = 50;

const MDR = ROLES.indexOf('MDR');

/** Everything of one MPAN's part in the benchmark. Nothing is stored: made from the shape and the meter's index. */
export type JoinMeter = {
  mpan: Mpan;
  device: string;
  /** Position in GENERATIONS. */
  generation: number;
  appointments: Appointment[];
  /** Index of the User that asks for it. */
  user: number;
  isRefused: boolean;
};

export type JoinWorld = { shape: JoinShape; fleet: Fleet; users: User[] };

export function joinWorld(shape: JoinShape = JOIN_SHAPE): JoinWorld {
  const fleet = layOutFleet({
    seed: shape.seed,
    meters: shape.mpans,
    metersPerCell: Math.min(shape.mpans, 10_000),
    exportShare: 0,
    networks: [
      { name: 'S1SP', generation: 'SMETS1', share: 0.3 },
      { name: 'CSP', generation: 'SMETS2', share: 0.7 },
    ],
  });
  return { shape, fleet, users: Array.from({ length: AGENTS }, (_, agent) => userOf(agent)) };
}

export function joinMeter({ fleet }: JoinWorld, meter: number): JoinMeter {
  const user = draw32(fleet.seed, meter, 0, PURPOSE.mdra) % AGENTS;
  const isRefused = isChanged(fleet, meter);
  const appointments: Appointment[] = [{ mpid: mpidOf('AG', user), role: 'MDR', efd: TODAY - 1000 }];
  if (isRefused) appointments.push({ mpid: mpidOf('AG', (user + 1) % AGENTS), role: 'MDR', efd: TODAY - 1 });
  if (meter % WITHOUT_SUPPLIER_ONE_IN !== 0) {
    const supplier = draw32(fleet.seed, meter, 0, PURPOSE.supplier) % SUPPLIERS;
    appointments.push({ mpid: mpidOf('SP', supplier), role: 'IS', efd: TODAY - 1000 });
  }
  return {
    mpan: importMpanOf(fleet, meter),
    device: deviceIdOf(meter),
    generation: generationOfMeter(fleet, meter),
    appointments,
    user,
    isRefused,
  };
}

/** The meter that a request is for: any, whatever was asked before. */
export function meterOfRequest({ shape }: JoinWorld, request: number): number {
  return draw32(shape.seed, request, 0, PURPOSE.onDemandMeter) % shape.mpans;
}

/** What access control must come to, whoever does it. */
export function expectedDecisions(world: JoinWorld): { accepted: number; refused: number } {
  let refused = 0;
  for (let request = 0; request < world.shape.requests; request++) {
    if (isChanged(world.fleet, meterOfRequest(world, request))) refused++;
  }
  return { accepted: world.shape.requests - refused, refused };
}

/** Writes users, registrations and inventory, then the requests. The topics are there and empty. */
export async function fillJoinTopics(
  world: JoinWorld,
  prefix: string,
  schemaIds: SchemaIds,
  producer: RawProducer,
): Promise<void> {
  const open = (topic: TopicName) =>
    new TopicWriter(prefix + topic, world.shape.partitions, schemaIds[topic], producer);
  await writeUsers(world, open('users'));
  await writeTables(world, open('registrations'), open('inventory'));
  await writeRequests(world, open('service-requests.scheduled'));
}

function isChanged(fleet: Fleet, meter: number): boolean {
  return draw32(fleet.seed, meter, 0, PURPOSE.agentChange) % CHANGED_ONE_IN === 0;
}

function mpidOf(prefix: 'AG' | 'SP', index: number): string {
  return prefix + String.fromCharCode(65 + Math.floor(index / 26), 65 + (index % 26));
}

function userOf(agent: number): User {
  const mpid = mpidOf('AG', agent);
  return {
    name: mpid,
    eui: `90-B3-D5-1F-30-00-10-${agent.toString(16).toUpperCase().padStart(2, '0')}`,
    category: 'MDR Party',
    roles: { MDR: [mpid] },
    gates: {
      accededOn: 0,
      ueptOn: { MDR: 0 },
      securityAssessments: [TODAY - 100],
      privacyAssessments: [TODAY - 100],
      adtDeclaredOn: 0,
    },
    anomalyThresholds: [],
  };
}

/** Encodes into `buffer` from `at` and returns the position behind. */
type WriteValue = (buffer: Buffer, at: number) => number;

const BATCH_BYTES_MAX = 128 * 1024;
const VALUE_BYTES_MAX = 1024;
const KEY_BYTES_MAX = 16;

/** Collects records into a batch a partition and sends each when it is full. */
class TopicWriter {
  readonly #topic: string;
  readonly #schemaId: number;
  readonly #producer: RawProducer;
  readonly #builders: BatchBuilder[];
  readonly #key = Buffer.alloc(KEY_BYTES_MAX);

  constructor(topic: string, partitions: number, schemaId: number, producer: RawProducer) {
    this.#topic = topic;
    this.#schemaId = schemaId;
    this.#producer = producer;
    this.#builders = Array.from({ length: partitions }, () => new BatchBuilder(BATCH_BYTES_MAX));
  }

  /** True when the partition's batch has to be sent before the next record. */
  write(mpan: Mpan, partition: number, value: WriteValue): boolean {
    writeMpanKey(this.#key, 0, mpan);
    return this.#write(partition, MPAN_KEY_BYTES, value);
  }

  writeKeyed(key: string, partition: number, value: WriteValue): boolean {
    this.#key.write(key, 'latin1');
    return this.#write(partition, key.length, value);
  }

  async flush(partition: number): Promise<void> {
    const builder = this.#builders[partition];
    if (builder.count === 0) return;
    const batch = new Uint8Array(builder.take());
    const records = builder.count;
    builder.reset();
    await this.#producer.send([{ topic: this.#topic, partition, batch, records }]);
  }

  async end(): Promise<void> {
    for (let partition = 0; partition < this.#builders.length; partition++) await this.flush(partition);
  }

  #write(partition: number, keyLength: number, value: WriteValue): boolean {
    const builder = this.#builders[partition];
    const at = builder.begin(Math.floor(nowMs()), this.#key, 0, keyLength);
    builder.end(value(builder.buffer, writeWireHeader(builder.buffer, at, this.#schemaId)));
    return !builder.fits(KEY_BYTES_MAX + VALUE_BYTES_MAX);
  }
}

async function writeUsers({ users }: JoinWorld, writer: TopicWriter): Promise<void> {
  const type = avsc.Type.forSchema(JSON.parse(schemaText('users')) as avsc.Schema);
  for (const user of users) {
    const { gates } = user;
    const bytes = type.toBuffer({
      eui: euiBytes(user.eui),
      name: user.name,
      category: user.category,
      roles: Object.entries(user.roles).map(([role, mpids]) => ({ role, mpids })),
      suspendedFrom: null,
      accededOn: gates.accededOn,
      ueptOn: Object.entries(gates.ueptOn).map(([role, day]) => ({ role, day })),
      securityAssessments: gates.securityAssessments,
      privacyAssessments: gates.privacyAssessments,
      equivalentSecurityOn: null,
      equivalentPrivacyOn: null,
      adtDeclaredOn: gates.adtDeclaredOn,
      anomalyThresholds: [],
    });
    // Every service reads all Users, so their partition does not matter.
    writer.writeKeyed(euiBytes(user.eui).toString('hex').toUpperCase(), 0, (buffer, at) => at + bytes.copy(buffer, at));
  }
  await writer.end();
}

async function writeTables(world: JoinWorld, registrations: TopicWriter, inventory: TopicWriter): Promise<void> {
  for (let meter = 0; meter < world.shape.mpans; meter++) {
    const one = joinMeter(world, meter);
    const partition = partitionOfMpan(one.mpan, world.shape.partitions);
    if (registrations.write(one.mpan, partition, (buffer, at) => writeRegistration(buffer, at, one))) {
      await registrations.flush(partition);
    }
    if (inventory.write(one.mpan, partition, (buffer, at) => writeMeteringPoint(buffer, at, one))) {
      await inventory.flush(partition);
    }
  }
  await registrations.end();
  await inventory.end();
}

async function writeRequests(world: JoinWorld, writer: TopicWriter): Promise<void> {
  const { shape, users } = world;
  const window = readWindow(TODAY - 1, 'utc');
  const euis = users.map(({ eui }) => euiBytes(eui));
  const positions = new Array<number>(shape.partitions).fill(0);
  const fields = newServiceRequest();
  fields.kind = REQUEST_KIND.request;
  fields.source = SOURCE.scheduler;
  fields.role = MDR;
  fields.srv = SRVS.indexOf('4.8.1');
  fields.mode = MODES.indexOf('scheduled');
  fields.service = SERVICES.indexOf('mhhs');
  fields.windowStartMs = window.startMs;
  fields.windowEndMs = window.endMs;
  for (let request = 0; request < shape.requests; request++) {
    const meter = meterOfRequest(world, request);
    const { mpan, device, user } = joinMeter(world, meter);
    const partition = partitionOfMpan(mpan, shape.partitions);
    fields.position = ++positions[partition];
    fields.mpan = mpan;
    fields.counter = request + 1;
    // Spread over the first hour, as schedules of the night are.
    fields.receivedMs = TODAY * DAY_MS + Math.floor((request / shape.requests) * 3_600_000);
    fields.dueWallMs = fields.receivedMs;
    const target = euiBytes(device);
    const isFull = writer.write(mpan, partition, (buffer, at) =>
      writeServiceRequest(buffer, at, fields, euis[user], target),
    );
    if (isFull) await writer.flush(partition);
  }
  await writer.end();
}

export function writeRegistration(
  buffer: Buffer,
  at: number,
  { mpan, appointments }: Pick<JoinMeter, 'mpan' | 'appointments'>,
): number {
  let to = writeLong(buffer, writeLong(buffer, at, mpan), 1);
  to = writeLong(buffer, to, appointments.length);
  for (const { mpid, role, efd, etd } of appointments) {
    to = writeString(buffer, to, mpid);
    to = writeLong(buffer, to, ROLES.indexOf(role));
    to = writeLong(buffer, to, efd);
    to = writeLong(buffer, to, etd === undefined ? 0 : 1);
    if (etd !== undefined) to = writeLong(buffer, to, etd);
  }
  return appointments.length === 0 ? to : writeLong(buffer, to, 0);
}

export function writeMeteringPoint(buffer: Buffer, at: number, { mpan, device, generation }: JoinMeter): number {
  let to = writeLong(buffer, writeLong(buffer, at, mpan), 1);
  to = writeLong(buffer, to, 0);
  to = writeFixed(buffer, to, euiBytes(device), 0, 8);
  to = writeLong(buffer, to, 0);
  to = writeLong(buffer, to, generation);
  return writeLong(buffer, to, SMI_STATUSES.indexOf('Commissioned'));
}
