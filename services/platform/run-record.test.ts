import { expect, test } from 'vitest';
import { presentMsOf, type RunRecord } from './run-record.ts';

const WALL_MS = Date.parse('2026-11-24T12:00:00Z');
const START_MS = Date.parse('2026-03-01T00:00:00Z');
const HOUR_MS = 3_600_000;
const run: RunRecord = {
  runId: 'one',
  state: 'RUNNING',
  epochMs: START_MS + 24 * HOUR_MS,
  startMs: START_MS,
  endMs: START_MS + 72 * HOUR_MS,
  countedStartMs: START_MS + 24 * HOUR_MS,
  countedEndMs: START_MS + 48 * HOUR_MS,
  wallEpochMs: WALL_MS,
  speed: 1,
  patienceWallMs: 0,
  scenario: '{}',
};

test.each<[string, Partial<RunRecord>, afterHours: number, hours: number]>([
  ['in real time goes as the wall clock does, from its start', {}, 5, 5],
  ['at a speed goes so many times as fast', { speed: 6 }, 5, 30],
  ['stands at its start until the clock does start', {}, -5, 0],
  ['stands at its start while it is prepared, however long that takes', { state: 'PREPARED' }, 50, 0],
  ['goes no further than its end', {}, 500, 72],
  ['is not set back by the end of its requests', { state: 'ENDED' }, 30, 30],
  ['without a clock is the start of the counted days', { speed: 0 }, 5, 24],
])('the present of a run %s', (_, fields, afterHours, hours) => {
  const presentMs = presentMsOf({ ...run, ...fields }, WALL_MS + afterHours * HOUR_MS);
  expect((presentMs - START_MS) / HOUR_MS).toBe(hours);
});
