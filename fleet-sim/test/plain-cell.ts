import { type CellSettings, LANE, OUTCOME, type Outcome } from '#fleet-sim/cell.ts';
import { draw32, drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { isReachable } from '#fleet-sim/reachability.ts';
import { QUANTILE_BITS } from '#fleet-sim/service-time.ts';
import { type Answer, MS_A_DAY, ORIGIN_DAY, type Request } from '#fleet-sim/test/cell-run.ts';

const { data: DATA, cannotCommunicate: E20, noResponse: E21 } = OUTCOME;

export type Span = { fromMs: number; toMs: number };
type Walker = Request & {
  number: number;
  attempt: number;
  offeredMs: number;
  waitsFromMs: number;
  startMs: number;
  dueMs: number;
  outcome: Outcome;
};

/**
 * The rules of a cell on plain arrays, a millisecond after the other: exchanges that end, then a change of capacity,
 * then retries, then new requests, each followed by whatever may start.
 */
export function walk(settings: CellSettings, requests: readonly Request[], seed: number, fromMs: number) {
  const answers: Answer[] = [];
  const exchanges: Span[] = [];
  const waits: [Span[], Span[]] = [[], []];
  /** In the order in which turns come: on demand let go by its meter, on demand, scheduled let go, scheduled. */
  const lines: Walker[][] = [[], [], [], []];
  const atMeters = new Map<number, Walker[]>();
  const inBackOff: Walker[] = [];
  let inExchange: Walker[] = [];
  let capacity = settings.exchangesMax;
  let startsFromMs = 0;
  let next = 0;
  let nowMs = fromMs;

  const lineOf = ({ lane }: Walker, isLetGo: boolean) => lines[(lane === LANE.onDemand ? 0 : 2) + (isLetGo ? 0 : 1)];
  const isBusy = (meter: number) => inExchange.some((other) => other.meter === meter);
  const answer = (walker: Walker, outcome: Outcome) => answers.push({ request: walker.number, outcome, atMs: nowMs });

  /** The first at the meter, on demand before scheduled, unless one before it in its lane has been let go. */
  const letGo = (meter: number) => {
    const waiting = atMeters.get(meter) ?? [];
    const first = waiting.find(({ lane }) => lane === LANE.onDemand) ?? waiting[0];
    if (first === undefined || lineOf(first, true).some((other) => other.meter === meter)) return;
    atMeters.set(
      meter,
      waiting.filter((walker) => walker !== first),
    );
    lineOf(first, true).push(first);
  };

  const start = (walker: Walker) => {
    const { meter, lane, kind, number } = walker;
    waits[lane].push({ fromMs: walker.waitsFromMs, toMs: nowMs });
    walker.attempt++;
    walker.startMs = nowMs;
    const bits = draw32(seed, meter, (number << 4) | walker.attempt, PURPOSE.serviceTime);
    const isFailed = (bits % 2 ** (32 - QUANTILE_BITS)) / 2 ** (32 - QUANTILE_BITS) < settings.attemptFailureShare;
    if (!isReachable(seed, meter, ORIGIN_DAY * MS_A_DAY + nowMs, settings.reachability)) walker.outcome = E20;
    else walker.outcome = isFailed ? E21 : DATA;
    const answerMs = settings.serviceTimes[kind][Math.floor(bits / 2 ** (32 - QUANTILE_BITS))];
    walker.dueMs = nowMs + (walker.outcome === DATA ? answerMs : settings.noAnswerMs);
    inExchange.push(walker);
    startsFromMs = (nowMs - startsFromMs < 1 ? startsFromMs : nowMs) + 1_000 / settings.startsPerSecondMax;
  };

  const startWhatMay = () => {
    while (inExchange.length < capacity && startsFromMs <= nowMs) {
      const line = lines.find(({ length }) => length > 0);
      const walker = line?.shift();
      if (walker === undefined) return;
      const { meter, lane } = walker;
      if (isBusy(meter)) {
        const waiting = atMeters.get(meter) ?? [];
        atMeters.set(meter, line === lines[2] ? [walker, ...waiting] : [...waiting, walker]);
      } else if (nowMs - walker.offeredMs > settings.retry[lane].giveUpMs) {
        waits[lane].push({ fromMs: walker.waitsFromMs, toMs: nowMs });
        letGo(meter);
        answer(walker, E21);
      } else {
        start(walker);
      }
    }
  };

  const end = (walker: Walker, outcome: Outcome) => {
    inExchange = inExchange.filter((other) => other !== walker);
    exchanges.push({ fromMs: walker.startMs, toMs: nowMs });
    letGo(walker.meter);
    const { attemptsMax, backoffMs, factor, giveUpMs } = settings.retry[walker.lane];
    const jitter = drawUnit(seed, walker.meter, (walker.number << 4) | walker.attempt, PURPOSE.retryJitter);
    walker.dueMs = nowMs + Math.round(backoffMs * factor ** (walker.attempt - 1) * (0.5 + jitter));
    const isTriedAgain = walker.attempt < attemptsMax && walker.dueMs - walker.offeredMs <= giveUpMs;
    if (outcome !== DATA && isTriedAgain) inBackOff.push(walker);
    else answer(walker, outcome);
  };

  const enqueue = (walker: Walker) => {
    walker.waitsFromMs = nowMs;
    lineOf(walker, false).push(walker);
    startWhatMay();
  };

  for (; answers.length < requests.length; nowMs++) {
    const isDue = ({ dueMs }: Walker) => dueMs === nowMs;
    const isChanging = capacityAt(settings, nowMs) !== capacity;
    for (let done = inExchange.find(isDue); done !== undefined; done = inExchange.find(isDue)) {
      end(done, done.outcome);
      if (!isChanging) startWhatMay();
    }
    if (isChanging) {
      capacity = capacityAt(settings, nowMs);
      if (capacity === 0) for (const lost of inExchange.toSorted((a, b) => a.dueMs - b.dueMs)) end(lost, E21);
      startWhatMay();
    }
    for (let again = inBackOff.findIndex(isDue); again !== -1; again = inBackOff.findIndex(isDue)) {
      enqueue(inBackOff.splice(again, 1)[0]);
    }
    startWhatMay();
    for (; next < requests.length && fromMs + requests[next].atMs === nowMs; next++) {
      const rest = { number: next, attempt: 0, offeredMs: nowMs, waitsFromMs: nowMs, startMs: 0, dueMs: 0 };
      enqueue({ ...requests[next], ...rest, outcome: DATA });
    }
  }
  return { answers, exchanges, waits };
}

function capacityAt({ exchangesMax, outages }: CellSettings, ms: number): number {
  const latest = outages.findLast(({ startMs }) => startMs <= ms);
  if (latest === undefined) return exchangesMax;
  const { endMs, recoveryMs } = latest;
  if (ms < endMs) return 0;
  if (ms >= endMs + recoveryMs) return exchangesMax;
  return Math.max(1, Math.floor((exchangesMax * (ms - endMs)) / recoveryMs));
}
