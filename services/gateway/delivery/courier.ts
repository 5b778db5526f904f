import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { every, nowMs } from '#services/platform/clock.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { readPartitions } from '#services/platform/kafka/partition-reader.ts';
import type { OffsetSet } from '#services/platform/offset-set.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import type { TlsKeys } from '../edge/keys.ts';
import { type DeliveryRecord, decodeRecord, userKey } from '../gateway-records.ts';
import { type RenderingOptions, renderDelivery } from './rendering.ts';

export type CourierOptions = {
  context: ServiceContext;
  rendering: RenderingOptions;
  /** Of the gateway as a client, and what a User's endpoint is held against. */
  tls: TlsKeys;
  /** Where a User's responses go; undefined: it collects them. */
  urlOf(user: string): string | undefined;
  /** The first pause before a delivery is tried again; each next one is twice as long. */
  retrySecondsFirst: number;
  holdHours: number;
  onDelivered(): void;
  onFailed(): void;
  setAside(letters: readonly DeadLetter[]): Promise<void>;
};

/** Deliveries of one User on the way at a time. */
const IN_FLIGHT_MAX = 8;
/** Records of one User in memory; the others are read again from the log, of which so much at a time. */
const CACHED_MAX = 64;
const REREAD_RECORDS_MAX = 512;
/** At least once within 300 s [DOMAIN 7]; then no seldomer. */
const RETRY_SECONDS_MAX = 300;
/** More do not make the pause longer, whatever the first one is. */
const FAILURES_MAX = 20;
const ANSWER_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 250;
const HOUR_MS = 3_600_000;
const SOCKETS_MAX = 64;

/** Everything before `next` was delivered, but for Users that are behind: to them what is before their offset. */
export type Standing = { next: number; behind: Record<string, number> };
export const NOTHING_KNOWN: Standing = { next: 0, behind: {} };
/** A commit's metadata has 4 KB. */
const BEHIND_MAX = 100;

type Waiting = { offset: number; record: DeliveryRecord | undefined };
type Mailbag = {
  user: string;
  /** In the order of the log, without those on the way. */
  waiting: Waiting[];
  onTheWay: Set<number>;
  /** Consecutive failures: none of the User's is tried until `notBeforeMs`. */
  failures: number;
  notBeforeMs: number;
  isRereading: boolean;
};

/**
 * Delivers the responses of one partition of deliveries to the Users that have an endpoint. A User that does not answer
 * is tried again ever more seldom, and nobody waits for it: of what waits only its offsets are kept, the log has the rest.
 */
export class Courier {
  readonly partition: number;
  readonly done: OffsetSet;
  readonly #options: CourierOptions;
  readonly #bags = new Map<string, Mailbag>();
  readonly #walk = new BatchWalk('gateway');
  readonly #agents: { http: HttpAgent; https: HttpsAgent };
  readonly #stopLooking: () => void;
  readonly #known: Standing;
  #next: number;
  #isStopped = false;

