import { afterAll, beforeAll, expect, test } from 'vitest';
import { DAY_MS, readWindow } from '#core/settlement-day.ts';
import { deviceIdOf, importMpanOf } from '#fleet-sim/meter.ts';
import { isReachable } from '#fleet-sim/reachability.ts';
import { runAudit } from '#load-tests/audit/audit.ts';
import { schemaText } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { decodeMessage } from '#services/gateway/gbcs/message.ts';
import { seedSecrets } from '#services/gateway/pki/seed-secrets.ts';
import { canValidate, schemaFaults } from '#services/gateway/test/schema-faults.ts';
import { element } from '#services/gateway/xml-writer.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import { sleep } from '#services/platform/clock.ts';
import { typeWithCounters } from '#services/platform/counter-type.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { createLog } from '#services/platform/log.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { ask, type DuisUser, dailySchedule, duisRequest, elementValue, profileRead } from './duis-user.ts';
import { AGENT, GatewayRun, isAlert, MODEL, OTHER, SEED, THRESHOLD, TODAY, until } from './gateway-run.ts';

const METER = 3;
const DEVICE = deviceIdOf(METER);
/** One that does not communicate in the whole run, as one in five. */
const SILENT = Array.from({ length: 20 }, (_, k) => k + 20).find((meter) =>
  Array.from({ length: 10 * 24 }, (_, hour) => TODAY * DAY_MS + hour * 3_600_000).every(
    (atMs) => !isReachable(MODEL.scenario.seed, meter, atMs, MODEL.scenario.fleet),
  ),
) as number;
const LAST_DAY = readWindow(TODAY - 1, 'utc');
const READ = profileRead(LAST_DAY.startMs, LAST_DAY.endMs);
const FLEET_CODES = ['I0', 'E20', 'E21'];
/** TRT of an MDR's read on demand. */
const TRT_MS = 24 * 3_600_000;
const TIMEOUT_MS = 300_000;

type Held = { id: string; requestId: string; heldAtMs: number };

