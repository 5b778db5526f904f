import { shareWithin } from './findings.ts';
import type { NetworkRow, PlatformReport, Report } from './report.ts';

type Cell = string | number | null | undefined;

/**
 * The report's figures as CSV (RFC 4180, UTF-8, a heading line), file name to content. Numbers are as exact as the
 * report's, shares of 0..1, instants ISO 8601 in UTC, absent values empty.
 */
export function renderCsv(report: Report): Record<string, string> {
  return {
    'trt.csv': trtCsv(report),
    'thresholds.csv': thresholdsCsv(report),
    'networks.csv': networksCsv(report),
    'breaches.csv': breachesCsv(report),
    'latency.csv': latencyCsv(report),
    'users.csv': usersCsv(report),
    ...(report.platform === undefined
      ? {}
      : { 'platform.csv': platformCsv(report.platform), 'services.csv': servicesCsv(report.platform) }),
  };
}

function trtCsv(report: Report): string {
  const head =
    'srv,generation,mode,service,trt_seconds,requests,within_trt,share,share_low,share_high,within_trt_without_data,breaches,open,p50_seconds,p95_seconds,p99_seconds,max_seconds';
  const rows = report.trt.map(({ seconds, interval, ...row }): Cell[] => [
    row.srv,
    row.generation,
    row.mode,
    row.service,
    row.trtSeconds,
    row.requests,
    row.withinTrt,
    shareWithin(row),
    interval?.[0],
    interval?.[1],
    row.withinTrtWithoutData,
    row.breaches,
    row.open,
    seconds.p50,
    seconds.p95,
    seconds.p99,
    seconds.max,
  ]);
  return lines(head, rows);
}

function thresholdsCsv(report: Report): string {
  const rows = report.thresholds.map(({ expression, value, interval, verdict }): Cell[] => [
    expression,
    value,
    interval?.[0],
    interval?.[1],
    verdict,
  ]);
  return lines('expression,value,low,high,verdict', rows);
}

/** One line a network and bucket. */
function networksCsv({ networks, series }: Report): string {
  const bucketRows = (network: NetworkRow): Cell[][] =>
    network.utilisation.map((utilisation, bucket) => [
      network.name,
      network.generation,
      instant(series.startMs + bucket * network.bucketSeconds * 1000),
      network.bucketSeconds,
      utilisation,
      network.queueOnDemand[bucket],
      network.queueScheduled[bucket],
    ]);
  const head = 'network,generation,start,bucket_seconds,utilisation,queue_on_demand,queue_scheduled';
  return lines(head, networks.flatMap(bucketRows));
}

/** One line a network and hour; breaches stand in the hour that their deadline passed in. */
function breachesCsv({ networks, series }: Report): string {
  const hourRows = (network: NetworkRow): Cell[][] =>
    network.breachesByHour.map((breaches, hour) => [
      network.name,
      instant(series.startMs + hour * 3_600_000),
      network.requestsByHour[hour],
      breaches,
    ]);
  return lines('network,hour,requests,breaches', networks.flatMap(hourRows));
}

function latencyCsv({ series }: Report): string {
  const rows = series.onDemand.map(({ count, p50, p95, max }, bucket): Cell[] => {
    const start = instant(series.startMs + bucket * series.bucketSeconds * 1000);
    return count === 0 ? [start, 0, null, null, null] : [start, count, p50, p95, max];
  });
  return lines('start,answers,p50_seconds,p95_seconds,max_seconds', rows);
}

function usersCsv(report: Report): string {
  const head =
    'user,mpid,role,requests,forecast,refused,quarantined,within_trt_share,re_requests,first_attempts,first_attempts_on_demand,first_attempts_on_demand_share';
  const rows = report.users.map((row): Cell[] => [
    row.name,
    row.mpid,
    row.role,
    row.requests,
    row.forecast,
    row.refused,
    row.quarantined,
    row.withinTrtShare,
    row.reRequests,
    row.firstAttempts,
    row.firstAttemptsOnDemand,
    row.firstAttemptsOnDemandShare,
  ]);
  return lines(head, rows);
}

/** One line a look at the services. */
function platformCsv({ series }: PlatformReport): string {
  const rows = series.map((point): Cell[] => [
    point.atSeconds,
    point.simulatedMs === 0 ? null : instant(point.simulatedMs),
    point.offeredPerSecond,
    point.achievedPerSecond,
    point.lagRecords,
    point.breaches,
  ]);
  return lines('wall_seconds,simulated,offered_per_second,achieved_per_second,lag_records,breaches', rows);
}

function servicesCsv({ services }: PlatformReport): string {
  const rows = services.map(({ name, processes, cpuSeconds, cores, rssBytesMax }): Cell[] => [
    name,
    processes,
    cpuSeconds,
    cores,
    rssBytesMax,
  ]);
  return lines('service,processes,cpu_seconds,cores,rss_bytes_max', rows);
}

function instant(atMs: number): string {
  return new Date(atMs).toISOString();
}

function lines(head: string, rows: readonly (readonly Cell[])[]): string {
  return `${[head, ...rows.map((row) => row.map(field).join(','))].join('\r\n')}\r\n`;
}

/** What a spreadsheet would take for a formula: names come from users, so such text gets a leading apostrophe. */
const FORMULA = /^[=+\-@\t\r]/;

function field(cell: Cell): string {
  if (cell === null || cell === undefined) return '';
  if (typeof cell === 'number') return Number.isFinite(cell) ? String(cell) : '';
  const safe = FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
