import { executionAfter, SCHEDULES_MAX } from '#core/schedule.ts';
import { formatInstant } from '#core/settlement-day.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { feedTables, type TableFeed } from '#services/platform/table-feed.ts';
import type { AssumedCode } from '../assumed-codes.ts';
import {
  decodeRecord,
  encodeRecord,
  SCHEDULE_IDS_FROM,
  type ScheduleListRecord,
  type ScheduleRecord,
  scheduleOf,
} from '../gateway-records.ts';

/** What the schema of a list holds. */
const SCHEDULES_ON_MPAN_MAX = 255;

export type Creation = { created: ScheduleRecord } | { code: string; reason: string };

/**
 * The schedules of one partition, whose one writer is the process that has the partition. Changes count at once and are
 * read back later: what is read of an earlier sequence is passed over. Some hundred bytes a schedule.
 */
export class PartitionSchedules {
  readonly #lists = new Map<number, ScheduleListRecord>();
  /** MPANs with schedules that the gateway has made. */
  readonly ownMpans = new Set<number>();
  readonly #context: ServiceContext;
  readonly #partition: number;
  #feed: TableFeed | undefined;

  constructor(context: ServiceContext, partition: number) {
    this.#context = context;
    this.#partition = partition;
  }

  async follow(): Promise<void> {
    const { kafka, settings, fail } = this.#context;
    const walk = new BatchWalk('gateway');
    this.#feed = await feedTables(
      kafka,
      settings.prefix,
      ['schedules'],
      this.#partition,
      async ({ batches }) => {
        walk.begin({ topic: 'schedules', partition: this.#partition, batches, fromOffset: 0 });
        while (walk.next()) this.#take(walk);
      },
      fail,
    );
    await this.#feed.restored;
  }

  async stop(): Promise<void> {
    await this.#feed?.stop();
  }

  ofMpan(mpan: number): readonly ScheduleRecord[] {
    return this.#lists.get(mpan)?.schedules ?? [];
  }

  /** A User's own on these MPANs; all of them, or one by id. */
  ownOf(user: Buffer, mpans: readonly number[], id: number | null): ScheduleRecord[] {
    return mpans
      .flatMap((mpan) => this.ofMpan(mpan))
      .filter((one) => one.user.equals(user) && (id === null || one.id === id));
  }

  /** 5.1, done again where it was done before. */
  async create(
    mpan: number,
    others: readonly number[],
    schedule: ScheduleRecord,
    atMs: number,
    codes: Record<AssumedCode, string>,
  ): Promise<Creation> {
    const list = this.ofMpan(mpan);
    const known = list.find(({ id }) => id === schedule.id);
    if (known !== undefined) return { created: known };
    if (executionAfter(scheduleOf(schedule), atMs) === undefined)
      return { code: codes.scheduleNeverRuns, reason: `no execution after ${formatInstant(atMs)}` };
    const own = this.ownOf(schedule.user, others, null).filter(({ device }) => device.equals(schedule.device));
    if (own.length >= SCHEDULES_MAX || list.length >= SCHEDULES_ON_MPAN_MAX)
      return { code: codes.scheduleLimit, reason: `${own.length} schedules on the device` };
    await this.#put(mpan, [...list, schedule]);
    return { created: schedule };
  }

  async remove(mpan: number, ids: ReadonlySet<number>): Promise<void> {
    const list = this.ofMpan(mpan);
    const left = list.filter(({ id }) => !ids.has(id));
    if (left.length < list.length) await this.#put(mpan, left);
  }

  async #put(mpan: number, schedules: ScheduleRecord[]): Promise<void> {
    const { outbox, schemaIds } = this.#context;
    const record = { mpan, sequence: (this.#lists.get(mpan)?.sequence ?? 0) + 1, schedules };
    this.#set(record);
    const batch = encodeRecord('schedules', String(mpan), record, schemaIds.schedules);
    await outbox.send('schedules', this.#partition, batch, 1);
  }

  #set(list: ScheduleListRecord): void {
    this.#lists.set(list.mpan, list);
    if (list.schedules.some(({ id }) => id >= SCHEDULE_IDS_FROM)) this.ownMpans.add(list.mpan);
    else this.ownMpans.delete(list.mpan);
  }

  // What cannot be used is set aside by the scheduler.
  #take({ cursor }: BatchWalk): void {
    const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
    const mpan = Number(buffer.toString('latin1', keyAt, keyAt + Math.max(0, keyLength)));
    if (valueLength <= WIRE_HEADER_BYTES) {
      this.#lists.delete(mpan);
      this.ownMpans.delete(mpan);
      return;
    }
    const list = decodeRecord('schedules', buffer.subarray(valueAt, valueAt + valueLength));
    if (list !== undefined && list.sequence >= (this.#lists.get(mpan)?.sequence ?? 0)) this.#set(list);
  }
}
