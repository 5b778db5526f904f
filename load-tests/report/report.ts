import type { Generation, Mode, Service } from '#core/matrix.ts';

export type Verdict = 'held' | 'broken' | 'undecided';

/** What a run found: the JSON of `mdr plan --json` and `mdr load --json`, and all that the HTML report and the CSV files are made from. */
export type Report = {
  schemaVersion: 1;
  verdict: Verdict;
  scenario: {
    name: string;
    title: string;
    description: string;
    meters: number;
    /** `2026-03-02`. */
    firstDay: string;
    days: number;
    matrix: string;
    /** The whole scenario in force, defaults filled in. */
    settings: Record<string, unknown>;
  };
  run: RunFacts;
  /** received = answered + the sum of refused + quarantined + open. Breaches are of accepted requests. */
  ledger: Ledger;
  /** Only rows with at least one request. */
  trt: TrtRow[];
  /** Code Performance Measures 1 (on demand) and 2 (scheduled) per calendar month. */
  measures: MeasureRow[];
  networks: NetworkRow[];
  users: UserRow[];
  thresholds: ThresholdRow[];
  /** On-demand latency over the run, one row a bucket of `series.bucketSeconds`; empty buckets have count 0. */
  series: { startMs: number; bucketSeconds: number; onDemand: LatencyPoint[] };
  /** Of `mdr load` only. */
  platform?: PlatformReport;
};

export type RunFacts = {
  seed: number;
  /** SHA-256 over everything counted; of a plan the same for any number of workers. */
  digest: string;
  workers: number;
  wallSeconds: number;
  cpuSeconds: number;
  rssBytesMax: number;
  version: string;
  /** False after Ctrl-C: a plan's report then covers `sample.cells` of `sample.cellsAll` cells, a load run's what was done by then. */
  complete: boolean;
  /** The command that gives this report again; of a load run the same requests, not the same times. */
  command: string;
  machine: { cpu: string; cores: number; memoryBytes: number; platform: string; node: string };
  /** Present when not every cell was simulated: all counts are then estimates scaled to the fleet. */
  sample: { oneIn: number; cells: number; cellsAll: number } | null;
  /** Cells whose simulated cell-days were counted and how many events it took. */
  events: number;
  /** Times the run was simulated: more than once where an Anomaly Detection Threshold was exceeded. */
  passes: number;
  /** False where the instants from which requests are excess still moved after the last pass. */
  settled: boolean;
};

export type Ledger = {
  received: number;
  answered: number;
  /** By response code, E1..E19. */
  refused: Record<string, number>;
  quarantined: number;
  open: number;
  breaches: number;
  /** Of `answered`: by the device's or network's outcome (I0, E20, E21). */
  answeredBy: Record<string, number>;
  /** Half-hourly intervals delivered: 48 a read of a Settlement Day, 46 and 50 at the clock changes in local days. */
  halfHours: number;
};

export type TrtRow = {
  srv: string;
  generation: Generation;
  mode: Mode;
  service: Service;
  trtSeconds: number;
  /** Accepted requests, not those refused or held in quarantine. requests = withinTrt + breaches when the run is complete. */
  requests: number;
  withinTrt: number;
  /** Of withinTrt: answered with E20 or E21 in place of data. */
  withinTrtWithoutData: number;
  breaches: number;
  open: number;
  /** Of answered requests; max is exact, the others come from a histogram (buckets 3 % wide). */
  seconds: { p50: number; p95: number; p99: number; max: number };
  /** 95 % interval of withinTrt/requests in a sampled run. */
  interval?: [number, number];
};

export type MeasureRow = {
  /** `2026-03`. */
  month: string;
  measure: 'on-demand' | 'scheduled';
  requests: number;
  withinTrt: number;
  /** Null without requests. */
  share: number | null;
  target: number;
  minimum: number;
};

