import type { PlatformPoint } from './report.ts';

/** What the platform did in a stretch of wall time: mean rates, the highest lag, the rest as it stood at the end. */
export type WallStretch = {
  startSeconds: number;
  endSeconds: number;
  offeredPerSecond: number;
  achievedPerSecond: number;
  lagRecords: number;
  simulatedMs: number;
  breaches: number;
};

const STRETCH_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];
const STRETCHES_MAX = 60;

/** The points by equal stretches of wall time, at most 60: points themselves come whenever the services have answered. */
export function wallStretches(points: readonly PlatformPoint[]): WallStretch[] {
  const lastSeconds = points.at(-1)?.atSeconds ?? 0;
  if (lastSeconds <= 0) return [];
  const step = stretchSeconds(lastSeconds);
  return Array.from({ length: Math.ceil(lastSeconds / step) }, (_, k) =>
    stretchOf(points, k * step, Math.min(lastSeconds, (k + 1) * step)),
  );
}

export function stretchSeconds(lastSeconds: number): number {
  return STRETCH_SECONDS.find((seconds) => lastSeconds <= seconds * STRETCHES_MAX) ?? lastSeconds / STRETCHES_MAX;
}

function stretchOf(points: readonly PlatformPoint[], startSeconds: number, endSeconds: number): WallStretch {
  let [offered, achieved, lagRecords, covered] = [0, 0, 0, 0];
  let last = points[0];
  let fromSeconds = 0;
  for (const point of points) {
    const seconds = Math.min(endSeconds, point.atSeconds) - Math.max(startSeconds, fromSeconds);
    if (seconds > 0) {
      offered += point.offeredPerSecond * seconds;
      achieved += point.achievedPerSecond * seconds;
      lagRecords = Math.max(lagRecords, point.lagRecords);
      covered += seconds;
      last = point;
    }
    fromSeconds = Math.max(fromSeconds, point.atSeconds);
  }
  return {
    startSeconds,
    endSeconds,
    offeredPerSecond: covered === 0 ? 0 : offered / covered,
    achievedPerSecond: covered === 0 ? 0 : achieved / covered,
    lagRecords,
    simulatedMs: last.simulatedMs,
    breaches: last.breaches,
  };
}
