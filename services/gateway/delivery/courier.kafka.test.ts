import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { euiBytes } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { OffsetSet } from '#services/platform/offset-set.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { openContext } from '#services/platform/test/open-context.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { type GatewayKeys, readGatewayKeys } from '../edge/keys.ts';
import { type DeliveryRecord, encodeRecord, userKey } from '../gateway-records.ts';
import { createKeyFolder } from '../pki/key-folder.ts';
import { CODES } from '../test/stream-world.ts';
import { Courier, NOTHING_KNOWN, type Standing } from './courier.ts';
import { Mailbox } from './mailbox.ts';
import type { RenderingOptions } from './rendering.ts';

const HERE = euiBytes('90-B3-D5-1F-30-01-00-00');
const AWAY = euiBytes('90-B3-D5-1F-30-02-00-00');
const DEVICE = Buffer.from('00db1234567890a0', 'hex');
const PATIENCE_MS = 60_000;
const HOUR_MS = 3_600_000;
const directory = mkdtempSync(join(tmpdir(), 'mdr-courier-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A User's endpoint, which says 503 while it is away. */
class Endpoint {
  isAway = false;
  readonly counters: number[] = [];
  tries = 0;
  url = '';
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      this.tries++;
      const counter = /<sr:RequestID>[^<]*:(\d+)</.exec(Buffer.concat(chunks).toString('utf8'))?.[1];
      if (!this.isAway) this.counters.push(Number(counter));
      response.writeHead(this.isAway ? 503 : 204).end();
    });
  });

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
    return this;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const end = nowMs() + PATIENCE_MS; !isSo(); await sleep(10)) if (nowMs() > end) throw new Error(what);
}

const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, k) => from + k);

