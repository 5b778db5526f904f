import { nowMs } from './clock.ts';

/** An on-demand request that has taken longer than this to get here tells that the processors have too much to do. */
const LATE_MS = 4;
/** Of its time a service always spends so much on scheduled requests: they too have a Target Response Time. */
const SHARE_MIN = 0.05;
const SHARE_FEWER = 0.75;
const SHARE_MORE = 1.03;
/** What has been taken off the share is not judged again before it can have had an effect. */
const JUDGE_EVERY_MS = 30;
/** With nothing on demand for so long, scheduled requests have all the time again. */
const QUIET_MS = 500;

/**
 * On demand first where lanes do not help: when scheduled requests keep every processor busy, those on demand wait for
 * one at each step, between services and in the broker. So a service that takes both watches how long those on demand
 * have been on their way, and leaves pauses between the scheduled ones until that is short: fewer at once when they are
 * late, more bit by bit when they are not.
 */
export class ScheduledPace {
  /** Part of the time that goes to scheduled requests. */
  share = 1;
  #heldUntilMs = 0;
  #judgedMs = 0;
  #onDemandMs = Number.NEGATIVE_INFINITY;
  readonly #lateMs: number;

  /** `hops`: services on the way, this one included; each may take `LATE_MS`. */
  constructor(hops: number) {
    this.#lateMs = hops * LATE_MS;
  }

  /** An on-demand request has been taken so long after it was due. */
  noteOnDemand(lateMs: number, wallMs = nowMs()): void {
    this.#onDemandMs = wallMs;
    if (lateMs <= this.#lateMs) {
      this.share = Math.min(1, this.share * SHARE_MORE);
    } else if (wallMs - this.#judgedMs >= JUDGE_EVERY_MS) {
      this.share = Math.max(SHARE_MIN, this.share * SHARE_FEWER);
      this.#judgedMs = wallMs;
    }
  }

  /** Scheduled requests have taken so long; the pause that is due after them begins. */
  spent(workMs: number, wallMs = nowMs()): void {
    if (wallMs - this.#onDemandMs > QUIET_MS) this.share = 1;
    const pauseMs = workMs * (1 / this.share - 1);
    this.#heldUntilMs = Math.max(this.#heldUntilMs, wallMs) + pauseMs;
  }

  /** Wall ms until the next scheduled requests may be taken, 0 for now. */
  heldMs(wallMs = nowMs()): number {
    return Math.max(0, this.#heldUntilMs - wallMs);
  }
}
