import { MODES, type Mode } from '#core/matrix.ts';

/** Where the requests of one mode have ended: received is the sum of the others. */
export type LaneTotals = {
  received: number;
  answered: number;
  refused: number;
  quarantined: number;
  /** Dropped from quarantine, as its User or an operator said. */
  deleted: number;
  /** Received too late in the run to be demanded. */
  open: number;
  /** The same request was accepted by another gateway just before: it is run once. */
  repeated: number;
  /** In dead-letters, with the reason. */
  setAside: number;
  lost: number;
};

export class Totals {
  readonly byMode: Record<Mode, LaneTotals>;
  readonly codes: Record<string, number> = {};
  /** Let go from quarantine. */
  released = 0;
  /** Half-hours in the I0 answers of 4.8.1 and 4.8.3. */
  intervals = 0;
  /** Requests with a record in trt-breaches, and requests that were late by the audit's own reckoning. */
  breaches = 0;
  late = 0;

  constructor() {
    this.byMode = Object.fromEntries(MODES.map((mode) => [mode, emptyLane()])) as Record<Mode, LaneTotals>;
  }

  lane(mode: number): LaneTotals {
    return this.byMode[MODES[mode]];
  }

  all(): LaneTotals {
    const sum = emptyLane();
    for (const lane of Object.values(this.byMode)) {
      for (const key of Object.keys(sum) as (keyof LaneTotals)[]) sum[key] += lane[key];
    }
    return sum;
  }

  addCode(code: string): void {
    this.codes[code] = (this.codes[code] ?? 0) + 1;
  }

  /** Requests that access control has dropped as replays of others. */
  addDropped(byMode: readonly [number, number]): void {
    byMode.forEach((dropped, mode) => {
      this.lane(mode).received += dropped;
      this.lane(mode).lost += dropped;
    });
  }
}

function emptyLane(): LaneTotals {
  return {
    received: 0,
    answered: 0,
    refused: 0,
    quarantined: 0,
    deleted: 0,
    open: 0,
    repeated: 0,
    setAside: 0,
    lost: 0,
  };
}
