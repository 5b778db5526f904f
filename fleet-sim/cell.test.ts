import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cell, type CellSettings, LANE, type Lane, OUTCOME, type Outcome, type RetryPolicy } from '#fleet-sim/cell.ts';
import { isReachable } from '#fleet-sim/reachability.ts';
import { serviceTimeTable } from '#fleet-sim/service-time.ts';
import {
  at,
  MS_A_DAY,
  newRig,
  ONCE,
  ORIGIN_DAY,
  type Request,
  type Run,
  settingsOf,
  simulate,
  TABLES,
} from '#fleet-sim/test/cell-run.ts';
import { type Span, walk } from '#fleet-sim/test/plain-cell.ts';

const { scheduled: SCHEDULED, onDemand: ON_DEMAND } = LANE;
const { data: DATA, cannotCommunicate: E20, noResponse: E21 } = OUTCOME;
/** Runs of the plain model begin a little before a midnight, at which meters fall silent or come back. */
const FROM_MS = MS_A_DAY - 400;
/** About one false alarm in two million. */
const SIGMAS = 5;

describe('one exchange a meter at a time', () => {
  test('a request for a meter in exchange waits, lets others pass, and is first in its lane when the meter is free', () => {
    const requests = [at(0, 0), at(1, 0), at(2, 1), at(3, 2), at(4, 3), at(5, 4)];
    const { answers } = simulate(settingsOf({ exchangesMax: 2 }), requests);
    // 0 and 2 start; at 100 meter 0 is free: request 1 goes before 3; 2 ends at 102, and 3 follows; then 4 and 5.
    expect(answers.map(({ request, atMs }) => [request, atMs])).toEqual([
      [0, 100],
      [2, 102],
      [1, 200],
      [3, 202],
      [4, 300],
      [5, 302],
    ]);
  });

  test('an on demand request does not wait at its meter behind a scheduled one', () => {
    const requests = [at(0, 0), at(1, 0), at(2, 0, ON_DEMAND), at(3, 0), at(4, 0, ON_DEMAND)];
    expect(orderOf(simulate(settingsOf({ exchangesMax: 5 }), requests))).toEqual([0, 2, 4, 1, 3]);
  });

  test('requests of one meter and lane keep their order when an on demand one goes between', () => {
    // With two exchanges 1 and 2 wait at their meter; 4 and 5 pass them there, and 1 stays before 2.
    const requests = [at(0, 0), at(1, 0), at(2, 0), at(3, 1, ON_DEMAND), at(4, 0, ON_DEMAND), at(5, 0, ON_DEMAND)];
    for (const exchangesMax of [1, 2, 3]) {
      const order = orderOf(simulate(settingsOf({ exchangesMax }), requests)).filter((n) => n !== 3);
      expect(order).toEqual([0, 4, 5, 1, 2]);
    }
  });

  test('a request behind one that is given up when its turn comes is let go in its place', () => {
    // On demand ones take the exchanges at 3 and at 100, so that request 1, let go at 100, has its turn at 103.
    const requests = [at(0, 0), at(1, 0), at(2, 0), at(3, 1, ON_DEMAND), at(4, 2, ON_DEMAND)];
    const settings = settingsOf({ exchangesMax: 2, retry: [{ ...ONCE, giveUpMs: 101 }, ONCE] });
    expect(simulate(settings, requests).answers).toEqual([
      { request: 0, outcome: DATA, atMs: 100 },
      { request: 3, outcome: DATA, atMs: 103 },
      { request: 1, outcome: E21, atMs: 103 },
      { request: 4, outcome: DATA, atMs: 200 },
      { request: 2, outcome: DATA, atMs: 203 },
    ]);
  });
});