describeWithKafka('a User of the gateway', (kafka) => {
  let run: GatewayRun;
  let processedId = '';
  /** Requests that two gateways have both acknowledged with I99. */
  let acceptedTwice = 0;
  /** What was collected by the User that has no endpoint. */
  const collected: string[] = [];

  beforeAll(async () => {
    run = await GatewayRun.start(kafka);
  }, TIMEOUT_MS);
  afterAll(() => run?.end(), TIMEOUT_MS);

  const inventoryOf = (meter: number) => element('sr:ReadInventory', [element('sr:DeviceID', deviceIdOf(meter))]);
  const held = async (): Promise<Held[]> => {
    const { body } = await ask(run.agent, `${run.gateway.url}/quarantine`, 'GET');
    return (JSON.parse(body) as { held: Held[] }).held;
  };
  const answerHeld = (user: DuisUser, id: string, answer: string) =>
    ask(user, `${run.gateway.url}/quarantine/${id}`, 'POST', answer);

  test('reads a meter on demand: I99 at once, the answer at its endpoint', { timeout: TIMEOUT_MS }, async () => {
    const answer = await run.send(run.agent, '4.8.1', READ, { target: DEVICE });
    expect([answer.status, answer.code]).toEqual([200, 'I99']);
    const number = run.counter;
    const response = await run.answerTo(number);
    expect(FLEET_CODES).toContain(elementValue(response, 'ResponseCode'));
    const payload = elementValue(response, 'GBCSPayload');
    if (payload !== undefined) {
      const message = decodeMessage(Buffer.from(payload, 'base64'), seedSecrets(SEED));
      expect(message.kind === 'response' && message.readings.rows.length).toBe(48);
    }
    expect(response).toContain('<ds:SignatureValue>');
    expect((await run.send(run.agent, '4.8.1', READ, { target: DEVICE, number })).code).toBe('E49');
  });

  test('is told at once what access control would say: E1, E4, E13, E19', async () => {
    expect((await run.send(run.other, '4.8.1', READ, { target: DEVICE })).code).toBe('E4');
    expect((await run.send(run.agent, '4.8.1', READ, { target: '00-00-00-00-00-00-00-01' })).code).toBe('E19');
    const { url } = run.gateway;
    const foreign = run.agent.sign(duisRequest(OTHER, 1, '4.8.1', READ, DEVICE));
    expect((await run.post(run.agent, `${url}/serviceS`, foreign)).code).toBe('E1');
    const wrongDoor = run.agent.sign(duisRequest(AGENT, 900, '4.8.1', READ, DEVICE));
    expect((await run.post(run.agent, `${url}/serviceD`, wrongDoor)).code).toBe('E13');
    expect((await run.post(run.agent, `${url}/serviceS`, '<!DOCTYPE a><a/>')).status).toBe(400);
  });

  test('creates a schedule, reads it back, has its reads the next morning, and asks again for what failed', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const today = Math.floor(run.simulatedMs() / DAY_MS);
    const scheduled: string[] = [];
    for (const meter of [METER, SILENT]) {
      const schedule = dailySchedule(deviceIdOf(meter), today + 1, '03:00:00Z');
      expect((await run.send(run.agent, '5.1', schedule)).code).toBe('I99');
      const created = await run.answerTo(run.counter);
      scheduled.push(String(elementValue(created, 'DSPScheduleID')));
      expect(elementValue(created, 'ResponseCode')).toBe('I0');
    }
    const byId = element('sr:ReadSchedule', [element('sr:DSPScheduleID', scheduled[0])]);
    await until('the schedule is known to the gateway', async () =>
      (await run.send(run.agent, '5.2', byId)).code === 'I99' ? true : undefined,
    );
    expect(elementValue(await run.answerTo(run.counter), 'ScheduleFrequency')).toBe('Daily');
    const readOf = (id: string) =>
      run.delivered((one) => one.includes(`<sr:DSPScheduleID>${id}<`) && !one.includes('<sr:RequestID>'));
    expect(FLEET_CODES).toContain(elementValue(await readOf(scheduled[0]), 'ResponseCode'));
    const failed = await readOf(scheduled[1]);
    expect(['E20', 'E21']).toContain(elementValue(failed, 'ResponseCode'));
    const { startMs, endMs } = readWindow(today, 'utc');
    const again = await run.send(run.agent, '4.8.1', profileRead(startMs, endMs), { target: deviceIdOf(SILENT) });
    expect(again.code).toBe('I99');
    expect(['E20', 'E21']).toContain(elementValue(await run.answerTo(run.counter), 'ResponseCode'));
  });

  test('reads the inventory', async () => {
    expect((await run.send(run.agent, '8.2', inventoryOf(METER))).code).toBe('I99');
    const response = await run.answerTo(run.counter);
    expect(elementValue(response, 'ImportMPxN')).toBe(String(importMpanOf(MODEL.fleet, METER)));
  });

  test('floods past its threshold: only the excess is quarantined, and it is told', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const before = 2;
    const excess = 5;
    for (let meter = 0; meter < THRESHOLD - before + excess; meter++)
      expect((await run.send(run.agent, '4.8.1', READ, { target: deviceIdOf(meter) })).code).toBe('I99');
    await until('each is told', async () => (alerts('N36').length >= excess ? true : undefined));
    await until('each is held', async () => ((await held()).length >= excess ? true : undefined));
    expect((await held()).length).toBe(excess);
    expect(new Set(alerts('N36').map((one) => elementValue(one, 'RequestID'))).size).toBe(excess);
  });

  test('answers process or delete to what is held, or an operator does, and a crash forgets neither', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const [processed, deleted, deletedForIt, processedForIt, left] = await held();
    expect((await answerHeld(run.other, deleted.id, 'delete')).status).toBe(404);
    expect((await answerHeld(run.agent, deleted.id, 'forget')).status).toBe(400);
    expect((await answerHeld(run.agent, deleted.id, 'delete')).status).toBe(202);
    expect((await answerHeld(run.agent, deleted.id, 'process')).status).toBe(404);
    await run.restart('anomaly');
    const listed = JSON.parse(run.mdr('quarantine', 'list', '--user', AGENT, '--json')) as Held[];
    expect(listed.map(({ id }) => id)).toContain(deletedForIt.id);
    expect(run.mdr('quarantine', 'delete', deletedForIt.id)).toContain(`${deletedForIt.requestId} is dropped`);
    expect(run.mdr('quarantine', 'process', processedForIt.id)).toContain(`${processedForIt.requestId} goes on`);
    await run.restart('anomaly');
    // Longer than its TRT: held it has no clock, so what comes is in time.
    while (run.simulatedMs() < processed.heldAtMs + TRT_MS + 3_600_000) await sleep(500);
    expect((await answerHeld(run.agent, processed.id, 'process')).status).toBe(202);
    processedId = processed.id;
    for (const { requestId } of [processed, processedForIt]) {
      const response = await run.delivered((one) => elementValue(one, 'RequestID') === requestId && !isAlert(one));
      expect(FLEET_CODES).toContain(elementValue(response, 'ResponseCode'));
    }
    await until('only one is held', async () => ((await held()).length === 1 ? true : undefined));
    expect((await held()).map(({ id }) => id)).toEqual([left.id]);
    const answered = run.endpoint.received.filter((one) => !isAlert(one)).map((one) => elementValue(one, 'RequestID'));
    for (const { requestId } of [deleted, deletedForIt, left]) expect(answered).not.toContain(requestId);
  });

  test('gives one request to two gateways at once: it is run once', { timeout: TIMEOUT_MS }, async () => {
    const second = await run.startGateway(3);
    const numbers = Array.from({ length: 20 }, () => ++run.counter);
    for (const number of numbers) {
      const [one, other] = await Promise.all(
        [run.gateway, second].map((at) => run.send(run.agent, '8.2', inventoryOf(METER), { number, at })),
      );
      expect([one.code, other.code].toSorted()).toEqual(expect.arrayContaining(['I99']));
      expect(['I99', 'E49']).toEqual(expect.arrayContaining([one.code, other.code]));
      if (one.code === other.code) acceptedTwice++;
    }
    for (const number of numbers) await run.answerTo(number);
  });

  test('is told that its schedule is gone at the midnight of a change of agent, and the access moves', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const change = Math.floor(run.simulatedMs() / DAY_MS) + 1;
    await run.register(importMpanOf(MODEL.fleet, METER), 2, 'OTAG', change);
    expect((await run.send(run.other, '4.8.1', READ, { target: DEVICE })).code).toBe('E4');
    const removal = await run.delivered((one) => elementValue(one, 'DCCAlertCode') === 'N6');
    expect(removal).toContain(DEVICE);
    expect(run.simulatedMs()).toBeGreaterThanOrEqual(change * DAY_MS);
    const { startMs } = readWindow(change, 'utc');
    const own = profileRead(startMs, startMs + 3_600_000);
    expect((await run.send(run.agent, '4.8.1', own, { target: DEVICE })).code).toBe('E4');
    expect((await run.send(run.other, '4.8.1', own, { target: DEVICE })).code).toBe('I99');
    const number = run.counter;
    const cursor = await until('it can be collected', async () => {
      const page = await collect();
      const isThere = page.responses.some(({ document }) => document.includes(`:${number}<`));
      return isThere ? page.cursor : undefined;
    });
    collected.push(...(await collect()).responses.map(({ document }) => document));
    expect((await ask(run.other, `${run.gateway.url}/responses/ack`, 'POST', cursor)).status).toBe(204);
    expect((await collect()).responses).toEqual([]);
  });

  test('loses no request that a gateway has accepted, and no response, where that is killed at any point', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const accepted: number[] = [];
    for (let round = 0; round < 2; round++) {
      run.endpoint.status = 503;
      const asking = Array.from({ length: 12 }, async (_, k) => {
        const number = ++run.counter;
        const answer = await run.send(run.agent, '8.2', inventoryOf(4 + k), { number }).catch(() => undefined);
        if (answer?.code === 'I99') accepted.push(number);
      });
      if (round > 0) await until('one is accepted', async () => (accepted.length > 0 ? true : undefined));
      else await sleep(10);
      process.kill(run.gateway.process.pid, 'SIGKILL');
      await Promise.all(asking);
      run.gateway = await run.startGateway(2);
    }
    run.endpoint.status = 200;
    for (const number of accepted) await run.answerTo(number);
    expect(accepted.length).toBeGreaterThan(0);
  });

  test.skipIf(!canValidate)('is sent nothing that the DUIS schema does not have', () => {
    const { received } = run.endpoint;
    const alertCodes = new Set(received.map((one) => elementValue(one, 'DCCAlertCode')));
    expect([...alertCodes]).toEqual(expect.arrayContaining([undefined, 'N36', 'N6']));
    expect(received.some((one) => one.includes('DSPScheduledMessage'))).toBe(true);
    expect(collected.length).toBeGreaterThan(0);
    const sent = [...run.acknowledgements, ...received, ...collected];
    expect(schemaFaults('DUIS', sent)).toBe('');
  });

  test('leaves a ledger that is clean', { timeout: TIMEOUT_MS }, async () => {
    const report = await runAudit({ ...kafka, prefix: run.prefix, isAllDemanded: false, isDeadLetterFault: true });
    expect(report.faults.list).toEqual([]);
    expect(report.totals).toMatchObject({ quarantined: 1, deleted: 2, repeated: acceptedTwice, lost: 0 });
    expect(report.released).toBe(2);
    const number = Number(processedId);
    const [partition, offset] = [number % 16, Math.floor(number / 16)];
    expect(await breachedOffsets(partition)).not.toContain(offset);
  });

  const alerts = (code: string) => run.endpoint.received.filter((one) => elementValue(one, 'DCCAlertCode') === code);

  async function collect(): Promise<{ responses: { document: string }[]; cursor: string }> {
    const { body } = await ask(run.other, `${run.gateway.url}/responses`, 'GET');
    return JSON.parse(body) as { responses: { document: string }[]; cursor: string };
  }

  /** Offsets of on-demand requests of a partition that were counted as breaches. */
  async function breachedOffsets(partition: number): Promise<number[]> {
    const client = createKafka(kafka.brokers, 'gateway-test', createLog('gateway-test', 'silent'));
    const topic = `${run.prefix}trt-breaches`;
    const untilOffset = (await endOffsets(client, topic))[partition];
    const type = typeWithCounters(schemaText('trt-breaches'));
    const walk = new BatchWalk('gateway-test');
    const offsets: number[] = [];
    if (untilOffset === 0) return offsets;
    await readPartitions(client, {
      partitions: [{ topic, partition, fromOffset: 0, untilOffset }],
      onBatch(batch) {
        walk.begin({ topic: 'trt-breaches', partition, batches: [batch], fromOffset: 0 });
        while (walk.next()) {
          const { buffer, valueAt, valueLength } = walk.cursor;
          const value = Buffer.from(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength));
          const breach = type.fromBuffer(value) as { mode: string; requestOffset: number };
          if (breach.mode === 'ON_DEMAND') offsets.push(breach.requestOffset);
        }
      },
    }).done;
    return offsets;
  }
});
