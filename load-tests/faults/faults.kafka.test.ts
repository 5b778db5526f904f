import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderAudit } from '#load-tests/audit/summary.ts';
import { reportLoad } from '#load-tests/load/build-report.ts';
import { SERVICE_NAMES } from '#load-tests/load/run.ts';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { runPlan } from '#load-tests/plan/run.ts';
import { sleep } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { type ProvidedKafka, provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { corruptPartition, writeBadInput } from './bad-input.ts';
import {
  type FaultRun,
  type FaultRunOptions,
  faultScenario,
  type Harming,
  PARTITIONS,
  runWithFaults,
  SESSION_TIMEOUT_MS,
} from './fault-run.ts';

/** A day in 12 s: the faults of a few seconds fall into the night in which nearly everything is read. */
const SPEED = 7200;
const AS_FAST_AS_IT_GOES = 0;
const TWO_OF_EACH = Object.fromEntries(SERVICE_NAMES.map((name) => [name, 2]));
const IS_LONG = process.env.MDR_FAULTS === 'long';
const RUN_WITHIN_MS = 6 * 60_000;

describeWithKafka('the stream under load', () => {
  let kafka: ProvidedKafka;
  const directories: string[] = [];
  beforeAll(async () => {
    kafka = await provideKafka({ isOwn: true });
  });
  afterAll(async () => {
    await kafka.stop();
    // Kept where a test has failed: the services' logs say why.
    for (const directory of directories) rmSync(directory, { recursive: true });
  });

  async function run(options: Omit<FaultRunOptions, 'kafka'>): Promise<FaultRun> {
    const done = await runWithFaults({ ...options, kafka });
    const { audit, result, directory } = done;
    expect(audit.clean, `${renderAudit(audit, 5)}\n${directory}`).toBe(true);
    // A day of requests went through, and none of it stays behind.
    expect(audit.totals.received).toBeGreaterThan(8000);
    expect(audit.totals.answered).toBeGreaterThan(5_000);
    expect(result.complete, directory).toBe(true);
    const inOrder = Object.fromEntries(Object.keys(result.exitCodes).map((name) => [name, 0]));
    expect(result.exitCodes, directory).toEqual(inOrder);
    directories.push(directory);
    return done;
  }

  /** Harm to each service, one after another, an hour and a half of the run apart. */
  async function eachInTurn(harming: Harming, harm: (name: string) => Promise<unknown>): Promise<void> {
    let hour = 1.5;
    for (const name of SERVICE_NAMES) {
      await harming.untilHour(hour);
      await harm(name);
      hour += 1.5;
    }
  }

  test('each service is killed in turn, and started again at once', { timeout: RUN_WITHIN_MS }, async () => {
    const { restarts } = await run({
      name: 'kill',
      speed: SPEED,
      harm: (harming) => eachInTurn(harming, (name) => harming.kill(harming.of(name)[0])),
    });
    expect(restarts).toEqual([]);
  });

  test('of two processes of each service one is killed and one, later, cut off until the other has its partitions: what it writes then does no harm', {
    timeout: RUN_WITHIN_MS,
  }, async () => {
    const { audit } = await run({
      name: 'two',
      speed: SPEED / 2,
      processes: TWO_OF_EACH,
      async harm(harming) {
        await eachInTurn(harming, (name) => harming.kill(harming.of(name)[0]));
        await harming.untilAllReady();
        await Promise.all(SERVICE_NAMES.map((name) => harming.freeze(harming.of(name)[0], 2 * SESSION_TIMEOUT_MS)));
      },
    });
    // They did write: executions and requests of a tenure that was over, among them.
    expect(audit.replays['device-requests.scheduled'] ?? 0).toBeGreaterThan(0);
  });

  test('the broker restarts in order, and later crashes', { timeout: RUN_WITHIN_MS }, async () => {
    await run({
      name: 'broker',
      speed: SPEED / 2,
      async harm(harming) {
        await harming.untilHour(2);
        await kafka.restartBroker();
        await harming.untilAllReady();
        await sleep(1000);
        await kafka.killBroker();
        await kafka.startBroker();
      },
    });
  });

  test('what none of ours would write is set aside with its reason or answered with its code, and the rest goes on', {
    timeout: RUN_WITHIN_MS,
  }, async () => {
    let isCorrupt = false;
    const { audit } = await run({
      name: 'input',
      speed: SPEED / 2,
      async harm(harming) {
        const { prefix, record } = harming.running;
        await harming.untilHour(1.5);
        await writeBadInput(kafka, prefix, faultScenario(), PARTITIONS, record.startMs + 3 * 3_600_000);
        await kafka.stopBroker();
        isCorrupt = corruptPartition(prefix, 'service-requests.scheduled');
        await kafka.startBroker();
      },
    });
    const { byReason, byService } = audit.deadLetters;
    for (const reason of ['UNDECODABLE', 'WRONG_SCHEMA', 'NULL_VALUE', 'OVERSIZED', 'IMPOSSIBLE_VALUE'])
      expect(byReason[reason] ?? 0, reason).toBeGreaterThan(0);
    expect(byReason.WRONG_PARTITION).toBe(1);
    expect(byReason.CORRUPT_BATCH ?? 0).toBe(isCorrupt ? 1 : 0);
    expect(Object.keys(byService).sort()).toEqual([...SERVICE_NAMES].sort());
    expect(audit.totals.setAside).toBe(2);
    expect(audit.codes.E1).toBe(1);
    expect(audit.codes.E19).toBeGreaterThanOrEqual(2);
    expect(audit.codes.E4).toBeGreaterThanOrEqual(1);
  });

  test('the clock of the run jumps ahead by hours and back; each service drains when it is told to, and goes on where it was', {
    timeout: RUN_WITHIN_MS,
  }, async () => {
    const { audit, restarts } = await run({
      name: 'clock',
      speed: SPEED / 2,
      async harm(harming) {
        const { record, publish } = harming.running;
        const jump = (hours: number) => ({
          ...record,
          wallEpochMs: record.wallEpochMs - (hours * 3_600_000) / (SPEED / 2),
        });
        await harming.untilHour(2);
        await publish(jump(4));
        await sleep(1000);
        await publish(jump(-3));
        await eachInTurn(harming, (name) => harming.drain(harming.of(name)[0]));
      },
    });
    expect(restarts).toEqual([]);
    // What was drained has committed what it did; the fleet reads again from the oldest exchange that was under way.
    const { 'service-responses': _, ...others } = audit.replays;
    expect(others).toEqual({});
  });

  test('as fast as it goes, with every service but the fleet killed: requests and answers are those of a plan', {
    timeout: RUN_WITHIN_MS,
  }, async () => {
    const { result } = await run({
      name: 'plan',
      speed: AS_FAST_AS_IT_GOES,
      harm: (harming) =>
        eachInTurn(harming, async (name) => {
          if (name !== 'fleet-sim') await harming.kill(harming.of(name)[0]);
        }),
    });
    const context = { workers: 1, version: 'test', command: 'test' };
    const plan = buildReport(await runPlan(faultScenario(), { workers: 1, sampleOneIn: 1 }), {
      ...context,
      sampleOneIn: 1,
    });
    const client = createKafka(kafka.brokers, 'faults', createLog('faults', 'silent'));
    const load = await reportLoad(client, result, { ...context, speed: 0, provider: 'java', runId: 'faults' });
    expect({ ...load.ledger, breaches: 0 }).toEqual({ ...plan.ledger, breaches: 0 });
  });

  test.runIf(IS_LONG)(
    'for long: each service is killed, frozen and drained at random on two processes, while the broker crashes (MDR_FAULTS=long)',
    {
      timeout: 2 * RUN_WITHIN_MS,
    },
    async () => {
      await run({
        name: 'long',
        speed: SPEED / 4,
        processes: TWO_OF_EACH,
        async harm(harming) {
          for (let round = 0; round < 3; round++) {
            for (const name of SERVICE_NAMES) {
              const [first, second] = harming.of(name);
              await harming.kill(first);
              await harming.freeze(second, SESSION_TIMEOUT_MS + 1000);
              await harming.drain(harming.of(name)[0]);
            }
            await kafka.killBroker();
            await kafka.startBroker();
            await harming.untilAllReady();
          }
        },
      });
    },
  );

  test.runIf(IS_LONG)(
    'what nobody is given is found to be lost: access control set ahead by hand (MDR_FAULTS=long)',
    {
      timeout: RUN_WITHIN_MS,
    },
    async () => {
      const { audit } = await runWithFaults({
        name: 'lost',
        kafka,
        speed: SPEED / 2,
        async harm(harming) {
          await harming.untilHour(2);
          const [accessControl] = harming.of('access-control');
          process.kill(accessControl.pid, 'SIGSTOP');
          await sleep(SESSION_TIMEOUT_MS + 2000);
          await skipRecords(kafka.brokers, harming.running.prefix, 40);
          await harming.kill(accessControl);
        },
      });
      expect(audit.faults.counts.lost).toBeGreaterThan(0);
      expect(audit.faults.total).toBe(audit.faults.counts.lost);
    },
  );
});

/** Moves access control on by some records of a partition, while no process of it is in the group. */
async function skipRecords(brokers: string[], prefix: string, records: number): Promise<void> {
  const admin = createKafka(brokers, 'faults', createLog('faults', 'silent')).admin();
  await admin.connect();
  const [groupId, topic] = [`${prefix}access-control`, `${prefix}service-requests.scheduled`];
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const at = Number(partitions.find(({ partition }) => partition === 0)?.offset);
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: String(at + records) }] });
  await admin.disconnect();
}
