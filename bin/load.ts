import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { formatInstant } from '#core/settlement-day.ts';
import { runAudit } from '#load-tests/audit/audit.ts';
import { renderAudit } from '#load-tests/audit/summary.ts';
import { reportLoad } from '#load-tests/load/build-report.ts';
import { type LoadProgress, type LoadResult, runLoad, SERVICE_NAMES } from '#load-tests/load/run.ts';
import { holdReportFolder } from '#load-tests/report/report-folder.ts';
import { writeReport } from '#load-tests/report/write.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { PARTITIONS_ALLOWED, PARTITIONS_DEFAULT } from '#schemas/topics.ts';
import { nowMs } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import type { GivenKafka } from '#services/platform/kafka-provider/given.ts';
import { type ProvidedKafka, provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { version } from '#services/platform/version.ts';
import { quote, showResult, VERDICT_EXIT_CODES, wholeNumber } from './run-output.ts';

export const summary = 'Drives a scenario through the services on Kafka, and reports how the platform kept up';

export const help = `Usage: mdr load [SCENARIO] [options]

Will the platform hold? The scenario's requests go through the real services on a real Kafka: schedules, access control,
anomaly check, the simulated fleet, the Users, the TRT monitor. What is not given is started, and ended afterwards:
Kafka (as 'mdr kafka' would), and one process of each service. The report is that of 'mdr plan', with the platform's own
time, lag, rates, processor time and memory beside it.

  --speed N|max      simulated seconds a second: 96 is a day in 15 minutes; max: as fast as it goes [max]
  --duration TIME    ends the run after so much wall time, as 90s, 15m or 2h, with a report of what was done by then
  --set PATH=VALUE   changes a setting of the scenario; repeat for more, as for 'mdr plan'
  --seed N           draws another day of the same kind
  --days N           days to count
  --partitions N     partitions of every topic: ${PARTITIONS_ALLOWED.join(', ')} [${PARTITIONS_DEFAULT}]
  --processes LIST   processes of a service, as access-control=2,fleet-sim=2 [1 of each]
  --workers N        threads of each service's worker pool [1]
  --brokers LIST     Kafka to use (or KAFKA_BROKERS); with --registry URL (or SCHEMA_REGISTRY_URL)
  --prefix P         what stands before the names of topics and groups [mdr-RUN., another for each run]
  --given LIST       services that run already on these topics, by the URLs of their health as http://127.0.0.1:9464:
                     none of their kind is started, and they are not ended; a host of several addresses is several
  --audit            audits the run's topics at the end, as 'mdr audit' does; its faults make the exit code 1
  --out DIR          where the report goes (mdr-report/load-SCENARIO unless given), with the services' logs; one run at
                     a time writes to a folder
  --json             prints the report as JSON and nothing else
  --help

Services: ${SERVICE_NAMES.join(', ')}.
Ctrl-C ends a run early with a report of what was done by then.

Exit codes: 0 every threshold holds, 1 one is broken or the audit found faults, 2 bad input, 3 could not run, 4 undecided.

Examples:
  mdr load                                        the day of 100,000 meters, as fast as it goes
  mdr load settlement-day --speed 96 --duration 5m
  mdr load agent-switch --set fleet.meters=20000 --audit
  mdr kafka up && mdr load && mdr audit           looks into the topics afterwards
`;

const WORKERS_MAX = 64;
const PROCESSES_MAX = 16;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };
/** Without a terminal a line of progress is enough this often. */
const LINE_EVERY_MS = 5000;
/** What asks the run to end with its report. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      set: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string' },
      days: { type: 'string' },
      speed: { type: 'string', default: 'max' },
      duration: { type: 'string' },
      partitions: { type: 'string', default: String(PARTITIONS_DEFAULT) },
      processes: { type: 'string', default: '' },
      workers: { type: 'string', default: '1' },
      brokers: { type: 'string' },
      registry: { type: 'string' },
      prefix: { type: 'string' },
      given: { type: 'string', default: '' },
      audit: { type: 'boolean', default: false },
      out: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) throw new MdrError('USAGE', `one scenario at a time, not ${positionals.join(' and ')}`);
  const name = positionals[0] ?? 'settlement-day';
  const settings = [...values.set];
  if (values.seed !== undefined) settings.push(`seed=${wholeNumber('--seed', values.seed, 0, 4294967295)}`);
  if (values.days !== undefined) settings.push(`days=${wholeNumber('--days', values.days, 1, 366)}`);
  const partitions = wholeNumber('--partitions', values.partitions, 1, 16);
  if (!(PARTITIONS_ALLOWED as readonly number[]).includes(partitions))
    throw new MdrError('USAGE', `--partitions ${partitions} is none of ${PARTITIONS_ALLOWED.join(', ')}`);
  const workers = wholeNumber('--workers', values.workers, 1, WORKERS_MAX);
  const speed = speedOf(values.speed);
  const durationMs = values.duration === undefined ? undefined : durationOf(values.duration);
  const processes = processesOf(values.processes);
  const loaded = loadScenario(name, settings);
  const directory = values.out ?? join('mdr-report', `load-${loaded.scenario.name}`);
  const release = await holdReportFolder(directory);
  const say = (text: string) => {
    if (!values.json) process.stderr.write(`${text}\n`);
  };
  let kafka: ProvidedKafka | undefined;
  try {
    kafka = await provideKafka({ brokers: values.brokers, registry: values.registry, onProgress: say });
    const progress = createLoadProgress(values.json);
    const stopping = new AbortController();
    const stop = () => {
      process.stderr.write('\nEnding the run; press Ctrl-C again to leave at once.\n');
      stopping.abort();
    };
    for (const signal of STOP_SIGNALS) process.once(signal, stop);
    const runId = runIdOf();
    let result: LoadResult;
    try {
      result = await runLoad({
        loaded,
        kafka,
        speed,
        partitions,
        processes,
        workers,
        runId,
        ...(values.prefix === undefined ? {} : { prefix: values.prefix }),
        given: values.given.split(',').filter((url) => url !== ''),
        directory,
        ...(durationMs === undefined ? {} : { durationMs }),
        signal: stopping.signal,
        onProgress: progress.show,
      });
    } finally {
      progress.end();
      for (const signal of STOP_SIGNALS) process.removeListener(signal, stop);
    }
    say('Counting the run from its topics');
    const client = createKafka(kafka.brokers, 'mdr-load', createLog('mdr-load', 'silent'), kafka.security.kafka);
    const command = commandOf(name, argv, positionals);
    const context = { speed, provider: kafka.provider, runId, workers, version: version(), command };
    const report = await reportLoad(client, result, context);
    await writeReport(report, directory);
    if (values.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else showResult(report, directory);
    const faults = values.audit ? await audit(kafka, result.prefix, values.json) : 0;
    if (kafka.outlives) say(`Look into its topics with: npx mdr audit --prefix ${result.prefix}`);
    return faults > 0 ? 1 : VERDICT_EXIT_CODES[report.verdict];
  } finally {
    await kafka?.stop();
    await release();
  }
}

function speedOf(text: string): number {
  if (text === 'max') return 0;
  const speed = Number(text);
  if (!(speed >= 0.1 && speed <= 100_000))
    throw new MdrError('USAGE', `--speed ${text} is not max, nor from 0.1 to 100000`);
  return speed;
}

function durationOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|m|h)$/.exec(text);
  if (match === null || Number(match[1]) === 0)
    throw new MdrError('USAGE', `--duration ${text} is not a time as 90s, 15m or 2h`);
  return Number(match[1]) * UNITS_MS[match[2]];
}

function processesOf(text: string): Record<string, number> {
  const entries = text.split(',').filter((part) => part !== '');
  return Object.fromEntries(
    entries.map((entry) => {
      const [service, count] = entry.split('=');
      if (!(SERVICE_NAMES as readonly string[]).includes(service))
        throw new MdrError('USAGE', `--processes: ${service} is none of ${SERVICE_NAMES.join(', ')}`);
      return [service, wholeNumber(`--processes ${service}`, count ?? '', 1, PROCESSES_MAX)];
    }),
  );
}

/** Short, and later ones sort behind earlier ones. */
function runIdOf(): string {
  return Math.floor(nowMs()).toString(36);
}

