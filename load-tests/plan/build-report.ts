import { createHash } from 'node:crypto';
import { cpus, totalmem } from 'node:os';
import { GENERATIONS, MODES, SERVICES } from '#core/matrix.ts';
import { DAY_MS, formatDay } from '#core/settlement-day.ts';
import { modeOfRow, serviceOfRow, srvOfRow } from '#core/trt-row.ts';
import { outagesOfCell } from '#fleet-sim/network-settings.ts';
import { bucketMsOf, integralMs } from '#fleet-sim/occupancy.ts';
import type {
  LatencyPoint,
  Ledger,
  MeasureRow,
  NetworkRow,
  Report,
  ThresholdRow,
  TrtRow,
  UserRow,
  Verdict,
} from '#load-tests/report/report.ts';
import { DAY, dayAt, REFUSALS, ROW, rowAt, USER, userAt } from './counters.ts';
import { canEstimate, type Estimate, estimateRatio, estimateTotal, isCensus, type Stratum } from './estimate.ts';
import { bucketUpperMs, HISTOGRAM_BUCKETS, percentilesMs } from './histogram.ts';
import type { Model } from './model.ts';
import { recordLength, rowPlace, thresholdPlace } from './records.ts';
import { type PlanResult, weightsOf } from './run.ts';
import { bucketsOf, hoursOf, SERIES_BUCKETS, SERIES_SHIFT, summedArrays } from './tally.ts';
import { holds, METRICS, type Threshold } from './threshold.ts';

export type RunContext = { workers: number; sampleOneIn: number; version: string; command: string };

/** Everything that a report says, from what a run counted. Counts of a sampled run are estimates for the fleet. */
export function buildReport(result: PlanResult, context: RunContext): Report {
  const { model } = result;
  const { scenario } = model;
  const sums = new Sums(result);
  const strata = layOutStrata(model);
  const thresholds = model.thresholds.map((threshold, k) =>
    judge(threshold, strataOf(result, strata, thresholdPlace(k))),
  );
  const cells = result.tally.networks.reduce((sum, network) => sum + network.cells, 0);
  return {
    schemaVersion: 1,
    verdict: overall(thresholds),
    scenario: {
      name: scenario.name,
      title: scenario.title,
      description: scenario.description,
      meters: scenario.fleet.meters,
      firstDay: scenario.firstDay,
      days: scenario.days,
      matrix: scenario.matrix,
      settings: scenario as unknown as Record<string, unknown>,
    },
    run: {
      seed: scenario.seed,
      digest: digestOf(result),
      workers: context.workers,
      wallSeconds: round(result.wallSeconds, 3),
      cpuSeconds: round(result.cpuSeconds, 3),
      rssBytesMax: process.resourceUsage().maxRSS * 1024,
      version: context.version,
      complete: result.complete,
      command: context.command,
      machine: {
        cpu: cpus()[0]?.model ?? 'unknown',
        cores: cpus().length,
        memoryBytes: totalmem(),
        platform: `${process.platform} ${process.arch}`,
        node: process.version,
      },
      sample: cells === model.fleet.cells ? null : { oneIn: context.sampleOneIn, cells, cellsAll: model.fleet.cells },
      events: result.tally.networks.reduce((sum, network) => sum + network.events, 0),
      passes: result.passes,
      settled: result.settled,
    },
    ledger: ledgerOf(sums),
    trt: trtRows(result, sums, strata),
    measures: measuresOf(model, sums),
    networks: model.fleet.networks.map((_, n) => networkRow(result, sums, n)),
    users: scenario.users.map((_, user) => userRow(model, sums, user)),
    thresholds,
    series: {
      startMs: model.firstDay * DAY_MS,
      bucketSeconds: bucketMsOf(scenario.days) / 1000,
      onDemand: latencySeries(result, sums.weights),
    },
  };
}

/** Counters summed over networks and days, each network's by the number of cells that a simulated one stands for. */
class Sums {
  readonly weights: number[];
  /** Whether every cell was simulated. */
  readonly isWhole: boolean;
  readonly #result: PlanResult;

  constructor(result: PlanResult) {
    this.#result = result;
    this.weights = weightsOf(result.model, result.tally);
    this.isWhole = isCensusOf(result);
  }

  /** Sum of the counters at the places that `at` gives for each day, of the networks let through. */
  over(at: (day: number) => number, passes: (network: number) => boolean = () => true): number {
    const { tally, model } = this.#result;
    let sum = 0;
    tally.networks.forEach(({ counted }, network) => {
      if (!passes(network)) return;
      for (let day = 0; day < model.scenario.days; day++) sum += counted[at(day)] * this.weights[network];
    });
    return Math.round(sum);
  }

