import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';

/** One line of the benchmark's output. `spread` is the lowest and highest of the runs that `value` is the median of. */
export type Measurement = {
  name: string;
  value: number;
  unit: string;
  baseline?: { name: string; value: number };
  /** value / baseline. */
  ratio?: number;
  spread: [number, number];
  /** CPU seconds of a run, where the value is a wall time. */
  cpuSeconds?: number;
  rssBytesMax?: number;
  target?: string;
  machine: string;
  commit: string;
};

export function measured(
  name: string,
  unit: string,
  values: readonly number[],
  extra: Partial<Pick<Measurement, 'baseline' | 'cpuSeconds' | 'rssBytesMax' | 'target'>> = {},
): Measurement {
  const value = median(values);
  return {
    name,
    value,
    unit,
    ...extra,
    ...(extra.baseline === undefined ? {} : { ratio: Number((value / extra.baseline.value).toPrecision(4)) }),
    spread: [Math.min(...values), Math.max(...values)],
    machine: machine(),
    commit: commit(),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}

function commit(): string {
  try {
    const head = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const dirty = execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }).trim() !== '';
    return dirty ? `${head}-dirty` : head;
  } catch {
    return 'unknown';
  }
}
