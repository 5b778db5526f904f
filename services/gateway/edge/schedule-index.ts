import { WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import type { BatchWalk } from '#services/platform/batch-walk.ts';
import type { Reading } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { decodeRecord, SCHEDULE_IDS_FROM } from '../gateway-records.ts';
import { followTopic } from './topic-feed.ts';

/** Where a schedule is. */
export type SchedulePlace = { mpan: number; device: Buffer };

/** A list of 255 schedules is 20 kB. */
const VALUE_BYTES_MAX = 64 * 1024;

/**
 * Which MPAN and device each schedule is for that the gateway has made, of all partitions: a 5.2 or 5.3 by id names
 * neither, and goes to the partition of its MPAN. Some hundred bytes a schedule.
 */
export class ScheduleIndex {
  readonly #places = new Map<number, SchedulePlace>();
  readonly #idsOfMpan = new Map<number, number[]>();
  #stop: Reading['stop'] | undefined;

  get(id: number): SchedulePlace | undefined {
    return this.#places.get(id);
  }

  /** Restores everything, and follows it from then on. */
  async follow(context: ServiceContext): Promise<void> {
    this.#stop = await followTopic(context, 'schedules', (walk) => this.#take(walk, context.schemaIds.schedules));
  }

  async stop(): Promise<void> {
    await this.#stop?.();
  }

  // What cannot be used is set aside by the scheduler.
  #take({ cursor }: BatchWalk, schemaId: number): void {
    const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
    const mpan = Number(buffer.toString('latin1', keyAt, keyAt + Math.max(0, keyLength)));
    for (const id of this.#idsOfMpan.get(mpan) ?? []) this.#places.delete(id);
    this.#idsOfMpan.delete(mpan);
    if (valueLength > VALUE_BYTES_MAX || wireSchemaId(buffer, valueAt, valueLength) !== schemaId) return;
    if (valueLength <= WIRE_HEADER_BYTES) return;
    const list = decodeRecord('schedules', buffer.subarray(valueAt, valueAt + valueLength));
    const own = (list?.schedules ?? []).filter(({ id }) => id >= SCHEDULE_IDS_FROM);
    if (own.length === 0) return;
    this.#idsOfMpan.set(
      mpan,
      own.map(({ id }) => id),
    );
    for (const { id, device } of own) this.#places.set(id, { mpan, device });
  }
}
