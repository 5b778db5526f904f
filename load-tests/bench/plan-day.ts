import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Report } from '#load-tests/report/report.ts';
import { bareEventLoop } from './bare-loop.ts';
import { type Measurement, measured, median, progress } from './measure.ts';

const MDR = fileURLToPath(new URL('../../bin/mdr', import.meta.url));
const RUNS = 3;
const REPORT_BYTES_MAX = 64 * 1024 * 1024;

/** The whole command, start to exit: 30 million meters on 2 workers, beside a bare event loop over as many reads. */
export async function planGbDay(): Promise<Measurement[]> {
  const runs: { wallSeconds: number; report: Report }[] = [];
  for (let run = 0; run < RUNS; run++) {
    runs.push(await plan(30_000_000));
    progress(`  run ${run + 1}: ${runs[run].wallSeconds.toFixed(1)} s`);
  }
  const report = runs[0].report;
  const bare = await bareEventLoop(30_000_000);
  progress(`  bare event loop over 30 million reads: ${bare.toFixed(1)} s`);
  return [
    measured(
      'plan-gb-day',
      's',
      runs.map(({ wallSeconds }) => round(wallSeconds)),
      {
        baseline: { name: 'bare event loop over 30 million reads, 2 workers', value: round(bare) },
        cpuSeconds: median(runs.map((run) => run.report.run.cpuSeconds)),
        rssBytesMax: Math.max(...runs.map((run) => run.report.run.rssBytesMax)),
        target: 'at most 20 s and 1e9 bytes on 2 cores',
      },
    ),
    measured(
      'plan-gb-day-requests-per-cpu-second',
      'requests/CPU-s',
      runs.map((run) => Math.round(report.ledger.received / run.report.run.cpuSeconds)),
    ),
  ];
}

/** Seconds of CPU a million meters at three sizes: the cost is linear when they agree. */
export async function planLinear(): Promise<Measurement[]> {
  const rows: Measurement[] = [];
  for (const meters of [300_000, 3_000_000, 30_000_000]) {
    const runs: number[] = [];
    const memory: number[] = [];
    for (let run = 0; run < (meters > 5_000_000 ? 1 : RUNS); run++) {
      const { report } = await plan(meters);
      runs.push(round(report.run.cpuSeconds / (meters / 1_000_000)));
      memory.push(report.run.rssBytesMax);
    }
    progress(`  ${meters} meters: ${median(runs)} CPU-s a million`);
    rows.push(
      measured(`plan-linear-${meters}`, 'CPU-s per million meters', runs, { rssBytesMax: Math.max(...memory) }),
    );
  }
  return rows;
}

async function plan(meters: number): Promise<{ wallSeconds: number; report: Report }> {
  const startedMs = performance.now();
  const { stdout } = await promisify(execFile)(
    MDR,
    ['plan', 'gb-settlement-day', '--json', '--workers', '2', '--set', `fleet.meters=${meters}`],
    { maxBuffer: REPORT_BYTES_MAX },
  );
  return { wallSeconds: (performance.now() - startedMs) / 1000, report: JSON.parse(stdout) as Report };
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
