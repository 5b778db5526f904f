import { bucketsPerRow } from './charts/time-axis.ts';
import { levelsFor, type Standing, shareWithin, standingOf, sumOf, totalsOf } from './findings.ts';
import {
  formatCount,
  formatPeriod,
  formatSeconds,
  formatShare,
  formatShareInterval,
  MISSING,
  modeName,
  serviceName,
} from './format.ts';
import { foreign, type Markup, markup, NOTHING } from './markup.ts';
import type { MeasureRow, NetworkRow, Report, ThresholdRow, TrtRow, UserRow, Verdict } from './report.ts';
import { type Column, table } from './table.ts';
import { formatMeasured, intervalText, metricOf } from './thresholds.ts';

const VERDICT_SIGNS: Record<Verdict, string> = { held: '✓', broken: '✕', undecided: '?' };
const STANDING_WORDS: Record<Standing, string> = {
  'on-target': '✓ on target',
  'below-target': '▲ below target',
  'below-minimum': '✕ below minimum',
  'no-level': '',
};

export function verdictMark(verdict: Verdict): Markup {
  return markup`<span class="mark ${verdict}"><span class="sign" aria-hidden="true">${VERDICT_SIGNS[verdict]}</span> ${verdict}</span>`;
}

export function standingMark(standing: Standing): Markup {
  return standing === 'no-level' ? NOTHING : markup`<span class="mark ${standing}">${STANDING_WORDS[standing]}</span>`;
}

export function thresholdTable(report: Report): Markup {
  const sampled = report.thresholds.some((row) => row.interval !== undefined);
  const interval: Column<ThresholdRow> = {
    head: '95 % interval',
    figures: true,
    cell: ({ interval: bounds, expression }) => (bounds === undefined ? MISSING : intervalText(bounds, expression)),
  };
  return table<ThresholdRow>(
    'Thresholds of the scenario',
    [
      { head: 'Threshold', cell: ({ expression }) => markup`<code>${expression}</code>` },
      {
        head: 'Measured',
        figures: true,
        cell: ({ value, expression }) => (value === null ? 'not measured' : formatMeasured(value, expression)),
      },
      ...(sampled ? [interval] : []),
      { head: 'Verdict', cell: ({ verdict }) => verdictMark(verdict) },
      { head: 'What it judges', cell: ({ expression }) => metricOf(expression)?.says.replaceAll('`', '') ?? '' },
    ],
    report.thresholds,
  );
}

export function trtTable(report: Report): Markup {
  const figure = (head: string, of: (row: TrtRow) => string): Column<TrtRow> => ({ head, figures: true, cell: of });
  const latency = (head: 'p50' | 'p95' | 'p99' | 'max'): Column<TrtRow> =>
    figure(head, (row) => (row.requests === row.open ? MISSING : formatSeconds(row.seconds[head])));
  const totals = totalsOf(report.trt);
  const withoutData = formatCount(sumOf(report.trt.map((row) => row.withinTrtWithoutData)));
  return table<TrtRow>(
    'Target Response Times by Service Request',
    [
      { head: 'SRV', cell: ({ srv }) => srv },
      { head: 'Generation', cell: ({ generation }) => generation },
      { head: 'Mode', cell: ({ mode }) => modeName(mode) },
      { head: 'Service', cell: ({ service }) => serviceName(service) },
      figure('TRT', (row) => formatSeconds(row.trtSeconds)),
      figure('Requests', (row) => formatCount(row.requests)),
      figure('Within TRT', (row) => formatCount(row.withinTrt)),
      figure('of it without data', (row) => formatCount(row.withinTrtWithoutData)),
      { head: 'Share', figures: true, cell: (row) => shareCell(report, row) },
      figure('Breaches', (row) => formatCount(row.breaches)),
      figure('Open', (row) => formatCount(row.open)),
      latency('p50'),
      latency('p95'),
      latency('p99'),
      latency('max'),
    ],
    report.trt,
    [
      'All',
      '',
      '',
      '',
      '',
      formatCount(totals.requests),
      formatCount(totals.withinTrt),
      withoutData,
      formatShare(shareWithin(totals)),
      formatCount(totals.breaches),
      formatCount(totals.open),
      '',
      '',
      '',
      '',
    ],
  );
}

