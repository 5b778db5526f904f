import { SRVS } from '#core/matrix.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { bigCounterOf } from '#schemas/counter.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { QUARANTINE_KIND, type ServiceRequestFields, symbol } from '#schemas/service-request.ts';
import { euiText, WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import type { BatchWalk } from '#services/platform/batch-walk.ts';
import type { Reading } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { DCC_TARGET, FOR_DCC } from '../delivery/response-content.ts';
import { userKey } from '../gateway-records.ts';
import { followTopic } from './topic-feed.ts';

/** A request that is held, as its record has it. */
export type HeldRequest = { atMs: number; fields: ServiceRequestFields; originator: Buffer; device: Buffer };

/** As it is listed. */
export type HeldEntry = { id: string; requestId: string; srv: string; heldAtMs: number };

/** Held requests known, some 500 bytes each; the oldest are forgotten beyond it. */
const HELD_MAX = 200_000;
const PARTITIONS_MAX = 16;

/** Which requests of Users behind the gateway are held, of all partitions, by the number that their alert bears. */
export class HeldRequests {
  readonly #held = new Map<string, HeldRequest>();
  readonly #isDelivered: (user: string) => boolean;
  #stop: Reading['stop'] | undefined;

  constructor(isDelivered: (user: string) => boolean) {
    this.#isDelivered = isDelivered;
  }

  get size(): number {
    return this.#held.size;
  }

  /** What a User has held there; undefined where it has not. */
  get(user: string, id: string): HeldRequest | undefined {
    const held = this.#held.get(id);
    return held !== undefined && userKey(held.originator) === user ? held : undefined;
  }

  /** The same whoever has it. */
  find(id: string): HeldRequest | undefined {
    return this.#held.get(id);
  }

  /** What has been answered: it cannot be answered again meanwhile. */
  forget(id: string): void {
    this.#held.delete(id);
  }

  /** All of a User, or of all, oldest first. */
  list(user?: string): HeldEntry[] {
    return [...this.#held].flatMap(([id, { atMs, fields, originator, device }]) => {
      if (user !== undefined && userKey(originator) !== user) return [];
      const srv = SRVS[fields.srv];
      const target = FOR_DCC.has(srv) ? DCC_TARGET : device;
      const requestId = `${euiText(originator, 0)}:${euiText(target, 0)}:${bigCounterOf(fields)}`;
      return [{ id, requestId, srv, heldAtMs: atMs }];
    });
  }

  /** Restores everything, and follows it from then on. What cannot be used is set aside elsewhere. */
  async follow(context: ServiceContext): Promise<void> {
    const schemaId = context.schemaIds.quarantine;
    this.#stop = await followTopic(context, 'quarantine', (walk, partition) => this.#take(walk, partition, schemaId));
  }

  async stop(): Promise<void> {
    await this.#stop?.();
  }

  #take({ cursor }: BatchWalk, partition: number, schemaId: number): void {
    const { buffer, valueAt, valueLength } = cursor;
    if (wireSchemaId(buffer, valueAt, valueLength) !== schemaId) return;
    const reader = new AvroReader().open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
    try {
      const kind = symbol(reader, QUARANTINE_KIND.deleted);
      const atMs = reader.long();
      const record = newDeviceRequest();
      readDeviceRequest(reader, record);
      const { request: fields, requestOffset } = record;
      const originator = Buffer.from(buffer.subarray(fields.originatorAt, fields.originatorAt + 8));
      if (!this.#isDelivered(userKey(originator))) return;
      const id = String(requestOffset * PARTITIONS_MAX + partition);
      const device = Buffer.from(buffer.subarray(fields.deviceAt, fields.deviceAt + 8));
      if (kind === QUARANTINE_KIND.held) this.#held.set(id, { atMs, fields, originator, device });
      else this.#held.delete(id);
      if (this.#held.size > HELD_MAX) this.#held.delete(this.#held.keys().next().value as string);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
    }
  }
}
