import { describe, expect, test } from 'vitest';
import { ScheduledPace } from './scheduled-pace.ts';

describe('the pace of scheduled requests', () => {
  test('is full while nothing on demand comes', () => {
    const pace = new ScheduledPace(1);
    for (let wallMs = 0; wallMs < 10_000; wallMs += 5) {
      pace.spent(5, wallMs);
      expect(pace.heldMs(wallMs)).toBe(0);
    }
  });

  test('is full while what is on demand is in time', () => {
    const pace = new ScheduledPace(1);
    for (let wallMs = 0; wallMs < 10_000; wallMs += 5) {
      pace.noteOnDemand(3, wallMs);
      pace.spent(5, wallMs);
      expect(pace.heldMs(wallMs)).toBe(0);
    }
  });

  test('falls fast when that is late, never to nothing, and is full again soon after the last of it', () => {
    const pace = new ScheduledPace(1);
    let wallMs = 0;
    for (; wallMs < 1000; wallMs += 10) pace.noteOnDemand(400, wallMs);
    expect(pace.share).toBeLessThan(0.1);
    expect(pace.share).toBeGreaterThan(0);
    pace.spent(5, wallMs);
    expect(pace.heldMs(wallMs)).toBeCloseTo(5 / pace.share - 5);
    pace.spent(5, wallMs + 2000);
    expect(pace.share).toBe(1);
  });

  test('a service further on allows for each service before it', () => {
    const [first, third] = [new ScheduledPace(1), new ScheduledPace(3)];
    for (let wallMs = 0; wallMs < 1000; wallMs += 10) for (const pace of [first, third]) pace.noteOnDemand(10, wallMs);
    expect(first.share).toBeLessThan(0.1);
    expect(third.share).toBe(1);
  });

  // One processor as a queue has it: what is on demand takes 1 ms, and longer the more of the time is taken by others.
  test.each([
    { others: 0.1, shareMin: 0.5 },
    { others: 0.5, shareMin: 0.15 },
  ])('finds how much of a processor can be had that is $others busy already', ({ others, shareMin }) => {
    const pace = new ScheduledPace(1);
    let onDemandMs = 0;
    let scheduledMs = 0;
    let seen = 0;
    let load = 0;
    for (let wallMs = 0; wallMs < 60_000; wallMs++) {
      const isWorking = pace.heldMs(wallMs) === 0;
      if (isWorking) pace.spent(1, wallMs + 1);
      // The load of the last tenth of a second or so.
      load += ((isWorking ? 1 : 0) - load) / 100;
      if (wallMs % 10 !== 0) continue;
      const lateMs = 1 / Math.max(0.01, 1 - Math.min(1, others + load));
      pace.noteOnDemand(lateMs, wallMs);
      if (wallMs < 10_000) continue;
      seen++;
      onDemandMs += lateMs;
      scheduledMs += load;
    }
    expect(onDemandMs / seen).toBeLessThan(8);
    expect(scheduledMs / seen).toBeGreaterThan(shareMin);
  });
});