describe('the two lanes', () => {
  test('within a lane the first to come is the first to start', () => {
    const requests = Array.from({ length: 50 }, (_, n) => at(n % 7 === 0 ? n : n - 1, n)).sort(
      (a, b) => a.atMs - b.atMs,
    );
    expect(orderOf(simulate(settingsOf({ exchangesMax: 1 }), requests))).toEqual(requests.map((_, n) => n));
  });

  test('on demand goes before scheduled whenever an exchange is free, and interrupts none', () => {
    const requests = [at(0, 0), at(1, 1), at(2, 2), at(10, 3, ON_DEMAND), at(150, 4, ON_DEMAND), at(160, 5, ON_DEMAND)];
    const { answers } = simulate(settingsOf({ exchangesMax: 1 }), requests);
    expect(answers.map(({ request, atMs }) => [request, atMs])).toEqual([
      [0, 100],
      [3, 200],
      [4, 300],
      [5, 400],
      [1, 500],
      [2, 600],
    ]);
  });
});

describe('retries', () => {
  const silent = {
    reachability: { notCommunicatingShare: 1, spellDays: 10, intermittentShare: 0, intermittentHours: 1 },
  };
  const failing = { attemptFailureShare: 1 };
  const policy = { attemptsMax: 4, backoffMs: 1_000, factor: 3, giveUpMs: MS_A_DAY };

  test.each([
    ['a silent meter', silent, E20],
    ['a meter whose attempts fail', failing, E21],
  ])('%s is tried attemptsMax times, by the policy of its lane', (_, cause, outcome) => {
    for (const lane of [SCHEDULED, ON_DEMAND]) {
      for (let attemptsMax = 1; attemptsMax <= 15; attemptsMax++) {
        const own = { ...policy, factor: 1, attemptsMax };
        const retry: [RetryPolicy, RetryPolicy] = lane === SCHEDULED ? [own, ONCE] : [ONCE, own];
        const run = simulate(settingsOf({ ...cause, retry }), [at(0, 0, lane)]);
        expect([run.startsMs.length, run.busyMs[0]]).toEqual([attemptsMax, attemptsMax * 70]);
        expect(run.answers.map((answer) => answer.outcome)).toEqual([outcome]);
        expect(run.answers[0].atMs).toBe(run.startsMs[attemptsMax - 1] + 70);
      }
    }
  });

  test('each wait is half to one and a half times a back-off that grows by its factor, evenly', () => {
    const settings = settingsOf({ ...failing, retry: [policy, ONCE] });
    const shares = [0, 1, 2].map(() => [] as number[]);
    for (let seed = 0; seed < 2_000; seed++) {
      const { startsMs } = simulate(settings, [at(0, 0)], { seed });
      expect(startsMs).toHaveLength(4);
      for (let k = 0; k < 3; k++) shares[k].push((startsMs[k + 1] - startsMs[k] - 70) / (1_000 * 3 ** k));
    }
    for (const share of shares) {
      expect(Math.min(...share)).toBeGreaterThanOrEqual(0.4995);
      expect(Math.max(...share)).toBeLessThanOrEqual(1.5005);
      expect(Math.min(...share)).toBeLessThan(0.51);
      expect(Math.max(...share)).toBeGreaterThan(1.49);
      const mean = share.reduce((sum, x) => sum + x, 0) / share.length;
      expect(Math.abs(mean - 1)).toBeLessThan(SIGMAS * Math.sqrt(1 / 12 / share.length));
    }
  });

  test('a retry that would come later than giveUpMs is not waited for', () => {
    for (let seed = 0; seed < 200; seed++) {
      const patient = simulate(settingsOf({ ...silent, retry: [policy, ONCE] }), [at(0, 0)], { seed }).startsMs;
      const giveUpMs = patient[2];
      const justInTime = settingsOf({ ...silent, retry: [{ ...policy, giveUpMs }, ONCE] });
      expect(simulate(justInTime, [at(0, 0)], { seed }).startsMs).toEqual(patient.slice(0, 3));
      const tooLate = settingsOf({ ...silent, retry: [{ ...policy, giveUpMs: giveUpMs - 1 }, ONCE] });
      const { startsMs, answers } = simulate(tooLate, [at(0, 0)], { seed });
      expect(startsMs).toEqual(patient.slice(0, 2));
      expect(answers).toEqual([{ request: 0, outcome: E20, atMs: patient[1] + 70 }]);
    }
  });

  test('a request older than giveUpMs when its turn comes is answered E21 without an exchange', () => {
    const requests = [at(0, 0), at(0, 1), at(1, 2), at(1, 3, ON_DEMAND)];
    for (const [giveUpMs, outcome, atMs] of [
      [199, E21, 200],
      [200, DATA, 300],
    ]) {
      const run = simulate(settingsOf({ exchangesMax: 1, retry: [{ ...ONCE, giveUpMs }, ONCE] }), requests);
      expect(run.answers.find(({ request }) => request === 1)).toEqual({ request: 1, outcome, atMs });
    }
  });

  test('E20 comes from silent meters and E21 from failed attempts, in their shares; the others bring data', () => {
    const meters = 40_000;
    const settings = settingsOf({
      exchangesMax: 1_000,
      reachability: { notCommunicatingShare: 0.09, spellDays: 30, intermittentShare: 0, intermittentHours: 1 },
      attemptFailureShare: 0.2,
      retry: [{ attemptsMax: 3, backoffMs: 500, factor: 2, giveUpMs: MS_A_DAY }, ONCE],
    });
    const requests = Array.from({ length: meters }, (_, meter) => at(meter, meter));
    const { answers, startsMs } = simulate(settings, requests);
    const count = (outcome: Outcome) => answers.filter((answer) => answer.outcome === outcome).length;
    expectShare(count(E20), 0.09, meters);
    expectShare(count(E21), 0.91 * 0.2 ** 3, meters);
    expect(count(DATA)).toBe(meters - count(E20) - count(E21));
    expectShare(startsMs.length - meters - 2 * count(E20), 0.91 * (0.2 + 0.2 ** 2), meters);
  });

  test('a meter is silent by its spells, with time counted from midnight UTC of the origin', () => {
    const reachability = { notCommunicatingShare: 0.5, spellDays: 3, intermittentShare: 0, intermittentHours: 1 };
    const requests = Array.from({ length: 400 }, (_, n) => at(Math.floor(n / 20) * (MS_A_DAY / 2) + n, n % 20));
    const { answers } = simulate(settingsOf({ exchangesMax: 20, reachability }), requests, { firstMeter: 1_234 });
    for (const { request, outcome } of answers) {
      const askedMs = ORIGIN_DAY * MS_A_DAY + requests[request].atMs;
      expect(outcome).toBe(isReachable(1, 1_234 + (request % 20), askedMs, reachability) ? DATA : E20);
    }
  });
});