function shareCell(report: Report, row: TrtRow): Markup {
  const standing = standingOf(shareWithin(row), levelsFor(report, row.mode));
  const sign = standing === 'below-minimum' ? '✕ ' : standing === 'below-target' ? '▲ ' : '';
  const told = sign === '' ? NOTHING : markup`<span class="unseen"> ${STANDING_WORDS[standing].slice(2)}</span>`;
  const interval =
    row.interval === undefined
      ? NOTHING
      : markup` <span class="interval"><span class="unseen">95 % interval </span>${formatShareInterval(row.interval)}</span>`;
  return markup`<span class="${standing}">${sign}${formatShare(shareWithin(row))}</span>${told}${interval}`;
}

export function networkTable(report: Report): Markup {
  const figure = (head: string, of: (row: NetworkRow) => string): Column<NetworkRow> => ({
    head,
    figures: true,
    cell: of,
  });
  return table<NetworkRow>(
    'Networks over the whole run',
    [
      { head: 'Network', cell: ({ name }) => foreign(name) },
      { head: 'Generation', cell: ({ generation }) => generation },
      figure('Meters', (row) => formatCount(row.meters)),
      figure('Cells', (row) => formatCount(row.cells)),
      figure('Exchanges at once', (row) => formatCount(row.exchangesMax)),
      figure('Use, mean', (row) => formatShare(row.utilisationMean, 1)),
      figure('Use, peak', (row) => formatShare(row.utilisationPeak, 1)),
      figure('Queue, peak', (row) => formatCount(row.queuePeak)),
      figure('Requests', (row) => formatCount(sumOf(row.requestsByHour))),
      figure('Breaches', (row) => formatCount(sumOf(row.breachesByHour))),
      figure('p50', (row) => formatSeconds(row.seconds.p50)),
      figure('p95', (row) => formatSeconds(row.seconds.p95)),
      figure('p99', (row) => formatSeconds(row.seconds.p99)),
      figure('max', (row) => formatSeconds(row.seconds.max)),
    ],
    report.networks,
  );
}

/** First attempts belong on a schedule (MP162 business requirements 2.6.4): what was made on demand is marked. */
export function userTable(report: Report): Markup {
  const figure = (head: string, of: (row: UserRow) => string): Column<UserRow> => ({ head, figures: true, cell: of });
  const forecasts = report.users.some((row) => row.forecast !== null);
  return table<UserRow>(
    'Conduct of each User',
    [
      { head: 'User', cell: ({ name }) => foreign(name) },
      { head: 'MPID', cell: ({ mpid }) => foreign(mpid) },
      { head: 'Role', cell: ({ role }) => foreign(role) },
      figure('Requests', (row) => formatCount(row.requests)),
      ...(forecasts
        ? [
            figure('Forecast', ({ forecast }) => (forecast === null ? MISSING : formatCount(forecast))),
            figure('of forecast', (row) => (row.forecast ? formatShare(row.requests / row.forecast, 1) : MISSING)),
          ]
        : []),
      figure('Refused', (row) => formatCount(row.refused)),
      figure('Quarantined', (row) => formatCount(row.quarantined)),
      figure('Within TRT', (row) => formatShare(row.withinTrtShare)),
      figure('Re-requests', (row) => formatCount(row.reRequests)),
      figure('First attempts', (row) => formatCount(row.firstAttempts)),
      { head: 'of them on demand', figures: true, cell: firstAttemptsCell },
    ],
    report.users,
  );
}

function firstAttemptsCell(row: UserRow): Markup | string {
  if (row.firstAttempts === 0) return MISSING;
  if (row.firstAttemptsOnDemand === 0) return '0';
  const share = formatShare(row.firstAttemptsOnDemandShare);
  return markup`<span class="below-target">▲ ${formatCount(row.firstAttemptsOnDemand)} (${share})</span>`;
}

