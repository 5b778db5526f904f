import { nowMs } from './clock.ts';

/**
 * Simulated time as every process of a run computes it: at wall instant `wallEpochMs` it is `startMs`, and from there
 * it runs `speed` times as fast. Speed 0: time does not pace anything, requests are made as fast as they are taken.
 */
export type ClockFace = { startMs: number; wallEpochMs: number; speed: number };

export class SimClock {
  readonly #wall: () => number;
  #face: ClockFace;
  #latestMs = Number.NEGATIVE_INFINITY;

  constructor(face: ClockFace, wall: () => number = nowMs) {
    this.#face = face;
    this.#wall = wall;
  }

  get isPaced(): boolean {
    return this.#face.speed > 0;
  }

  get speed(): number {
    return this.#face.speed;
  }

  /** Simulated ms since the epoch, never less than before; Infinity when nothing is paced. Before the start: startMs. */
  now(): number {
    if (!this.isPaced) return Number.POSITIVE_INFINITY;
    const ms = this.at(this.#wall());
    if (ms > this.#latestMs) this.#latestMs = ms;
    return this.#latestMs;
  }

  /** Simulated ms since the epoch as it was at a wall instant. */
  at(wallMs: number): number {
    const { startMs, wallEpochMs, speed } = this.#face;
    return startMs + Math.max(0, wallMs - wallEpochMs) * speed;
  }

  /** The wall instant at which a simulated one comes: where the platform's own time begins. Now when not paced. */
  dueWallMs(simulatedMs: number): number {
    const { startMs, wallEpochMs, speed } = this.#face;
    return speed > 0 ? wallEpochMs + (simulatedMs - startMs) / speed : this.#wall();
  }

  /** The same face set anew: a run that is resumed. Time already shown is not taken back. */
  set(face: ClockFace): void {
    this.#face = face;
  }
}
