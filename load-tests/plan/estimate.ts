import { normalQuantile } from '#fleet-sim/service-time.ts';

/**
 * Estimates from cells picked at random within each network (Cochran, Sampling Techniques, chapters 5 and 6): the
 * sampling unit is a cell with all its days, since the days of one cell are not independent of each other.
 */
export type Estimate = { value: number; interval: [number, number] };

/** The simulated cells of one network: `cells` in all, and for each simulated one its numerator and denominator. */
export type Stratum = { cells: number; numerators: number[]; denominators: number[] };

const CONFIDENCE = 0.95;
/** A network of fewer simulated cells has no spread to estimate from. */
export const SAMPLED_CELLS_MIN = 2;
/** Degrees of freedom are rounded down, but 3.9999999999 is 4. */
const ROUNDING = 1e-9;

/**
 * The ratio of two totals over all cells with its 95 % interval; undefined where the denominator is 0. `most` bounds
 * the ratio from above (1 for a share).
 */
export function estimateRatio(strata: readonly Stratum[], most = Number.POSITIVE_INFINITY): Estimate | undefined {
  const denominator = total(strata, (stratum) => stratum.denominators);
  if (denominator === 0) return undefined;
  const value = total(strata, (stratum) => stratum.numerators) / denominator;
  const spread = spreadOfTotal(strata, ({ numerators, denominators }) =>
    numerators.map((numerator, k) => numerator - value * denominators[k]),
  );
  return within(strata, value, { ...spread, deviation: spread.deviation / denominator }, 1, most);
}

/** A total over all cells with its 95 % interval; where no sampled cell has any, at most what unseen cells could. */
export function estimateTotal(strata: readonly Stratum[]): Estimate {
  const value = total(strata, (stratum) => stratum.numerators);
  const spread = spreadOfTotal(strata, ({ numerators }) => numerators);
  const most = total(strata, (stratum) => stratum.denominators);
  return within(strata, value, spread, most, Math.max(most, value));
}

/** Whether every cell was simulated: then there is nothing to estimate. */
export function isCensus(strata: readonly Stratum[]): boolean {
  return strata.every(({ cells, numerators }) => numerators.length === cells);
}

/** Whether enough cells of every network were simulated to say how sure an estimate is; a stopped run may lack them. */
export function canEstimate(strata: readonly Stratum[]): boolean {
  return strata.every(({ cells, numerators }) => numerators.length >= Math.min(SAMPLED_CELLS_MIN, cells));
}

/** Cells each simulated one stands for. 0 for a network of which no cell was simulated. */
export function weightOf({ cells, numerators }: Stratum): number {
  return numerators.length === 0 ? 0 : cells / numerators.length;
}

function total(strata: readonly Stratum[], of: (stratum: Stratum) => number[]): number {
  return strata.reduce((sum, stratum) => sum + weightOf(stratum) * of(stratum).reduce((all, one) => all + one, 0), 0);
}

type Spread = { deviation: number; freedom: number };

/**
 * Standard deviation of an estimated total and its degrees of freedom by Satterthwaite's formula (Cochran 5.4): where
 * the cells of one network differ most, its sample alone says how sure the estimate is.
 */
function spreadOfTotal(strata: readonly Stratum[], valuesOf: (stratum: Stratum) => number[]): Spread {
  let variance = 0;
  let weighed = 0;
  for (const stratum of strata) {
    const part = varianceOfTotal(stratum, valuesOf(stratum));
    if (part === 0) continue;
    variance += part;
    weighed += part ** 2 / (stratum.numerators.length - 1);
  }
  const freedom = variance === 0 ? 1 : Math.max(1, Math.floor(variance ** 2 / weighed + ROUNDING));
  return { deviation: Math.sqrt(variance), freedom };
}

/** Variance of an estimated total, with the finite-population correction. */
function varianceOfTotal({ cells }: Stratum, values: readonly number[]): number {
  const picked = values.length;
  if (picked < 2 || picked === cells) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / picked;
  const spread = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (picked - 1);
  return (cells * cells * (1 - picked / cells) * spread) / picked;
}

/**
 * Student's t interval. A sample in which every cell agrees has no spread to go by: then the cells not seen may still
 * differ, at most a share of 1 - 0.05^(1/n) of them with 95 % confidence, by the whole of `scale`.
 */
function within(
  strata: readonly Stratum[],
  value: number,
  { deviation, freedom }: Spread,
  scale: number,
  most: number,
): Estimate {
  if (isCensus(strata)) return { value, interval: [value, value] };
  const picked = strata.reduce((sum, { numerators }) => sum + numerators.length, 0);
  const cells = strata.reduce((sum, stratum) => sum + stratum.cells, 0);
  const unseenShare = (1 - picked / cells) * (1 - (1 - CONFIDENCE) ** (1 / picked));
  const half = deviation > 0 ? deviation * studentQuantile(freedom) : unseenShare * scale;
  return { value, interval: [Math.max(0, value - half), Math.min(most, value + half)] };
}

/** 97.5th percentile of Student's t: the normal quantile with the Cornish-Fisher terms; exact for 1 and 2. */
export function studentQuantile(freedom: number): number {
  const p = 1 - (1 - CONFIDENCE) / 2;
  if (freedom === 1) return Math.tan(Math.PI * (p - 0.5));
  if (freedom === 2) return (2 * p - 1) / Math.sqrt(2 * p * (1 - p));
  const z = normalQuantile(p);
  return (
    z +
    (z ** 3 + z) / (4 * freedom) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3) +
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / (92160 * freedom ** 4)
  );
}
