import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DASHBOARDS } from '#helm/dashboards/all.ts';
import { filledIn, type Panel } from '#helm/dashboards/panel.ts';
import type { Report } from '#load-tests/report/report.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { NO_SECURITY } from '#services/platform/kafka/security.ts';
import { asProvided } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { METRICS } from '#services/platform/metrics/catalogue.ts';
import { isInstalled } from '#services/platform/test/installed.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { reportLoad } from './build-report.ts';
import { type ServiceProcess, statusOf } from './processes.ts';
import { runLoad } from './run.ts';
import { SCRAPE_TARGETS } from './scrape-targets.ts';
import { type Prometheus, startPrometheus } from './test/prometheus.ts';

const LOOK_EVERY_MS = 200;
const RUN_WITHIN_MS = 5 * 60_000;
/** Shorter than the run, longer than a few scrapes of a second. */
const RATE_SECONDS = 15;
/** A day with all that there can be: breaches in an outage, refusals, a burst that is quarantined. */
const SETTINGS = [
  'fleet.meters=3000',
  'warmUpHours=1',
  'outages=[{network: S1SP, startHour: 8, hours: 10}]',
  'bursts=[{user: CIRR, srv: 4.6.1, day: 1, window: "10:00-10:30", share: 0.4}]',
];
/** Panels of which a run of `mdr load` has nothing to show: nobody changes registrations in it, and nothing goes wrong. */
const NOTHING_THERE: Readonly<Record<string, number>> = {
  'Changes of registrations': 1,
  'Dead letters': 1,
  'Replays dropped': 3,
  'Memory of the registration tables': 1,
};

type Row = { labels: Record<string, string>; value: number };
type Seen = { report: Report; at(expr: string): Row[]; ever: ReadonlyMap<string, number>; series: Row[] };

const hasPrometheus = isInstalled('prometheus', 'a run as Prometheus sees it');

