import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/**
 * The least that a day of reads costs: two priority classes, a heap of completions and retries, nothing else. No
 * demand, no access control, no counting by row. It is what `mdr plan` is measured against.
 */
export async function bareEventLoop(reads: number, workers = 2): Promise<number> {
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: workers }, (_, seed) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { reads: reads / workers, seed } });
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  return (performance.now() - startedMs) / 1000;
}

const SERVERS = 2;
const READS_A_CELL = 5000;

function simulate(reads: number, seed: number): number {
  let random = seed + 1;
  const next = () => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    return random / 4294967296;
  };
  let done = 0;
  for (let cell = 0; cell < reads / READS_A_CELL; cell++) {
    const arrivals = Float64Array.from({ length: READS_A_CELL }, () => next() * 21_600_000).sort();
    const queues: [number[], number[]] = [[], []];
    const heads = [0, 0];
    const heap: { atMs: number; isRetry: boolean; lane: number }[] = [];
    let busy = 0;
    let at = 0;
    const push = (event: { atMs: number; isRetry: boolean; lane: number }) => {
      let k = heap.length;
      heap.push(event);
      while (k > 0 && heap[(k - 1) >> 1].atMs > event.atMs) {
        heap[k] = heap[(k - 1) >> 1];
        k = (k - 1) >> 1;
      }
      heap[k] = event;
    };
    const pop = () => {
      const first = heap[0];
      const last = heap.pop() as (typeof heap)[number];
      let k = 0;
      for (let child = 1; child < heap.length; child = 2 * k + 1) {
        if (child + 1 < heap.length && heap[child + 1].atMs < heap[child].atMs) child++;
        if (heap[child].atMs >= last.atMs) break;
        heap[k] = heap[child];
        k = child;
      }
      if (heap.length > 0) heap[k] = last;
      return first;
    };
    while (at < arrivals.length || heap.length > 0) {
      const isArrival = at < arrivals.length && (heap.length === 0 || arrivals[at] < heap[0].atMs);
      let nowMs: number;
      if (isArrival) {
        nowMs = arrivals[at++];
        queues[next() < 0.1 ? 1 : 0].push(nowMs);
      } else {
        const event = pop();
        nowMs = event.atMs;
        if (event.isRetry) queues[event.lane].push(nowMs);
        else {
          busy--;
          if (next() < 0.09) push({ atMs: nowMs + 1_800_000, isRetry: true, lane: event.lane });
          else done++;
        }
      }
      while (busy < SERVERS) {
        const lane = heads[1] < queues[1].length ? 1 : heads[0] < queues[0].length ? 0 : -1;
        if (lane < 0) break;
        heads[lane]++;
        busy++;
        push({ atMs: nowMs + 2000 + next() * 6000, isRetry: false, lane });
      }
    }
  }
  return done;
}

if (!isMainThread && workerData !== null && 'reads' in workerData) {
  const { reads, seed } = workerData as { reads: number; seed: number };
  parentPort?.postMessage(simulate(reads, seed));
}
