import { GENERATIONS, MODES, ROLES, SERVICES } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { modeOfRow, serviceOfRow, srvOfRow } from '#core/trt-row.ts';
import { integralMs } from '#fleet-sim/occupancy.ts';
import { LATENCY_EDGES_SECONDS } from '#services/platform/metrics/bounds.ts';
import { METRICS, type MetricName, PROCESS_LABEL } from '#services/platform/metrics/catalogue.ts';
import { REFUSALS } from './counters.ts';
import type { Model } from './model.ts';
import { type PlanResult, weightsOf } from './run.ts';
import { bucketsOf } from './tally.ts';
import { ENDS, LATENCY_BUCKETS, type RowField, Timeline } from './timeline.ts';

type Labels = Readonly<Record<string, string>>;
/** A value at each instant: at 0 nothing has happened, at k the first k buckets have. */
type Values = Float64Array;

/**
 * A planned run as the services would have shown it, in OpenMetrics with time stamps: the metrics that dashboards ask of
 * requests and networks, under their own names, a value at the end of each bucket of the report's charts. Counts of a
 * sample are scaled to the fleet. The run must have been planned with its timeline.
 */
export function* openMetricsOf(result: PlanResult): Generator<string> {
  const { model, tally } = result;
  const weights = weightsOf(model, tally);
  const timelines = tally.networks.map(({ timeline }, n) => new Timeline(model, timeline, n));
  const run = new PlannedRun(model, timelines, weights);
  yield* run.requests();
  yield* run.endings();
  yield* run.latencies();
  yield* run.objectives();
  yield* networkLines(result, run, weights);
  yield '# EOF\n';
}

class PlannedRun {
  readonly #model: Model;
  readonly #timelines: readonly Timeline[];
  readonly #weights: readonly number[];
  /** Seconds since the epoch, by instant. */
  readonly stamps: readonly number[];

  constructor(model: Model, timelines: readonly Timeline[], weights: readonly number[]) {
    this.#model = model;
    this.#timelines = timelines;
    this.#weights = weights;
    const { bucketMs, buckets } = timelines[0];
    const startMs = model.originDay * DAY_MS + model.countedStartMs;
    this.stamps = Array.from({ length: buckets + 1 }, (_, k) => (startMs + k * bucketMs) / 1000);
  }

  *requests(): Generator<string> {
    const of = (...fields: RowField[]) =>
      this.#rows().map(({ row, generation, labels }) => ({
        labels,
        values: fields.reduce<Values>(
          (sum, field) =>
            added(
              sum,
              this.#sum(generation, (t, k) => t.of(k, row, field)),
            ),
          this.#zeros(),
        ),
      }));
    const received = of('requests');
    yield* this.lines('mdr_trt_requests_total', received);
    yield* this.lines('mdr_trt_judged_total', of('within', 'missedWithoutData', 'breaches'));
    yield* this.lines('mdr_trt_within_total', of('within'));
    yield* this.lines('mdr_trt_within_without_data_total', of('withinWithoutData'));
    yield* this.lines('mdr_trt_breaches_total', of('breaches'));
    const answered = of('answered');
    yield* this.lines(
      'mdr_trt_open_requests',
      received.map(({ labels, values }, k) => ({
        labels,
        values: values.map((value, at) => value - answered[k].values[at]),
      })),
    );
  }

  *endings(): Generator<string> {
    const series = this.#rows().flatMap(({ row, generation, labels }) =>
      ROLES.flatMap((role, r) =>
        ENDS.map((result, end) => ({
          labels: { ...labels, role, result },
          values: this.#sum(generation, (t, k) => t.ends(k, row, r, end)),
        })),
      ),
    );
    yield* this.lines('mdr_requests_total', series.filter(hasAny));
    const refusals = REFUSALS.map((code, k) => ({
      labels: { code },
      values: this.#sum(undefined, (t, bucket) => t.refusals(bucket, k)),
    }));
    yield* this.lines('mdr_refusals_total', refusals.filter(hasAny));
  }

  *latencies(): Generator<string> {
    yield* this.histogram(
      'mdr_trt_latency_seconds',
      this.#rows().map(({ row, generation, labels }) => ({
        labels,
        sum: this.#sum(generation, (t, k) => t.of(k, row, 'seconds')),
        bucket: (edge: number) => this.#sum(generation, (t, k) => t.latency(k, row, edge)),
      })),
    );
    const rowsOf = (mode: number) => this.#allRows().filter((row) => modeOfRow(row) === mode);
    yield* this.histogram(
      'mdr_network_latency_seconds',
      this.#model.fleet.networks.flatMap(({ name: network }, n) =>
        MODES.map((mode, m) => ({
          labels: { network, mode },
          sum: this.#sumOf(n, (t, k) => rowsOf(m).reduce((sum, row) => sum + t.of(k, row, 'seconds'), 0)),
          bucket: (edge: number) =>
            this.#sumOf(n, (t, k) => rowsOf(m).reduce((sum, row) => sum + t.latency(k, row, edge), 0)),
        })),
      ),
    );
  }

  *objectives(): Generator<string> {
    const series = Object.entries(this.#model.scenario.measures).map(([objective, value]) => ({
      labels: { objective },
      values: this.#zeros().fill(value),
    }));
    yield* this.lines('mdr_trt_objective_ratio', series);
  }

  *lines(name: MetricName, series: readonly { labels: Labels; values: Values }[]): Generator<string> {
    yield heading(name);
    for (const { labels, values } of series) {
      const text = labelText(name, labels);
      yield this.stamps.map((stamp, k) => `${name}${text} ${values[k]} ${stamp}\n`).join('');
    }
  }

  *histogram(
    name: MetricName,
    series: readonly { labels: Labels; sum: Values; bucket(edge: number): Values }[],
  ): Generator<string> {
    yield heading(name);
    for (const { labels, sum, bucket } of series) {
      const buckets: Values[] = [];
      for (let edge = 0; edge < LATENCY_BUCKETS; edge++) {
        const own = bucket(edge);
        buckets.push(edge === 0 ? own : added(buckets[edge - 1], own));
      }
      const counts = buckets[LATENCY_BUCKETS - 1];
      if (counts[counts.length - 1] === 0) continue;
      const upper = [...LATENCY_EDGES_SECONDS.map(String), '+Inf'].map((le) => labelText(name, { ...labels, le }));
      const text = labelText(name, labels);
      yield this.stamps
        .map((stamp, k) =>
          [
            ...buckets.map((values, edge) => `${name}_bucket${upper[edge]} ${values[k]} ${stamp}\n`),
            `${name}_sum${text} ${sum[k]} ${stamp}\n`,
            `${name}_count${text} ${counts[k]} ${stamp}\n`,
          ].join(''),
        )
        .join('');
    }
  }

  /** Rows that have a TRT on some network of a generation. */
  #rows(): { row: number; generation: string; labels: Labels }[] {
    const { fleet, trtMs, matrix } = this.#model;
    return GENERATIONS.flatMap((generation) => {
      const network = fleet.networks.findIndex((one) => one.generation === generation);
      if (network < 0) return [];
      return this.#allRows()
        .filter((row) => trtMs[network][row] >= 0)
        .map((row) => {
          const { srv } = matrix.services[srvOfRow(row)];
          const labels = { srv, mode: MODES[modeOfRow(row)], trt_service: SERVICES[serviceOfRow(row)], generation };
          return { row, generation, labels };
        });
    });
  }

  #allRows(): number[] {
    return Array.from({ length: this.#model.rows }, (_, row) => row);
  }

  #zeros(): Values {
    return new Float64Array(this.stamps.length);
  }

  /** Over the networks of a generation, or all. */
  #sum(generation: string | undefined, of: (timeline: Timeline, bucket: number) => number): Values {
    return this.#model.fleet.networks.reduce<Values>(
      (sum, network, n) =>
        generation === undefined || network.generation === generation ? added(sum, this.#sumOf(n, of)) : sum,
      this.#zeros(),
    );
  }

  #sumOf(network: number, of: (timeline: Timeline, bucket: number) => number): Values {
    const values = this.#zeros();
    for (let k = 1; k < values.length; k++)
      values[k] = values[k - 1] + of(this.#timelines[network], k - 1) * this.#weights[network];
    return values;
  }
}

