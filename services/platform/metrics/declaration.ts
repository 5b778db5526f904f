/** Values that a label can have, all of them, or how many there can be at most. */
export type LabelBound = readonly string[] | number;

export type MetricDeclaration = {
  type: 'counter' | 'gauge' | 'histogram';
  /** What a value counts or measures; `ratio` and `instant` have no dimension of their own. */
  unit: 'seconds' | 'bytes' | 'ratio' | 'requests' | 'records' | 'answers' | 'things';
  /** Which processes have it; `all`: every service. */
  component: Component | 'all';
  labels: Readonly<Record<string, LabelBound>>;
  /** Upper edges of a histogram's buckets. */
  edges?: readonly number[];
  /** Series a process has at most, where the labels' bounds multiplied say too much, and why. */
  seriesMax?: { count: number; because: string };
  help: string;
};

export const COMPONENTS = [
  'registration',
  'access-control',
  'anomaly',
  'scheduler',
  'fleet-sim',
  'users',
  'trt-monitor',
  'gateway',
] as const;
export type Component = (typeof COMPONENTS)[number];

/** Series that one process has of a metric at most. */
export function seriesMaxOf({ labels, edges, seriesMax }: MetricDeclaration): number {
  if (seriesMax !== undefined) return seriesMax.count;
  const combinations = Object.values(labels).reduce<number>(
    (product, bound) => product * (typeof bound === 'number' ? bound : bound.length),
    1,
  );
  // A histogram has a series a bucket, the last one open, and its sum and count.
  return combinations * (edges === undefined ? 1 : edges.length + 3);
}
