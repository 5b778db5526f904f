import { type Counters, ROW, rowAt } from './counters.ts';
import type { Model } from './model.ts';
import { readThreshold } from './threshold.ts';

/**
 * What estimates need of each simulated cell, one record a cell:
 *
 *   [cell, (numerator, denominator) for each threshold, (within TRT, requests) for each row of the TRT table]
 */
export function recordLength(model: Model): number {
  return 1 + 2 * model.thresholds.length + 2 * model.rows;
}

export function writeRecord(
  model: Model,
  cell: number,
  network: number,
  counted: Float64Array,
  out: Float64Array,
  at: number,
): void {
  out[at] = cell;
  model.thresholds.forEach((threshold, k) => {
    readThreshold(threshold, model.counters, counted, network, out, at + 1 + 2 * k);
  });
  const rowsAt = at + 1 + 2 * model.thresholds.length;
  for (let row = 0; row < model.rows; row++) {
    out[rowsAt + 2 * row] = sumOverDays(model.counters, counted, row, ROW.within);
    out[rowsAt + 2 * row + 1] = sumOverDays(model.counters, counted, row, ROW.requests);
  }
}

function sumOverDays(layout: Counters, counted: Float64Array, row: number, field: number): number {
  let sum = 0;
  for (let day = 0; day < layout.days; day++) sum += counted[rowAt(layout, day, row) + field];
  return sum;
}

/** Place of a threshold's numerator in a record; its denominator follows. */
export function thresholdPlace(threshold: number): number {
  return 1 + 2 * threshold;
}

/** Place of a row's requests within TRT in a record; its requests follow. */
export function rowPlace(model: Model, row: number): number {
  return 1 + 2 * model.thresholds.length + 2 * row;
}
