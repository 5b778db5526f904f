import { partitionOfKey } from '#core/partition.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { beginningOffsets, endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { decodeRecord, userKey } from '../gateway-records.ts';
import { type RenderingOptions, renderDelivery } from './rendering.ts';

/** One page of what waits for a User. `cursor`: where the next begins, to be acknowledged when this one is kept. */
export type Page = { responses: { cursor: string; document: string }[]; cursor: string; more: boolean };

export const PAGE_MAX = 100;
/** Of the partition, for one page: others' deliveries stand between one's own. */
const SCANNED_RECORDS_MAX = 20_000;

/**
 * What Users collect is read from deliveries when they ask: the log is the mailbox. How far each has acknowledged is kept
 * as the committed offset of a consumer group of its own, which a broker keeps as long as deliveries.
 */
export class Mailbox {
  readonly #context: ServiceContext;
  readonly #rendering: RenderingOptions;

  constructor(context: ServiceContext, rendering: RenderingOptions) {
    this.#context = context;
    this.#rendering = rendering;
  }

  /** From the cursor on, or from what was acknowledged; undefined where the cursor is none. */
  async page(user: string, after: string | null, limit: number): Promise<Page | undefined> {
    const { kafka, settings } = this.#context;
    const topic = `${settings.prefix}deliveries`;
    const partition = this.#partitionOf(user);
    const [ends, beginnings] = await Promise.all([endOffsets(kafka, topic), beginningOffsets(kafka, topic)]);
    const end = ends[partition];
    const asked = after === null ? await this.#acknowledged(user) : offsetOf(after);
    if (asked === undefined || asked > end) return undefined;
    const fromOffset = Math.max(beginnings[partition], asked);
    const untilOffset = Math.min(end, fromOffset + SCANNED_RECORDS_MAX);
    const page: Page = { responses: [], cursor: String(untilOffset), more: untilOffset < end };
    if (fromOffset >= untilOffset) return page;
    const walk = new BatchWalk('gateway');
    const reading = readPartitions(kafka, {
      partitions: [{ topic, partition, fromOffset, untilOffset }],
      onBatch: (batch) => {
        walk.begin({ topic: 'deliveries', partition, batches: [batch], fromOffset });
        while (walk.next() && page.responses.length < limit) {
          const { buffer, keyAt, keyLength, valueAt, valueLength, offset } = walk.cursor;
          if (offset >= untilOffset) continue;
          if (buffer.toString('latin1', keyAt, keyAt + Math.max(0, keyLength)) !== user) continue;
          const record = decodeRecord('deliveries', buffer.subarray(valueAt, valueAt + Math.max(0, valueLength)));
          if (record === undefined || userKey(record.user) !== user) continue;
          const cursor = String(offset + 1);
          page.responses.push({ cursor, document: renderDelivery(record, this.#rendering) });
          if (page.responses.length < limit) continue;
          page.cursor = cursor;
          page.more = true;
          void reading.stop();
        }
      },
    });
    await reading.done;
    return page;
  }

  /** What stands before the cursor is not given again unless it is asked for; false where the cursor is none. */
  async acknowledge(user: string, cursor: string): Promise<boolean> {
    const { admin, settings, kafka } = this.#context;
    const offset = offsetOf(cursor);
    const topic = `${settings.prefix}deliveries`;
    const partition = this.#partitionOf(user);
    if (offset === undefined || offset > (await endOffsets(kafka, topic))[partition]) return false;
    if (offset > (await this.#acknowledged(user)))
      await admin.setOffsets({
        groupId: this.#group(user),
        topic,
        partitions: [{ partition, offset: String(offset) }],
      });
    return true;
  }

  async #acknowledged(user: string): Promise<number> {
    const { admin, settings } = this.#context;
    const topic = `${settings.prefix}deliveries`;
    const [answer] = await admin.fetchOffsets({ groupId: this.#group(user), topics: [topic] });
    const partition = this.#partitionOf(user);
    return Math.max(0, Number(answer?.partitions.find((one) => one.partition === partition)?.offset ?? 0));
  }

  #group(user: string): string {
    return `${this.#context.settings.prefix}mailbox.${user}`;
  }

  #partitionOf(user: string): number {
    return partitionOfKey(Buffer.from(user, 'latin1'), this.#context.settings.partitions);
  }
}

function offsetOf(cursor: string): number | undefined {
  const offset = Number(cursor);
  return /^\d{1,15}$/.test(cursor) && Number.isSafeInteger(offset) ? offset : undefined;
}
