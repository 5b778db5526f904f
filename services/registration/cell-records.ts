import { DATA_KINDS, REGISTERS, ROLES } from '#core/matrix.ts';
import { DAY_MAX, DAY_MS, readWindow } from '#core/settlement-day.ts';
import { MHHS, modeOfRow, SCHEDULED, srvOfRow } from '#core/trt-row.ts';
import { type Arrivals, createArrivals, EVERY_DAY } from '#fleet-sim/arrivals.ts';
import { fillDailyReads } from '#fleet-sim/demand.ts';
import { metersOfCell, networkOfCell } from '#fleet-sim/fleet.ts';
import { deviceIdOf, exportMpanOf, importMpanOf } from '#fleet-sim/meter.ts';
import { createPortfolio, fillPortfolio, type Portfolio } from '#fleet-sim/portfolio.ts';
import type { World } from '#fleet-sim/world.ts';
import { writeBytes, writeFixed, writeLong } from '#schemas/avro-binary.ts';
import { euiBytes, MPAN_KEY_BYTES, writeMpanKey } from '#schemas/wire.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import { type FinishedBatch, type Lane, StepOutput } from '#services/platform/step-output.ts';

const REGISTRATION_BYTES_MAX = 256;
const METERING_POINT_BYTES_MAX = 64;
const SCHEDULES_BYTES_MAX = 1024;
const EXPORT = REGISTERS.indexOf('export');
const IMPORT = REGISTERS.indexOf('import');
const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
const DAILY = 0;
/** Schedules of one meter have ids of their own: DUIS allows them up to 10^12. */
const IDS_A_METER = 32;

type Lanes = { registrations: Lane; inventory: Lane; schedules: Lane };

/**
 * What the topics hold of one cell's meters when a run begins: the appointments of each MPAN, its device, and the
 * schedules that Users have made. All of it drawn as a plan draws it, written straight into batches.
 */
export class CellRecords {
  meteringPoints = 0;
  schedules = 0;
  readonly #world: World;
  readonly #output = new StepOutput();
  readonly #schemaIds: SchemaIds;
  readonly #portfolio: Portfolio;
  readonly #daily: Arrivals = createArrivals(1024);
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  #stampMs = 0;
  readonly #mpids: Buffer[];
  readonly #euis: Buffer[];
  /** Entries of the daily list by meter: the first, and the next of the same meter. */
  #firstOfMeter = new Int32Array(0);
  #nextOfMeter = new Int32Array(0);

  constructor(world: World, schemaIds: SchemaIds) {
    this.#world = world;
    this.#schemaIds = schemaIds;
    this.#portfolio = createPortfolio(world);
    this.#mpids = world.scenario.users.map(({ mpid }) => Buffer.from(mpid));
    this.#euis = world.userTable.users.map(({ eui }) => euiBytes(eui));
  }

