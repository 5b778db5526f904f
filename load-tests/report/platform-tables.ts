import type { Mode } from '#core/matrix.ts';
import { sumOf } from './findings.ts';
import {
  formatBytes,
  formatCount,
  formatDelay,
  formatInstant,
  formatSeconds,
  formatWallTime,
  MISSING,
} from './format.ts';
import type { Markup } from './markup.ts';
import { ownTimeText } from './platform-findings.ts';
import type { PlatformReport, PlatformServiceRow } from './report.ts';
import { type Column, table } from './table.ts';
import { type WallStretch, wallStretches } from './wall-time.ts';

const MODE_NAMES: Record<Mode, string> = { 'on-demand': 'On demand', scheduled: 'Scheduled' };

type TimeRow = { name: string; answers: number; times: [p50: string, p95: string, p99: string, max: string] };

/** The platform's own time, and below it what the TRTs are charged. */
export function platformTimeTable({ latency, chargedSeconds }: PlatformReport): Markup {
  const rows = (['on-demand', 'scheduled'] as const).flatMap((mode): TimeRow[] => {
    const row = latency[mode];
    const { p50, p95, p99, max } = chargedSeconds[mode];
    const shown = (times: TimeRow['times']): TimeRow['times'] =>
      row.count === 0 ? [MISSING, MISSING, MISSING, MISSING] : times;
    const own = shown([
      ownTimeText(row, 'p50Ms'),
      ownTimeText(row, 'p95Ms'),
      ownTimeText(row, 'p99Ms'),
      formatDelay(row.maxMs),
    ]);
    const charged = shown([formatSeconds(p50), formatSeconds(p95), formatSeconds(p99), formatSeconds(max)]);
    return [
      { name: `${MODE_NAMES[mode]}, platform`, answers: row.count, times: own },
      { name: `${MODE_NAMES[mode]}, network and platform`, answers: row.count, times: charged },
    ];
  });
  const figure = (head: string, of: (row: TimeRow) => string): Column<TimeRow> => ({ head, figures: true, cell: of });
  return table<TimeRow>(
    "The platform's own time",
    [
      { head: 'Time', cell: ({ name }) => name },
      figure('Answers', ({ answers }) => formatCount(answers)),
      ...['p50', 'p95', 'p99', 'max'].map((head, k) => figure(head, ({ times }) => times[k])),
    ],
    rows,
  );
}

export function serviceTable({ services }: PlatformReport): Markup {
  const figure = (head: string, of: (row: PlatformServiceRow) => string): Column<PlatformServiceRow> => ({
    head,
    figures: true,
    cell: of,
  });
  return table<PlatformServiceRow>(
    'What the services used',
    [
      { head: 'Service', cell: ({ name }) => name },
      figure('Processes', ({ processes }) => formatCount(processes)),
      figure('Processor time', ({ cpuSeconds }) => formatWallTime(cpuSeconds)),
      figure('Cores in use', ({ cores }) => cores.toFixed(2)),
      figure('Memory at most', ({ rssBytesMax }) => formatBytes(rssBytesMax)),
    ],
    services,
    [
      'All',
      formatCount(sumOf(services.map(({ processes }) => processes))),
      formatWallTime(sumOf(services.map(({ cpuSeconds }) => cpuSeconds))),
      sumOf(services.map(({ cores }) => cores)).toFixed(2),
      formatBytes(sumOf(services.map(({ rssBytesMax }) => rssBytesMax))),
    ],
  );
}

export function wallTable({ series }: PlatformReport): Markup {
  const figure = (head: string, of: (stretch: WallStretch) => string): Column<WallStretch> => ({
    head,
    figures: true,
    cell: of,
  });
  return table<WallStretch>(
    'The platform over wall time',
    [
      {
        head: 'Wall time',
        cell: ({ startSeconds, endSeconds }) => `${formatWallTime(startSeconds)} to ${formatWallTime(endSeconds)}`,
      },
      figure('offered a second', ({ offeredPerSecond }) => formatCount(offeredPerSecond)),
      figure('achieved a second', ({ achievedPerSecond }) => formatCount(achievedPerSecond)),
      figure('not taken', ({ lagRecords }) => formatCount(lagRecords)),
      figure('simulated (UTC)', ({ simulatedMs }) => (simulatedMs === 0 ? MISSING : formatInstant(simulatedMs))),
      figure('breaches so far', ({ breaches }) => formatCount(breaches)),
    ],
    wallStretches(series),
  );
}