function* networkLines({ model, tally }: PlanResult, run: PlannedRun, weights: readonly number[]): Generator<string> {
  const { networks } = model.fleet;
  const bucketMs = 1000 * (run.stamps[1] - run.stamps[0]);
  const buckets = bucketsOf(model);
  const exchanges = networks.map(({ cells }, n) => cells * model.scenario.networks[n].exchangesPerCell);
  // Networks are looked at on counted days: later nothing is known of them.
  const upTo = (k: number) => Math.min(k, buckets);
  const perNetwork = (of: (n: number) => Values) =>
    networks.map(({ name: network }, n) => ({ labels: { network }, values: of(n) }));
  const integral = (edges: Float64Array, steps: Float64Array) => integralMs(edges, steps, bucketMs, buckets);
  yield* run.lines(
    'mdr_network_busy_seconds_total',
    perNetwork((n) => {
      const { busyEdges, busySteps } = tally.networks[n];
      const busyMs = integral(busyEdges, busySteps);
      let sum = 0;
      const cumulative = [0, ...busyMs].map((ms) => {
        sum += (ms * weights[n]) / 1000;
        return sum;
      });
      return Float64Array.from(run.stamps, (_, k) => cumulative[upTo(k)]);
    }),
  );
  yield* run.lines(
    'mdr_network_offered_seconds_total',
    perNetwork((n) => Float64Array.from(run.stamps, (_, k) => (upTo(k) * bucketMs * exchanges[n]) / 1000)),
  );
  yield* run.lines(
    'mdr_network_waiting_requests',
    perNetwork((n) => {
      const { queueEdges, queueSteps } = tally.networks[n];
      const lanes = queueEdges.map((edges, lane) => integral(edges, queueSteps[lane]));
      return Float64Array.from(run.stamps, (_, k) =>
        k === 0 || k > buckets ? 0 : ((lanes[0][k - 1] + lanes[1][k - 1]) * weights[n]) / bucketMs,
      );
    }),
  );
  yield* run.lines(
    'mdr_network_exchanges',
    networks.map(({ name: network }, n) => ({
      labels: { network, state: 'all' },
      values: new Float64Array(run.stamps.length).fill(exchanges[n]),
    })),
  );
}

/** OpenMetrics names the family of a counter without its end. */
function heading(name: MetricName): string {
  const { type, help } = METRICS[name];
  const family = type === 'counter' ? name.replace(/_total$/, '') : name;
  return `# HELP ${family} ${help}\n# TYPE ${family} ${type}\n`;
}

function labelText(name: MetricName, labels: Labels): string {
  const all = { [PROCESS_LABEL]: METRICS[name].component, ...labels };
  return `{${Object.entries(all)
    .map(([label, value]) => `${label}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)
    .join(',')}}`;
}

function added(a: Values, b: Values): Values {
  return a.map((value, k) => value + b[k]);
}

function hasAny({ values }: { values: Values }): boolean {
  return values[values.length - 1] > 0;
}
