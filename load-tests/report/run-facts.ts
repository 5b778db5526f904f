import { stringify } from 'yaml';
import { formatBytes, formatCount, formatWallTime } from './format.ts';
import { foreign, type Markup, markup } from './markup.ts';
import type { Report } from './report.ts';

/** What the run was, and the command that gives it again. */
export function runFacts({ scenario, run }: Report): Markup {
  const { machine, sample } = run;
  const cells = sample === null ? 'all cells' : `${formatCount(sample.cells)} of ${formatCount(sample.cellsAll)} cells`;
  const passes = run.passes === 1 ? '' : `, ${run.passes} passes as Anomaly Detection Thresholds were exceeded`;
  const facts: [string, Markup | string][] = [
    ['Scenario', foreign(scenario.name)],
    ['Seed', String(run.seed)],
    ['Digest', markup`<code>${run.digest}</code>`],
    ['Version', `mdr ${run.version}`],
    [
      'Simulated',
      `${cells}, ${formatCount(run.events)} events${passes}${run.complete ? '' : ', stopped before the end'}`,
    ],
    [
      'Took',
      `${formatWallTime(run.wallSeconds)} on ${run.workers} ${run.workers === 1 ? 'worker' : 'workers'} (${formatWallTime(run.cpuSeconds)} of processor time), ${formatBytes(run.rssBytesMax)} of memory at most`,
    ],
    [
      'Machine',
      foreign(
        `${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)}, ${machine.platform}, Node ${machine.node}`,
      ),
    ],
  ];
  const note = run.complete
    ? 'This command gives the same report again: the digest is over everything that was counted.'
    : 'This command runs the scenario again, to its end unless it is stopped.';
  const rows = facts.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`);
  return markup`<p class="command"><code id="command">${run.command}</code><button type="button" id="copy" hidden="">Copy</button></p>
<p class="note">${note}</p>
<dl class="facts">${rows}</dl>`;
}

/** The whole scenario, defaults filled in, in the form of a scenario file. */
export function settingsInForce({ scenario }: Report): Markup {
  const yaml = stringify(scenario.settings, { lineWidth: 100 });
  return markup`<details><summary>The whole scenario, defaults filled in</summary><pre class="scroll" tabindex="0">${yaml}</pre></details>`;
}
