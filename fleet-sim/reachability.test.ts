import { describe, expect, test } from 'vitest';
import { isReachable, nextSpellMs, type Reachability } from '#fleet-sim/reachability.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NOW_MS = 20_514 * DAY_MS + 5 * HOUR_MS;
/** About one false alarm in two million. */
const SIGMAS = 5;
const LONG_ONLY = { intermittentShare: 0, intermittentHours: 1 };

describe('meters that do not communicate', () => {
  const cases: (Reachability & { seed: number })[] = [
    { notCommunicatingShare: 0.09, spellDays: 30, ...LONG_ONLY, seed: 1 },
    { notCommunicatingShare: 0.09, spellDays: 30, intermittentShare: 0.25, intermittentHours: 4, seed: 1 },
    { notCommunicatingShare: 0.09, spellDays: 1, intermittentShare: 1, intermittentHours: 0.5, seed: 2 },
    { notCommunicatingShare: 0.5, spellDays: 7, intermittentShare: 0.5, intermittentHours: 100, seed: 3 },
    { notCommunicatingShare: 0.002, spellDays: 365, ...LONG_ONLY, seed: -4 },
  ];
  test.each(cases)('are the stated share at every instant: %o', ({ seed, ...reachability }) => {
    const meters = 40_000;
    const { notCommunicatingShare: share } = reachability;
    for (const atMs of [0, 1, 7 * HOUR_MS, 6 * DAY_MS, 31 * DAY_MS, 400 * DAY_MS]) {
      const silent = countSilent(seed, meters, NOW_MS + atMs, reachability);
      expect(Math.abs(silent - share * meters)).toBeLessThan(SIGMAS * Math.sqrt(share * (1 - share) * meters));
    }
  });

  test.each([0, 1])('are none or all where the share is %d', (notCommunicatingShare) => {
    const reachability = { notCommunicatingShare, spellDays: 10, intermittentShare: 0.25, intermittentHours: 4 };
    expect(countSilent(5, 2_000, NOW_MS, reachability)).toBe(2_000 * notCommunicatingShare);
  });

  test('stay as they are until their next spell, which is spellDays after the last', () => {
    for (const spellDays of [1, 2, 7, 30]) {
      const reachability = { notCommunicatingShare: 0.5, spellDays, ...LONG_ONLY };
      for (let meter = 0; meter < 200; meter++) {
        const next = nextSpellMs(9, meter, NOW_MS, reachability);
        expect(next).toBeGreaterThan(NOW_MS);
        expect(next - NOW_MS).toBeLessThanOrEqual(spellDays * DAY_MS);
        const state = isReachable(9, meter, NOW_MS, reachability);
        for (const atMs of [NOW_MS + (next - NOW_MS) / 3, next - 1].map(Math.floor)) {
          expect(isReachable(9, meter, atMs, reachability)).toBe(state);
          expect(nextSpellMs(9, meter, atMs, reachability)).toBe(next);
        }
        expect(nextSpellMs(9, meter, next, reachability) - next).toBe(spellDays * DAY_MS);
      }
    }
  });

  test('with intermittent ones change nowhere but at nextSpellMs, and the intermittent come back within hours', () => {
    const reachability = { notCommunicatingShare: 0.4, spellDays: 20, intermittentShare: 0.5, intermittentHours: 3 };
    let cameBack = 0;
    for (let meter = 0; meter < 100; meter++) {
      let atMs = NOW_MS;
      for (let spell = 0; spell < 8; spell++) {
        const next = nextSpellMs(6, meter, atMs, reachability);
        const state = isReachable(6, meter, atMs, reachability);
        for (let probe = atMs; probe < next; probe += 600_000) {
          expect(isReachable(6, meter, probe, reachability)).toBe(state);
        }
        expect(next - atMs).toBeLessThanOrEqual(3 * HOUR_MS);
        if (!state && isReachable(6, meter, next, reachability)) cameBack++;
        atMs = next;
      }
    }
    expect(cameBack).toBeGreaterThan(50);
  });

  test('change at different times: spells of the meters begin evenly over spellDays', () => {
    const reachability = { notCommunicatingShare: 0.1, spellDays: 10, ...LONG_ONLY };
    const begins = new Int32Array(10);
    for (let meter = 0; meter < 20_000; meter++) {
      begins[Math.floor((nextSpellMs(3, meter, NOW_MS, reachability) - NOW_MS - 1) / DAY_MS)]++;
    }
    for (const count of begins) expect(Math.abs(count - 2_000)).toBeLessThan(SIGMAS * Math.sqrt(2_000 * 0.9));
  });

  test('are as likely silent in the next spell whatever they were in this one', () => {
    const reachability = { notCommunicatingShare: 0.3, spellDays: 5, ...LONG_ONLY };
    const counts = [0, 0];
    const silentNext = [0, 0];
    for (let meter = 0; meter < 40_000; meter++) {
      const now = isReachable(11, meter, NOW_MS, reachability) ? 1 : 0;
      counts[now]++;
      if (!isReachable(11, meter, nextSpellMs(11, meter, NOW_MS, reachability), reachability)) silentNext[now]++;
    }
    for (const now of [0, 1]) {
      const share = silentNext[now] / counts[now];
      expect(Math.abs(share - 0.3)).toBeLessThan(SIGMAS * Math.sqrt((0.3 * 0.7) / counts[now]));
    }
  });
});

function countSilent(seed: number, meters: number, atMs: number, reachability: Reachability): number {
  let silent = 0;
  for (let meter = 0; meter < meters; meter++) if (!isReachable(seed, meter, atMs, reachability)) silent++;
  return silent;
}
