import type { Matrix } from '#core/matrix.ts';
import { formatInstant } from '#core/settlement-day.ts';
import type { FaultKind, Findings } from './findings.ts';
import type { Requests } from './requests.ts';
import type { Threshold, Users } from './users.ts';

/** What became of the requests of one User, SRV and period. */
type Period = {
  passed: number;
  held: number;
  /** Not known yet, or lost: they may have been counted. */
  unsettled: number;
  /** The latest of all, by which a fault is found again. */
  requests: Requests;
  index: number;
};
type Count = { threshold: Threshold; periods: Map<number, Period> };

/** How an accepted on-demand request stands with the anomaly check. */
export type Standing = 'passed' | 'held' | 'unsettled';

/**
 * Every accepted on-demand request, counted again by User, SRV and the period in which it was received: exactly what
 * exceeds the declared threshold must have been held. Over all partitions.
 */
export class AnomalyLedger {
  readonly #users: Users;
  readonly #matrix: Matrix;
  readonly #counts = new Map<number, Count[]>();

  constructor(users: Users, matrix: Matrix) {
    this.#users = users;
    this.#matrix = matrix;
  }

  add(requests: Requests, index: number, standing: Standing): void {
    const user = requests.user[index];
    const srv = requests.srv[index];
    if (user < 0 || srv < 0) return;
    for (const { threshold, periods } of this.#countsOf(user, srv)) {
      const number = threshold === undefined ? 0 : Math.floor(requests.receivedMs[index] / threshold.periodMs);
      let period = periods.get(number);
      if (period === undefined) {
        period = { passed: 0, held: 0, unsettled: 0, requests, index };
        periods.set(number, period);
      }
      period[standing]++;
      period.requests = requests;
      period.index = index;
    }
  }

  judge(faults: Findings<FaultKind>): void {
    const srvs = this.#matrix.services.length;
    for (const [key, counts] of this.#counts) {
      const [user, srv] = [Math.floor(key / srvs), key % srvs];
      if (counts.length === 1) this.#judgeEach(user, srv, counts[0], faults);
      else this.#judgeSum(user, srv, counts, faults);
    }
  }

  #judgeEach(user: number, srv: number, { threshold, periods }: Count, faults: Findings<FaultKind>): void {
    for (const [number, period] of periods) {
      const { least, most } = excessOf(threshold, period);
      if (period.held >= least && period.held <= most) continue;
      const what =
        threshold === undefined
          ? 'without a declared threshold'
          : `with a threshold of ${threshold.count} from ${formatInstant(number * threshold.periodMs)}`;
      this.#report(user, srv, period, `${what} ${period.held} were held and not ${rangeText(least, most)}`, faults);
    }
  }

  // A threshold that changed during the run: by which of them each period was counted is not in the log.
  #judgeSum(user: number, srv: number, counts: readonly Count[], faults: Findings<FaultKind>): void {
    const sums = counts.map(({ threshold, periods }) =>
      [...periods.values()].reduce(
        (sum, period) => {
          const { least, most } = excessOf(threshold, period);
          return { least: sum.least + least, most: sum.most + most, held: sum.held + period.held };
        },
        { least: 0, most: 0, held: 0 },
      ),
    );
    const least = Math.min(...sums.map((sum) => sum.least));
    const most = Math.max(...sums.map((sum) => sum.most));
    const { held } = sums[0];
    if (held >= least && held <= most) return;
    const [last] = [...counts[0].periods.values()].slice(-1);
    this.#report(
      user,
      srv,
      last,
      `with the ${counts.length} thresholds declared ${held} were held in all and not ${rangeText(least, most)}`,
      faults,
    );
  }

  #report(user: number, srv: number, period: Period, says: string, faults: Findings<FaultKind>): void {
    const { requests, index, passed, held, unsettled } = period;
    const total = passed + held + unsettled;
    const { srv: name } = this.#matrix.services[srv];
    const whose = `of ${total} requests of ${name} by ${this.#users.nameOf(user)}`;
    faults.add('anomaly', requests.place(index), () => `${whose} ${says} (this is one of them)`);
  }

  #countsOf(user: number, srv: number): Count[] {
    const key = user * this.#matrix.services.length + srv;
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      const thresholds = this.#users.thresholdsOf(user, srv, this.#matrix);
      counts = thresholds.map((threshold) => ({ threshold, periods: new Map() }));
      this.#counts.set(key, counts);
    }
    return counts;
  }
}

function excessOf(threshold: Threshold, { passed, held, unsettled }: Period): { least: number; most: number } {
  if (threshold === undefined) return { least: 0, most: 0 };
  const settled = passed + held;
  const excess = (requests: number) => Math.max(0, requests - threshold.count);
  return { least: excess(settled), most: excess(settled + unsettled) };
}

function rangeText(least: number, most: number): string {
  return least === most ? String(least) : `${least} to ${most}`;
}
