import { SERVICE_REQUEST_BYTES_MAX } from '#schemas/service-request.ts';
import { MPAN_KEY_BYTES, WIRE_HEADER_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import { BATCH_HEADER_BYTES, BatchBuilder, RECORD_OVERHEAD_BYTES_MAX } from '#services/platform/kafka/record-batch.ts';
import { type Lane, takeOverLane } from '#services/platform/own-tail.ts';
import type { ServiceContext } from '#services/platform/service.ts';

export const LANE: Lane = 'service-requests.on-demand';
/** Of one partition, accepted and not acknowledged by the broker: a second of what one partition takes. */
export const WAITING_MAX = 1_000;
/** Of one batch: what arrives while the batch before travels, some milliseconds. */
const BATCH_RECORDS_MAX = 500;
const RECORD_BYTES_MAX = RECORD_OVERHEAD_BYTES_MAX + MPAN_KEY_BYTES + WIRE_HEADER_BYTES + SERVICE_REQUEST_BYTES_MAX;

type Waiting = { mpan: number; value: Buffer; resolve: () => void };
/** Writes a request's value, with this position, into a buffer that is its own. */
export type EncodeAt = (position: number) => Buffer;

/**
 * Where one gateway process writes requests of one partition. One batch travels at a time, and what comes meanwhile goes
 * in the next, so that the more comes the fewer batches it takes.
 */
export class RequestLane {
  readonly #context: ServiceContext;
  readonly #partition: number;
  #position: number;
  #waiting: Waiting[] = [];
  #isSending = false;

  constructor(context: ServiceContext, partition: number, position: number) {
    this.#context = context;
    this.#partition = partition;
    this.#position = position;
  }

  /** Takes every partition over from the process that had this source before. */
  static async takeOverAll(context: ServiceContext, source: number, firstMs: number): Promise<RequestLane[]> {
    const partitions = Array.from({ length: context.settings.partitions }, (_, partition) => partition);
    const tails = await Promise.all(
      partitions.map((partition) => takeOverLane(context, LANE, partition, source, firstMs)),
    );
    return tails.map(({ position }, partition) => new RequestLane(context, partition, position));
  }

  get isFull(): boolean {
    return this.#waiting.length >= WAITING_MAX;
  }

  /** Resolves when the broker has it. */
  write(mpan: number, encode: EncodeAt): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ mpan, value: encode(++this.#position), resolve });
      if (!this.#isSending) void this.#send();
    });
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    const { outbox, schemaIds } = this.#context;
    while (this.#waiting.length > 0) {
      const taken = this.#waiting.splice(0, BATCH_RECORDS_MAX);
      const builder = new BatchBuilder(BATCH_HEADER_BYTES + taken.length * RECORD_BYTES_MAX);
      for (const { mpan, value } of taken) {
        writeMpanKey(key, 0, mpan);
        const at = writeWireHeader(
          builder.buffer,
          builder.begin(Math.floor(nowMs()), key, 0, MPAN_KEY_BYTES),
          schemaIds[LANE],
        );
        builder.end(at + value.copy(builder.buffer, at));
      }
      await outbox.send(LANE, this.#partition, builder.finish(), taken.length);
      for (const { resolve } of taken) resolve();
    }
    this.#isSending = false;
  }
}

const key = Buffer.alloc(MPAN_KEY_BYTES);
