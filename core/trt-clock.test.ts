import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deadlineMs, endClock, holdClock, isBreach, releaseClock, standsAt, startClock } from './trt-clock.ts';

describe('the TRT clock', () => {
  test('an answer at the very deadline is within the TRT, one a millisecond later is not', () => {
    expect(deadlineMs(1000, 30, 0)).toBe(31_000);
    expect(isBreach(1000, 30, 0, 31_000)).toBe(false);
    expect(isBreach(1000, 30, 0, 31_001)).toBe(true);
  });

  test('time in quarantine does not count', () => {
    expect(deadlineMs(0, 30, 600_000)).toBe(630_000);
    const clock = startClock(0, 30);
    holdClock(clock, 10_000);
    expect(standsAt(clock, 1_000_000)).toBe('held');
    releaseClock(clock, 1_000_000);
    expect(standsAt(clock, 1_020_000)).toBe('open');
    expect(standsAt(clock, 1_020_001)).toBe('breach');
  });

  test('a request is a breach once its deadline has passed, and stays one when an answer comes', () => {
    const clock = startClock(0, 16);
    expect(standsAt(clock, 16_000)).toBe('open');
    expect(standsAt(clock, 16_001)).toBe('breach');
    endClock(clock, 20_000);
    expect(standsAt(clock, 25_000)).toBe('breach');
  });

  test('an answered request never becomes a breach', () => {
    const clock = startClock(0, 16);
    endClock(clock, 16_000);
    expect(standsAt(clock, 15_999)).toBe('open');
    expect(standsAt(clock, 16_000)).toBe('within');
    expect(standsAt(clock, 10_000_000)).toBe('within');
  });

  test('counts the milliseconds on which it ran, however often it was held', () => {
    const spans = fc.array(fc.record({ runMs: fc.nat({ max: 10_000 }), heldMs: fc.nat({ max: 10_000 }) }), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(spans, fc.nat({ max: 10_000 }), fc.integer({ min: 1, max: 40 }), (holds, lastMs, trtSeconds) => {
        const clock = startClock(5000, trtSeconds);
        let now = 5000;
        let ranMs = lastMs;
        for (const { runMs, heldMs } of holds) {
          ranMs += runMs;
          holdClock(clock, now + runMs);
          now += runMs + heldMs;
          releaseClock(clock, now);
        }
        endClock(clock, now + lastMs);
        expect(standsAt(clock, now + lastMs)).toBe(ranMs <= trtSeconds * 1000 ? 'within' : 'breach');
      }),
    );
  });

  test('crashes when it is held twice, released unheld or ended twice', () => {
    const clock = startClock(0, 30);
    expect(() => releaseClock(clock, 1)).toThrow();
    holdClock(clock, 1);
    expect(() => holdClock(clock, 2)).toThrow();
    expect(() => endClock(clock, 2)).toThrow();
    releaseClock(clock, 3);
    endClock(clock, 4);
    expect(() => endClock(clock, 5)).toThrow();
  });
});
