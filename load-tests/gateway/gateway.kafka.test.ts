import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DeviceId } from '#core/identifiers.ts';
import { DAY_MS, formatDay, readWindow } from '#core/settlement-day.ts';
import { deviceIdOf, importMpanOf } from '#fleet-sim/meter.ts';
import { runAudit } from '#load-tests/audit/audit.ts';
import { benchRun, publishRun } from '#load-tests/bench/service-run.ts';
import { endService, type ServiceProcess, startService, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { decodeMessage } from '#services/gateway/gbcs/message.ts';
import { createKeyFolder } from '#services/gateway/pki/key-folder.ts';
import { seedSecrets } from '#services/gateway/pki/seed-secrets.ts';
import { element } from '#services/gateway/xml-writer.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import {
  ask,
  type DuisUser,
  dailySchedule,
  duisRequest,
  type Endpoint,
  elementValue,
  openEndpoint,
  openUser,
  profileRead,
} from './duis-user.ts';

const MDR = fileURLToPath(new URL('../../bin/mdr', import.meta.url));
const PARTITIONS = 2;
const SEED = 7;
const SPEED = 3600;
const NAMES = ['registration', 'access-control', 'anomaly', 'scheduler', 'fleet-sim', 'users', 'trt-monitor'] as const;
const AGENT: DeviceId = '90-B3-D5-1F-30-01-00-00';
const OTHER: DeviceId = '90-B3-D5-1F-30-02-00-00';
const THRESHOLD = 12;
const prefix = `gateway-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
const directory = mkdtempSync(join(tmpdir(), 'mdr-gateway-'));
const keys = join(directory, 'keys');
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const { record: PREPARED, model } = benchRun('settlement-day', ['fleet.meters=40', 'fleet.metersPerCell=20'], SPEED);
const TODAY = Math.floor(PREPARED.startMs / DAY_MS);
const record = { ...PREPARED, state: 'RUNNING' as const, endMs: PREPARED.startMs + 10 * DAY_MS, patienceWallMs: 2000 };

describeWithKafka('a User of the gateway', ({ brokers, registryUrl }) => {
  const services: ServiceProcess[] = [];
  let endpoint: Endpoint;
  let agent: DuisUser;
  let other: DuisUser;
  let gateway: ServiceProcess;
  let url = '';
  let counter = 0;
  let startedWallMs = 0;
  const meters = Array.from({ length: 40 }, (_, meter) => meter);

  const given = { brokers, registry: registryUrl, prefix, partitions: PARTITIONS, workers: 1, directory };
  const simulatedMs = () => record.startMs + (nowMs() - startedWallMs) * SPEED;

  function mdr(...args: string[]): void {
    const stream = ['--brokers', brokers.join(), '--registry', registryUrl, '--prefix', prefix, '--partitions', '2'];
    const { status, stderr } = spawnSync(MDR, [...args, ...stream], { encoding: 'utf8', timeout: 60_000 });
    expect([status, stderr.replace(/^a registration service runs.*\n/, '')]).toEqual([0, '']);
  }

  async function startGateway(): Promise<void> {
    gateway = await startService({
      ...given,
      name: 'gateway',
      settings: { 'listen-port': 0, keys, 'retry-seconds': 1, 'session-timeout-ms': 3000 },
    });
    await untilReady(gateway, 60_000);
    url = `https://localhost:${(await statusOf(gateway))?.listenPort}/api/v1`;
  }

  async function register(mpan: number, sequence: number, mpid: string, day: number): Promise<void> {
    const change = { mpan: String(mpan), sequence, appointments: [{ mpid, role: 'MDR', efd: formatDay(day) }] };
    const answer = await fetch(`${services[0].url}/registrations`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: JSON.stringify(change),
    });
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('applied')]);
  }

  beforeAll(async () => {
    const users = [
      { name: 'Agent', eui: AGENT, roles: ['MDR'] },
      { name: 'Other', eui: OTHER, roles: ['MDR'] },
    ];
    await createKeyFolder(keys, { seed: SEED, users }, nowMs(), false);
    endpoint = await openEndpoint(keys);
    agent = openUser(keys, AGENT);
    other = openUser(keys, OTHER);
    const client = new Kafka({ brokers, logLevel: logLevel.NOTHING });
    const admin = client.admin();
    await admin.connect();
    await ensureTopics(admin, prefix, PARTITIONS, { create: true });
    await admin.disconnect();
    const schemaIds = await registerSchemas(registryUrl);
    const producer = await createRawProducer(client);
    await publishRun(producer, prefix, { ...PREPARED, endMs: record.endMs }, schemaIds);
    for (const name of NAMES) services.push(await startService({ ...given, name }));
    await Promise.all(services.map((one) => untilReady(one, 90_000)));
    const usersFile = join(directory, 'users.yaml');
    const day = (back: number) => formatDay(TODAY - back);
    const user = (name: string, eui: string, mpid: string, more: string) => `
  - name: ${name}
    eui: ${eui}
    category: MDR Party
    roles: {MDR: [${mpid}]}
    gates:
      accededOn: ${day(300)}
      ueptOn: {MDR: ${day(200)}}
      securityAssessments: [${day(100)}]
      privacyAssessments: [${day(100)}]
      adtDeclaredOn: ${day(100)}
    ${more}`;
    const threshold = `anomalyThresholds: [{srv: 4.8.1, count: ${THRESHOLD}, periodSeconds: 31536000}]`;
    writeFileSync(
      usersFile,
      `users:${user('Agent', AGENT, 'MYAG', `${threshold}\n    delivery: ${endpoint.url}`)}${user('Other', OTHER, 'OTAG', 'anomalyThresholds: []')}\n`,
    );
    mdr('users', 'add', usersFile);
    for (const meter of meters) {
      const mpan = importMpanOf(model.fleet, meter);
      for (const end = nowMs() + 20_000; ; await sleep(200)) {
        try {
          await register(mpan, 1, 'MYAG', TODAY - 60);
          break;
        } catch (error) {
          if (nowMs() > end) throw error;
        }
      }
    }
    await startGateway();
    startedWallMs = nowMs();
    await publishRun(producer, prefix, { ...record, wallEpochMs: startedWallMs }, schemaIds);
    await producer.disconnect();
  }, 180_000);
  afterAll(async () => {
    for (const one of services) await endService(one);
    if (gateway !== undefined) await endService(gateway);
    await endpoint?.close();
  });

  const send = (user: DuisUser, srv: string, body: ReturnType<typeof element>, target?: DeviceId, number = ++counter) =>
    ask(
      user,
      `${url}/${target === undefined ? 'serviceD' : 'serviceS'}`,
      'POST',
      user.sign(duisRequest(user.eui, number, srv, body, target)),
    );
  const codeOf = ({ body }: { body: string }) => elementValue(body, 'ResponseCode') ?? body;

  async function delivered(what: (document: string) => boolean, withinMs = 40_000): Promise<string> {
    for (const end = nowMs() + withinMs; nowMs() < end; await sleep(50)) {
      const found = endpoint.received.find(what);
      if (found !== undefined) return found;
    }
    const documents = endpoint.received.map((one) => one.slice(0, 700)).join('\n');
    const status = JSON.stringify(await statusOf(gateway));
    throw new Error(`it was not delivered; ${status}\n${documents}\n${readFileSync(gateway.log, 'utf8')}`);
  }
  const answerTo = (number: number) =>
    delivered((one) => elementValue(one, 'RequestID')?.endsWith(`:${number}`) === true);

  const meter = meters.find((one) => model.fleet.networks.length > 0 && one === 3) as number;
  const device = deviceIdOf(meter);
  const lastDay = readWindow(TODAY - 1, 'utc');

  test('reads a meter on demand: I99 at once, the answer at its endpoint, once', async () => {
    const answer = await send(agent, '4.8.1', profileRead(lastDay.startMs, lastDay.endMs), device);
    expect([answer.status, codeOf(answer)]).toEqual([200, 'I99']);
    const number = counter;
    const response = await answerTo(number);
    expect(['I0', 'E20', 'E21']).toContain(elementValue(response, 'ResponseCode'));
    const payload = elementValue(response, 'GBCSPayload');
    if (payload !== undefined) {
      const message = decodeMessage(Buffer.from(payload, 'base64'), seedSecrets(SEED));
      expect(message.kind === 'response' && message.readings.rows.length).toBe(48);
    }
    expect(response).toContain('<ds:SignatureValue>');
    const again = await send(agent, '4.8.1', profileRead(lastDay.startMs, lastDay.endMs), device, number);
    expect(codeOf(again)).toBe('E49');
  });

  test('is told at once what access control would say: E1, E4, E13, E19', async () => {
    const read = profileRead(lastDay.startMs, lastDay.endMs);
    expect(codeOf(await send(other, '4.8.1', read, device))).toBe('E4');
    expect(codeOf(await send(agent, '4.8.1', read, '00-00-00-00-00-00-00-01'))).toBe('E19');
    const foreign = agent.sign(duisRequest(OTHER, 1, '4.8.1', read, device));
    expect(codeOf(await ask(agent, `${url}/serviceS`, 'POST', foreign))).toBe('E1');
    const wrongDoor = agent.sign(duisRequest(AGENT, 900, '4.8.1', read, device));
    expect(codeOf(await ask(agent, `${url}/serviceD`, 'POST', wrongDoor))).toBe('E13');
    expect((await ask(agent, `${url}/serviceS`, 'POST', '<!DOCTYPE a><a/>')).status).toBe(400);
  });

  test('creates a schedule, reads it back, and has its reads delivered the next morning', {
    timeout: 150_000,
  }, async () => {
    const today = Math.floor(simulatedMs() / DAY_MS);
    expect(codeOf(await send(agent, '5.1', dailySchedule(device, today + 1, '03:00:00Z')))).toBe('I99');
    const created = await answerTo(counter);
    const id = elementValue(created, 'DSPScheduleID');
    expect([elementValue(created, 'ResponseCode'), Number(id) > 0]).toEqual(['I0', true]);
    await sleep(500);
    const byId = element('sr:ReadSchedule', [element('sr:DSPScheduleID', String(id))]);
    expect(codeOf(await send(agent, '5.2', byId))).toBe('I99');
    expect(elementValue(await answerTo(counter), 'ScheduleFrequency')).toBe('Daily');
    const morning = await delivered(
      (one) => one.includes(`<sr:DSPScheduleID>${id}<`) && !one.includes('<sr:RequestID>'),
    );
    expect(morning).not.toContain('<sr:RequestID>');
    // A read that failed is asked for again, on demand.
    const day = readWindow(today, 'utc');
    expect(codeOf(await send(agent, '4.8.1', profileRead(day.startMs, day.endMs), device))).toBe('I99');
    await answerTo(counter);
  });

  test('reads the inventory', async () => {
    const body = element('sr:ReadInventory', [element('sr:DeviceID', device)]);
    expect(codeOf(await send(agent, '8.2', body))).toBe('I99');
    const response = await answerTo(counter);
    expect(elementValue(response, 'ImportMPxN')).toBe(String(importMpanOf(model.fleet, meter)));
  });

  test('floods past its threshold: only the excess is quarantined, and it is told', async () => {
    const numbers: number[] = [];
    for (let k = 0; k < THRESHOLD; k++) {
      const answer = await send(agent, '4.8.1', profileRead(lastDay.startMs, lastDay.endMs), deviceIdOf(k));
      if (codeOf(answer) === 'I99') numbers.push(counter);
    }
    await delivered((one) => elementValue(one, 'DCCAlertCode') === 'N36');
    for (const end = nowMs() + 30_000; nowMs() < end && endpoint.received.filter(isHeld).length < 2; ) await sleep(50);
    // Two were read before.
    expect(endpoint.received.filter(isHeld).length).toBe(2);
  });

  test('lists what is held, and lets one of them go on', async () => {
    const list = async () => {
      const { body } = await ask(agent, `${url}/quarantine`, 'GET');
      return (JSON.parse(body) as { held: { id: string; requestId: string }[] }).held;
    };
    const [first, second] = await list();
    expect((await ask(other, `${url}/quarantine/${first.id}`, 'POST', 'process')).status).toBe(404);
    expect((await ask(agent, `${url}/quarantine/${first.id}`, 'POST', 'process')).status).toBe(202);
    const response = await delivered((one) => elementValue(one, 'RequestID') === first.requestId && !isHeld(one));
    expect(['I0', 'E20', 'E21']).toContain(elementValue(response, 'ResponseCode'));
    for (const end = nowMs() + 10_000; nowMs() < end && (await list()).length > 1; ) await sleep(50);
    expect(await list()).toEqual([second]);
  });

  test('the outgoing agent is told that its schedule is gone at the midnight of the change, and the access moves', {
    timeout: 150_000,
  }, async () => {
    const change = Math.floor(simulatedMs() / DAY_MS) + 1;
    await register(importMpanOf(model.fleet, meter), 2, 'OTAG', change);
    const read = profileRead(lastDay.startMs, lastDay.endMs);
    expect(codeOf(await send(other, '4.8.1', read, device))).toBe('E4');
    const removal = await delivered((one) => elementValue(one, 'DCCAlertCode') === 'N6', 60_000);
    expect(removal).toContain(device);
    expect(simulatedMs()).toBeGreaterThanOrEqual(change * DAY_MS);
    const newDay = readWindow(change, 'utc');
    const own = profileRead(newDay.startMs, newDay.startMs + 3_600_000);
    expect(codeOf(await send(agent, '4.8.1', own, device))).toBe('E4');
    expect(codeOf(await send(other, '4.8.1', own, device))).toBe('I99');
    const number = counter;
    for (const end = nowMs() + 40_000; ; await sleep(200)) {
      const { body } = await ask(other, `${url}/responses`, 'GET');
      const page = JSON.parse(body) as { responses: { document: string }[]; cursor: string };
      if (page.responses.some(({ document }) => document.includes(`:${number}<`))) {
        expect((await ask(other, `${url}/responses/ack`, 'POST', page.cursor)).status).toBe(204);
        break;
      }
      if (nowMs() > end) throw new Error(`not collected: ${body}`);
    }
    const after = JSON.parse((await ask(other, `${url}/responses`, 'GET')).body) as { responses: unknown[] };
    expect(after.responses).toEqual([]);
  });

  test('killed at any point, it loses no request that it has accepted, and no response', {
    timeout: 150_000,
  }, async () => {
    const accepted: number[] = [];
    for (let round = 0; round < 2; round++) {
      endpoint.status = 503;
      const asking = meters.slice(4, 16).map(async (one) => {
        const number = ++counter;
        const body = element('sr:ReadInventory', [element('sr:DeviceID', deviceIdOf(one))]);
        const answer = await send(agent, '8.2', body, undefined, number).catch(() => undefined);
        if (answer !== undefined && codeOf(answer) === 'I99') accepted.push(number);
      });
      await sleep(round === 0 ? 10 : 400);
      process.kill(gateway.pid, 'SIGKILL');
      await Promise.all(asking);
      await startGateway();
    }
    endpoint.status = 200;
    for (const number of accepted) await answerTo(number);
    expect(accepted.length).toBeGreaterThan(0);
  });

  test('the audit of the whole run is clean', async () => {
    const audit = await runAudit({ brokers, registryUrl, prefix, isAllDemanded: false, isDeadLetterFault: true });
    expect(audit.faults.list).toEqual([]);
  });
});

function isHeld(document: string): boolean {
  return elementValue(document, 'DCCAlertCode') === 'N36';
}
