import { SMI_STATUSES } from '#core/access-control.ts';
import { GENERATIONS, type Matrix, MODES, REGISTERS, ROLES, SRVS } from '#core/matrix.ts';
import { partitionOfKey } from '#core/partition.ts';
import { type RequestFacts, unpackInto } from '#core/request-counter.ts';
import { type DayConvention, dayOf } from '#core/settlement-day.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { bigCounterOf } from '#schemas/counter.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { QUARANTINE_KIND, symbol } from '#schemas/service-request.ts';
import {
  codeOf,
  newServiceResponse,
  RESPONSE_KIND,
  readResponseHead,
  type ServiceResponseFields,
} from '#schemas/service-response.ts';
import { WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import type { AssumedCode } from '../assumed-codes.ts';
import type { GatewayTables } from '../edge/access-tables.ts';
import {
  type DeliveryRecord,
  decodeRecord,
  encodeRecord,
  type GatewayRequestRecord,
  type InventoryRecord,
  type ScheduleRecord,
  scheduleIdOf,
  userKey,
} from '../gateway-records.ts';
import { PartitionSchedules } from './partition-schedules.ts';
import { DCC_TARGET, FOR_DCC } from './response-content.ts';

export type DeskOptions = {
  context: ServiceContext;
  matrix: Matrix;
  convention: DayConvention;
  tables: GatewayTables;
  codes: Record<AssumedCode, string>;
  /** Whether responses to a User, by its EUI-64 in hexadecimal digits, are delivered: not those of the simulated ones. */
  isDelivered(user: string): boolean;
};

/** Requests whose answer is awaited, by what they ask beyond their records; the oldest goes first beyond it. */
const BODIES_MAX = 100_000;
/** Answers that were delivered and may come again, from a service that was started anew. */
const RECENT_MAX = 100_000;
const LOOK_EVERY_MS = 20;

/**
 * What becomes of the answers of one partition: those to Users behind the gateway are written into deliveries, with what
 * the platform itself knows: schedules and the inventory. The partition's schedules are changed here and nowhere else.
 */
export class AnswerDesk {
  readonly partition: number;
  readonly schedules: PartitionSchedules;
  delivered = 0;
  readonly #options: DeskOptions;
  readonly #walk = new BatchWalk('gateway');
  readonly #reader = new AvroReader();
  readonly #response = newServiceResponse();
  /** By originator and counter, with where they stand in gateway-requests. */
  readonly #bodies = new Map<string, { offset: number; body: GatewayRequestRecord }>();
  readonly #recent = new Set<string>();
  #bodiesNext: number;
  #today = Number.NEGATIVE_INFINITY;

  constructor(options: DeskOptions, partition: number, bodiesFrom: number) {
    this.partition = partition;
    this.#options = options;
    this.#bodiesNext = bodiesFrom;
    this.schedules = new PartitionSchedules(options.context, partition);
  }

  /** Where a restart reads gateway-requests from. */
  get bodiesFrom(): number {
    for (const { offset } of this.#bodies.values()) return offset;
    return this.#bodiesNext;
  }

  takeBodies(batches: readonly Buffer[], fromOffset: number, nextOffset: number): void {
    const walk = this.#walk;
    walk.begin({ topic: 'gateway-requests', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      const { buffer, valueAt, valueLength, offset } = walk.cursor;
      const body = decodeRecord('gateway-requests', buffer.subarray(valueAt, valueAt + Math.max(0, valueLength)));
      if (body === undefined) continue;
      this.#bodies.set(bodyKey(body.originator, body.counter), { offset, body });
      if (this.#bodies.size > BODIES_MAX) this.#bodies.delete(this.#bodies.keys().next().value as string);
    }
    this.#bodiesNext = nextOffset;
  }

  /** Resolves when what is to be delivered is with the broker. One call after another. */
  async takeResponses(batches: readonly Buffer[], fromOffset: number): Promise<void> {
    const answers: { value: Buffer; offset: number }[] = [];
    const walk = this.#walk;
    walk.begin({ topic: 'service-responses', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      const { buffer, valueAt, valueLength, offset } = walk.cursor;
      if (this.#isDelivered(buffer, valueAt, valueLength))
        answers.push({
          value: Buffer.from(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength)),
          offset,
        });
    }
    const sent: Promise<unknown>[] = [];
    for (const { value, offset } of answers) sent.push(...(await this.#deliver(value, offset)));
    await Promise.all(sent);
  }

  async takeQuarantine(batches: readonly Buffer[], fromOffset: number): Promise<void> {
    const walk = this.#walk;
    const sent: Promise<unknown>[] = [];
    walk.begin({ topic: 'quarantine', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      const { buffer, valueAt, valueLength } = walk.cursor;
      const held = readHeld(this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength));
      if (held === undefined || !this.#options.isDelivered(userKey(held.originator))) continue;
      const { originator, device, counter, srv, atMs, requestOffset } = held;
      sent.push(
        this.#send({
          ...NOTHING,
          kind: 'QUARANTINED_REQUEST',
          user: originator,
          atMs,
          partition: this.partition,
          requestOffset,
          device,
          target: FOR_DCC.has(SRVS[srv]) ? DCC_TARGET : device,
          counter,
        }),
      );
    }
    await Promise.all(sent);
  }

  /**
   * Takes out the schedules whose owner's appointment has ended by the day of `atMs`, and tells the owner: those of all
   * MPANs when a day has begun, otherwise those of MPANs whose registration has changed.
   */
  async removeEnded(atMs: number, changed: Iterable<number>): Promise<void> {
    const today = dayOf(atMs, this.#options.convention);
    const isNewDay = today > this.#today;
    this.#today = Math.max(this.#today, today);
    const { ownMpans } = this.schedules;
    for (const mpan of isNewDay ? [...ownMpans] : changed) {
      if (!ownMpans.has(mpan)) continue;
      const ended = this.schedules
        .ofMpan(mpan)
        .filter((one) => this.#options.isDelivered(userKey(one.user)) && !this.#isAppointed(mpan, one, today));
      if (ended.length === 0) continue;
      // Told before they are gone: after a crash in between they are told of again, and not forgotten.
      await Promise.all(ended.map((schedule) => this.#tellRemoval(schedule, atMs)));
      await this.schedules.remove(mpan, new Set(ended.map(({ id }) => id)));
    }
  }

  #tellRemoval({ id, user, device }: ScheduleRecord, atMs: number): Promise<unknown> {
    return this.#send({
      ...NOTHING,
      kind: 'SCHEDULE_REMOVAL',
      user,
      atMs: Math.floor(atMs),
      partition: this.partition,
      requestOffset: id,
      device,
      target: device,
      scheduleId: id,
    });
  }

  /** Whether its owner is appointed on the day or later: a schedule may be there ahead of an EFD. */
  #isAppointed(mpan: number, { user, role }: ScheduleRecord, day: number): boolean {
    const { tables } = this.#options;
    const table = tables.tableOf(mpan);
    const at = table.find(mpan);
    if (at < 0) return false;
    const room = Math.max(1, table.longestRow);
    const row = {
      mpans: new Float64Array(1),
      first: new Int32Array(2),
      mpid: new Uint16Array(room),
      role: new Uint8Array(room),
      from: new Int32Array(room),
      until: new Int32Array(room),
      mpids: [],
    };
    const codes = new Int32Array(room);
    const count = table.copyTenures(at, row, codes);
    const owner = tables.users.euis.find(user, 0);
    for (let k = 0; k < count; k++) {
      const isOwn = ROLES[row.role[k]] === role && tables.users.ownerOfMpid[codes[k]] === owner;
      if (isOwn && row.until[k] > day) return true;
    }
    return false;
  }

  #isDelivered(buffer: Buffer, valueAt: number, valueLength: number): boolean {
    if (wireSchemaId(buffer, valueAt, valueLength) !== this.#options.context.schemaIds['service-responses'])
      return false;
    const response = this.#response;
    try {
      readResponseHead(this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength), response);
    } catch (error) {
      // The monitor sets it aside.
      if (error instanceof MalformedBinary) return false;
      throw error;
    }
    if (response.kind !== RESPONSE_KIND.answer) return false;
    const { originatorAt, mode, requestOffset } = response;
    if (!this.#options.isDelivered(buffer.toString('hex', originatorAt, originatorAt + 8).toUpperCase())) return false;
    const name = `${mode} ${requestOffset}`;
    if (this.#recent.has(name)) return false;
    this.#recent.add(name);
    if (this.#recent.size > RECENT_MAX) this.#recent.delete(this.#recent.keys().next().value as string);
    return true;
  }

  async #deliver(value: Buffer, responseOffset: number): Promise<Promise<unknown>[]> {
    const response = newServiceResponse();
    readResponseHead(this.#reader.open(value), response);
    const { originatorAt, deviceAt, requestOffset, mode, answeredMs, srv } = response;
    const device = Buffer.from(value.subarray(deviceAt, deviceAt + 8));
    const isForDcc = FOR_DCC.has(SRVS[srv]);
    const record: DeliveryRecord = {
      ...NOTHING,
      kind: 'RESPONSE',
      user: Buffer.from(value.subarray(originatorAt, originatorAt + 8)),
      atMs: answeredMs,
      partition: this.partition,
      mode: MODES[mode] === 'scheduled' ? 'SCHEDULED' : 'ON_DEMAND',
      requestOffset,
      device,
      target: isForDcc ? DCC_TARGET : device,
      counter: bigCounterOf(response),
      responseOffset,
      response: value,
    };
    if (record.mode === 'SCHEDULED') record.scheduleId = this.#executed(response, record.user)?.id ?? null;
    if (!isForDcc) return [this.#send(record)];
    return await this.#answerForDcc(record, response);
  }

  // A removal is told before it is done, a creation after: either is done again after a crash in between.
  async #answerForDcc(record: DeliveryRecord, response: ServiceResponseFields): Promise<Promise<unknown>[]> {
    const body = await this.#bodyOf(record);
    const isAccepted = codeOf(response.code) === 'I0';
    const mpans = this.#mpansOf(record.device);
    let removed: ScheduleRecord[] = [];
    if (isAccepted && SRVS[response.srv] === '8.2') record.inventory = this.#inventoryOf(record.device);
    if (isAccepted && body !== undefined) {
      if (body.schedule !== null) await this.#create(record, body.schedule, response);
      else if (body.scheduleId !== null || body.device !== null) {
        const found = this.schedules.ownOf(record.user, mpans, body.scheduleId);
        const { codes } = this.#options;
        const isRemoval = SRVS[response.srv] === '5.3';
        if (found.length === 0) record.code = isRemoval ? codes.deleteUnknownSchedule : codes.readUnknownSchedule;
        else if (isRemoval) removed = found;
        else record.schedules = found;
      }
    }
    const sent = this.#send(record);
    if (removed.length > 0) {
      await sent;
      const ids = new Set(removed.map(({ id }) => id));
      for (const mpan of mpans) await this.schedules.remove(mpan, ids);
    }
    this.#bodies.delete(bodyKey(record.user, record.counter));
    return [sent];
  }

  async #create(record: DeliveryRecord, draft: ScheduleRecord, response: ServiceResponseFields): Promise<void> {
    const { mpan, receivedMs, requestOffset } = response;
    const schedule = { ...draft, id: scheduleIdOf(this.partition, requestOffset) };
    const mpans = this.#mpansOf(record.device);
    const creation = await this.schedules.create(mpan, mpans, schedule, receivedMs, this.#options.codes);
    if ('created' in creation) record.scheduleId = creation.created.id;
    else record.code = creation.code;
  }

  /** What the request asked beyond its record: written before it, so it is here once what is there now is read. */
  async #bodyOf({ user, counter, response }: DeliveryRecord): Promise<GatewayRequestRecord | undefined> {
    const key = bodyKey(user, counter);
    const { admin, settings } = this.#options.context;
    if (response !== null && !this.#bodies.has(key)) {
      const ends = await admin.fetchTopicOffsets(`${settings.prefix}gateway-requests`);
      const end = Number(ends.find(({ partition }) => partition === this.partition)?.high ?? 0);
      while (!this.#bodies.has(key) && this.#bodiesNext < end) await sleep(LOOK_EVERY_MS);
    }
    return this.#bodies.get(key)?.body;
  }

  /** The schedule that an execution was of: the number among those of its MPAN stands in the counter. */
  #executed({ mpan, srv, counter, counterTop }: ServiceResponseFields, user: Buffer): ScheduleRecord | undefined {
    if (counterTop > 0) return undefined;
    unpackInto(counter, facts);
    const list = this.schedules.ofMpan(mpan);
    const isIt = (one: ScheduleRecord | undefined) =>
      one?.user.equals(user) === true && one.srv === `SRV_${SRVS[srv].replaceAll('.', '_')}`;
    return isIt(list[facts.serial]) ? list[facts.serial] : list.find(isIt);
  }

  #mpansOf(device: Buffer): number[] {
    const { devices } = this.#options.tables;
    const [first, second] = [device.readInt32BE(0), device.readInt32BE(4)];
    return REGISTERS.map((_, register) => devices.mpan(first, second, register)).filter((mpan) => mpan > 0);
  }

  #inventoryOf(device: Buffer): InventoryRecord | null {
    const { tables } = this.#options;
    const [first, second] = [device.readInt32BE(0), device.readInt32BE(4)];
    const [importMpan, exportMpan] = REGISTERS.map((_, register) => tables.devices.mpan(first, second, register));
    const mpan = importMpan || exportMpan;
    const table = tables.tableOf(mpan);
    const at = mpan === 0 ? -1 : table.find(mpan);
    if (at < 0) return null;
    return {
      device,
      kind: table.kind(at) === 0 ? 'ESME' : 'OTHER',
      generation: GENERATIONS[table.generation(at)],
      status: SMI_STATUSES[table.status(at)],
      importMpan: importMpan || null,
      exportMpan: exportMpan || null,
    };
  }

  #send(record: DeliveryRecord): Promise<unknown> {
    const { context } = this.#options;
    const key = userKey(record.user);
    const partition = partitionOfKey(Buffer.from(key, 'latin1'), context.settings.partitions);
    this.delivered++;
    return context.outbox.send(
      'deliveries',
      partition,
      encodeRecord('deliveries', key, { ...record, sentWallMs: nowMs() }, context.schemaIds.deliveries),
      1,
    );
  }
}

const facts: RequestFacts = { day: 0, row: 0, ordinal: 0, dataDay: 0, flags: 0, serial: 0 };

const NOTHING: Omit<DeliveryRecord, 'kind' | 'user' | 'atMs' | 'partition' | 'requestOffset' | 'device' | 'target'> = {
  mode: 'ON_DEMAND',
  counter: 0n,
  responseOffset: -1,
  response: null,
  code: null,
  scheduleId: null,
  schedules: [],
  inventory: null,
  sentWallMs: 0,
};

function bodyKey(originator: Buffer, counter: bigint): string {
  return `${userKey(originator)} ${counter}`;
}

export type HeldEvent = {
  originator: Buffer;
  device: Buffer;
  counter: bigint;
  srv: number;
  atMs: number;
  requestOffset: number;
};

/** A QuarantineEvent of kind HELD; undefined where it is none. */
function readHeld(reader: AvroReader): HeldEvent | undefined {
  try {
    const kind = symbol(reader, QUARANTINE_KIND.deleted);
    const atMs = reader.long();
    const fields = newDeviceRequest();
    readDeviceRequest(reader, fields);
    const { request, requestOffset } = fields;
    if (kind !== QUARANTINE_KIND.held) return undefined;
    const copy = (at: number) => Buffer.from(reader.buffer.subarray(at, at + 8));
    return {
      originator: copy(request.originatorAt),
      device: copy(request.deviceAt),
      counter: bigCounterOf(request),
      srv: request.srv,
      atMs,
      requestOffset,
    };
  } catch (error) {
    if (error instanceof MalformedBinary) return undefined;
    throw error;
  }
}