  day(field: number): number {
    return this.over((day) => dayAt(this.#result.model.counters, day) + field);
  }

  row(row: number, field: number, passes: (network: number) => boolean): number {
    return this.over((day) => rowAt(this.#result.model.counters, day, row) + field, passes);
  }

  /** A row's field over all rows of a mode (-1: of both), on the days let through. */
  ofDays(mode: number, field: number, passes: (day: number) => boolean = () => true): number {
    const { tally, model } = this.#result;
    let sum = 0;
    tally.networks.forEach(({ counted }, network) => {
      for (let day = 0; day < model.scenario.days; day++) {
        if (!passes(day)) continue;
        for (let row = 0; row < model.rows; row++) {
          if (mode !== -1 && modeOfRow(row) !== mode) continue;
          sum += counted[rowAt(model.counters, day, row) + field] * this.weights[network];
        }
      }
    });
    return Math.round(sum);
  }

  user(user: number, field: number): number {
    return this.over((day) => userAt(this.#result.model.counters, day, user) + field);
  }
}

function ledgerOf(sums: Sums): Ledger {
  const answeredBy: Record<string, number> = {
    I0: sums.day(DAY.data) + sums.day(DAY.dccOnly),
    E20: sums.day(DAY.cannotCommunicate),
    E21: sums.day(DAY.noResponse),
  };
  const answered = answeredBy.I0 + answeredBy.E20 + answeredBy.E21;
  const refused: Record<string, number> = {};
  let refusedInAll = 0;
  REFUSALS.forEach((code, k) => {
    const count = sums.day(DAY.refused + k);
    if (count > 0) refused[code] = count;
    refusedInAll += count;
  });
  const quarantined = sums.day(DAY.quarantined);
  const open = sums.day(DAY.open);
  const received = answered + refusedInAll + quarantined + open;
  // In a sampled run each part is rounded by itself, and the whole is their sum; a whole run must add up by itself.
  if (sums.isWhole && received !== sums.day(DAY.received)) throw new Error('the ledger does not close');
  return {
    received,
    answered,
    refused,
    quarantined,
    open,
    breaches: sums.ofDays(-1, ROW.breaches),
    answeredBy,
    halfHours: sums.day(DAY.halfHours),
  };
}

function trtRows(result: PlanResult, sums: Sums, layout: StrataLayout): TrtRow[] {
  const { model, tally } = result;
  const { networks } = model.fleet;
  const rows: TrtRow[] = [];
  for (let row = 0; row < model.rows; row++) {
    for (const generation of GENERATIONS) {
      const ofGeneration = (network: number) => networks[network].generation === generation;
      const requests = sums.row(row, ROW.requests, ofGeneration);
      if (requests === 0) continue;
      const withinTrt = sums.row(row, ROW.within, ofGeneration);
      const latency = new Float64Array(HISTOGRAM_BUCKETS);
      let maxMs = 0;
      let trtMs = 0;
      tally.networks.forEach((network, n) => {
        if (!ofGeneration(n)) return;
        trtMs = model.trtMs[n][row];
        maxMs = Math.max(maxMs, network.latencyMsMax[row]);
        const at = row * HISTOGRAM_BUCKETS;
        for (let k = 0; k < HISTOGRAM_BUCKETS; k++) latency[k] += network.latency[at + k] * sums.weights[n];
      });
      const strata = strataOf(result, layout, rowPlace(model, row)).filter((stratum) => ofGeneration(stratum.network));
      const isEstimate = !isCensusOf(result) && canEstimate(strata);
      const estimate = isEstimate ? estimateRatio(strata, 1) : undefined;
      rows.push({
        srv: model.matrix.services[srvOfRow(row)].srv,
        generation,
        mode: MODES[modeOfRow(row)],
        service: SERVICES[serviceOfRow(row)],
        trtSeconds: trtMs / 1000,
        requests,
        withinTrt,
        withinTrtWithoutData: sums.row(row, ROW.withinWithoutData, ofGeneration),
        breaches: requests - withinTrt,
        open: sums.row(row, ROW.open, ofGeneration),
        seconds: secondsOf(latency, maxMs),
        ...(estimate === undefined ? {} : { interval: estimate.interval }),
      });
    }
  }
  return rows;
}

function secondsOf(latency: ArrayLike<number>, maxMs: number): { p50: number; p95: number; p99: number; max: number } {
  const [p50, p95, p99] = percentilesMs(latency, 0, [0.5, 0.95, 0.99]).map((ms) => Math.min(ms, maxMs) / 1000);
  return { p50, p95, p99, max: maxMs / 1000 };
}

function measuresOf(model: Model, sums: Sums): MeasureRow[] {
  const { target, minimum } = model.scenario.measures;
  const days = Array.from({ length: model.scenario.days }, (_, day) => formatDay(model.firstDay + day).slice(0, 7));
  const months = [...new Set(days)];
  return months.flatMap((month) =>
    (['on-demand', 'scheduled'] as const).map((measure) => {
      const ofMonth = (field: number) => sums.ofDays(MODES.indexOf(measure), field, (day) => days[day] === month);
      const requests = ofMonth(ROW.requests);
      const withinTrt = ofMonth(ROW.within);
      return {
        month,
        measure,
        requests,
        withinTrt,
        share: requests === 0 ? null : withinTrt / requests,
        target,
        minimum,
      };
    }),
  );
}

function networkRow(result: PlanResult, sums: Sums, n: number): NetworkRow {
  const { model, tally } = result;
  const network = model.fleet.networks[n];
  const settings = model.scenario.networks[n];
  const counts = tally.networks[n];
  const weight = sums.weights[n];
  const bucketMs = bucketMsOf(model.scenario.days);
  const buckets = bucketsOf(model);
  const busyMs = integralMs(counts.busyEdges, counts.busySteps, bucketMs, buckets);
  const offeredMs = Math.max(1, counts.cells * settings.exchangesPerCell * bucketMs);
  const utilisation = Array.from(busyMs, (ms) => round(ms / offeredMs, 5));
  const queues = [0, 1].map((lane) => {
    const waitingMs = integralMs(counts.queueEdges[lane], counts.queueSteps[lane], bucketMs, buckets);
    return Array.from(waitingMs, (ms) => round((ms * weight) / bucketMs, 3));
  });
  const latency = new Float64Array(HISTOGRAM_BUCKETS);
  for (let k = 0; k < counts.latency.length; k++) latency[k % HISTOGRAM_BUCKETS] += counts.latency[k];
  const hours = hoursOf(model);
  const scaled = (values: Float64Array) => Array.from(values.subarray(0, hours), (value) => Math.round(value * weight));
  return {
    name: network.name,
    generation: network.generation,
    meters: network.meters,
    cells: network.cells,
    exchangesMax: network.cells * settings.exchangesPerCell,
    utilisationMean: round(busyMs.reduce((sum, ms) => sum + ms, 0) / (offeredMs * buckets), 5),
    utilisationPeak: Math.max(...utilisation),
    queuePeak: round(Math.max(...queues[0].map((scheduled, k) => scheduled + queues[1][k])), 3),
    bucketSeconds: bucketMs / 1000,
    utilisation,
    queueScheduled: queues[0],
    queueOnDemand: queues[1],
    breachesByHour: scaled(counts.breachesByHour),
    requestsByHour: scaled(counts.requestsByHour),
    outages: outagesOf(model, n),
    seconds: secondsOf(latency, Math.max(...counts.latencyMsMax)),
  };
}

/** The network's outages in real time, with the share of its cells that are out by the draws. */
function outagesOf(model: Model, n: number): NetworkRow['outages'] {
  const network = model.fleet.networks[n];
  const hits = new Map<number, { startMs: number; endMs: number; cells: number }>();
  if (!model.scenario.outages.some((outage) => outage.network === network.name)) return [];
  for (let cell = network.firstCell; cell < network.firstCell + network.cells; cell++) {
    for (const { startMs, endMs } of outagesOfCell(model, n, cell)) {
      const hit = hits.get(startMs) ?? { startMs, endMs, cells: 0 };
      hit.cells++;
      hits.set(startMs, hit);
    }
  }
  return [...hits.values()].map(({ startMs, endMs, cells }) => ({
    startMs: model.originDay * DAY_MS + startMs,
    endMs: model.originDay * DAY_MS + endMs,
    cellsShare: cells / network.cells,
  }));
}

function userRow(model: Model, sums: Sums, user: number): UserRow {
  const settings = model.scenario.users[user];
  const judged = sums.user(user, USER.judged);
  const firstAttempts = sums.user(user, USER.first);
  const firstAttemptsOnDemand = sums.user(user, USER.firstOnDemand);
  return {
    name: settings.name,
    mpid: settings.mpid,
    role: settings.role,
    requests: sums.user(user, USER.requests),
    refused: sums.user(user, USER.refused),
    quarantined: sums.user(user, USER.quarantined),
    withinTrtShare: judged === 0 ? null : sums.user(user, USER.within) / judged,
    firstAttempts,
    firstAttemptsOnDemand,
    firstAttemptsOnDemandShare: firstAttempts === 0 ? 0 : firstAttemptsOnDemand / firstAttempts,
    reRequests: sums.user(user, USER.reRequests),
    forecast: settings.forecastPerDay === null ? null : settings.forecastPerDay * model.scenario.days,
  };
}

function latencySeries({ tally, model }: PlanResult, weights: readonly number[]): LatencyPoint[] {
  const point = new Float64Array(HISTOGRAM_BUCKETS);
  return Array.from({ length: bucketsOf(model) }, (_, bucket) => {
    point.fill(0);
    let last = -1;
    for (let k = 0; k < SERIES_BUCKETS; k++) {
      const upper = (k << SERIES_SHIFT) + (1 << SERIES_SHIFT) - 1;
      tally.networks.forEach(({ onDemand }, n) => {
        point[upper] += onDemand[bucket * SERIES_BUCKETS + k] * weights[n];
      });
      if (point[upper] > 0) last = upper;
    }
    const [p50, p95] = percentilesMs(point, 0, [0.5, 0.95]).map((ms) => ms / 1000);
    const count = Math.round(point.reduce((sum, one) => sum + one, 0));
    return { count, p50, p95, max: last < 0 ? 0 : bucketUpperMs(last) / 1000 };
  });
}

type NetworkStratum = Stratum & { network: number };

/** Cells of each stratum, and the stratum of each cell. */
type StrataLayout = { network: number[]; cells: number[]; stratumOf: Int32Array };

/**
 * The strata of an estimate: a network's cells by the outages that they go through, which is known of all cells and
 * matters more than anything else in which they differ. A few bad cells cannot be missed by chance then.
 */
function layOutStrata(model: Model): StrataLayout {
  const layout: StrataLayout = { network: [], cells: [], stratumOf: new Int32Array(model.fleet.cells) };
  const strata = new Map<string, number>();
  model.fleet.networks.forEach(({ name, firstCell, cells }, network) => {
    const hasOutage = model.scenario.outages.some((outage) => outage.network === name);
    for (let cell = firstCell; cell < firstCell + cells; cell++) {
      const outages = hasOutage ? outagesOfCell(model, network, cell).map(({ startMs }) => startMs) : [];
      const key = `${network}:${outages.join()}`;
      const stratum = strata.get(key) ?? layout.network.push(network) - 1;
      strata.set(key, stratum);
      layout.cells[stratum] = (layout.cells[stratum] ?? 0) + 1;
      layout.stratumOf[cell] = stratum;
    }
  });
  return layout;
}

/** The records by stratum: numerators at `place`, denominators behind them. */
function strataOf({ model, records }: PlanResult, layout: StrataLayout, place: number): NetworkStratum[] {
  const length = recordLength(model);
  const strata = layout.network.map(
    (network, k): NetworkStratum => ({ network, cells: layout.cells[k], numerators: [], denominators: [] }),
  );
  for (let at = 0; at < records.length; at += length) {
    const stratum = strata[layout.stratumOf[records[at]]];
    stratum.numerators.push(records[at + place]);
    stratum.denominators.push(records[at + place + 1]);
  }
  return strata;
}

function isCensusOf(result: PlanResult): boolean {
  return result.records.length / recordLength(result.model) === result.model.fleet.cells;
}

/** Held, broken, or undecided where a sample's interval straddles the bound or too little was there to judge. */
function judge(threshold: Threshold, all: readonly NetworkStratum[]): ThresholdRow {
  const { expression, isTotal, comparison, bound } = threshold;
  const strata = all.filter(({ network }) => threshold.networks[network]);
  const most = METRICS[threshold.metric].total ? Number.POSITIVE_INFINITY : 1;
  const estimate: Estimate | undefined = isTotal ? estimateTotal(strata) : estimateRatio(strata, most);
  if (estimate === undefined) return { expression, value: null, verdict: 'undecided' };
  const { value, interval } = estimate;
  if (!canEstimate(strata)) return { expression, value, verdict: 'undecided' };
  if (isCensus(strata)) return { expression, value, verdict: holds(value, comparison, bound) ? 'held' : 'broken' };
  return { expression, value, interval, verdict: judgeInterval(interval, comparison, bound) };
}

function judgeInterval([low, high]: [number, number], comparison: Threshold['comparison'], bound: number): Verdict {
  if (comparison === '==') {
    if (low === bound && high === bound) return 'held';
    return bound < low || bound > high ? 'broken' : 'undecided';
  }
  const lowHolds = holds(low, comparison, bound);
  if (lowHolds !== holds(high, comparison, bound)) return 'undecided';
  return lowHolds ? 'held' : 'broken';
}

function overall(thresholds: readonly ThresholdRow[]): Verdict {
  if (thresholds.some(({ verdict }) => verdict === 'broken')) return 'broken';
  return thresholds.some(({ verdict }) => verdict === 'undecided') ? 'undecided' : 'held';
}

/** Of the scenario in force and of everything counted, in an order that no worker can change. */
function digestOf({ model, tally, records }: PlanResult): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(model.scenario));
  for (const network of tally.networks) {
    hash.update(Float64Array.of(network.cells, network.events));
    hash.update(network.latencyMsMax);
    for (const array of summedArrays(network)) hash.update(array);
  }
  hash.update(records);
  return hash.digest('hex');
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