describe('an outage', () => {
  const retry: [RetryPolicy, RetryPolicy] = [{ ...ONCE, attemptsMax: 2, backoffMs: 10 }, ONCE];
  const saturated = Array.from({ length: 200 }, (_, n) => at(0, n));

  test('loses the exchanges in progress, which are retried, and holds the queue until it ends', () => {
    const outages = [{ startMs: 150, endMs: 1_000, recoveryMs: 0 }];
    const requests = [at(0, 0), at(0, 1), at(1, 2), at(2, 3), at(500, 4, ON_DEMAND)];
    const { answers, startsMs, busyMs } = simulate(settingsOf({ exchangesMax: 2, outages, retry }), requests);
    expect(startsMs).toEqual([0, 0, 100, 100, 1_000, 1_000, 1_100]);
    expect(busyMs[0]).toBe(2 * 100 + 2 * 50 + 3 * 100);
    // 2 and 3 were lost at 150 and come back behind the on demand request that came meanwhile.
    expect(answers.map(({ request, atMs, outcome }) => [request, atMs, outcome])).toEqual([
      [0, 100, DATA],
      [1, 100, DATA],
      [4, 1_100, DATA],
      [answers[3].request, 1_100, DATA],
      [answers[4].request, 1_200, DATA],
    ]);
  });

  test('answers E21 at once what was in progress and has no attempt left; an exchange that ends at its start counts', () => {
    const outages = [{ startMs: 100, endMs: 300, recoveryMs: 0 }];
    const { answers } = simulate(settingsOf({ outages }), [at(0, 0), at(1, 1)]);
    expect(answers).toEqual([
      { request: 0, outcome: DATA, atMs: 100 },
      { request: 1, outcome: E21, atMs: 100 },
    ]);
  });

  test('lets exchanges come back one by one, evenly over the recovery', () => {
    const exchangesMax = 8;
    for (const recoveryMs of [3, 8, 80, 1_001]) {
      const serviceTimes = [serviceTimeTable({ distribution: 'constant', seconds: 60 })];
      const outages = [{ startMs: 5, endMs: 50, recoveryMs }];
      const requests = saturated.map((request) => ({ ...request, atMs: 10 }));
      const { startsMs } = simulate(settingsOf({ exchangesMax, serviceTimes, outages }), requests);
      const expected = Array.from({ length: exchangesMax }, (_, k) =>
        k === 0 ? 50 : 50 + Math.ceil(((k + 1) * recoveryMs) / exchangesMax),
      );
      expect(startsMs.slice(0, exchangesMax)).toEqual(expected);
    }
  });

  test('may follow another, in its recovery too', () => {
    const outages = [
      { startMs: 0, endMs: 1_000, recoveryMs: 0 },
      { startMs: 1_500, endMs: 2_000, recoveryMs: 4_000 },
      { startMs: 3_150, endMs: 3_400, recoveryMs: 0 },
    ];
    const { startsMs } = simulate(settingsOf({ exchangesMax: 4, outages, retry }), saturated);
    const exchanges = startsMs.map((ms) => [ms, ms + 100]);
    const startsIn = (fromMs: number, untilMs: number) => startsMs.filter((ms) => ms >= fromMs && ms < untilMs).length;
    expect([startsIn(0, 1_000), startsIn(1_500, 2_000), startsIn(3_150, 3_400)]).toEqual([0, 0, 0]);
    expect(startsIn(1_000, 1_500)).toBe(4 * 5);
    expect(startsMs.filter((ms) => ms === 3_400)).toHaveLength(4);
    const inExchangeAt = (ms: number) => exchanges.filter(([from, to]) => from <= ms && ms < to).length;
    expect([2_000, 2_999, 3_000, 3_149].map(inExchangeAt)).toEqual([1, 1, 1, 1]);
  });
});

