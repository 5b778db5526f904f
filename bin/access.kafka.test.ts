import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import avsc from 'avsc';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mpanFrom } from '#core/identifiers.ts';
import { MODES, ROLES, SERVICES, SRVS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { DAY_MS, parseDay, readWindow } from '#core/settlement-day.ts';
import { benchRun, publishRun } from '#load-tests/bench/service-run.ts';
import { endService, type ServiceProcess, startService, untilReady } from '#load-tests/load/processes.ts';
import { newServiceRequest, SERVICE_REQUEST_BYTES_MAX, writeServiceRequest } from '#schemas/service-request.ts';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { euiBytes } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { type Reading, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { createRawProducer, type RawProducer } from '#services/platform/kafka/raw-producer.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { registerSchemas, type SchemaIds } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { batchOf, framed } from '#services/platform/test/record-streams.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const PARTITIONS = 2;
const prefix = `access-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
const directory = mkdtempSync(join(tmpdir(), 'mdr-access-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const MPAN = mpanFrom(101_234_567_890);
const DEVICE = '00-DB-12-34-56-78-90-A0';
const AGENTS = { A: '90-B3-D5-1F-30-01-00-00', B: '90-B3-D5-1F-30-02-00-00' };
const TODAY = parseDay('2026-11-24') as number;
const CHANGED = TODAY - 3;
/** Where the fate of a request can be read. */
const FATES = ['service-responses', 'device-requests.on-demand', 'quarantine'] as const satisfies TopicName[];

describeWithKafka('what is administered is in force on the running stream', ({ brokers, registryUrl }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const services: ServiceProcess[] = [];
  const fates = new Map<number, string>();
  let schemaIds: SchemaIds;
  let producer: RawProducer;
  let reading: Reading;
  let requests = 0;

  beforeAll(async () => {
    const admin = kafka.admin();
    await admin.connect();
    await ensureTopics(admin, prefix, PARTITIONS, { create: true });
    await admin.disconnect();
    schemaIds = await registerSchemas(registryUrl);
    producer = await createRawProducer(kafka);
    await publishRun(producer, prefix, benchRun('settlement-day', [], 1).record, schemaIds);
    const inventory = join(directory, 'inventory.ndjson');
    writeFileSync(
      inventory,
      JSON.stringify({
        mpan: String(MPAN),
        device: DEVICE,
        register: 'import',
        generation: 'SMETS2',
        status: 'Commissioned',
      }),
    );
    const given = { brokers, registry: registryUrl, prefix, partitions: PARTITIONS, workers: 1, directory };
    services.push(
      await startService({
        ...given,
        name: 'registration',
        settings: { load: 'nothing', 'inventory-file': inventory },
      }),
      await startService({ ...given, name: 'access-control' }),
      await startService({ ...given, name: 'anomaly' }),
    );
    await Promise.all(services.map((one) => untilReady(one, 60_000)));
    reading = readFates();
  });
  afterAll(async () => {
    await reading.stop();
    await producer.disconnect();
    await Promise.all(services.map(endService));
  });

  /** Notes of each request, by its counter, what became of it: its code, or its way to the meter, or into quarantine. */
  function readFates(): Reading {
    const types = Object.fromEntries(FATES.map((topic) => [topic, avsc.Type.forSchema(JSON.parse(schemaText(topic)))]));
    const cursor = new BatchCursor();
    const partitions = FATES.flatMap((topic) =>
      Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: prefix + topic, partition, fromOffset: 0 })),
    );
    return readPartitions(kafka, {
      partitions,
      onBatch(batch, range) {
        const topic = range.topic.slice(prefix.length);
        cursor.open(batch);
        while (cursor.next()) {
          const { buffer, valueAt, valueLength } = cursor;
          const value = types[topic].fromBuffer(Buffer.from(buffer.subarray(valueAt + 5, valueAt + valueLength)));
          const request =
            topic === 'service-responses' ? value : topic === 'quarantine' ? value.request.request : value.request;
          fates.set(request.counter, topic === 'service-responses' ? value.code : topic);
        }
      },
    });
  }

  /** An on-demand read of a Settlement Day's profile; resolves to what became of it. */
  async function ask(agent: keyof typeof AGENTS, day: number): Promise<string> {
    const counter = ++requests;
    const window = readWindow(day, 'utc');
    const fields = {
      ...newServiceRequest(),
      source: 7,
      position: counter,
      mpan: MPAN,
      counter,
      role: ROLES.indexOf('MDR'),
      srv: SRVS.indexOf('4.8.1'),
      mode: MODES.indexOf('on-demand'),
      service: SERVICES.indexOf('mhhs'),
      receivedMs: TODAY * DAY_MS + 12 * 3_600_000 + counter,
      windowStartMs: window.startMs,
      windowEndMs: window.endMs,
      dueWallMs: nowMs(),
    };
    const value = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);
    const end = writeServiceRequest(value, 0, fields, euiBytes(AGENTS[agent]), euiBytes(DEVICE));
    const batch = batchOf(
      [
        {
          key: Buffer.from(String(MPAN)),
          value: framed(schemaIds['service-requests.on-demand'], value.subarray(0, end)),
        },
      ],
      0,
    );
    const partition = partitionOfMpan(MPAN, PARTITIONS);
    await producer.send([{ topic: `${prefix}service-requests.on-demand`, partition, batch, records: 1 }]);
    for (const endMs = nowMs() + 20_000; nowMs() < endMs; await sleep(20)) {
      const fate = fates.get(counter);
      if (fate !== undefined) return fate;
    }
    throw new Error(`request ${counter} was neither answered nor sent on`);
  }

  /** Asks until the answer is the one expected: changes are in force some moments after they are made. */
  async function expectAnswer(agent: keyof typeof AGENTS, day: number, expected: string): Promise<void> {
    let found = '';
    for (const endMs = nowMs() + 20_000; nowMs() < endMs && found !== expected; await sleep(100))
      found = await ask(agent, day);
    expect([agent, day - TODAY, found]).toEqual([agent, day - TODAY, expected]);
  }

  function mdr(...args: string[]): string {
    const stream = [
      '--brokers',
      brokers.join(),
      '--registry',
      registryUrl,
      '--prefix',
      prefix,
      '--partitions',
      String(PARTITIONS),
    ];
    const { status, stdout, stderr } = spawnSync(MDR, [...args, ...stream], { encoding: 'utf8', timeout: 100_000 });
    expect([status, stderr.replace(/^a registration service runs.*\n/, '')]).toEqual([0, '']);
    return stdout;
  }

  function addAgent(agent: keyof typeof AGENTS, ...more: string[]): void {
    const gates = [
      '--acceded',
      '2025-01-01',
      '--uept',
      'MDR=2025-01-01',
      '--security',
      '2026-05-01',
      '--privacy',
      '2026-05-01',
      '--adt-declared',
      '2025-01-01',
    ];
    mdr(
      'users',
      'add',
      '--name',
      agent,
      '--eui',
      AGENTS[agent],
      '--category',
      'MDR Party',
      '--role',
      `MDR=AGN${agent}`,
      ...gates,
      ...more,
    );
  }

  test('Users are added, suspended, expired and removed, and what they ask is answered so', {
    timeout: 240_000,
  }, async () => {
    await expectAnswer('A', TODAY - 1, 'E1');
    addAgent('A');
    await expectAnswer('A', TODAY - 1, 'E4');
    const file = join(directory, 'registrations.csv');
    writeFileSync(file, `mpan,sequence,role,mpid,efd,etd\n${MPAN},1,MDR,AGNA,2025-10-01,\n`);
    expect(mdr('registrations', 'load', file)).toContain('1 applied, 0 stale, 0 duplicate');
    await expectAnswer('A', TODAY - 1, 'device-requests.on-demand');
    mdr('users', 'suspend', 'A', '--from', '2026-11-24');
    await expectAnswer('A', TODAY - 1, 'E1');
    mdr('users', 'resume', 'A');
    await expectAnswer('A', TODAY - 1, 'device-requests.on-demand');
    mdr('users', 'expire', AGENTS.A, '--gate', 'privacy');
    await expectAnswer('A', TODAY - 1, 'E3');
    addAgent('A', '--threshold', '4.8.1=0/86400');
    await expectAnswer('A', TODAY - 1, 'quarantine');
    addAgent('A');
    await expectAnswer('A', TODAY - 1, 'device-requests.on-demand');
  });

  test('a change of MDRA by request moves the access from its EFD on, and a removal ends it', {
    timeout: 240_000,
  }, async () => {
    addAgent('B');
    const post = async (change: object) => {
      for (const endMs = nowMs() + 20_000; nowMs() < endMs; await sleep(100)) {
        const answer = await fetch(`${services[0].url}/registrations`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify([{ mpan: String(MPAN), ...change }]),
        });
        const { rows } = (await answer.json()) as { rows: { outcome: string }[] };
        if (rows[0].outcome !== 'set-aside') return rows[0].outcome;
      }
      return 'set-aside';
    };
    expect(await post({ sequence: 2, appointments: [{ mpid: 'AGNB', role: 'MDR', efd: '2026-11-21' }] })).toBe(
      'applied',
    );
    await expectAnswer('B', CHANGED, 'device-requests.on-demand');
    await expectAnswer('A', CHANGED, 'E4');
    await expectAnswer('A', CHANGED - 1, 'device-requests.on-demand');
    await expectAnswer('B', CHANGED - 1, 'E4');
    expect(await post({ sequence: 1, appointments: [{ mpid: 'AGNA', role: 'MDR', efd: '2026-11-21' }] })).toBe('stale');
    expect(await post({ sequence: 3, removed: true })).toBe('applied');
    await expectAnswer('A', CHANGED - 1, 'E4');
    await expectAnswer('B', CHANGED, 'E4');
    mdr('users', 'remove', 'B');
    await expectAnswer('B', CHANGED, 'E1');
  });
});
