import type { ScheduleRows } from './schedule-table.ts';

/** Schedules in the order of their time of day, then of their MPAN and id: the order in which a day executes them. */
export type ExecutionOrder = { version: number; order: Uint32Array };

/** Buckets of 16.4 s: a day has 5,274. */
const BUCKET_BITS = 14;
const BUCKETS = (86_400_000 >> BUCKET_BITS) + 2;

/** A counting sort into buckets, then each bucket by itself: seconds for millions, and nothing but the result is kept. */
export function orderExecutions(rows: ScheduleRows): ExecutionOrder {
  const { used, version } = rows;
  const ends = new Uint32Array(BUCKETS);
  let live = 0;
  for (let at = 0; at < used; at++) {
    if (rows.mpan(at) === 0) continue;
    ends[(rows.timeMs(at) >> BUCKET_BITS) + 1]++;
    live++;
  }
  for (let bucket = 1; bucket < BUCKETS; bucket++) ends[bucket] += ends[bucket - 1];
  const order = new Uint32Array(live);
  for (let at = 0; at < used; at++) {
    if (rows.mpan(at) !== 0) order[ends[rows.timeMs(at) >> BUCKET_BITS]++] = at;
  }
  for (let start = 0, bucket = 0; bucket < BUCKETS - 1; bucket++) {
    const end = ends[bucket];
    order
      .subarray(start, end)
      .sort((a, b) => rows.timeMs(a) - rows.timeMs(b) || rows.mpan(a) - rows.mpan(b) || rows.id(a) - rows.id(b));
    start = end;
  }
  return { version, order };
}

/** Place of the first execution at or after a time of day. */
export function placeOf({ order }: ExecutionOrder, rows: ScheduleRows, timeMs: number): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rows.timeMs(order[middle]) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
