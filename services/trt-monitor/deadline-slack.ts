import { MODES } from '#core/matrix.ts';
import { DUE_EDGES_SECONDS, TRTS_MAX } from '#services/platform/metrics/bounds.ts';
import type { OpenRequests } from './open-requests.ts';

/** What is needed of the columns of OpenRequests. */
type OpenColumns = Pick<OpenRequests, 'used' | 'mode' | 'trtSeconds' | 'deadlineMs' | 'isBreached'>;

const EDGES = DUE_EDGES_SECONDS.length;

/**
 * How much time the open requests have left, over all partitions of a process. Found by a walk over their columns when
 * it is asked for, so that a request costs nothing more when it comes and goes.
 */
export class DeadlineSlack {
  /** By mode and edge of DUE_EDGES_SECONDS: requests whose deadline comes within it, but not within the one before. */
  readonly #due = new Float64Array(MODES.length * (EDGES + 1));
  /** By mode, in the order in which they are met: a TRT, -1 behind the last, and the least time left of its requests. */
  readonly #trtSeconds = new Int32Array(MODES.length * TRTS_MAX).fill(-1);
  readonly #leastMs = new Float64Array(MODES.length * TRTS_MAX).fill(Number.POSITIVE_INFINITY);

  /** `nowMs`: the present of the partition. */
  add(open: OpenColumns, nowMs: number): void {
    const { used, mode, trtSeconds, deadlineMs, isBreached } = open;
    for (let k = 0; k < used; k++) {
      const leftMs = deadlineMs[k] - nowMs;
      if (isBreached[k] !== 0 || Number.isNaN(leftMs)) continue;
      this.#due[mode[k] * (EDGES + 1) + edgeOf(leftMs / 1000)]++;
      const at = this.#slotOf(mode[k], trtSeconds[k]);
      if (at >= 0 && leftMs < this.#leastMs[at]) this.#leastMs[at] = leftMs;
    }
  }

  /** Requests of a mode whose deadline comes within each edge, those before it included. */
  dueWithin(mode: number): number[] {
    let sum = 0;
    return DUE_EDGES_SECONDS.map((_, edge) => {
      sum += this.#due[mode * (EDGES + 1) + edge];
      return sum;
    });
  }

  /** By TRT of a mode: how much of its TRT the oldest open request has used. */
  oldest(mode: number): { trtSeconds: number; share: number }[] {
    const slots = Array.from({ length: TRTS_MAX }, (_, k) => mode * TRTS_MAX + k);
    return slots
      .filter((at) => this.#trtSeconds[at] >= 0)
      .map((at) => {
        const trtSeconds = this.#trtSeconds[at];
        return { trtSeconds, share: Math.max(0, 1 - this.#leastMs[at] / 1000 / trtSeconds) };
      });
  }

  /**
   * The largest part, over the edges, that answering what is due by then takes of the time until then, at a rate of
   * answers a simulated second. Infinity where something is due and nothing is answered.
   */
  projectedDrain(mode: number, answersPerSecond: number): number {
    return this.dueWithin(mode).reduce((most, requests, edge) => {
      const share = requests === 0 ? 0 : requests / answersPerSecond / DUE_EDGES_SECONDS[edge];
      return Math.max(most, share);
    }, 0);
  }

  /** -1 where a matrix has more TRTs than there is room for. */
  #slotOf(mode: number, trtSeconds: number): number {
    const first = mode * TRTS_MAX;
    for (let at = first; at < first + TRTS_MAX; at++) {
      if (this.#trtSeconds[at] === trtSeconds) return at;
      if (this.#trtSeconds[at] >= 0) continue;
      this.#trtSeconds[at] = trtSeconds;
      return at;
    }
    return -1;
  }
}

/** The number of answers over the last stretch of simulated time, by mode. */
export class AnswerRate {
  readonly #atMs: number[] = [];
  readonly #answers: Float64Array[] = [];

  /** `answers`: all there were up to `nowMs`, by mode. Called often; notes are kept some seconds apart. */
  note(nowMs: number, answers: Float64Array): void {
    if (nowMs - (this.#atMs.at(-1) ?? Number.NEGATIVE_INFINITY) < NOTE_EVERY_MS) return;
    this.#atMs.push(nowMs);
    this.#answers.push(answers.slice());
    while (this.#atMs.length > 2 && nowMs - this.#atMs[1] >= WINDOW_MS) {
      this.#atMs.shift();
      this.#answers.shift();
    }
  }

  /** Answers of a mode a simulated second; undefined while too little time has passed to say. */
  perSecond(mode: number): number | undefined {
    const spanMs = (this.#atMs.at(-1) ?? 0) - (this.#atMs[0] ?? 0);
    if (spanMs < WINDOW_MS / 2) return undefined;
    return ((this.#answers.at(-1) as Float64Array)[mode] - this.#answers[0][mode]) / (spanMs / 1000);
  }
}

/** Longer than the gaps between answers of a small fleet, shorter than an hour in which a lane fills up. */
const WINDOW_MS = 15 * 60_000;
const NOTE_EVERY_MS = 10_000;

function edgeOf(leftSeconds: number): number {
  let edge = 0;
  while (edge < EDGES && leftSeconds > DUE_EDGES_SECONDS[edge]) edge++;
  return edge;
}