  /** `known`: as {@link standing} said it where `done` begins. */
  constructor(options: CourierOptions, partition: number, done: OffsetSet, known: Standing) {
    this.partition = partition;
    this.done = done;
    this.#known = known;
    this.#next = done.low;
    this.#options = options;
    const { key, cert, ca } = options.tls;
    this.#agents = {
      http: new HttpAgent({ keepAlive: true, maxSockets: SOCKETS_MAX }),
      https: new HttpsAgent({ keepAlive: true, maxSockets: SOCKETS_MAX, key, cert, ca }),
    };
    this.#stopLooking = every(LOOK_EVERY_MS, () => {
      for (const bag of this.#bags.values()) this.#pump(bag);
    });
  }

  /** Not delivered yet. */
  get waiting(): number {
    return [...this.#bags.values()].reduce((sum, { waiting, onTheWay }) => sum + waiting.length + onTheWay.size, 0);
  }

  /** To be committed with the lowest offset that is not delivered: what above it is. */
  get standing(): Standing {
    const behind = [...this.#bags.values()].flatMap(({ user, waiting, onTheWay }) => {
      const first = Math.min(waiting[0]?.offset ?? Number.POSITIVE_INFINITY, ...onTheWay);
      return first < Number.POSITIVE_INFINITY ? [[user, first] as [string, number]] : [];
    });
    // More would not fit: their responses are delivered again after a restart.
    return behind.length > BEHIND_MAX ? NOTHING_KNOWN : { next: this.#next, behind: Object.fromEntries(behind) };
  }

  take(batches: readonly Buffer[], fromOffset: number, nextOffset: number): void {
    const walk = this.#walk;
    let seen = fromOffset;
    walk.begin({ topic: 'deliveries', partition: this.partition, batches, fromOffset });
    while (walk.next()) {
      const { buffer, valueAt, valueLength, offset } = walk.cursor;
      this.done.addRange(seen, offset);
      seen = offset + 1;
      if (this.done.has(offset)) continue;
      const record = decodeRecord('deliveries', buffer.subarray(valueAt, valueAt + Math.max(0, valueLength)));
      if (record === undefined || this.#isDone(record, offset)) this.done.add(offset);
      else this.#put(record, offset);
    }
    this.done.addRange(seen, nextOffset);
    this.#next = nextOffset;
  }

  #isDone({ user }: DeliveryRecord, offset: number): boolean {
    const key = userKey(user);
    if (this.#options.urlOf(key) === undefined) return true;
    const { next, behind } = this.#known;
    return offset < next && offset < (behind[key] ?? Number.POSITIVE_INFINITY);
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopLooking();
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  #put(record: DeliveryRecord, offset: number): void {
    const user = userKey(record.user);
    let bag = this.#bags.get(user);
    if (bag === undefined) {
      bag = { user, waiting: [], onTheWay: new Set(), failures: 0, notBeforeMs: 0, isRereading: false };
      this.#bags.set(user, bag);
    }
    bag.waiting.push({ offset, record: bag.waiting.length < CACHED_MAX ? record : undefined });
    this.#pump(bag);
  }

  #pump(bag: Mailbag): void {
    const inFlightMax = bag.failures > 0 ? 1 : IN_FLIGHT_MAX;
    while (
      !this.#isStopped &&
      bag.onTheWay.size < inFlightMax &&
      bag.waiting.length > 0 &&
      nowMs() >= bag.notBeforeMs
    ) {
      const [next] = bag.waiting;
      if (next.record === undefined) {
        if (!bag.isRereading) void this.#reread(bag);
        return;
      }
      bag.waiting.shift();
      bag.onTheWay.add(next.offset);
      void this.#deliver(bag, next.offset, next.record);
    }
  }

  async #deliver(bag: Mailbag, offset: number, record: DeliveryRecord): Promise<void> {
    const { urlOf, rendering, holdHours, onDelivered, onFailed } = this.#options;
    const url = urlOf(bag.user);
    const isHeldTooLong = nowMs() - record.sentWallMs > holdHours * HOUR_MS;
    const isAcknowledged = url !== undefined && (await this.#post(url, renderDelivery(record, rendering)));
    bag.onTheWay.delete(offset);
    if (this.#isStopped) return;
    if (isAcknowledged || url === undefined) {
      bag.failures = 0;
      bag.notBeforeMs = 0;
      this.done.add(offset);
      if (isAcknowledged) onDelivered();
    } else if (isHeldTooLong) {
      await this.#giveUp(offset, url, record);
      this.done.add(offset);
      onFailed();
    } else {
      this.#pause(bag);
      bag.waiting.unshift({ offset, record });
      bag.waiting.sort((a, b) => a.offset - b.offset);
    }
    this.#pump(bag);
  }

  // Those that were on the way together fail together: that is one failure.
  #pause(bag: Mailbag): void {
    const atMs = nowMs();
    if (atMs < bag.notBeforeMs) return;
    const seconds = Math.min(RETRY_SECONDS_MAX, this.#options.retrySecondsFirst * 2 ** bag.failures);
    bag.failures = Math.min(bag.failures + 1, FAILURES_MAX);
    bag.notBeforeMs = atMs + seconds * 1000;
  }

  /** True where the User has acknowledged it with a 2xx. */
  #post(url: string, body: string): Promise<boolean> {
    return new Promise((resolve) => {
      const isTls = url.startsWith('https:');
      const options = {
        method: 'POST',
        timeout: ANSWER_WITHIN_MS,
        headers: { 'content-type': 'application/xml; charset=utf-8', 'content-length': Buffer.byteLength(body) },
      };
      const request = isTls
        ? httpsRequest(url, { ...options, agent: this.#agents.https })
        : httpRequest(url, { ...options, agent: this.#agents.http });
      request.once('response', (response) => {
        response.resume();
        response.once('end', () => resolve((response.statusCode ?? 500) >= 200 && (response.statusCode ?? 500) < 300));
        response.once('error', () => resolve(false));
      });
      request.once('timeout', () => request.destroy());
      request.once('error', () => resolve(false));
      request.once('close', () => resolve(false));
      request.end(body);
    });
  }

  async #giveUp(offset: number, url: string, record: DeliveryRecord): Promise<void> {
    const detail = `held for ${this.#options.holdHours} h and not acknowledged by ${url}: service event`;
    await this.#options.setAside([
      {
        service: 'gateway',
        topic: 'deliveries',
        partition: this.partition,
        offset,
        reason: 'OTHER',
        detail,
        key: Buffer.from(userKey(record.user), 'latin1'),
        value: null,
        valueBytes: record.response?.length ?? 0,
      },
    ]);
  }

  async #reread(bag: Mailbag): Promise<void> {
    bag.isRereading = true;
    const { kafka, settings, fail } = this.#options.context;
    const missing = new Map(bag.waiting.slice(0, CACHED_MAX).map((one) => [one.offset, one]));
    const fromOffset = bag.waiting[0].offset;
    const lastOffset = Math.max(...missing.keys());
    const untilOffset = Math.min(lastOffset + 1, fromOffset + REREAD_RECORDS_MAX);
    const walk = new BatchWalk('gateway');
    const reading = readPartitions(kafka, {
      partitions: [{ topic: `${settings.prefix}deliveries`, partition: this.partition, fromOffset, untilOffset }],
      onBatch: (batch) => {
        walk.begin({ topic: 'deliveries', partition: this.partition, batches: [batch], fromOffset });
        while (walk.next()) {
          const { buffer, valueAt, valueLength, offset } = walk.cursor;
          const waiting = missing.get(offset);
          if (waiting !== undefined)
            waiting.record = decodeRecord('deliveries', buffer.subarray(valueAt, valueAt + valueLength));
        }
      },
    });
    await reading.done.catch(fail);
    bag.isRereading = false;
    this.#pump(bag);
  }
}