describeWithKafka('a run as a real Prometheus sees it', ({ brokers, registryUrl, provider }) => {
  describe.skipIf(!hasPrometheus)('scraped from before its clock starts until its last request is judged', () => {
    const directory = mkdtempSync(join(tmpdir(), 'mdr-prometheus-'));
    let prometheus: Prometheus;
    let seen: Seen;

    beforeAll(async () => {
      prometheus = await startPrometheus({
        folder: join(directory, 'prometheus'),
        targets: join(directory, SCRAPE_TARGETS),
      });
      seen = await drive();
    }, 2 * RUN_WITHIN_MS);
    afterAll(async () => {
      await prometheus?.stop();
      rmSync(directory, { recursive: true });
    });

    /** Runs the scenario; asks everything of Prometheus when all is counted, and the report of the topics afterwards. */
    async function drive(): Promise<Seen> {
      const runId = `prometheus-${process.pid}-${Math.floor(nowMs()).toString(36)}`;
      let fromSeconds = 0;
      let answers = new Map<string, Row[]>();
      let ever = new Map<string, number>();
      let series: Row[] = [];
      const result = await runLoad({
        loaded: loadScenario('settlement-day', SETTINGS),
        kafka: asProvided({ brokers, registryUrl, security: NO_SECURITY }),
        speed: 0,
        partitions: 4,
        processes: {},
        workers: 1,
        runId,
        directory,
        durationMs: RUN_WITHIN_MS,
        onProgress: () => {},
        async onReady() {
          fromSeconds = nowMs() / 1000;
          // Twice: what is counted from now on has a zero before it.
          await scrapedSince(fromSeconds, COMPONENTS_RUNNING);
          await scrapedSince(nowMs() / 1000, COMPONENTS_RUNNING);
        },
        async onRunning({ services, record }) {
          await untilJudged(services, record.countedEndMs);
          const untilSeconds = await scrapedSince(nowMs() / 1000, COMPONENTS_RUNNING);
          const rangeSeconds = Math.ceil(untilSeconds - fromSeconds);
          const exprs = [...RAW, ...allQueries(), ...allAlerts()];
          const fill = (expr: string) =>
            filledIn(widened(expr, rangeSeconds), { rangeSeconds, rateSeconds: RATE_SECONDS });
          answers = new Map();
          for (const expr of exprs) answers.set(expr, await prometheus.query(fill(expr), untilSeconds));
          ever = new Map();
          for (const expr of allQueries()) {
            const found = await prometheus.queryRange(fill(expr), { fromSeconds, untilSeconds, stepSeconds: 1 });
            ever.set(expr, found.length);
          }
          series = await prometheus.query('count by (__name__, component) ({__name__=~"mdr_.+"})', untilSeconds);
        },
      });
      const client = createKafka(brokers, 'prometheus-test', createLog('prometheus-test', 'silent'));
      const context = { version: 'test', command: 'test', workers: 1, speed: 0, provider, runId };
      const report = await reportLoad(client, result, context);
      return { report, ever, series, at: (expr) => answers.get(expr) as Row[] };
    }

    /**
     * Waits until the TRT monitor was scraped when every service had been after an instant; the instant of that scrape,
     * seconds. A query as of then sees nothing older, and its increases of the monitor's counters are not stretched.
     */
    async function scrapedSince(seconds: number, components: number): Promise<number> {
      const stampsAt = async (atSeconds: number) => await prometheus.query('timestamp(mdr_ready)', atSeconds);
      for (;;) {
        const latest = await stampsAt(nowMs() / 1000);
        const monitor = latest.find(({ labels }) => labels.component === 'trt-monitor');
        if (monitor !== undefined) {
          const then = await stampsAt(monitor.value);
          if (then.filter(({ value }) => value > seconds).length === components) return monitor.value;
        }
        await sleep(LOOK_EVERY_MS);
      }
    }

    test('the ledger: requests by result, refusals by code, what is open and what is held', () => {
      const { report, at } = seen;
      const { ledger } = report;
      const byResult = Object.fromEntries(at(RESULTS).map(({ labels, value }) => [labels.result, value]));
      const refused = Object.values(ledger.refused).reduce((sum, count) => sum + count, 0);
      expect(refused).toBeGreaterThan(0);
      expect(byResult.refused).toBe(refused);
      const { refused: _, ...answered } = byResult;
      expect(Object.values(answered).reduce((sum, count) => sum + count, 0)).toBe(ledger.answered);
      for (const [code, count] of Object.entries(ledger.answeredBy))
        expect([code, answered[code] ?? 0]).toEqual([code, count]);
      const codes = Object.fromEntries(at(REFUSALS).map(({ labels, value }) => [labels.code, value]));
      expect(codes).toEqual(Object.fromEntries(Object.entries(ledger.refused).filter(([, count]) => count > 0)));
      expect(at(OPEN)[0].value).toBe(ledger.open);
      expect(at(HELD)[0].value).toBe(ledger.quarantined);
      expect(ledger.quarantined).toBeGreaterThan(0);
    });

    test('every row of the report: requests, within TRT, without data, breaches', () => {
      const { report, at } = seen;
      const found = new Map<string, Record<string, number>>();
      for (const expr of ROWS) {
        for (const { labels, value } of at(expr)) {
          const key = `${labels.srv} ${labels.generation} ${labels.mode} ${labels.trt_service}`;
          found.set(key, { ...found.get(key), [expr]: value });
        }
      }
      const [requests, within, withoutData, breaches] = ROWS;
      const expected = report.trt.map((row) => [
        `${row.srv} ${row.generation} ${row.mode} ${row.service}`,
        {
          [requests]: row.requests,
          [within]: row.withinTrt,
          [withoutData]: row.withinTrtWithoutData,
          [breaches]: row.breaches,
        },
      ]);
      const some = [...found].filter(([, row]) => row[requests] > 0);
      expect(Object.fromEntries(some)).toEqual(Object.fromEntries(expected));
      expect(report.ledger.breaches).toBeGreaterThan(0);
    });

    test("the dashboards' own answers are the report's figures", () => {
      const { report, at } = seen;
      const byMode = (title: string) =>
        Object.fromEntries(at(queryOf('trt-compliance', title)).map(({ labels, value }) => [labels.mode, value]));
      const { target, minimum } = report.measures[0];
      for (const { measure, share, requests, withinTrt } of report.measures) {
        expect(byMode('Within TRT')[measure]).toBeCloseTo(share as number, 9);
        expect(byMode('Budget left, target')[measure]).toBeCloseTo(1 - (1 - (share as number)) / (1 - target), 6);
        expect(byMode('Budget left, minimum')[measure]).toBeCloseTo(1 - (1 - (share as number)) / (1 - minimum), 6);
        expect(byMode('Breaches')[measure]).toBeCloseTo(requests - withinTrt, 6);
      }
      const table = queriesOf('trt-compliance', 'By Service Request');
      expect(at(table[1]).length).toBe(report.trt.length);
      for (const { srv, mode, service, generation, requests, withinTrt } of report.trt) {
        const own = (rows: Row[]) =>
          rows.find(
            ({ labels }) =>
              labels.srv === srv &&
              labels.mode === mode &&
              labels.trt_service === service &&
              labels.generation === generation,
          )?.value;
        expect(own(at(table[0]))).toBeCloseTo(withinTrt / requests, 9);
        expect(own(at(table[1]))).toBeCloseTo(requests, 6);
      }
      const used = at(queryOf('networks', 'Utilisation in the range'));
      for (const { name, utilisationMean } of report.networks)
        expect(used.find(({ labels }) => labels.network === name)?.value).toBeCloseTo(utilisationMean, 3);
    });

    test('what decided is counted in whole requests, from the first one on', () => {
      const { report, at } = seen;
      const decided = Object.fromEntries(
        at(queryOf('stream', 'What decided')).map(({ labels, value }) => [labels.fact, value]),
      );
      for (const [fact, requests] of Object.entries(decided)) expect([fact, requests % 1]).toEqual([fact, 0]);
      expect(decided.deviceStatus).toBeGreaterThanOrEqual(report.ledger.refused.E5);
      expect(decided.accepted).toBeGreaterThanOrEqual(report.ledger.received - report.ledger.refused.E5);
    });

    test('every query of every dashboard has something to show, but for what did not happen', () => {
      const empty: Record<string, number> = {};
      for (const { panel, expr } of panelQueries())
        if (seen.ever.get(expr) === 0) empty[panel.title] = (empty[panel.title] ?? 0) + 1;
      expect(empty).toEqual(NOTHING_THERE);
    });

    test('the alerts say what happened: breaches and quarantine, nothing else', () => {
      const { report, at } = seen;
      const firing = alerts().filter(({ expr }) => at(expr).length > 0);
      const names = firing.map(({ alert }) => alert);
      expect(names).toContain('MdrTrtBreached');
      expect(names).toContain('MdrQuarantineWaiting');
      for (const never of ['MdrDeadLetters', 'MdrRestoreStuck', 'MdrNothingConsumed', 'MdrLagGrowing'])
        expect(names).not.toContain(never);
      const breached = alerts().find(({ alert }) => alert === 'MdrTrtBreached') as { expr: string };
      const total = at(breached.expr).reduce((sum, { value }) => sum + value, 0);
      expect(total).toBeCloseTo(report.ledger.breaches, 6);
    });

    test('no process has more series of a metric than the catalogue says, nor one that is not in it', () => {
      expect(seen.series.length).toBeGreaterThan(50);
      const families = Object.keys(METRICS);
      for (const { labels } of seen.series) {
        const name = labels.__name__;
        expect(
          families.some((family) => name === family || name.replace(/_(bucket|sum|count)$/, '') === family),
          name,
        ).toBe(true);
      }
    });
  });
});

