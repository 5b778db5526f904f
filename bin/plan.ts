import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { openMetricsOf } from '#load-tests/plan/openmetrics.ts';
import { type PlanOptions, type PlanResult, runPlan } from '#load-tests/plan/run.ts';
import { holdReportFolder } from '#load-tests/report/report-folder.ts';
import { writeParts, writeReport } from '#load-tests/report/write.ts';
import { type LoadedScenario, loadScenario } from '#load-tests/scenario/load.ts';
import { version } from '#services/platform/version.ts';
import { createProgress } from './progress.ts';
import { quote, showResult, VERDICT_EXIT_CODES, wholeNumber } from './run-output.ts';

export const summary = 'Simulates a scenario and says whether the Target Response Times hold';

export const help = `Usage: mdr plan [SCENARIO] [options]

Simulates the Service Requests of a scenario on the networks it describes, in virtual time, and judges its thresholds.
SCENARIO is the name of a built-in one ('mdr scenarios' lists them) or a YAML file; settlement-day unless given.

  --set PATH=VALUE   changes a setting; repeat for more. A list's member by number, name or MPID
  --seed N           draws another day of the same kind (the scenario's seed unless given)
  --days N           days to count (short for --set days=N)
  --workers N        threads (this machine has ${availableParallelism()}); the result does not depend on it
  --sample 1/N       simulates one in N cells, at random, and gives 95 % intervals
  --out DIR          where the report goes (mdr-report/SCENARIO unless given); one run at a time writes to a folder
  --openmetrics FILE writes the run as time-stamped metrics, for the dashboards of real ones (docs/using/dashboards.md)
  --json             prints the report as JSON and nothing else; writes files only with --out
  --help

Ctrl-C ends a run early with a report of what was simulated by then.

Exit codes: 0 every threshold holds, 1 one is broken, 2 bad input, 3 could not run, 4 undecided.

Examples:
  mdr plan                                            the day of 100,000 meters
  mdr plan gb-settlement-day --sample 1/10            30 million meters, estimated in a few seconds
  mdr plan settlement-day --set 'networks[S1SP].exchangesPerCell=1'
  mdr plan my-scenario.yaml --out report --seed 7
  mdr plan outage-72h --json | jq .verdict
`;

const WORKERS_MAX = 256;

export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      set: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string' },
      days: { type: 'string' },
      workers: { type: 'string' },
      sample: { type: 'string' },
      out: { type: 'string' },
      openmetrics: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) throw new MdrError('USAGE', `one scenario at a time, not ${positionals.join(' and ')}`);
  const name = positionals[0] ?? 'settlement-day';
  const settings = [...values.set];
  if (values.seed !== undefined) settings.push(`seed=${wholeNumber('--seed', values.seed, 0, 4294967295)}`);
  if (values.days !== undefined) settings.push(`days=${wholeNumber('--days', values.days, 1, 366)}`);
  const workers =
    values.workers === undefined ? availableParallelism() : wholeNumber('--workers', values.workers, 1, WORKERS_MAX);
  const sampleOneIn = values.sample === undefined ? 1 : parseSample(values.sample);
  const loaded = loadScenario(name, settings);
  const directory = values.out ?? (values.json ? undefined : join('mdr-report', loaded.scenario.name));
  const release = directory === undefined ? undefined : await holdReportFolder(directory);
  try {
    const { openmetrics } = values;
    const result = await simulate(
      loaded,
      { workers, sampleOneIn, hasTimeline: openmetrics !== undefined },
      values.json,
    );
    const command = commandOf(name, values, sampleOneIn);
    const report = buildReport(result, { workers, sampleOneIn, version: version(), command });
    if (directory !== undefined) await writeReport(report, directory);
    if (openmetrics !== undefined) await writeParts(openmetrics, openMetricsOf(result));
    if (values.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else showResult(report, directory as string);
    if (!result.settled && result.complete) {
      process.stderr.write(
        'The instants at which Anomaly Detection Thresholds are exceeded did not settle; see passes.\n',
      );
    }
    return VERDICT_EXIT_CODES[report.verdict];
  } finally {
    await release?.();
  }
}

async function simulate(loaded: LoadedScenario, options: PlanOptions, isQuiet: boolean): Promise<PlanResult> {
  const stopping = new AbortController();
  const stop = () => {
    process.stderr.write('\nStopping after the cells in progress; press Ctrl-C again to leave at once.\n');
    stopping.abort();
  };
  process.once('SIGINT', stop);
  const progress = createProgress(process.stderr, loaded.scenario.name, isQuiet);
  try {
    return await runPlan(loaded, { ...options, signal: stopping.signal, onProgress: progress.show });
  } finally {
    progress.end();
    process.removeListener('SIGINT', stop);
  }
}

function parseSample(text: string): number {
  const match = /^1\/([1-9]\d{0,6})$/.exec(text);
  if (match === null) throw new MdrError('USAGE', `--sample ${text} is not of the form 1/N, as 1/50`);
  return Number(match[1]);
}

type Values = { set: string[]; seed?: string | undefined; days?: string | undefined };

/** The command that gives the same counts again, on any number of workers. */
function commandOf(name: string, values: Values, sampleOneIn: number): string {
  const parts = ['npx mdr plan', quote(name)];
  for (const setting of values.set) parts.push('--set', quote(setting));
  if (values.seed !== undefined) parts.push('--seed', values.seed);
  if (values.days !== undefined) parts.push('--days', values.days);
  if (sampleOneIn > 1) parts.push('--sample', `1/${sampleOneIn}`);
  return parts.join(' ');
}
