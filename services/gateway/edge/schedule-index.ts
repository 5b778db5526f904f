import { WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { endOffsets, type Reading, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { decodeRecord, SCHEDULE_IDS_FROM } from '../gateway-records.ts';

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
  #reading: Reading | undefined;

  get(id: number): SchedulePlace | undefined {
    return this.#places.get(id);
  }

  /** Restores everything, and follows it from then on. */
  async follow({ kafka, settings, schemaIds, fail }: ServiceContext): Promise<void> {
    const topic = `${settings.prefix}schedules`;
    const ends = await endOffsets(kafka, topic);
    const left = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
    const restored = Promise.withResolvers<void>();
    if (left.size === 0) restored.resolve();
    const walk = new BatchWalk('gateway');
    this.#reading = readPartitions(kafka, {
      partitions: ends.map((_, partition) => ({ topic, partition, fromOffset: 0 })),
      onBatch: (batch, { partition }) => {
        walk.begin({ topic: 'schedules', partition, batches: [batch], fromOffset: 0 });
        while (walk.next()) this.#take(walk, schemaIds.schedules);
      },
      onAnswerEnd(reached) {
        for (const { range, nextOffset } of reached)
          if (nextOffset >= ends[range.partition] && left.delete(range.partition) && left.size === 0)
            restored.resolve();
      },
    });
    this.#reading.done.catch(fail);
    await restored.promise;
  }

  async stop(): Promise<void> {
    await this.#reading?.stop();
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
