import { formatSeconds } from '../format.ts';

/** From a figure to a place on the drawing, in its units (1 = 1 CSS pixel at full width). */
export type Scale = (value: number) => number;
export type Tick = { value: number; label: string };

export function linearScale(low: number, high: number, start: number, end: number): Scale {
  return (value) => start + ((value - low) / (high - low)) * (end - start);
}

/** Logarithmic; figures at or below `low` stand at `start`. */
export function logScale(low: number, high: number, start: number, end: number): Scale {
  const place = linearScale(Math.log10(low), Math.log10(high), start, end);
  return (value) => place(Math.log10(Math.max(low, value)));
}

/** Logarithmic for counts with a true zero: log(1 + value). */
export function countScale(high: number, start: number, end: number): Scale {
  const place = linearScale(0, Math.log10(1 + high), start, end);
  return (value) => place(Math.log10(1 + Math.max(0, value)));
}

const SECOND_TICKS = [0.01, 0.1, 1, 10, 60, 600, 3600, 21_600, 86_400, 864_000];
/** For scales of less than two decades. */
const CLOSE_SECOND_TICKS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];
const CLOSE_DECADES = 2;

export function secondTicks(low: number, high: number): Tick[] {
  const ticks = Math.log10(high / low) < CLOSE_DECADES ? CLOSE_SECOND_TICKS : SECOND_TICKS;
  return ticks
    .filter((value) => value >= low && value <= high)
    .map((value) => ({ value, label: value >= 60 && value < 3600 ? `${value / 60}\u00a0min` : tickLabel(value) }));
}

function tickLabel(seconds: number): string {
  return seconds === 3600 ? '1\u00a0h' : formatSeconds(seconds);
}

/** 0 and powers of ten from 10 up to `high`, every second or third of them when there are many. */
export function countTicks(high: number): number[] {
  const decades = Math.floor(Math.log10(Math.max(1, high)));
  const step = Math.ceil(decades / 4);
  const ticks = [0];
  for (let decade = step; decade <= decades && step > 0; decade += step) ticks.push(10 ** decade);
  return ticks;
}

/** 0 and at most `steps` even steps of 1, 2 or 5 times a power of ten, the last one at or below `high`. */
export function linearTicks(high: number, steps: number): number[] {
  const least = Math.max(1, high / steps);
  const decade = 10 ** Math.floor(Math.log10(least));
  const step = ([1, 2, 5, 10].find((times) => times * decade >= least) ?? 10) * decade;
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, k) => k * step);
}

/** The places moved apart to at least `gap`, in the same order, none below `low` or (if there is room) above `high`. */
export function spreadApart(places: readonly number[], gap: number, low: number, high: number): number[] {
  const order = places.map((_, index) => index).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  let least = low;
  for (const index of order) {
    moved[index] = Math.max(moved[index], least);
    least = moved[index] + gap;
  }
  let most = high;
  for (const index of order.toReversed()) {
    moved[index] = Math.max(low, Math.min(moved[index], most));
    most = moved[index] - gap;
  }
  return moved;
}