describe('a rate cap', () => {
  const rates = [0.5, 3, 7, 90, 300, 999, 1_000, 2_500, 7_777];

  test.each(rates)('of %d starts a second is reached, and passed by no more than one in any longer window', (rate) => {
    const settings = settingsOf({ exchangesMax: 100_000, startsPerSecondMax: rate });
    const seconds = 10;
    const wanted = Math.ceil(rate * seconds) + 10;
    const { startsMs } = simulate(
      settings,
      Array.from({ length: wanted }, (_, meter) => at(0, meter)),
    );
    expectRateHeld(startsMs, rate);
    expect(startsMs.filter((ms) => ms <= seconds * 1_000).length).toBeGreaterThanOrEqual(Math.floor(rate * seconds));
  });

  test('holds over idle times and bursts, outages and retries', () => {
    fc.assert(
      fc.property(fc.constantFrom(...rates), requestsOf(300, 20_000, 3), fc.integer(), (rate, requests, seed) => {
        const outages = [{ startMs: 1_000, endMs: 3_000, recoveryMs: 0 }];
        const retry: [RetryPolicy, RetryPolicy] = [{ ...ONCE, attemptsMax: 3, backoffMs: 100 }, ONCE];
        const settings = settingsOf({ startsPerSecondMax: rate, outages, retry, attemptFailureShare: 0.5 });
        expectRateHeld(simulate(settings, requests, { seed }).startsMs, rate);
      }),
      { numRuns: 60 },
    );
  });
});

const anyRetry: fc.Arbitrary<RetryPolicy> = fc.record({
  attemptsMax: fc.integer({ min: 1, max: 4 }),
  backoffMs: fc.constantFrom(0, 5, 60),
  factor: fc.constantFrom(1, 1.5, 3),
  giveUpMs: fc.constantFrom(0, 120, 400, MS_A_DAY),
});
const anyOutages = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 300 }), fc.constantFrom(0, 7, 300)), {
    maxLength: 3,
  })
  .map((gaps) => {
    let endMs = FROM_MS;
    return gaps.map(([gapMs, lengthMs, recoveryMs]) => {
      const startMs = endMs + gapMs;
      endMs = startMs + lengthMs;
      return { startMs, endMs, recoveryMs };
    });
  });
