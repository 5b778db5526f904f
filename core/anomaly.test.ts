import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AnomalyThreshold,
  countRequest,
  createAnomalyCounters,
  createQuarantine,
  heldBy,
  hold,
  release,
} from './anomaly.ts';
import { MdrError } from './errors.ts';
import { DEFAULT_MATRIX, srvIndex } from './matrix.ts';

const PROFILE = srvIndex(DEFAULT_MATRIX, '4.8.1');
const LOG = srvIndex(DEFAULT_MATRIX, '4.6.1');
const DAY_SECONDS = 86_400;

function counters(...thresholds: AnomalyThreshold[][]): ReturnType<typeof createAnomalyCounters> {
  const users = thresholds.map((anomalyThresholds, at) => ({ name: `U${at}`, anomalyThresholds }));
  return createAnomalyCounters(users, DEFAULT_MATRIX);
}

describe('anomaly detection', () => {
  test('quarantines only what exceeds the threshold of a period', () => {
    const table = counters([{ srv: '4.8.1', count: 3, periodSeconds: 60 }]);
    const excess = [0, 1, 2, 3, 4, 59_999, 60_000, 60_001].map((ms) => countRequest(table, 0, PROFILE, ms));
    expect(excess).toEqual([false, false, false, true, true, true, false, false]);
  });

  test('of a count of 0 quarantines every request', () => {
    const table = counters([{ srv: '4.8.1', count: 0, periodSeconds: DAY_SECONDS }]);
    expect(countRequest(table, 0, PROFILE, 5)).toBe(true);
  });

  test('aligns periods to the epoch, not to the first request', () => {
    const table = counters([{ srv: '4.8.1', count: 1, periodSeconds: 60 }]);
    expect(countRequest(table, 0, PROFILE, 59_000)).toBe(false);
    expect(countRequest(table, 0, PROFILE, 61_000)).toBe(false);
    expect(countRequest(table, 0, PROFILE, 62_000)).toBe(true);
  });

  test('counts a request that comes more than a period late in the oldest period kept', () => {
    const table = counters([{ srv: '4.8.1', count: 2, periodSeconds: 1 }]);
    for (const ms of [100_000, 101_000, 101_001]) expect(countRequest(table, 0, PROFILE, ms)).toBe(false);
    expect(countRequest(table, 0, PROFILE, 99_000)).toBe(false);
    expect(countRequest(table, 0, PROFILE, 98_000)).toBe(true);
    expect(countRequest(table, 0, PROFILE, 102_000)).toBe(false);
  });

  test('counts each User and SRV apart, and nothing without a threshold', () => {
    const one = { srv: '4.8.1', count: 1, periodSeconds: 60 };
    const table = counters([one], [one], []);
    for (const user of [0, 1]) expect(countRequest(table, user, PROFILE, 0)).toBe(false);
    for (const user of [0, 1]) expect(countRequest(table, user, PROFILE, 0)).toBe(true);
    for (let n = 0; n < 10; n++) {
      expect(countRequest(table, 0, LOG, 0)).toBe(false);
      expect(countRequest(table, 2, PROFILE, 0)).toBe(false);
    }
  });

  test('agrees with a tally by period however requests of neighbouring periods are mixed', () => {
    const thresholds = fc.record({
      count: fc.integer({ min: 0, max: 5 }),
      periodSeconds: fc.constantFrom(1, 60, 3600),
    });
    const requests = fc.array(
      fc.record({ user: fc.nat({ max: 1 }), log: fc.boolean(), forward: fc.nat({ max: 2500 }), late: fc.boolean() }),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(thresholds, thresholds, requests, (a, b, drawn) => {
        const table = counters(
          [
            { srv: '4.8.1', ...a },
            { srv: '4.6.1', ...b },
          ],
          [{ srv: '4.8.1', ...b }],
        );
        const tally = new Map<string, number>();
        let now = 1_772_409_600_000;
        for (const { user, log, forward, late } of drawn) {
          const limit = user === 1 ? (log ? undefined : b) : log ? b : a;
          const periodMs = (limit?.periodSeconds ?? 1) * 1000;
          now += (forward * periodMs) / 2500;
          // A late request comes from the period before the one that is now.
          const newest = Math.max(
            ...[...tally.keys()].filter((k) => k.startsWith(`${user} ${log} `)).map((k) => Number(k.split(' ')[2])),
          );
          const period = late && Number.isFinite(newest) ? newest - 1 : Math.floor(now / periodMs);
          const atMs = late && Number.isFinite(newest) ? period * periodMs + 1 : now;
          const key = `${user} ${log} ${period}`;
          tally.set(key, (tally.get(key) ?? 0) + 1);
          const excess = limit !== undefined && (tally.get(key) as number) > limit.count;
          expect(countRequest(table, user, log ? LOG : PROFILE, atMs)).toBe(excess);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('refuses thresholds that it cannot apply, all at once', () => {
    const bad = [
      { srv: '9.9', count: 1, periodSeconds: 60 },
      { srv: '4.8.1', count: 1.5, periodSeconds: 60 },
      { srv: '4.6.1', count: 1, periodSeconds: 0 },
      { srv: '4.6.1', count: 1, periodSeconds: 60 },
    ];
    try {
      counters(bad);
      expect.fail('accepted');
    } catch (error) {
      expect(error).toBeInstanceOf(MdrError);
      expect((error as MdrError).faults.map(({ expected }) => expected)).toEqual([
        'an SRV of mp162-v0.4',
        'a count from 0',
        'a period above 0 seconds',
        'one threshold an SRV',
      ]);
    }
  });
});

describe('quarantine', () => {
  test('tells how long a request was held, once', () => {
    const quarantine = createQuarantine();
    hold(quarantine, 'a', 0, 1000);
    hold(quarantine, 'a', 0, 5000);
    expect(release(quarantine, 'a', 9000)).toBe(8000);
    expect(release(quarantine, 'a', 9000)).toBeUndefined();
  });

  test('lists what a User has in it, the longest held first', () => {
    const quarantine = createQuarantine();
    hold(quarantine, 'late', 1, 300);
    hold(quarantine, 'early', 1, 100);
    hold(quarantine, 'other', 2, 50);
    expect(heldBy(quarantine, 1).map(({ id }) => id)).toEqual(['early', 'late']);
    release(quarantine, 'early', 400);
    expect(heldBy(quarantine, 1).map(({ id }) => id)).toEqual(['late']);
    expect(heldBy(quarantine, 3)).toEqual([]);
  });
});