  /** The records of one cell, all of one partition; `stampMs`: their timestamps, whole ms. */
  write(cell: number, partition: number, stampMs: number): FinishedBatch[] {
    const world = this.#world;
    this.#stampMs = stampMs;
    const network = networkOfCell(world.fleet, cell);
    const { first, end } = metersOfCell(world.fleet, cell);
    const portfolio = this.#portfolio;
    fillPortfolio(portfolio, world, network, first, end - first);
    fillDailyReads(this.#daily, world, network, portfolio);
    this.#groupByMeter(end - first);
    const lane = (topic: 'registrations' | 'inventory' | 'schedules') =>
      this.#output.lane(topic, partition, this.#schemaIds[topic]);
    const lanes = { registrations: lane('registrations'), inventory: lane('inventory'), schedules: lane('schedules') };
    for (let meter = 0; meter < end - first; meter++) {
      const index = first + meter;
      const device = euiBytes(deviceIdOf(index));
      this.#writePoint(lanes, importMpanOf(world.fleet, index), meter, index, IMPORT, device);
      const exportMpan = exportMpanOf(world.fleet, index);
      if (exportMpan !== undefined) this.#writePoint(lanes, exportMpan, meter, index, EXPORT, device);
    }
    return this.#output.take();
  }

  #writePoint(lanes: Lanes, mpan: number, meter: number, index: number, register: number, device: Buffer): void {
    writeMpanKey(this.#key, 0, mpan);
    this.#writeRegistration(lanes.registrations, mpan, 2 * meter + register);
    this.#writeMeteringPoint(lanes.inventory, mpan, meter, register, device);
    this.#writeSchedules(lanes.schedules, mpan, meter, index, register, device);
    this.meteringPoints++;
  }

  #writeRegistration(lane: Lane, mpan: number, row: number): void {
    const { first, mpid, role, from, until } = this.#portfolio.registrations;
    let to = lane.begin(this.#stampMs, this.#key, 0, MPAN_KEY_BYTES, REGISTRATION_BYTES_MAX);
    const { buffer } = lane;
    to = writeLong(buffer, to, mpan);
    to = writeLong(buffer, to, 0);
    const appointments = first[row + 1] - first[row];
    if (appointments > 0) to = writeLong(buffer, to, appointments);
    for (let at = first[row]; at < first[row + 1]; at++) {
      const id = this.#mpids[mpid[at]];
      to = writeBytes(buffer, to, id, 0, id.length);
      buffer[to++] = APPOINTED.indexOf(ROLES[role[at]]) << 1;
      to = writeLong(buffer, to, from[at]);
      to = writeOptional(buffer, to, until[at] === DAY_MAX ? undefined : until[at] - 1);
    }
    buffer[to++] = 0;
    lane.end(to);
  }

  #writeMeteringPoint(lane: Lane, mpan: number, meter: number, register: number, device: Buffer): void {
    const { devices } = this.#portfolio;
    let to = lane.begin(this.#stampMs, this.#key, 0, MPAN_KEY_BYTES, METERING_POINT_BYTES_MAX);
    const { buffer } = lane;
    to = writeLong(buffer, to, mpan);
    to = writeLong(buffer, to, 0);
    buffer[to++] = register << 1;
    to = writeFixed(buffer, to, device, 0, 8);
    buffer[to++] = devices.kind[meter] << 1;
    buffer[to++] = devices.generation[meter] << 1;
    buffer[to++] = devices.status[meter] << 1;
    lane.end(to);
  }

  #writeSchedules(lane: Lane, mpan: number, meter: number, index: number, register: number, device: Buffer): void {
    const { matrix } = this.#world;
    const entries: number[] = [];
    for (let k = this.#firstOfMeter[meter]; k >= 0; k = this.#nextOfMeter[k]) {
      if (matrix.register[srvOfRow(this.#daily.row[k])] === register) entries.push(k);
    }
    if (entries.length === 0) return;
    let to = lane.begin(this.#stampMs, this.#key, 0, MPAN_KEY_BYTES, SCHEDULES_BYTES_MAX);
    const { buffer } = lane;
    to = writeLong(buffer, to, mpan);
    to = writeLong(buffer, to, 0);
    to = writeLong(buffer, to, entries.length);
    entries.forEach((k, number) => {
      to = this.#writeSchedule(buffer, to, k, index * IDS_A_METER + register * (IDS_A_METER / 2) + number, device);
      this.schedules++;
    });
    buffer[to++] = 0;
    lane.end(to);
  }

  #writeSchedule(buffer: Buffer, at: number, k: number, id: number, device: Buffer): number {
    const { originDay, matrix, users, scenario } = this.#world;
    const daily = this.#daily;
    const srv = srvOfRow(daily.row[k]);
    let to = writeLong(buffer, at, id);
    to = writeFixed(buffer, to, this.#euis[daily.user[k]], 0, 8);
    to = writeFixed(buffer, to, device, 0, 8);
    buffer[to++] = users[daily.user[k]].role << 1;
    buffer[to++] = MHHS << 1;
    buffer[to++] = matrix.srv[srv] << 1;
    buffer[to++] = DAILY;
    to = writeLong(buffer, to, originDay + daily.fromDay[k]);
    to = writeOptional(buffer, to, daily.untilDay[k] === EVERY_DAY ? undefined : originDay + daily.untilDay[k] - 1);
    to = writeOptional(buffer, to, daily.atMs[k]);
    buffer[to++] = 2;
    const { startMs, endMs } =
      matrix.data[srv] === HALF_HOURS
        ? readWindow(originDay - 1, scenario.dayConvention)
        : { startMs: originDay * DAY_MS, endMs: originDay * DAY_MS };
    to = writeOffset(buffer, to, startMs, originDay);
    return writeOffset(buffer, to, endMs, originDay);
  }

  #groupByMeter(meters: number): void {
    const daily = this.#daily;
    if (this.#firstOfMeter.length < meters) this.#firstOfMeter = new Int32Array(meters);
    if (this.#nextOfMeter.length < daily.size) this.#nextOfMeter = new Int32Array(2 * daily.size);
    this.#firstOfMeter.fill(-1);
    for (let k = daily.size - 1; k >= 0; k--) {
      if (modeOfRow(daily.row[k]) !== SCHEDULED) continue;
      this.#nextOfMeter[k] = this.#firstOfMeter[daily.meter[k]];
      this.#firstOfMeter[daily.meter[k]] = k;
    }
  }
}

/** Symbols of AppointedRole in registration.avsc. */
const APPOINTED: readonly string[] = ['IS', 'ES', 'MDR'];

/** A union of null and a number. */
function writeOptional(buffer: Buffer, at: number, value: number | undefined): number {
  if (value === undefined) {
    buffer[at] = 0;
    return at + 1;
  }
  buffer[at] = 2;
  return writeLong(buffer, at + 1, value);
}

/** Days from the day of execution, and ms after midnight. */
function writeOffset(buffer: Buffer, at: number, instantMs: number, executionDay: number): number {
  const day = Math.floor(instantMs / DAY_MS);
  return writeLong(buffer, writeLong(buffer, at, day - executionDay), instantMs - day * DAY_MS);
}
