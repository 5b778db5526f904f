import { DEFAULT_MATRIX, GENERATIONS, type Matrix, MODES, ROLES, SERVICES, SRVS, trtSecondsOf } from '#core/matrix.ts';
import { codeOf } from '#schemas/service-response.ts';
import { LATENCY_EDGES_SECONDS, REQUEST_RESULTS } from '#services/platform/metrics/bounds.ts';
import { latencyBucketOf } from '#services/platform/metrics/latency-counts.ts';

/** Symbols of the schema's Srv and Generation, UNKNOWN included. */
const SRV_SYMBOLS = SRVS.length + 1;
const GENERATION_SYMBOLS = GENERATIONS.length + 1;
const ROLE_SYMBOLS = ROLES.length + 1;

const BUCKETS = LATENCY_EDGES_SECONDS.length + 1;

/** Row of the counters for an SRV, mode, service and generation, each a symbol of the schemas. */
export function seriesOf(srv: number, mode: number, service: number, generation: number): number {
  return ((srv * MODES.length + mode) * SERVICES.length + service) * GENERATION_SYMBOLS + generation;
}
const SERIES = SRV_SYMBOLS * MODES.length * SERVICES.length * GENERATION_SYMBOLS;

export type SeriesLabels = { srv: string; mode: string; trt_service: string; generation: string };

export function labelsOf(series: number): SeriesLabels {
  const generation = series % GENERATION_SYMBOLS;
  const service = Math.floor(series / GENERATION_SYMBOLS) % SERVICES.length;
  const mode = Math.floor(series / GENERATION_SYMBOLS / SERVICES.length) % MODES.length;
  const srv = Math.floor(series / GENERATION_SYMBOLS / SERVICES.length / MODES.length);
  return {
    srv: SRVS[srv] ?? 'unknown',
    mode: MODES[mode],
    trt_service: SERVICES[service],
    generation: GENERATIONS[generation] ?? 'unknown',
  };
}

/** What is counted of Target Response Times, in flat arrays by series: metrics copy them when they are scraped. */
export class TrtCounts {
  readonly received = new Float64Array(SERIES);
  readonly within = new Float64Array(SERIES);
  readonly withinWithoutData = new Float64Array(SERIES);
  readonly breaches = new Float64Array(SERIES);
  /** Answered in time without data, where that does not count as within the TRT. */
  readonly missedWithoutData = new Float64Array(SERIES);
  readonly open = new Float64Array(SERIES);
  readonly latency = new Float64Array(SERIES * BUCKETS);
  readonly latencySumSeconds = new Float64Array(SERIES);
  /** Of the platform alone, without the network. */
  readonly platform = new Float64Array(MODES.length * BUCKETS);
  readonly platformSumSeconds = new Float64Array(MODES.length);
  /** Requests that came to an end, by series, role and result. */
  readonly ended = new Float64Array(SERIES * ROLE_SYMBOLS * REQUEST_RESULTS.length);
  /** Refusals by symbol of ResponseCode. */
  readonly refused = new Float64Array(CODES_MAX);
  duplicates = 0;
  /** By mode, answers of whatever day, refusals not among them: what the rate of answers is taken from. */
  readonly answers = new Float64Array(MODES.length);
  /** Refusals of whatever day. */
  refusals = 0;

  /** A request ended with a code of the schema's; `isRefusal`: of access control. */
  end(series: number, role: number, code: number, isRefusal: boolean): void {
    const result = isRefusal ? REFUSED : RESULT_OF_CODE[code];
    this.ended[(series * ROLE_SYMBOLS + role) * REQUEST_RESULTS.length + result]++;
  }

  answered(series: number, latencyMs: number): void {
    const seconds = latencyMs / 1000;
    this.latency[series * BUCKETS + latencyBucketOf(seconds)]++;
    this.latencySumSeconds[series] += seconds;
  }

  platformTook(mode: number, ms: number): void {
    const seconds = ms / 1000;
    this.platform[mode * BUCKETS + latencyBucketOf(seconds)]++;
    this.platformSumSeconds[mode] += seconds;
  }

  /** Counts of the buckets of a histogram, of those that lie one behind the other. */
  static buckets(counts: Float64Array, at: number): Float64Array {
    return counts.subarray(at * BUCKETS, (at + 1) * BUCKETS);
  }
}

/** Requests that came to an end, with what they were: series, role and result of each slot that is not 0. */
export function* endedOf({
  ended,
}: TrtCounts): Iterable<{ labels: SeriesLabels & { role: string; result: string }; value: number }> {
  const results = REQUEST_RESULTS.length;
  for (let slot = 0; slot < ended.length; slot++) {
    if (ended[slot] === 0) continue;
    const role = ROLES[Math.floor(slot / results) % ROLE_SYMBOLS] ?? 'unknown';
    const labels = {
      ...labelsOf(Math.floor(slot / results / ROLE_SYMBOLS)),
      role,
      result: REQUEST_RESULTS[slot % results],
    };
    yield { labels, value: ended[slot] };
  }
}

const CODES_MAX = 32;
const REFUSED = REQUEST_RESULTS.indexOf('refused');
const OTHER = REQUEST_RESULTS.indexOf('other');
const RESULT_OF_CODE = Uint8Array.from({ length: CODES_MAX }, (_, code) => {
  const found = (REQUEST_RESULTS as readonly string[]).indexOf(codeOf(code) ?? '');
  return found < 0 ? OTHER : found;
});

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

  /** 1 for each series that has a TRT for some role: those that are there with 0 before their first request. */
  seriesWithTrt(): Uint8Array {
    return Uint8Array.from({ length: SERIES }, (_, series) => {
      const generation = series % GENERATION_SYMBOLS;
      const service = Math.floor(series / GENERATION_SYMBOLS) % SERVICES.length;
      const mode = Math.floor(series / GENERATION_SYMBOLS / SERVICES.length) % MODES.length;
      const srv = Math.floor(series / GENERATION_SYMBOLS / SERVICES.length / MODES.length);
      return ROLES.some((_role, role) => this.secondsOf(srv, generation, mode, service, role) >= 0) ? 1 : 0;
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
