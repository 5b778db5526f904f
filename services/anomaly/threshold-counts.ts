import { type AnomalyCounters, countRequest } from '#core/anomaly.ts';
import type { ThresholdDirectory } from './users.ts';

/**
 * core's counters, and from which offset on the log has to be read again to make them anew. A count hangs on the record
 * that began its period; one that came more than a period late hangs on those that began both periods kept, since
 * these decided where it was counted. Periods only ever go up, so from there on everything is counted the same, as far
 * as it is of the newest period or the one before. What comes later than that may be judged otherwise after a restart.
 */
export class ThresholdCounts {
  #users: ThresholdDirectory;
  #counters: AnomalyCounters;
  /** By slot of `counters.count`: the offset that the count hangs on. */
  #since: Float64Array;
  /** Latest receivedMs counted. */
  #newestMs = 0;
  /** Of the request counted last: the offset that the verdict on it hangs on. */
  countedSince = 0;

  constructor(users: ThresholdDirectory) {
    this.#users = users;
    this.#counters = emptyCopyOf(users.counters);
    this.#since = new Float64Array(this.#counters.count.length);
  }

  get newestMs(): number {
    return this.#newestMs;
  }

  /** Counts go on where User, SRV and period of the threshold stay the same; all others begin anew. */
  useUsers(users: ThresholdDirectory): void {
    const before = this.#counters;
    const sinceBefore = this.#since;
    const usersBefore = this.#users;
    this.#users = users;
    this.#counters = emptyCopyOf(users.counters);
    this.#since = new Float64Array(this.#counters.count.length);
    const { srvs, periodMs, period, count } = this.#counters;
    users.euis.forEach((eui, user) => {
      const userBefore = usersBefore.byEui.get(eui);
      if (userBefore === undefined || before.srvs !== srvs) return;
      for (let srv = 0; srv < srvs; srv++) {
        const [from, to] = [userBefore * srvs + srv, user * srvs + srv];
        if (before.periodMs[from] !== periodMs[to]) continue;
        for (const slot of [0, 1]) {
          period[2 * to + slot] = before.period[2 * from + slot];
          count[2 * to + slot] = before.count[2 * from + slot];
          this.#since[2 * to + slot] = sinceBefore[2 * from + slot];
        }
      }
    });
  }

  /** Whether the request exceeds its User's threshold. `eui`: 8 bytes as latin1 text; `srv`: position in the matrix. */
  isExcess(eui: string, srv: number, receivedMs: number, offset: number): boolean {
    if (receivedMs > this.#newestMs) this.#newestMs = receivedMs;
    const user = this.#users.byEui.get(eui);
    if (user === undefined || srv < 0) return false;
    const { countMax, period, count, srvs } = this.#counters;
    if (countMax[user * srvs + srv] < 0) return false;
    const even = 2 * (user * srvs + srv);
    const odd = even + 1;
    const [evenPeriod, oddPeriod, evenCount] = [period[even], period[odd], count[even]];
    const isExcess = countRequest(this.#counters, user, srv, receivedMs);
    const slot = period[even] !== evenPeriod || count[even] !== evenCount ? even : odd;
    const began = period[slot] !== (slot === even ? evenPeriod : oddPeriod);
    const asked = Math.floor(receivedMs / this.#counters.periodMs[even / 2]);
    if (began) this.#since[slot] = offset;
    else if (period[slot] !== asked) this.#since[slot] = Math.min(this.#since[even], this.#since[odd]);
    this.countedSince = this.#since[slot];
    return isExcess;
  }

  /** The earliest offset that a count of a period still open hangs on: the current one of a threshold or the one before. */
  lowOffset(nextOffset: number): number {
    const { period, periodMs, countMax } = this.#counters;
    let low = nextOffset;
    for (let pair = 0; pair < countMax.length; pair++) {
      if (countMax[pair] < 0) continue;
      const open = Math.floor(this.#newestMs / periodMs[pair]) - 1;
      for (let slot = 2 * pair; slot < 2 * pair + 2; slot++) {
        if (period[slot] >= Math.max(0, open) && this.#since[slot] < low) low = this.#since[slot];
      }
    }
    return low;
  }
}

function emptyCopyOf(counters: AnomalyCounters): AnomalyCounters {
  return {
    ...counters,
    period: new Float64Array(counters.period.length).fill(-1),
    count: new Int32Array(counters.count.length),
  };
}
