import type { Lane } from '#fleet-sim/cell.ts';
import type { DayWindow } from '#fleet-sim/day-window.ts';
import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import type { World } from '#fleet-sim/world.ts';

/**
 * One kind of the existing services' traffic in one cell-day: a given number of requests at times that are uniform
 * and independent over a window, made one by one in order, so that nothing is stored or sorted.
 */
export type Stream = {
  /** Row of the TRT table, or NOT_JUDGED. */
  row: number;
  srv: number;
  kind: number;
  lane: Lane;
  perMeterDay: number;
  window: DayWindow;
  /** Ms after midnight of the next request; Infinity when the day has no more. */
  nextAtMs: number;
  /** Meter of the cell that the next request is for. */
  meter: number;
  /** Number of the next request within the cell-day. */
  number: number;
  left: number;
  /** Share of the window that is still to come, after the next request. */
  ahead: number;
};

export const NOT_JUDGED = -1;

export function createStreams(world: World): Stream[] {
  const idle = { nextAtMs: Number.POSITIVE_INFINITY, meter: 0, number: 0, left: 0, ahead: 1 };
  const reads = world.existing.map(({ srv, row, lane, perMeterDay, window }) => ({
    ...idle,
    row,
    srv,
    kind: srv,
    lane,
    perMeterDay,
    window,
  }));
  const other = world.other.map(({ kind, lane, perMeterDay, window }) => ({
    ...idle,
    row: NOT_JUDGED,
    srv: -1,
    kind,
    lane,
    perMeterDay,
    window,
  }));
  return [...reads, ...other];
}

/** Starts the stream's day: its expected number of requests, the fraction rounded by a draw. */
export function startStream(
  stream: Stream,
  index: number,
  seed: number,
  cell: number,
  day: number,
  meters: number,
): void {
  const expected = stream.perMeterDay * meters;
  const bits = draw32(seed, cell, day * 64 + index, PURPOSE.existingRead);
  stream.left = Math.floor(expected + bits / 4294967296);
  stream.number = -1;
  stream.ahead = 1;
  advanceStream(stream, index, seed, cell, day, meters);
}

/** Moves on to the next request: the smallest of `left` uniform draws on what is still ahead of the window. */
export function advanceStream(
  stream: Stream,
  index: number,
  seed: number,
  cell: number,
  day: number,
  meters: number,
): void {
  if (stream.left === 0) {
    stream.nextAtMs = Number.POSITIVE_INFINITY;
    return;
  }
  stream.number++;
  const occasion = (day * 64 + index) * 65_536 + stream.number;
  const bits = draw32(seed, cell, occasion, PURPOSE.onDemandTime);
  stream.ahead *= Math.exp(Math.log((bits + 0.5) / 4294967296) / stream.left);
  stream.left--;
  stream.nextAtMs = stream.window.startMs + Math.floor((1 - stream.ahead) * stream.window.lengthMs);
  stream.meter = draw32(seed, cell, occasion, PURPOSE.onDemandMeter) % meters;
}
