import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DUE_EDGES_SECONDS } from '#services/platform/metrics/bounds.ts';
import { AnswerRate, DeadlineSlack } from './deadline-slack.ts';
import { OpenRequests } from './open-requests.ts';

type Request = { mode: number; trtSeconds: number; leftMs: number; isBreached: boolean; isAnswered: boolean };

const NOW_MS = 1_000_000_000;
const requests: fc.Arbitrary<Request[]> = fc.array(
  fc.record({
    mode: fc.nat(1),
    trtSeconds: fc.constantFrom(16, 30, 5600, 86_400),
    leftMs: fc.integer({ min: 0, max: 200_000_000 }),
    isBreached: fc.boolean(),
    isAnswered: fc.boolean(),
  }),
  { maxLength: 60 },
);

function openOf(all: readonly Request[]): OpenRequests {
  const open = new OpenRequests();
  all.forEach(({ mode, trtSeconds, leftMs, isBreached }, offset) => {
    const index = open.add(mode, offset);
    open.trtSeconds[index] = trtSeconds;
    open.deadlineMs[index] = NOW_MS + leftMs;
    open.isBreached[index] = isBreached ? 1 : 0;
  });
  all.forEach(({ mode, isAnswered }, offset) => {
    if (isAnswered) open.remove(open.find(mode, offset));
  });
  return open;
}

describe('the time that open requests have left', () => {
  test('is what counting them one by one gives, over several partitions, breached and answered ones left out', () => {
    fc.assert(
      fc.property(fc.array(requests, { maxLength: 3 }), (partitions) => {
        const slack = new DeadlineSlack();
        for (const all of partitions) slack.add(openOf(all), NOW_MS);
        const left = partitions.flat().filter(({ isBreached, isAnswered }) => !isBreached && !isAnswered);
        for (const mode of [0, 1]) {
          const ofMode = left.filter((one) => one.mode === mode);
          expect(slack.dueWithin(mode)).toEqual(
            DUE_EDGES_SECONDS.map((edge) => ofMode.filter(({ leftMs }) => leftMs <= edge * 1000).length),
          );
          const oldest = new Map<number, number>();
          for (const { trtSeconds, leftMs } of ofMode) {
            const used = Math.max(0, 1 - leftMs / 1000 / trtSeconds);
            oldest.set(trtSeconds, Math.max(oldest.get(trtSeconds) ?? 0, used));
          }
          const found = slack.oldest(mode).map(({ trtSeconds, share }) => [trtSeconds, share] as const);
          expect(new Map(found)).toEqual(oldest);
        }
      }),
    );
  });

  test.each([
    ['600 due within 300 s at one a second', 300, 600, 1, 2],
    ['the same at four a second', 300, 600, 4, 0.5],
    ['the same at none', 300, 600, 0, Number.POSITIVE_INFINITY],
    ['nothing open, nothing answered', 300, 0, 0, 0],
  ])('%s take %s times the time there is: %s', (_, leftSeconds, count, perSecond, expected) => {
    const slack = new DeadlineSlack();
    const all = Array.from({ length: count }, () => ({
      mode: 0,
      trtSeconds: 86_400,
      leftMs: leftSeconds * 1000,
      isBreached: false,
      isAnswered: false,
    }));
    slack.add(openOf(all), NOW_MS);
    expect(slack.projectedDrain(0, perSecond)).toBe(expected);
  });
});

describe('the rate of answers', () => {
  test('is that of the last quarter of an hour of simulated time, by mode, and unknown at first', () => {
    const rate = new AnswerRate();
    const answers = new Float64Array(2);
    const at = (second: number, scheduled: number, onDemand: number) => {
      answers[0] += scheduled;
      answers[1] += onDemand;
      rate.note(second * 1000, answers);
    };
    at(0, 0, 0);
    at(100, 1000, 10);
    expect(rate.perSecond(0)).toBeUndefined();
    for (let second = 110; second <= 3600; second += 10) at(second, 20, 50);
    expect(rate.perSecond(0)).toBeCloseTo(2, 9);
    expect(rate.perSecond(1)).toBeCloseTo(5, 9);
  });
});