export type NetworkRow = {
  name: string;
  generation: Generation;
  meters: number;
  cells: number;
  /** Concurrent exchanges over all cells. */
  exchangesMax: number;
  utilisationMean: number;
  utilisationPeak: number;
  queuePeak: number;
  bucketSeconds: number;
  /** Share of exchanges in use, one number a bucket from series.startMs. */
  utilisation: number[];
  /** Mean number waiting in the bucket, by class. */
  queueOnDemand: number[];
  queueScheduled: number[];
  /** Breaches by the hour their deadline passed in, one number an hour from series.startMs. */
  breachesByHour: number[];
  requestsByHour: number[];
  outages: { startMs: number; endMs: number; cellsShare: number }[];
  seconds: { p50: number; p95: number; p99: number; max: number };
};

export type UserRow = {
  name: string;
  mpid: string;
  role: string;
  requests: number;
  refused: number;
  /** Held as anomalies, those let go since included. */
  quarantined: number;
  withinTrtShare: number | null;
  /** First attempts at a data set that a schedule could have fetched, and how many of them were made on demand. */
  firstAttempts: number;
  firstAttemptsOnDemand: number;
  firstAttemptsOnDemandShare: number;
  reRequests: number;
  /** Requests the User forecast for the run, when the scenario gives a forecast. */
  forecast: number | null;
};

export type ThresholdRow = {
  expression: string;
  /** Null when nothing was measured that it could be judged on. */
  value: number | null;
  interval?: [number, number];
  verdict: Verdict;
};

/** How the platform kept up, where the scenario was driven through the services (`mdr load`). */
export type PlatformReport = {
  runId: string;
  /** Simulated seconds a second; 0: as fast as it went. */
  speed: number;
  /** Where Kafka came from. */
  provider: string;
  partitions: number;
  /** Wall time of filling topics and tables before the clock started. */
  preparedSeconds: number;
  /**
   * Requests that schedules and Users made, and those answered or refused, warm-up and what came after the counted days
   * included: `requests` as they are in the topics once the services have ended, which is what the audit counts;
   * `perSecond` over the wall time of the run, until the services were told to end.
   */
  offered: { requests: number; perSecond: number };
  achieved: { requests: number; perSecond: number };
  /** The platform's own time, without the network's: wall time, whatever the speed of the clock. */
  latency: Record<Mode, PlatformLatencyRow>;
  /** What TRTs are charged, network and platform together; max is exact, the others from a histogram (buckets 3 % wide). */
  chargedSeconds: Record<Mode, { p50: number; p95: number; p99: number; max: number }>;
  lag: {
    /** Records in topics that a service had not taken, all together, at their most. */
    peakRecords: number;
    /** And at the last look. */
    endRecords: number;
    /** Trend over the run, by least squares: above 0 the services fell behind. */
    slopePerSecond: number;
    /** From the peak until nothing lay behind; null where that did not come. */
    drainSeconds: number | null;
  };
  /** On a paced clock: how far the present of the answers was behind the clock at most, in wall time; else null. */
  behindSecondsMax: number | null;
  /** Requests that reached the fleet after their instant, and replayed records that were dropped. */
  late: number;
  duplicates: number;
  services: PlatformServiceRow[];
  /** Points of wall time from the start of the clock on. */
  series: PlatformPoint[];
};

/** Percentiles come from a histogram in tenths of a millisecond that ends at 10 s: 10 s stands for all beyond. */
export type PlatformLatencyRow = {
  count: number;
  meanMs: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
};

export type PlatformServiceRow = {
  name: string;
  processes: number;
  cpuSeconds: number;
  /** Cores in use on average over the run. */
  cores: number;
  rssBytesMax: number;
};

/** Rates are those since the point before, the lag is the highest since then. */
export type PlatformPoint = {
  atSeconds: number;
  /** The present of the answers, simulated ms since the epoch; 0 before the first of them. */
  simulatedMs: number;
  offeredPerSecond: number;
  achievedPerSecond: number;
  lagRecords: number;
  breaches: number;
};

export type LatencyPoint = { count: number; p50: number; p95: number; max: number };