const anySettings: fc.Arbitrary<CellSettings> = fc.record({
  exchangesMax: fc.integer({ min: 1, max: 5 }),
  startsPerSecondMax: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 15, 70, 3_000),
  serviceTimes: fc.constant(TABLES),
  noAnswerMs: fc.constantFrom(1, 30, 100),
  attemptFailureShare: fc.constantFrom(0, 0.2, 0.7),
  reachability: fc.record({
    notCommunicatingShare: fc.constantFrom(0, 0.4),
    spellDays: fc.constantFrom(1, 2),
    intermittentShare: fc.constantFrom(0, 0.5),
    intermittentHours: fc.constantFrom(0.5, 3),
  }),
  retry: fc.tuple(anyRetry, anyRetry),
  outages: anyOutages,
});

describe('a cell under any sequence of events', () => {
  test('does what a plain model does that walks through every millisecond, at the same instants', () => {
    fc.assert(
      fc.property(anySettings, requestsOf(60, 900, 6), fc.integer(), (settings, requests, seed) => {
        const expected = walk(settings, requests, seed, FROM_MS);
        const run = simulate(settings, requests, { seed, fromMs: FROM_MS });
        expect(run.answers).toEqual(expected.answers);
        expect(run.startsMs).toEqual(expected.exchanges.map(({ fromMs }) => fromMs).sort((a, b) => a - b));
        expect(run.answers.map(({ request }) => request).sort((a, b) => a - b)).toEqual([...requests.keys()]);
      }),
      { numRuns: 600 },
    );
  });

  test('accounts for every millisecond of exchanges and waits, also of those open when a run ends', () => {
    fc.assert(
      fc.property(
        anySettings,
        requestsOf(60, 900, 6),
        fc.integer(),
        fc.integer({ min: 0, max: 1_500 }),
        (settings, requests, seed, forMs) => {
          const expected = walk(settings, requests, seed, FROM_MS);
          const rig = newRig(1, forMs + 1, FROM_MS);
          const run = simulate(settings, requests, { seed, fromMs: FROM_MS, untilMs: FROM_MS + forMs, rig });
          const inTime = expected.answers.filter(({ atMs }) => atMs <= FROM_MS + forMs);
          const taken = requests.filter(({ atMs }) => atMs <= forMs).length;
          expect(run.answers).toEqual(inTime);
          expect(rig.cell.open).toBe(taken - inTime.length);
          expect(Math.max(...run.busyMs)).toBeLessThanOrEqual(settings.exchangesMax);
          expect(run.busyMs).toEqual(countByMs(expected.exchanges, forMs));
          expect(run.queueMs).toEqual(expected.waits.map((waits) => countByMs(waits, forMs)));
        },
      ),
      { numRuns: 400 },
    );
  });

  test('does the same for the same input, whatever it did before it was reset', () => {
    fc.assert(
      fc.property(
        anySettings,
        anySettings,
        requestsOf(60, 900, 9),
        requestsOf(60, 900, 6),
        fc.integer(),
        fc.integer({ min: 0, max: 1_500 }),
        (before, settings, firstRequests, requests, seed, forMs) => {
          const alone = simulate(settings, requests, { seed, fromMs: FROM_MS });
          const used = newRig();
          simulate(before, firstRequests, { seed: seed ^ 5, fromMs: FROM_MS, untilMs: FROM_MS + forMs, rig: used });
          expect(simulate(settings, requests, { seed, fromMs: FROM_MS, rig: used })).toEqual(alone);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('depends on the meters, not on where its own first one stands', () => {
    fc.assert(
      fc.property(anySettings, requestsOf(40, 900, 6), fc.integer(), (settings, requests, seed) => {
        const shifted = requests.map((request) => ({ ...request, meter: request.meter + 1_000 }));
        const own = simulate(settings, requests, { seed, firstMeter: 5_000, fromMs: FROM_MS });
        expect(simulate(settings, shifted, { seed, firstMeter: 4_000, fromMs: FROM_MS })).toEqual(own);
      }),
      { numRuns: 60 },
    );
  });
});

describe('slots', () => {
  test('a request may be taken long before it is handed over, or given back without', () => {
    const rig = newRig();
    rig.cell.reset(settingsOf({}), 1, 0, 10, ORIGIN_DAY);
    const held = rig.cell.take(0, ON_DEMAND, 0, 0);
    const dropped = rig.cell.take(1, ON_DEMAND, 0, 1);
    expect([rig.cell.open, rig.cell.nextAtMs]).toEqual([2, Number.POSITIVE_INFINITY]);
    rig.cell.release(dropped);
    expect(rig.cell.take(2, SCHEDULED, 0, 2)).toBe(dropped);
    rig.cell.enqueue(held, 5_000);
    expect([rig.cell.open, rig.cell.offeredAtMs[held], rig.cell.nextAtMs]).toEqual([2, 5_000, 5_100]);
  });

  test('grow with what is open, and keep what they hold', () => {
    const requests = Array.from({ length: 5_000 }, (_, meter) => at(0, meter));
    const run = simulate(settingsOf({ exchangesMax: 1 }), requests);
    expect(orderOf(run)).toEqual(requests.map((_, n) => n));
  });

  test('an answer may be followed by a new request at once', () => {
    let left = 1_000;
    const endsMs: number[] = [];
    const cell: Cell = new Cell((slot, _outcome, atMs) => {
      endsMs.push(atMs);
      const meter = cell.meter[slot];
      if (left-- > 0) cell.enqueue(cell.take((meter + 3) % 8, (left % 2) as Lane, 0, left), atMs);
    });
    cell.reset(settingsOf({ exchangesMax: 4 }), 1, 0, 8, ORIGIN_DAY);
    for (let meter = 0; meter < 8; meter++) cell.enqueue(cell.take(meter, SCHEDULED, 0, 2_000 + meter), 0);
    while (cell.nextAtMs < Number.POSITIVE_INFINITY) cell.step();
    expect([endsMs.length, cell.open, cell.exchanges]).toEqual([1_008, 0, 1_008]);
    expect(endsMs[1_007]).toBeGreaterThanOrEqual((1_008 / 4) * 100);
  });
});

function requestsOf(countMax: number, spanMs: number, meters: number): fc.Arbitrary<Request[]> {
  const round = fc.integer({ min: 0, max: Math.floor(spanMs / 100) }).map((n) => n * 100);
  const request = fc.record({
    atMs: fc.oneof(fc.integer({ min: 0, max: spanMs }), round),
    meter: fc.integer({ min: 0, max: meters - 1 }),
    lane: fc.constantFrom(SCHEDULED, ON_DEMAND),
    kind: fc.integer({ min: 0, max: 1 }),
  });
  return fc.array(request, { maxLength: countMax, size: 'max' }).map((all) => all.sort((a, b) => a.atMs - b.atMs));
}

function orderOf({ answers }: Run): number[] {
  return answers.map(({ request }) => request);
}

function expectShare(count: number, share: number, of: number): void {
  expect(Math.abs(count - share * of)).toBeLessThan(SIGMAS * Math.sqrt(share * (1 - share) * of));
}

function expectRateHeld(startsMs: readonly number[], rate: number): void {
  for (const windowMs of [1_000, 1_001, 1_500, 4_000]) {
    let first = 0;
    let most = 0;
    for (const [last, ms] of startsMs.entries()) {
      while (ms - startsMs[first] >= windowMs) first++;
      most = Math.max(most, last - first + 1);
    }
    expect(most).toBeLessThanOrEqual((rate * windowMs) / 1_000 + 1);
  }
}

function countByMs(spans: readonly Span[], forMs: number): Float64Array {
  const counts = new Float64Array(forMs + 1);
  for (const { fromMs, toMs } of spans) {
    for (let ms = fromMs; ms < Math.min(toMs, FROM_MS + forMs); ms++) counts[ms - FROM_MS]++;
  }
  return counts;
}