/** Access control, anomaly, TRT monitor, fleet, Users, scheduler: registration has ended when the run begins. */
const COMPONENTS_RUNNING = 6;
const RESULTS = 'sum by (result) (mdr_requests_total)';
const REFUSALS = 'sum by (code) (mdr_refusals_total)';
const OPEN = 'sum(mdr_trt_open_requests)';
const HELD = 'sum(mdr_quarantine_held_requests)';
const ROWS = [
  'mdr_trt_requests_total',
  'mdr_trt_within_total',
  'mdr_trt_within_without_data_total',
  'mdr_trt_breaches_total',
] as const;
const RAW = [RESULTS, REFUSALS, OPEN, HELD, ...ROWS];

/** Until the monitor has come to the end of the counted days, and everything that counts has its verdict. */
async function untilJudged(services: readonly ServiceProcess[], countedEndMs: number): Promise<void> {
  const monitor = services.find(({ name }) => name === 'trt-monitor') as ServiceProcess;
  const endMs = nowMs() + RUN_WITHIN_MS;
  while (nowMs() < endMs) {
    const status = await statusOf(monitor);
    const instants = Object.values((status?.nowMs ?? {}) as Record<string, number>);
    if (instants.length > 0 && Math.min(...instants) >= countedEndMs && status?.openCounted === 0) return;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error('the run did not come to its end');
}

function panelQueries(): { board: string; panel: Panel; expr: string }[] {
  return Object.entries(DASHBOARDS).flatMap(([board, { rows }]) =>
    rows.flatMap(({ panels }) => panels.flatMap((panel) => panel.queries.map(({ expr }) => ({ board, panel, expr })))),
  );
}

function allQueries(): string[] {
  return panelQueries().map(({ expr }) => expr);
}

function queriesOf(board: string, title: string): string[] {
  return panelQueries()
    .filter((one) => one.board === board && one.panel.title === title)
    .map(({ expr }) => expr);
}

/** Of the first panel of that title. */
function queryOf(board: string, title: string): string {
  return queriesOf(board, title)[0];
}

type Alert = { alert: string; expr: string };

function alerts(): Alert[] {
  const folder = fileURLToPath(new URL('../../helm/mdr-stream/rules/', import.meta.url));
  return (
    globSync('*.yaml', { cwd: folder })
      .flatMap((name) => parse(readFileSync(join(folder, name), 'utf8')).groups as { rules: Partial<Alert>[] }[])
      .flatMap(({ rules }) => rules.filter((rule): rule is Alert => rule.alert !== undefined))
      // What rests on recorded series is tested by promtool: nothing records here.
      .filter(({ expr }) => !expr.includes('mdr:'))
  );
}

function allAlerts(): string[] {
  return alerts().map(({ expr }) => expr);
}

/** An alert looks at some minutes: at the whole run, however long it took. */
function widened(expr: string, rangeSeconds: number): string {
  return expr.replaceAll(/\[\d+[mh]\]/g, `[${rangeSeconds}s]`);
}