describeWithKafka('what waits for Users in deliveries', (kafka) => {
  let keys: GatewayKeys;
  let rendering: RenderingOptions;
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    await createKeyFolder(join(directory, 'keys'), { seed: 1, users: [] }, nowMs(), false);
    keys = readGatewayKeys(join(directory, 'keys'));
    rendering = { signers: keys.signers, secrets: keys.secrets, codes: CODES };
  });
  afterAll(async () => {
    for (const one of open) await one.close();
  });

  async function opened<T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> {
    const one = await opening;
    open.push(one);
    return one;
  }

  /** An alert that a request is held: its counter tells it from others. */
  const alertTo = (user: Buffer, counter: number, sentWallMs = nowMs()): DeliveryRecord => ({
    kind: 'QUARANTINED_REQUEST',
    user,
    atMs: 1_772_323_200_000,
    partition: 0,
    mode: 'ON_DEMAND',
    requestOffset: counter,
    device: DEVICE,
    target: DEVICE,
    counter: BigInt(counter),
    responseOffset: -1,
    response: null,
    code: null,
    scheduleId: null,
    schedules: [],
    inventory: null,
    sentWallMs,
  });

  async function put(context: ServiceContext, records: readonly DeliveryRecord[]): Promise<void> {
    for (const record of records) {
      const batch = encodeRecord('deliveries', userKey(record.user), record, context.schemaIds.deliveries);
      await context.outbox.send('deliveries', 0, batch, 1);
    }
  }

  /** A courier of partition 0 that has taken the whole log from where it begins. */
  async function courierOf(
    context: ServiceContext,
    urls: Record<string, string>,
    more: { from?: number; known?: Standing; letters?: DeadLetter[]; holdHours?: number } = {},
  ): Promise<Courier> {
    const { from = 0, known = NOTHING_KNOWN, letters = [], holdHours = 48 } = more;
    const courier = new Courier(
      {
        context,
        rendering,
        tls: keys.clientTls,
        urlOf: (user) => urls[user],
        retrySecondsFirst: 1,
        holdHours,
        onDelivered: () => {},
        onFailed: () => {},
        setAside: async (found) => {
          letters.push(...found);
        },
      },
      0,
      new OffsetSet(from),
      known,
    );
    open.push({ close: async () => courier.stop() });
    const topic = `${context.settings.prefix}deliveries`;
    const untilOffset = (await endOffsets(context.kafka, topic))[0];
    const batches: Buffer[] = [];
    await readPartitions(context.kafka, {
      partitions: [{ topic, partition: 0, fromOffset: from, untilOffset }],
      onBatch: (batch) => {
        batches.push(batch);
      },
    }).done;
    courier.take(batches, from, untilOffset);
    return courier;
  }

  test('a User that is away holds up nobody, and gets all of it when it is back, once', async () => {
    const { context } = await opened(openContext(kafka, 'courier', 1));
    const [here, away] = [await opened(new Endpoint().open()), await opened(new Endpoint().open())];
    away.isAway = true;
    // More than are kept in memory: the others are read again from the log.
    const count = 150;
    for (const counter of upTo(count)) await put(context, [alertTo(AWAY, counter), alertTo(HERE, counter)]);
    const courier = await courierOf(context, { [userKey(HERE)]: here.url, [userKey(AWAY)]: away.url });
    await until('all is delivered to the one that is here', () => here.counters.length === count);
    await until('the other is tried again', () => away.tries > 8);
    expect(courier.done.low).toBe(0);
    expect(courier.waiting).toBe(count);
    away.isAway = false;
    await until('all is delivered', () => courier.waiting === 0);
    expect(here.counters.toSorted((a, b) => a - b)).toEqual(upTo(count));
    expect(away.counters.toSorted((a, b) => a - b)).toEqual(upTo(count));
    expect(courier.done.low).toBe(2 * count);
  });

  test('who takes over delivers what was not, and nothing else', async () => {
    const { context } = await opened(openContext(kafka, 'courier', 1));
    const [here, away] = [await opened(new Endpoint().open()), await opened(new Endpoint().open())];
    away.isAway = true;
    for (const counter of upTo(20)) await put(context, [alertTo(AWAY, counter), alertTo(HERE, counter)]);
    const urls = { [userKey(HERE)]: here.url, [userKey(AWAY)]: away.url };
    const first = await courierOf(context, urls);
    await until('all is delivered to the one that is here', () => here.counters.length === 20);
    await until('it is known', () => Object.keys(first.standing.behind).length === 1);
    const committed = JSON.parse(JSON.stringify(first.standing)) as Standing;
    expect(committed).toEqual({ next: 40, behind: { [userKey(AWAY)]: 0 } });
    first.stop();
    away.isAway = false;
    await put(context, [alertTo(HERE, 20)]);
    const second = await courierOf(context, urls, { from: first.done.low, known: committed });
    await until('the rest is delivered', () => second.waiting === 0);
    expect(here.counters.toSorted((a, b) => a - b)).toEqual(upTo(21));
    expect(away.counters.toSorted((a, b) => a - b)).toEqual(upTo(20));
  });

  test('what was held too long is a service event: set aside, and not waited for', async () => {
    const { context } = await opened(openContext(kafka, 'courier', 1));
    const away = await opened(new Endpoint().open());
    away.isAway = true;
    await put(context, [alertTo(AWAY, 0, nowMs() - 3 * HOUR_MS), alertTo(AWAY, 1)]);
    const letters: DeadLetter[] = [];
    const courier = await courierOf(context, { [userKey(AWAY)]: away.url }, { letters, holdHours: 2 });
    await until('the first is given up', () => letters.length > 0);
    expect(letters).toMatchObject([{ topic: 'deliveries', partition: 0, offset: 0, reason: 'OTHER' }]);
    expect(letters[0].detail).toContain('held for 2 h');
    away.isAway = false;
    await until('the second is delivered', () => courier.waiting === 0);
    expect([away.counters, letters.length]).toEqual([[1], 1]);
  });

  test('a User without an endpoint collects in pages, from where it has acknowledged', async () => {
    const { context } = await opened(openContext(kafka, 'mailbox', 1));
    for (const counter of upTo(7)) await put(context, [alertTo(AWAY, counter), alertTo(HERE, counter)]);
    const mailbox = new Mailbox(context, rendering);
    const user = userKey(HERE);
    const countersOf = (page: Awaited<ReturnType<Mailbox['page']>>) =>
      page?.responses.map(({ document }) => Number(/<sr:RequestID>[^<]*:(\d+)</.exec(document)?.[1]));
    const first = await mailbox.page(user, null, 3);
    expect([countersOf(first), first?.more]).toEqual([[0, 1, 2], true]);
    // Until it is acknowledged the same is given again; a cursor asks for what is behind it.
    expect(countersOf(await mailbox.page(user, null, 3))).toEqual([0, 1, 2]);
    expect(countersOf(await mailbox.page(user, first?.responses[0].cursor ?? '', 2))).toEqual([1, 2]);
    expect(await mailbox.acknowledge(user, first?.cursor ?? '')).toBe(true);
    const rest = await mailbox.page(user, null, 100);
    expect([countersOf(rest), rest?.more]).toEqual([[3, 4, 5, 6], false]);
    expect(countersOf(await mailbox.page(userKey(AWAY), null, 100))).toEqual(upTo(7));
    expect(await mailbox.acknowledge(user, rest?.cursor ?? '')).toBe(true);
    // An older cursor takes nothing back.
    expect(await mailbox.acknowledge(user, first?.cursor ?? '')).toBe(true);
    expect(countersOf(await mailbox.page(user, null, 100))).toEqual([]);
    for (const cursor of ['15', '-1', 'x', '1e3', '9999999999999999']) {
      expect(await mailbox.page(user, cursor, 1), cursor).toBeUndefined();
      expect(await mailbox.acknowledge(user, cursor), cursor).toBe(false);
    }
  });
});