export function measureTable(report: Report): Markup {
  const figure = (head: string, of: (row: MeasureRow) => string): Column<MeasureRow> => ({
    head,
    figures: true,
    cell: of,
  });
  return table<MeasureRow>(
    'Code Performance Measures by calendar month',
    [
      { head: 'Month', cell: ({ month }) => month },
      { head: 'Measure', cell: ({ measure }) => (measure === 'on-demand' ? '1, on demand' : '2, scheduled') },
      figure('Requests', (row) => formatCount(row.requests)),
      figure('Within TRT', (row) => formatCount(row.withinTrt)),
      figure('Share', (row) => (row.requests === 0 ? MISSING : formatShare(row.share))),
      figure('Target', (row) => formatShare(row.target, 0)),
      figure('Minimum', (row) => formatShare(row.minimum, 0)),
      { head: 'Level', cell: (row) => standingMark(standingOf(row.requests === 0 ? null : row.share, row)) },
    ],
    report.measures,
  );
}

/** A row of a chart's data: the buckets from `first` up to `end`. */
type Stretch = { startMs: number; endMs: number; first: number; end: number };

function stretchesOf(startMs: number, bucketSeconds: number, buckets: number): Stretch[] {
  const perRow = bucketsPerRow(bucketSeconds);
  return Array.from({ length: Math.ceil(buckets / perRow) }, (_, row) => {
    const first = row * perRow;
    const end = Math.min(buckets, first + perRow);
    return { startMs: startMs + first * bucketSeconds * 1000, endMs: startMs + end * bucketSeconds * 1000, first, end };
  });
}

const timeColumn: Column<Stretch> = { head: 'Time (UTC)', cell: ({ startMs, endMs }) => formatPeriod(startMs, endMs) };

function stretchFigure(head: string, of: (stretch: Stretch) => string): Column<Stretch> {
  return { head, figures: true, cell: of };
}

export function breachTable(report: Report): Markup {
  const hours = Math.max(0, ...report.networks.map((network) => network.breachesByHour.length));
  const columns = report.networks.map((network) =>
    stretchFigure(network.name, ({ first }) => formatCount(network.breachesByHour[first] ?? 0)),
  );
  const totals = report.networks.map((network) => formatCount(sumOf(network.breachesByHour)));
  const rows = stretchesOf(report.series.startMs, 3600, hours);
  return table('Breaches by hour and network', [timeColumn, ...columns], rows, ['All', ...totals]);
}

/** Latency by hour: of percentiles only the highest of the hour's buckets can be told. */
export function latencyTable(report: Report): Markup {
  const { startMs, bucketSeconds, onDemand } = report.series;
  const highest = (head: string, figure: 'p50' | 'p95' | 'max'): Column<Stretch> =>
    stretchFigure(head, ({ first, end }) => {
      const taken = onDemand.slice(first, end).filter((point) => point.count > 0);
      return taken.length === 0 ? MISSING : formatSeconds(Math.max(...taken.map((point) => point[figure])));
    });
  const answers = stretchFigure('Answers', ({ first, end }) =>
    formatCount(sumOf(onDemand.slice(first, end).map((point) => point.count))),
  );
  return table(
    'On-demand latency over time',
    [timeColumn, answers, highest('highest p50', 'p50'), highest('highest p95', 'p95'), highest('max', 'max')],
    stretchesOf(startMs, bucketSeconds, onDemand.length),
    ['All', formatCount(sumOf(onDemand.map((point) => point.count))), '', '', ''],
  );
}

/** Use and queues of one network by hour, means of its buckets. */
export function loadTable(report: Report, network: NetworkRow): Markup {
  const mean = (head: string, values: readonly number[], write: (value: number) => string): Column<Stretch> =>
    stretchFigure(head, ({ first, end }) => write(sumOf(values.slice(first, end)) / (end - first)));
  return table(
    `${network.name} over time`,
    [
      timeColumn,
      mean('In use', network.utilisation, (value) => formatShare(value, 1)),
      mean('Waiting on demand', network.queueOnDemand, formatMean),
      mean('Waiting scheduled', network.queueScheduled, formatMean),
    ],
    stretchesOf(report.series.startMs, network.bucketSeconds, network.utilisation.length),
  );
}

function formatMean(value: number): string {
  return value > 0 && value < 10 ? value.toFixed(1).replace(/^0\.0$/, '<0.1') : formatCount(value);
}
