import { stringify } from 'yaml';
import { sumOf } from './findings.ts';
import { formatBytes, formatCount, formatWallTime } from './format.ts';
import { foreign, type Markup, markup } from './markup.ts';
import { reachedText } from './platform-findings.ts';
import type { PlatformReport, Report, RunFacts } from './report.ts';

/** What the run was, and the command that gives it again. */
export function runFacts(report: Report): Markup {
  const { scenario, run, platform } = report;
  const { machine } = run;
  const facts: [string, Markup | string][] = [
    ['Scenario', foreign(scenario.name)],
    ['Seed', String(run.seed)],
    ['Digest', markup`<code>${run.digest}</code>`],
    ['Version', `mdr ${run.version}`],
    ...(platform === undefined ? planFacts(run) : loadFacts(report, platform)),
    [
      'Machine',
      foreign(
        `${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)}, ${machine.platform}, Node ${machine.node}`,
      ),
    ],
  ];
  const rows = facts.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`);
  return markup`<p class="command"><code id="command">${run.command}</code><button type="button" id="copy" hidden="">Copy</button></p>
<p class="note">${platform === undefined ? planNote(run) : LOAD_NOTE}</p>
<dl class="facts">${rows}</dl>`;
}

const LOAD_NOTE =
  'This command makes the same requests again. How long they take on the platform differs from run to run, and the digest with it.';

function planNote({ complete }: RunFacts): string {
  return complete
    ? 'This command gives the same report again: the digest is over everything that was counted.'
    : 'This command runs the scenario again, to its end unless it is stopped.';
}

function planFacts(run: RunFacts): [string, string][] {
  const { sample } = run;
  const cells = sample === null ? 'all cells' : `${formatCount(sample.cells)} of ${formatCount(sample.cellsAll)} cells`;
  const passes = run.passes === 1 ? '' : `, ${run.passes} passes as Anomaly Detection Thresholds were exceeded`;
  return [
    [
      'Simulated',
      `${cells}, ${formatCount(run.events)} events${passes}${run.complete ? '' : ', stopped before the end'}`,
    ],
    [
      'Took',
      `${formatWallTime(run.wallSeconds)} on ${run.workers} ${run.workers === 1 ? 'worker' : 'workers'} (${formatWallTime(run.cpuSeconds)} of processor time), ${formatBytes(run.rssBytesMax)} of memory at most`,
    ],
  ];
}

function loadFacts(report: Report, platform: PlatformReport): [string, string][] {
  const { run } = report;
  const processes = sumOf(platform.services.map((service) => service.processes));
  const workers = run.workers === 1 ? 'a worker' : `${run.workers} workers`;
  return [
    [
      'Run',
      `${platform.runId}, on topics of ${platform.partitions} ${platform.partitions === 1 ? 'partition' : 'partitions'}`,
    ],
    ['Kafka', platform.provider === 'given' ? 'given, not started for the run' : `started with ${platform.provider}`],
    ['Services', `${processes} ${processes === 1 ? 'process' : 'processes'} with ${workers} each`],
    ['Driven', run.complete ? 'to the end' : `until it was stopped ${reachedText(report)}`],
    [
      'Took',
      `${formatWallTime(run.wallSeconds)}, after ${formatWallTime(platform.preparedSeconds)} of filling topics and tables; ${formatWallTime(run.cpuSeconds)} of processor time in the services`,
    ],
  ];
}

/** The whole scenario, defaults filled in, in the form of a scenario file. */
export function settingsInForce({ scenario }: Report): Markup {
  const yaml = stringify(scenario.settings, { lineWidth: 100 });
  return markup`<details><summary>The whole scenario, defaults filled in</summary><pre class="scroll" tabindex="0">${yaml}</pre></details>`;
}
