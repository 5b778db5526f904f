import { describe, expect, test } from 'vitest';
import { isReachable, nextSpellDay, type Reachability } from '#fleet-sim/reachability.ts';

const DAY = 20_514;
/** About one false alarm in two million. */
const SIGMAS = 5;

describe('meters that do not communicate', () => {
  const cases: (Reachability & { seed: number })[] = [
    { notCommunicatingShare: 0.09, spellDays: 30, seed: 1 },
    { notCommunicatingShare: 0.09, spellDays: 1, seed: 2 },
    { notCommunicatingShare: 0.5, spellDays: 7, seed: 3 },
    { notCommunicatingShare: 0.002, spellDays: 365, seed: -4 },
  ];
  test.each(cases)('are the stated share on every day: %o', ({ seed, ...reachability }) => {
    const meters = 40_000;
    const { notCommunicatingShare: share } = reachability;
    for (const day of [DAY, DAY + 1, DAY + 6, DAY + 31, DAY + 400]) {
      const silent = countSilent(seed, meters, day, reachability);
      expect(Math.abs(silent - share * meters)).toBeLessThan(SIGMAS * Math.sqrt(share * (1 - share) * meters));
    }
  });

  test.each([0, 1])('are none or all where the share is %d', (notCommunicatingShare) => {
    const silent = countSilent(5, 2_000, DAY, { notCommunicatingShare, spellDays: 10 });
    expect(silent).toBe(2_000 * notCommunicatingShare);
  });

  test('stay as they are until the first day of the next spell, which is spellDays after the last', () => {
    for (const spellDays of [1, 2, 7, 30]) {
      const reachability = { notCommunicatingShare: 0.5, spellDays };
      for (let meter = 0; meter < 200; meter++) {
        let day = DAY;
        let next = nextSpellDay(9, meter, day, reachability);
        expect(next - day).toBeGreaterThan(0);
        expect(next - day).toBeLessThanOrEqual(spellDays);
        const state = isReachable(9, meter, day, reachability);
        for (; day < next; day++) {
          expect(isReachable(9, meter, day, reachability)).toBe(state);
          expect(nextSpellDay(9, meter, day, reachability)).toBe(next);
        }
        next = nextSpellDay(9, meter, day, reachability);
        expect(next - day).toBe(spellDays);
      }
    }
  });

  test('change on different days: spells of the meters begin evenly over spellDays', () => {
    const reachability = { notCommunicatingShare: 0.1, spellDays: 10 };
    const begins = new Int32Array(10);
    for (let meter = 0; meter < 20_000; meter++) begins[nextSpellDay(3, meter, DAY, reachability) - DAY - 1]++;
    for (const count of begins) expect(Math.abs(count - 2_000)).toBeLessThan(SIGMAS * Math.sqrt(2_000 * 0.9));
  });

  test('are as likely silent in the next spell whatever they were in this one', () => {
    const reachability = { notCommunicatingShare: 0.3, spellDays: 5 };
    const counts = [0, 0];
    const silentNext = [0, 0];
    for (let meter = 0; meter < 40_000; meter++) {
      const now = isReachable(11, meter, DAY, reachability) ? 1 : 0;
      counts[now]++;
      if (!isReachable(11, meter, nextSpellDay(11, meter, DAY, reachability), reachability)) silentNext[now]++;
    }
    for (const now of [0, 1]) {
      const share = silentNext[now] / counts[now];
      expect(Math.abs(share - 0.3)).toBeLessThan(SIGMAS * Math.sqrt((0.3 * 0.7) / counts[now]));
    }
  });
});

function countSilent(seed: number, meters: number, day: number, reachability: Reachability): number {
  let silent = 0;
  for (let meter = 0; meter < meters; meter++) if (!isReachable(seed, meter, day, reachability)) silent++;
  return silent;
}
