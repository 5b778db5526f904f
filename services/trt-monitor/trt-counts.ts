import { DEFAULT_MATRIX, GENERATIONS, type Matrix, MODES, ROLES, SERVICES, SRVS, trtSecondsOf } from '#core/matrix.ts';

/** Symbols of the schema's Srv and Generation, UNKNOWN included. */
const SRV_SYMBOLS = SRVS.length + 1;
const GENERATION_SYMBOLS = GENERATIONS.length + 1;
const ROLE_SYMBOLS = ROLES.length + 1;

/** Upper edges of the latency histogram, seconds: the TRTs there are, and what lies between them. */
export const LATENCY_EDGES_SECONDS = [
  0.1, 0.5, 1, 2, 5, 10, 16, 30, 60, 300, 900, 1800, 3600, 5600, 7200, 14_400, 28_800, 43_200, 64_800, 79_200, 86_400,
] as const;
const BUCKETS = LATENCY_EDGES_SECONDS.length + 1;

/** Row of the counters for an SRV, mode, service and generation, each a symbol of the schemas. */
export function seriesOf(srv: number, mode: number, service: number, generation: number): number {
  return ((srv * MODES.length + mode) * SERVICES.length + service) * GENERATION_SYMBOLS + generation;
}
const SERIES = SRV_SYMBOLS * MODES.length * SERVICES.length * GENERATION_SYMBOLS;

export type SeriesLabels = { srv: string; mode: string; service: string; generation: string };

export function labelsOf(series: number): SeriesLabels {
  const generation = series % GENERATION_SYMBOLS;
  const service = Math.floor(series / GENERATION_SYMBOLS) % SERVICES.length;
  const mode = Math.floor(series / GENERATION_SYMBOLS / SERVICES.length) % MODES.length;
  const srv = Math.floor(series / GENERATION_SYMBOLS / SERVICES.length / MODES.length);
  return {
    srv: SRVS[srv] ?? 'unknown',
    mode: MODES[mode],
    service: SERVICES[service],
    generation: GENERATIONS[generation] ?? 'unknown',
  };
}

/** What is counted of Target Response Times, in flat arrays by series: metrics copy them when they are scraped. */
export class TrtCounts {
  readonly received = new Float64Array(SERIES);
  readonly within = new Float64Array(SERIES);
  readonly withinWithoutData = new Float64Array(SERIES);
  readonly breaches = new Float64Array(SERIES);
  readonly open = new Float64Array(SERIES);
  readonly latency = new Float64Array(SERIES * BUCKETS);
  readonly latencySumSeconds = new Float64Array(SERIES);
  /** Of the platform alone, without the network. */
  readonly platform = new Float64Array(MODES.length * BUCKETS);
  readonly platformSumSeconds = new Float64Array(MODES.length);
  /** Refusals by symbol of ResponseCode. */
  readonly refused = new Float64Array(CODES_MAX);
  duplicates = 0;

  answered(series: number, latencyMs: number): void {
    const seconds = latencyMs / 1000;
    this.latency[series * BUCKETS + bucketOf(seconds)]++;
    this.latencySumSeconds[series] += seconds;
  }

  platformTook(mode: number, ms: number): void {
    const seconds = ms / 1000;
    this.platform[mode * BUCKETS + bucketOf(seconds)]++;
    this.platformSumSeconds[mode] += seconds;
  }

  /** Counts of a histogram's buckets, as Prometheus has them: each with all that is below it. */
  static cumulative(counts: Float64Array, at: number): number[] {
    let sum = 0;
    return Array.from({ length: BUCKETS }, (_, k) => {
      sum += counts[at * BUCKETS + k];
      return sum;
    });
  }

  static get series(): number {
    return SERIES;
  }
}

const CODES_MAX = 32;

function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_EDGES_SECONDS.length && seconds > LATENCY_EDGES_SECONDS[bucket]) bucket++;
  return bucket;
}

/** TRTs by symbols of the schemas: [srv, generation, mode, service, role] -> seconds, -1 where there is none. */
export class TrtTable {
  readonly #seconds: Int32Array;

  constructor(matrix: Matrix = DEFAULT_MATRIX) {
    this.#seconds = new Int32Array(
      SRV_SYMBOLS * GENERATION_SYMBOLS * MODES.length * SERVICES.length * ROLE_SYMBOLS,
    ).fill(-1);
    SRVS.forEach((_, symbol) => {
      const srv = matrix.srv.indexOf(symbol);
      if (srv < 0) return;
      for (let generation = 0; generation < GENERATIONS.length; generation++) {
        for (let mode = 0; mode < MODES.length; mode++) {
          for (let service = 0; service < SERVICES.length; service++) {
            for (let role = 0; role < ROLES.length; role++) {
              this.#seconds[indexOf(symbol, generation, mode, service, role)] = trtSecondsOf(
                matrix,
                srv,
                generation,
                mode,
                service,
                role,
              );
            }
          }
        }
      }
    });
  }

  secondsOf(srv: number, generation: number, mode: number, service: number, role: number): number {
    return this.#seconds[indexOf(srv, generation, mode, service, role)];
  }
}

function indexOf(srv: number, generation: number, mode: number, service: number, role: number): number {
  return (
    (((srv * GENERATION_SYMBOLS + generation) * MODES.length + mode) * SERVICES.length + service) * ROLE_SYMBOLS + role
  );
}
