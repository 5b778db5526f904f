import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type AuditReport, runAudit } from '#load-tests/audit/audit.ts';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { runPlan } from '#load-tests/plan/run.ts';
import type { Report } from '#load-tests/report/report.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { NO_SECURITY } from '#services/platform/kafka/security.ts';
import { asProvided } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { reportLoad } from './build-report.ts';
import { runLoad } from './run.ts';

const LOAD_WITHIN_MS = 10 * 60_000;
/** Of a TRT share: the platform's own time is charged to a load, and to a plan the scenario's figure for it. */
const SHARE_APART_MAX = 0.005;

describeWithKafka('a plan and a load of one scenario', ({ brokers, registryUrl, provider }) => {
  const directory = mkdtempSync(join(tmpdir(), 'mdr-agreement-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Both reports, and the prefix of the load's topics. */
  async function both(name: string, settings: string[]): Promise<{ plan: Report; load: Report; prefix: string }> {
    const loaded = loadScenario(name, settings);
    const context = { version: 'test', command: 'test', workers: 1 };
    const plan = buildReport(await runPlan(loaded, { workers: 1, sampleOneIn: 1 }), { ...context, sampleOneIn: 1 });
    const runId = `agreement-${process.pid}-${name}`;
    const result = await runLoad({
      loaded,
      kafka: asProvided({ brokers, registryUrl, security: NO_SECURITY }),
      speed: 0,
      partitions: 4,
      processes: {},
      workers: 1,
      runId,
      directory,
      onProgress: () => {},
    });
    expect(result.exitCodes).toEqual(Object.fromEntries(Object.keys(result.exitCodes).map((service) => [service, 0])));
    const client = createKafka(brokers, 'agreement', createLog('agreement', 'silent'));
    const load = await reportLoad(client, result, { ...context, speed: 0, provider, runId });
    return { plan, load, prefix: result.prefix };
  }

  /** Shares within TRT of what people judge: each measure, and each mode and service on each generation. */
  function sharesOf({ trt, measures }: Report): Map<string, number> {
    const sums = new Map<string, { within: number; requests: number }>();
    const add = (name: string, within: number, requests: number) => {
      const sum = sums.get(name) ?? { within: 0, requests: 0 };
      sums.set(name, { within: sum.within + within, requests: sum.requests + requests });
    };
    for (const { generation, mode, service, withinTrt, requests } of trt)
      add(`${generation} ${mode} ${service}`, withinTrt, requests);
    for (const { measure, withinTrt, requests } of measures) add(measure, withinTrt, requests);
    return new Map([...sums].map(([name, { within, requests }]) => [name, within / requests]));
  }

  function counts({ ledger, trt, users }: Report) {
    return {
      ledger: { ...ledger, breaches: undefined },
      requests: trt.map(({ srv, generation, mode, service, requests }) => ({
        srv,
        generation,
        mode,
        service,
        requests,
      })),
      users: users.map(({ withinTrtShare: _, ...rest }) => rest),
    };
  }

  test(
    'settlement-day: equal counts of requests, refusals and intervals, TRT shares within half a per cent, a clean ledger',
    async () => {
      const { plan, load, prefix } = await both('settlement-day', []);
      expect(plan.ledger.received).toBeGreaterThan(100_000);
      expect(counts(load)).toEqual(counts(plan));
      for (const [name, share] of sharesOf(plan))
        expect(Math.abs(share - (sharesOf(load).get(name) as number)), name).toBeLessThanOrEqual(SHARE_APART_MAX);
      const audit = await runAudit({ brokers, registryUrl, prefix, isAllDemanded: false, isDeadLetterFault: true });
      expect(audit.faults.list).toEqual([]);
      expectCountedAlike(load, audit);
      expect(audit.intervals).toBeGreaterThanOrEqual(plan.ledger.halfHours);
    },
    LOAD_WITHIN_MS,
  );

  test(
    'agent-switch: the same refusals E4 of those who ask for days that are not theirs, and a clean ledger',
    async () => {
      const { plan, load, prefix } = await both('agent-switch', ['fleet.meters=10000', 'bursts=[]']);
      expect(plan.ledger.refused.E4).toBeGreaterThan(10);
      expect(counts(load)).toEqual(counts(plan));
      const audit = await runAudit({ brokers, registryUrl, prefix, isAllDemanded: false, isDeadLetterFault: true });
      expect(audit.faults.list).toEqual([]);
      expectCountedAlike(load, audit);
    },
    LOAD_WITHIN_MS,
  );

  /** What the report says was offered and achieved is what the audit finds in the topics. */
  function expectCountedAlike({ platform }: Report, { totals }: AuditReport): void {
    expect(platform?.offered.requests).toBe(totals.received);
    expect(platform?.achieved.requests).toBe(totals.answered + totals.refused);
  }
});