function commandOf(name: string, argv: readonly string[], positionals: readonly string[]): string {
  const options = argv.filter((word) => word !== positionals[0] && word !== '--json');
  return ['npx mdr load', quote(name), ...options.map(quote)].join(' ');
}

function createLoadProgress(isQuiet: boolean): { show(progress: LoadProgress): void; end(): void } {
  const { stderr } = process;
  let shownPhase = '';
  let lastDone = 0;
  let shownRate = 0;
  let shownMs = Number.NEGATIVE_INFINITY;
  let isLineOpen = false;
  return {
    show({ phase, model, sample }) {
      if (isQuiet) return;
      if (sample === undefined) {
        if (phase !== shownPhase) stderr.write(`${isLineOpen ? '\r\x1b[K' : ''}${phase} ...\n`);
        isLineOpen = false;
        shownPhase = phase;
        return;
      }
      if (!stderr.isTTY && sample.atMs - shownMs < LINE_EVERY_MS) return;
      const seconds = Math.max(0.001, (sample.atMs - Math.max(0, shownMs)) / 1000);
      const done = sample.answered + sample.refused;
      const rate = Math.max(0, Math.round((done - lastDone) / seconds));
      if (sample.atMs - shownMs >= 1000) {
        shownRate = rate;
        shownMs = sample.atMs;
        lastDone = done;
      }
      const at = Number.isFinite(sample.simulatedMs)
        ? formatInstant(Math.floor(sample.simulatedMs / 1000) * 1000)
        : '-';
      const lag = sample.lag.reduce((sum, { records }) => sum + records, 0);
      const text = `${at} simulated, ${done} answered (${shownRate}/s), lag ${lag}, ${sample.breaches} breaches, ${sample.openCounted} open`;
      stderr.write(stderr.isTTY ? `\r\x1b[K${model.scenario.name}: ${text}` : `${model.scenario.name}: ${text}\n`);
      isLineOpen = stderr.isTTY;
    },
    end() {
      if (isLineOpen) stderr.write('\r\x1b[K');
    },
  };
}

/** Audits the run and shows what it found; the number of faults. */
async function audit(
  { brokers, registryUrl, security }: GivenKafka,
  prefix: string,
  isQuiet: boolean,
): Promise<number> {
  const options = { brokers, registryUrl, security, prefix, isAllDemanded: false, isDeadLetterFault: false };
  const report = await runAudit(options);
  (isQuiet ? process.stderr : process.stdout).write(`\n${renderAudit(report, FAULTS_SHOWN_MAX)}`);
  return report.faults.total;
}

const FAULTS_SHOWN_MAX = 20;
