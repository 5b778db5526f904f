/** How long one exchange with a meter takes. Seconds; lognormal is given by its median and 95th percentile. */
export type ServiceTime =
  | { distribution: 'lognormal'; medianSeconds: number; p95Seconds: number }
  | { distribution: 'exponential'; meanSeconds: number }
  | { distribution: 'constant'; seconds: number };

/** A draw's top bits pick a quantile: 4,096 of them keep a table in 16 kB, so that all SRVs' tables stay in cache. */
export const QUANTILE_BITS = 12;
const QUANTILES = 1 << QUANTILE_BITS;
const Z_95 = 1.6448536269514722;
/** A longer exchange than this is a broken setting: one hour. */
const EXCHANGE_MS_MAX = 3_600_000;

/**
 * Milliseconds at the midpoint of each of 4,096 equally likely slices, at least 1, rounded so that their mean is kept.
 * Of a lognormal's tail beyond the last midpoint a little is lost: 0.01 % of the mean at a p95 of 2.5 medians, 0.3 %
 * (and a tenth of the second moment) at 10.
 */
export function serviceTimeTable(time: ServiceTime): Int32Array {
  const table = new Int32Array(QUANTILES);
  let error = 0;
  for (let k = 0; k < QUANTILES; k++) {
    const exact = 1000 * quantileSeconds(time, (k + 0.5) / QUANTILES) + error;
    const ms = Math.min(EXCHANGE_MS_MAX, Math.max(1, Math.round(exact)));
    error = ms === Math.round(exact) ? exact - ms : 0;
    table[k] = ms;
  }
  return table;
}

function quantileSeconds(time: ServiceTime, p: number): number {
  switch (time.distribution) {
    case 'constant':
      return time.seconds;
    case 'exponential':
      return exponentialSliceMean(p) * time.meanSeconds;
    case 'lognormal': {
      const sigma = Math.log(time.p95Seconds / time.medianSeconds) / Z_95;
      return time.medianSeconds * Math.exp(sigma * normalQuantile(p));
    }
  }
}

/** Mean of a unit exponential within the slice round p: the midpoint alone would lose a part of the tail. */
function exponentialSliceMean(p: number): number {
  const half = 0.5 / QUANTILES;
  const low = p - half;
  const high = p + half;
  const integral = (q: number) => (q >= 1 ? 0 : (1 - q) * Math.log(1 - q) - (1 - q));
  return (integral(high) - integral(low)) / (high - low);
}

/** Inverse of the standard normal distribution: Acklam's rational approximation, relative error below 1.2e-9. */
export function normalQuantile(p: number): number {
  const tail = 0.02425;
  if (p < tail) return tailQuantile(Math.sqrt(-2 * Math.log(p)));
  if (p > 1 - tail) return -tailQuantile(Math.sqrt(-2 * Math.log(1 - p)));
  const q = p - 0.5;
  const r = q * q;
  const numerator =
    ((((-3.969683028665376e1 * r + 2.209460984245205e2) * r - 2.759285104469687e2) * r + 1.38357751867269e2) * r -
      3.066479806614716e1) *
      r +
    2.506628277459239;
  const denominator =
    ((((-5.447609879822406e1 * r + 1.615858368580409e2) * r - 1.556989798598866e2) * r + 6.680131188771972e1) * r -
      1.328068155288572e1) *
      r +
    1;
  return (numerator * q) / denominator;
}

function tailQuantile(q: number): number {
  const numerator =
    ((((-7.784894002430293e-3 * q - 3.223964580411365e-1) * q - 2.400758277161838) * q - 2.549732539343734) * q +
      4.374664141464968) *
      q +
    2.938163982698783;
  const denominator =
    (((7.784695709041462e-3 * q + 3.224671290700398e-1) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1;
  return numerator / denominator;
}
