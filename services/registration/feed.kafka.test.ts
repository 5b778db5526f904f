import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import avsc from 'avsc';
import fc from 'fast-check';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { mpanFrom } from '#core/identifiers.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { formatDay } from '#core/settlement-day.ts';
import { schemaText } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { BatchBuilder, BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { registerSchemas, type SchemaIds } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import type { RowAnswer } from './posted-changes.ts';
import {
  changeOf,
  csvOf,
  MPIDS,
  NaiveRegistrations,
  ndjsonOf,
  type PlainChange,
  type PlainState,
  sorted,
} from './test/any-changes.ts';
import { type FeedProcess, startFeedService } from './test/feed-process.ts';
import { encodeUsers } from './user-records.ts';

const PARTITIONS = 2;
const REGISTRATION = avsc.Type.forSchema(JSON.parse(schemaText('registrations')));
const DAY = 20_500;
/** Of a change and what another writes at the same time: from its decision under way to its record read back. */
const OVERLAP_MS = 60;
const ROUNDS = 30;
const run = `feed-${process.pid}-${Math.trunc(performance.timeOrigin)}`;
const directory = mkdtempSync(join(tmpdir(), 'mdr-feed-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describeWithKafka('the registration feed', ({ brokers, registryUrl }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const processes: FeedProcess[] = [];
  let schemaIds: SchemaIds;
  let tests = 0;
  beforeAll(async () => {
    schemaIds = await registerSchemas(registryUrl);
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((one) => one.kill()));
  });

  /** Topics of a test's own, with one User who has all MPIDs. */
  async function newPrefix(): Promise<string> {
    const prefix = `${run}-${tests++}.`;
    const admin = kafka.admin();
    await admin.connect();
    await ensureTopics(admin, prefix, PARTITIONS, { create: true });
    await admin.disconnect();
    const user = {
      name: 'All',
      eui: '90-B3-D5-1F-30-00-10-00',
      category: 'MDR Party' as const,
      roles: { MDR: MPIDS },
      gates: { ueptOn: {}, securityAssessments: [], privacyAssessments: [] },
      anomalyThresholds: [],
    };
    const producer = await createRawProducer(kafka);
    const batches = encodeUsers([user], schemaIds.users, PARTITIONS, Math.floor(nowMs()));
    await producer.send(batches.map((one) => ({ topic: `${prefix}users`, ...one })));
    await producer.disconnect();
    return prefix;
  }

  async function service(prefix: string, ...flags: string[]): Promise<FeedProcess> {
    const started = await startFeedService({ brokers, registryUrl, prefix, partitions: PARTITIONS }, flags);
    processes.push(started);
    return started;
  }

  /** What a reader of the compacted topic knows: the last value of each key. */
  async function registrationsOf(prefix: string): Promise<Map<number, PlainState>> {
    const topic = `${prefix}registrations`;
    const ends = await endOffsets(kafka, topic);
    const last = new Map<number, PlainState>();
    const cursor = new BatchCursor();
    const partitions = ends.flatMap((untilOffset, partition) =>
      untilOffset > 0 ? [{ topic, partition, fromOffset: 0, untilOffset }] : [],
    );
    await readPartitions(kafka, {
      partitions,
      onBatch(batch) {
        cursor.open(batch);
        while (cursor.next()) {
          const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
          if (valueLength < 0) {
            last.delete(Number(buffer.toString('latin1', keyAt, keyAt + keyLength)));
            continue;
          }
          const value = REGISTRATION.fromBuffer(Buffer.from(buffer.subarray(valueAt + 5, valueAt + valueLength)));
          last.set(value.mpan, {
            sequence: value.sequence,
            appointments: sorted(JSON.parse(JSON.stringify(value.appointments))),
          });
        }
      },
    }).done;
    return last;
  }

  /** Writes into the topic past its owner, as a former one does whose last batch is late; without a state: a tombstone. */
  async function writePast(prefix: string, records: readonly (Pick<PlainChange, 'mpan'> & Partial<PlainState>)[]) {
    const producer = await createRawProducer(kafka);
    const byPartition = Map.groupBy(records, ({ mpan }) => partitionOfMpan(mpan, PARTITIONS));
    const batches = [...byPartition].map(([partition, own]) => {
      const builder = new BatchBuilder(256 * own.length);
      for (const { mpan, sequence, appointments } of own) {
        const key = Buffer.from(String(mpan));
        if (sequence === undefined) builder.tombstone(Math.floor(nowMs()), key, 0, key.length);
        else {
          const value = REGISTRATION.toBuffer({ mpan, sequence, appointments });
          const at = builder.begin(Math.floor(nowMs()), key, 0, key.length);
          writeWireHeader(builder.buffer, at, schemaIds.registrations);
          builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
        }
      }
      return { topic: `${prefix}registrations`, partition, batch: builder.finish(), records: own.length };
    });
    await producer.send(batches);
    await producer.disconnect();
  }

  /** What the owner judges by is what the topic ends with, for each MPAN; returns that. */
  async function agreed(of: FeedProcess, prefix: string, mpans: readonly number[]): Promise<Map<number, PlainState>> {
    let ends = '';
    await until('an end of what is written', async () => {
      await sleep(1000);
      const before = ends;
      ends = String(await endOffsets(kafka, `${prefix}registrations`));
      return ends === before ? true : undefined;
    });
    const found = await registrationsOf(prefix);
    const outcomesOf = async (changes: PlainChange[]) => {
      const { rows } = await post(of, changes.map(ndjsonOf).join('\n'));
      return changes.map(({ mpan, sequence }, k) => [mpan, sequence, rows[k].outcome]);
    };
    const known = [...found].map(([mpan, state]) => ({ mpan, ...state }));
    const gone = mpans
      .filter((mpan) => !found.has(mpan))
      .map((mpan) => ({ mpan, sequence: 2, appointments: [{ role: 'MDR', mpid: 'ZZZZ', efd: DAY, etd: null }] }));
    expect(await outcomesOf(known)).toEqual(known.map(({ mpan, sequence }) => [mpan, sequence, 'duplicate']));
    const older = known.map((one) => ({ ...one, sequence: one.sequence - 1 }));
    expect(await outcomesOf(older)).toEqual(older.map(({ mpan, sequence }) => [mpan, sequence, 'stale']));
    expect(await outcomesOf(gone)).toEqual(gone.map(({ mpan }) => [mpan, 2, 'applied']));
    return found;
  }

  async function post(
    of: FeedProcess,
    body: string,
    type = 'application/x-ndjson',
  ): Promise<{ status: number; rows: RowAnswer[]; retryAfter: string | null }> {
    const answer = await fetch(`${of.url}/registrations`, { method: 'POST', body, headers: { 'content-type': type } });
    const { rows = [] } = (await answer.json()) as { rows?: RowAnswer[] };
    return { status: answer.status, rows, retryAfter: answer.headers.get('retry-after') };
  }

  /** Drops a file as the page says: under another name first. */
  function drop(folder: string, name: string, text: string): void {
    writeFileSync(join(folder, `.${name}`), text);
    renameSync(join(folder, `.${name}`), join(folder, name));
  }

  async function until<T>(
    what: string,
    look: () => T | undefined | Promise<T | undefined>,
    withinMs = 40_000,
  ): Promise<T> {
    for (const endMs = nowMs() + withinMs; nowMs() < endMs; await sleep(50)) {
      const found = await look();
      if (found !== undefined) return found;
    }
    throw new Error(
      `not within ${withinMs} ms: ${what}\n${processes.map(({ log }) => readFileSync(log, 'utf8')).join('\n')}`,
    );
  }

  const summaryOf = (folder: string, to: string, name: string) => {
    const path = join(folder, to, `${name}.summary.json`);
    return existsSync(path) && existsSync(join(folder, to, name)) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  };

  test('changes by request, by file drop and in bulk, in any order and twice, come to what the naive rules say', async () => {
    const prefix = await newPrefix();
    const folder = join(directory, 'doors');
    mkdirSync(folder);
    const one = await service(prefix, '--drop', folder);
    // A second process shares the partitions: what it is posted for the other's, the other decides.
    const two = await service(prefix);
    const naive = new NaiveRegistrations();
    const samples = fc
      .sample(fc.array(changeOf, { minLength: 20, maxLength: 40 }), { numRuns: 6, seed: 20_261_124 })
      .map((changes) => changes.flatMap((change) => [change, change]));
    const posted: RowAnswer['outcome'][] = [];
    const expected: RowAnswer['outcome'][] = [];
    for (const [k, changes] of samples.entries()) {
      if (k % 3 === 2) {
        // One change of an MPAN at a time: rows of CSV that follow on each other with one sequence are one.
        const name = `changes-${k}.${k % 2 === 0 ? 'csv' : 'ndjson'}`;
        const distinct = changes.filter(({ mpan }, at) => changes.findIndex((other) => other.mpan === mpan) === at);
        const outcomes = distinct.map((change) => naive.apply(change));
        const text = name.endsWith('csv')
          ? `mpan,sequence,role,mpid,efd,etd\n${distinct.map(csvOf).join('\n')}\n`
          : distinct.map(ndjsonOf).join('\n');
        drop(folder, name, text);
        const isFailed = outcomes.includes('set-aside');
        const summary = await until(`summary of ${name}`, () => summaryOf(folder, isFailed ? 'failed' : 'done', name));
        const count = (outcome: string) => outcomes.filter((own) => own === outcome).length;
        expect(summary).toMatchObject({
          applied: count('applied'),
          stale: count('stale'),
          duplicate: count('duplicate'),
          changes: distinct.length,
        });
      } else {
        const isArray = k % 2 === 0;
        const rows = changes.map(ndjsonOf);
        const body = isArray ? `[${rows.join()}]` : rows.join('\n');
        const answer = await post(k % 2 === 0 ? one : two, body, isArray ? 'application/json' : undefined);
        expect([answer.status, answer.rows.map(({ row }) => row)]).toEqual([200, changes.map((_, at) => at + 1)]);
        posted.push(...answer.rows.map(({ outcome }) => outcome));
        expected.push(...changes.map((change) => naive.apply(change)));
      }
      expect(await registrationsOf(prefix)).toEqual(naive.states);
    }
    expect(posted).toEqual(expected);
    expect(new Set(posted)).toEqual(new Set(['applied', 'stale', 'duplicate', 'set-aside']));
    // What is repeated changes nothing, and says so.
    const applied = [...naive.states].map(([mpan, state]): PlainChange => ({ mpan, ...state }));
    const again = await post(two, applied.map(ndjsonOf).join('\n'));
    expect(new Set(again.rows.map(({ outcome }) => outcome))).not.toContain('applied');
    expect(await registrationsOf(prefix)).toEqual(naive.states);
  });

  test('kill -9 amid a file and amid requests loses nothing that was acknowledged and applies nothing twice', {
    timeout: 180_000,
  }, async () => {
    const prefix = await newPrefix();
    const folder = join(directory, 'killed');
    mkdirSync(folder);
    const changes = 120_000;
    const ofFile = (k: number): PlainChange => ({
      mpan: mpanFrom(101_000_000_000 + k),
      sequence: 7,
      appointments: [
        { role: 'IS', mpid: 'SUPP', efd: DAY - 900, etd: null },
        { role: 'MDR', mpid: 'AGNA', efd: DAY, etd: null },
      ],
    });
    const ofPost = (k: number): PlainChange => ({
      mpan: mpanFrom(202_000_000_000 + (k % 50)),
      sequence: 1 + k,
      appointments: [{ role: 'MDR', mpid: MPIDS[k % 2], efd: DAY + (k % 50), etd: null }],
    });
    let current = await service(prefix, '--drop', folder);
    const acknowledged = new Map<number, number>();
    let isOver = false;
    const posting = (async () => {
      for (let k = 0; !isOver; ) {
        const answer = await post(current, ndjsonOf(ofPost(k))).catch(() => undefined);
        if (answer?.status !== 200) {
          // Nobody knows what became of it: the same again, as the page says.
          await sleep(50);
          continue;
        }
        expect(['applied', 'duplicate']).toContain(answer.rows[0].outcome);
        acknowledged.set(ofPost(k).mpan, ofPost(k).sequence);
        k++;
      }
    })();
    const text = Array.from({ length: changes }, (_, k) => csvOf(ofFile(k))).join('\n');
    drop(folder, 'bulk.csv', `mpan,sequence,role,mpid,efd,etd\n${text}\n`);
    const written = async () => (await endOffsets(kafka, `${prefix}registrations`)).reduce((sum, end) => sum + end, 0);
    for (const share of [0.1, 0.45, 0.8]) {
      await until(`${share} of the file`, async () => ((await written()) > share * changes ? true : undefined));
      current.signal('SIGKILL');
      current = await service(prefix, '--drop', folder);
    }
    const summary = await until('summary of the file', () => summaryOf(folder, 'done', 'bulk.csv'), 120_000);
    isOver = true;
    await posting;
    expect(summary).toMatchObject({ lines: 2 * changes + 1, rows: 2 * changes, changes, stale: 0, setAside: 0 });
    expect(summary.applied + summary.duplicate).toBe(changes);
    expect(
      readdirSync(folder)
        .filter((name) => !name.startsWith('.'))
        .sort(),
    ).toEqual(['done']);
    const found = await registrationsOf(prefix);
    expect(acknowledged.size).toBeGreaterThan(10);
    for (const [mpan, sequence] of acknowledged) expect(found.get(mpan)?.sequence).toBeGreaterThanOrEqual(sequence);
    for (let k = 0; k < changes; k++) {
      const { mpan, ...state } = ofFile(k);
      expect(found.get(mpan)).toEqual(state);
    }
  });

  test('an owner that was frozen and writes on does not bring an older registration back', {
    timeout: 180_000,
  }, async () => {
    const prefix = await newPrefix();
    const first = await service(prefix);
    const second = await service(prefix);
    const acknowledged = new Map<number, number>();
    let sequence = 0;
    const postSome = async (of: FeedProcess) => {
      const changes = Array.from(
        { length: 60 },
        (_, k): PlainChange => ({
          mpan: mpanFrom(303_000_000_000 + k),
          sequence: ++sequence,
          appointments: [{ role: 'MDR', mpid: MPIDS[sequence % 2], efd: DAY, etd: null }],
        }),
      );
      const answer = await post(of, changes.map(ndjsonOf).join('\n')).catch(() => undefined);
      for (const { row, outcome } of answer?.status === 200 ? answer.rows : []) {
        const { mpan, sequence: own } = changes[row - 1];
        if (outcome !== 'stale') acknowledged.set(mpan, Math.max(own, acknowledged.get(mpan) ?? 0));
      }
    };
    for (let round = 0; round < 3; round++) {
      for (let k = 0; k < 10; k++) await postSome(k % 2 === 0 ? first : second);
      // It is stopped with a request on its way, loses its partitions, and goes on where it was.
      const onTheWay = postSome(first);
      first.signal('SIGSTOP');
      const endMs = nowMs() + 6000;
      while (nowMs() < endMs) await postSome(second);
      first.signal('SIGCONT');
      await onTheWay;
    }
    for (let k = 0; k < 10; k++) await postSome(second);
    expect(acknowledged.size).toBe(60);
    expect(Math.min(...acknowledged.values())).toBeGreaterThan(1000);
    await sleep(1000);
    const found = await registrationsOf(prefix);
    for (const [mpan, last] of acknowledged) expect(found.get(mpan)?.sequence).toBeGreaterThanOrEqual(last);
  });

  describe.each<[string, (mpan: number, sequence: number) => Pick<PlainChange, 'mpan'> & Partial<PlainState>]>([
    [
      'a former owner writes the same sequence with other appointments',
      (mpan, sequence) => ({
        mpan,
        sequence,
        appointments: [{ role: 'MDR', mpid: 'AGNB', efd: DAY + (sequence % 3), etd: null }],
      }),
    ],
    ['an operator removes the registration', (mpan) => ({ mpan })],
  ])('while a change of an MPAN is on its way and %s', (_, other) => {
    test('the topic ends with what its owner judges by', { timeout: 180_000 }, async () => {
      const prefix = await newPrefix();
      const owner = await service(prefix);
      const mpans = Array.from({ length: 40 }, (_, k) => mpanFrom(404_000_000_000 + k));
      const own = (mpan: number, sequence: number): PlainChange => ({
        mpan,
        sequence,
        appointments: [{ role: 'MDR', mpid: 'AGNA', efd: DAY + (sequence % 3), etd: null }],
      });
      const outcomes = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const sequence = 10 + 2 * round;
        const past = sleep(((round % 10) * OVERLAP_MS) / 10).then(() =>
          writePast(
            prefix,
            mpans.map((mpan) => other(mpan, sequence)),
          ),
        );
        const { rows } = await post(owner, mpans.map((mpan) => ndjsonOf(own(mpan, sequence))).join('\n'));
        await past;
        for (const { outcome } of rows) outcomes.add(outcome);
        if (round % 10 === 9) await agreed(owner, prefix, mpans);
      }
      expect(outcomes).toContain('applied');
      // Who has the partition next reads the same.
      const found = await agreed(owner, prefix, mpans);
      owner.signal('SIGTERM');
      await owner.exited;
      const next = await service(prefix);
      for (const [mpan, state] of await agreed(next, prefix, mpans))
        if (found.has(mpan)) expect([mpan, state]).toEqual([mpan, found.get(mpan)]);
    });
  });

  test('a file with rows that cannot be used goes to failed, with each of them, its line and the reason; the others are applied', async () => {
    const prefix = await newPrefix();
    const folder = join(directory, 'faulty');
    const one = await service(prefix, '--drop', folder);
    const good = {
      mpan: mpanFrom(101_000_000_001),
      sequence: 3,
      appointments: [{ role: 'MDR', mpid: 'AGNA', efd: DAY, etd: null }],
    };
    const gap = {
      ...good,
      mpan: mpanFrom(101_000_000_002),
      appointments: [
        { role: 'MDR', mpid: 'AGNA', efd: DAY, etd: DAY + 1 },
        { role: 'MDR', mpid: 'AGNB', efd: DAY + 5, etd: null },
      ],
    };
    const rows = [ndjsonOf(good), ndjsonOf({ ...good, mpan: good.mpan + 1 }), '', 'nonsense', ndjsonOf(gap)];
    drop(folder, 'monday.ndjson', rows.join('\n'));
    const summary = await until('summary', () => summaryOf(folder, 'failed', 'monday.ndjson'));
    expect(summary).toMatchObject({ rows: 4, changes: 2, applied: 1, setAside: 3 });
    const aside = readFileSync(summary.setAsideFile, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(aside.map(({ line, row }) => [line, row])).toEqual([
      [2, rows[1]],
      [4, rows[3]],
      [5, rows[4]],
    ]);
    expect(aside[2].reason).toBe(
      `MDR: nobody from ${formatDay(DAY + 2)} to ${formatDay(DAY + 4)}, between AGNA and AGNB`,
    );
    expect([...(await registrationsOf(prefix)).keys()]).toEqual([good.mpan]);
    drop(folder, 'tuesday.csv', 'nothing,of,this\n1,2,3\n');
    expect(await until('summary', () => summaryOf(folder, 'failed', 'tuesday.csv'))).toMatchObject({
      error: expect.stringContaining('no header'),
    });
    // The same name again keeps both.
    drop(folder, 'monday.ndjson', ndjsonOf(good));
    expect(await until('summary', () => summaryOf(folder, 'done', 'monday.ndjson'))).toMatchObject({ duplicate: 1 });
    // A file that still grows is left alone until it does not.
    writeFileSync(join(folder, 'slow.ndjson'), '');
    for (let k = 0; k < 6; k++) {
      appendFileSync(join(folder, 'slow.ndjson'), `${ndjsonOf({ ...good, sequence: 10 + k })}\n`);
      await sleep(400);
    }
    expect(await until('summary', () => summaryOf(folder, 'done', 'slow.ndjson'))).toMatchObject({
      changes: 6,
      applied: 6,
    });
    const letters = (await endOffsets(kafka, `${prefix}dead-letters`)).reduce((sum, end) => sum + end, 0);
    expect(letters).toBe(3);
    one.signal('SIGTERM');
    expect(await one.exited).toBe(0);
  });

  test('what a request may not be is refused with what may', async () => {
    const prefix = await newPrefix();
    const one = await service(prefix);
    expect(await post(one, 'a,b', 'text/csv')).toMatchObject({ status: 415 });
    expect(await post(one, 'x'.repeat(1024 * 1024 + 1))).toMatchObject({ status: 413 });
    expect(await post(one, '')).toMatchObject({ status: 200, rows: [] });
    expect((await fetch(`${one.url}/registrations`)).status).toBe(404);
    const many = await Promise.all(Array.from({ length: 200 }, () => post(one, '[]', 'application/json')));
    for (const { status, retryAfter } of many)
      expect([200, 503]).toContain(status === 503 && retryAfter === null ? 'no Retry-After' : status);
    one.signal('SIGTERM');
    expect(await one.exited).toBe(0);
    expect(readFileSync(one.log, 'utf8')).toBe('');
  });
});
