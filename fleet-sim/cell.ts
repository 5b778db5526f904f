import { MdrError } from '#core/errors.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { draw32, PURPOSE } from './draws.ts';
import { EventHeap } from './event-heap.ts';
import type { Occupancy } from './occupancy.ts';
import { isReachable, nextSpellMs, type Reachability } from './reachability.ts';
import { QUANTILE_BITS } from './service-time.ts';

/** The two priority classes of a network, as indexes. On demand goes first, without pre-emption. */
export const LANE = { scheduled: 0, onDemand: 1 } as const;
export type Lane = (typeof LANE)[keyof typeof LANE];

/** How an exchange with a meter ends for good: data, E20 cannot communicate with device, E21 no response received. */
export const OUTCOME = { data: 0, cannotCommunicate: 1, noResponse: 2 } as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

export type RetryPolicy = {
  /** Exchanges tried for one request, the first included; at most 15. */
  attemptsMax: number;
  /** Wait after the first failed attempt; each later wait is `factor` times the one before. */
  backoffMs: number;
  factor: number;
  /** A request older than this when its turn comes is answered E21 without an exchange. */
  giveUpMs: number;
};

export type CellSettings = {
  /** Concurrent exchanges. */
  exchangesMax: number;
  /** Exchange starts a second at most; Infinity for no cap. */
  startsPerSecondMax: number;
  /** Quantile tables of {@link serviceTimeTable}, one for each kind of request. */
  serviceTimes: readonly Int32Array[];
  /** How long an attempt holds its exchange when the meter does not answer, ms. */
  noAnswerMs: number;
  /** Share of attempts at a communicating meter that fail all the same, 0..1. */
  attemptFailureShare: number;
  reachability: Reachability;
  /** By lane. */
  retry: readonly [RetryPolicy, RetryPolicy];
  /** Ordered, apart from each other; instants in the cell's own time. */
  outages: readonly { startMs: number; endMs: number; recoveryMs: number }[];
};

/** Requests waiting or in exchange in one cell; beyond it the model has run away. Slots take 50 bytes each. */
export const OPEN_REQUESTS_MAX = 1 << 23;
const NONE = -1;
const NEVER = Number.POSITIVE_INFINITY;
const FAILURE_BITS = 32 - QUANTILE_BITS;
/** Bits of a meter's state: in exchange; a scheduled request that it let go stands in the queue. */
const IN_EXCHANGE = 1;
const LET_GO = 2;

/**
 * One cell of a network: its share of the meters behind a fixed number of concurrent exchanges. Two queues, first
 * come first served within each; on demand before scheduled, without pre-emption; one exchange a meter at a time.
 *
 * enqueue --> queue[lane] --dispatch--> exchange --> answer
 *                ^   \ meter busy: waits at the meter, then goes first    |
 *                '---- retry after back-off <---- no answer --------------'
 *
 * Requests are slots of flat arrays; the caller keeps what it knows of a request in arrays of its own by slot.
 * Time is integer milliseconds since an origin at midnight UTC that the caller chooses.
 */
export class Cell {
  /** Slots in use. */
  open = 0;
  exchanges = 0;
  events = 0;
  meter: Int32Array;
  lane: Uint8Array;
  offeredAtMs: Float64Array;
  enqueuedAtMs: Float64Array;
  #kind: Uint8Array;
  #attempt: Uint8Array;
  #failed: Uint8Array;
  #occasion: Int32Array;
  #startedAtMs: Float64Array;
  #next: Int32Array;
  #free = NONE;
  #used = 0;

  #settings!: CellSettings;
  #onAnswer: (slot: number, outcome: Outcome, atMs: number) => void;
  #seed = 0;
  #firstMeter = 0;
  #originDay = 0;
  #busyMeters = new Uint8Array(0);
  #waitingAtMeter = new Int32Array(0);
  /** Until when the meter stays reachable or not; 0 where that has not been asked yet. */
  #spellEndMs = new Float64Array(0);
  #isSilent = new Uint8Array(0);
  /** Per lane: first those let go by their meter, then the others. */
  readonly #heads = new Int32Array(4);
  readonly #tails = new Int32Array(4);
  #queued = 0;
  readonly #completions = new EventHeap(64, OPEN_REQUESTS_MAX);
  readonly #retries = new EventHeap(1024, OPEN_REQUESTS_MAX);
  #capacity = 0;
  #outage = 0;
  #down = false;
  #capacityChangeAtMs = NEVER;
  #startAllowedAtMs = 0;
  #startWakeAtMs = NEVER;
  readonly #busyTime: Occupancy | null;
  readonly #queueTime: readonly [Occupancy, Occupancy] | null;

  /** `onAnswer` is called once a request, when its slot is about to be freed; it may take and enqueue another. */
  constructor(
    onAnswer: (slot: number, outcome: Outcome, atMs: number) => void,
    statistics: { busy: Occupancy; queue: readonly [Occupancy, Occupancy] } | null = null,
  ) {
    this.#onAnswer = onAnswer;
    this.#busyTime = statistics?.busy ?? null;
    this.#queueTime = statistics?.queue ?? null;
    const slots = 1024;
    this.meter = new Int32Array(slots);
    this.lane = new Uint8Array(slots);
    this.offeredAtMs = new Float64Array(slots);
    this.enqueuedAtMs = new Float64Array(slots);
    this.#kind = new Uint8Array(slots);
    this.#attempt = new Uint8Array(slots);
    this.#failed = new Uint8Array(slots);
    this.#occasion = new Int32Array(slots);
    this.#startedAtMs = new Float64Array(slots);
    this.#next = new Int32Array(slots);
  }

  /**
   * Makes the cell empty, for `meters` meters from fleet index `firstMeter`, with its time counted from midnight UTC
   * of `originDay` (days since 1970-01-01).
   */
  reset(settings: CellSettings, seed: number, firstMeter: number, meters: number, originDay: number): void {
    this.#settings = settings;
    this.#seed = seed;
    this.#firstMeter = firstMeter;
    this.#originDay = originDay;
    if (this.#busyMeters.length < meters) {
      this.#busyMeters = new Uint8Array(meters);
      this.#waitingAtMeter = new Int32Array(meters);
      this.#spellEndMs = new Float64Array(meters);
      this.#isSilent = new Uint8Array(meters);
    }
    this.#spellEndMs.fill(0);
    this.#busyMeters.fill(0);
    this.#waitingAtMeter.fill(NONE);
    this.#heads.fill(NONE);
    this.#tails.fill(NONE);
    this.#queued = 0;
    this.#completions.clear();
    this.#retries.clear();
    this.#free = NONE;
    this.#used = 0;
    this.open = 0;
    this.exchanges = 0;
    this.events = 0;
    this.#capacity = settings.exchangesMax;
    this.#outage = 0;
    this.#down = false;
    this.#capacityChangeAtMs = settings.outages.length > 0 ? settings.outages[0].startMs : NEVER;
    this.#startAllowedAtMs = 0;
    this.#startWakeAtMs = NEVER;
  }

  /** Slots so far: arrays by slot must be at least this long after a `take`. */
  get slots(): number {
    return this.#next.length;
  }

  /** Instant of the next thing that happens in the cell; Infinity when nothing is pending. */
  get nextAtMs(): number {
    let next = this.#completions.firstAtMs;
    if (this.#retries.firstAtMs < next) next = this.#retries.firstAtMs;
    if (this.#capacityChangeAtMs < next) next = this.#capacityChangeAtMs;
    if (this.#startWakeAtMs < next) next = this.#startWakeAtMs;
    return next;
  }

  /**
   * A slot for a request that the caller will hand over by `enqueue` at once or later (quarantine).
   * `meter` counts from the cell's first; `occasion` (28 bits) tells this request's draws from the meter's others.
   */
  take(meter: number, lane: Lane, kind: number, occasion: number): number {
    let slot = this.#free;
    if (slot === NONE) {
      slot = this.#used++;
      if (slot === this.#next.length) this.#grow();
    } else {
      this.#free = this.#next[slot];
    }
    this.open++;
    this.meter[slot] = meter;
    this.lane[slot] = lane;
    this.#kind[slot] = kind;
    this.#attempt[slot] = 0;
    this.#occasion[slot] = occasion;
    return slot;
  }

  /** Exchanges in use. */
  get busy(): number {
    return this.#completions.size;
  }

  /** Exchanges that there are at present: fewer in an outage and while they come back. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Requests in the queues; those that wait at a busy meter, or to be tried again, are in none. */
  get queued(): number {
    return this.#queued;
  }

  /** Puts a slot's request at the end of its lane. Instants must not go back. */
  enqueue(slot: number, atMs: number): void {
    this.offeredAtMs[slot] = atMs;
    const meter = this.meter[slot];
    // Most requests find an exchange free and nobody before them: they need not pass through a queue.
    if (
      this.#queued === 0 &&
      this.#completions.size < this.#capacity &&
      this.#busyMeters[meter] === 0 &&
      this.#startAllowedAtMs <= atMs
    ) {
      this.enqueuedAtMs[slot] = atMs;
      this.#start(slot, meter, atMs);
      return;
    }
    this.#append(slot, this.lane[slot] * 2 + 1, atMs);
    this.#dispatch(atMs);
  }

  /** Gives back a slot that was taken and never enqueued. */
  release(slot: number): void {
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.open--;
  }

  /** Does what is due at `nextAtMs`, which the caller may hand over when it has just asked for it. */
  step(atMs = this.nextAtMs): void {
    this.events++;
    if (this.#completions.firstAtMs === atMs) {
      this.#complete(this.#completions.pop(), atMs);
    } else if (this.#capacityChangeAtMs === atMs) {
      this.#changeCapacity(atMs);
    } else if (this.#retries.firstAtMs === atMs) {
      const slot = this.#retries.pop();
      this.#append(slot, this.lane[slot] * 2 + 1, atMs);
    } else {
      this.#startWakeAtMs = NEVER;
    }
    // What ends at the instant of an outage frees its exchange for nobody.
    if (this.#capacityChangeAtMs > atMs) this.#dispatch(atMs);
  }

  /** Counts, when a run ends, the time of exchanges in progress and of requests still in a queue. */
  close(atMs: number): void {
    for (let k = 0; k < this.#completions.size; k++) {
      this.#busyTime?.add(this.#startedAtMs[this.#completions.valueAt(k)], atMs);
    }
    for (let list = 0; list < 4; list++) {
      for (let slot = this.#heads[list]; slot !== NONE; slot = this.#next[slot]) {
        this.#queueTime?.[list >> 1].add(this.enqueuedAtMs[slot], atMs);
      }
    }
    for (let meter = 0; meter < this.#waitingAtMeter.length; meter++) {
      for (let slot = this.#waitingAtMeter[meter]; slot !== NONE; slot = this.#next[slot]) {
        this.#queueTime?.[this.lane[slot]].add(this.enqueuedAtMs[slot], atMs);
      }
    }
  }

  #append(slot: number, list: number, atMs: number): void {
    this.enqueuedAtMs[slot] = atMs;
    this.#link(slot, list);
  }

  #link(slot: number, list: number): void {
    this.#next[slot] = NONE;
    const tail = this.#tails[list];
    if (tail === NONE) this.#heads[list] = slot;
    else this.#next[tail] = slot;
    this.#tails[list] = slot;
    this.#queued++;
  }

  #unlinkFirst(list: number): number {
    const slot = this.#heads[list];
    const next = this.#next[slot];
    this.#heads[list] = next;
    if (next === NONE) this.#tails[list] = NONE;
    this.#queued--;
    return slot;
  }

  #dispatch(atMs: number): void {
    while (this.#queued > 0 && this.#completions.size < this.#capacity) {
      if (this.#startAllowedAtMs > atMs) {
        this.#startWakeAtMs = Math.ceil(this.#startAllowedAtMs);
        return;
      }
      const heads = this.#heads;
      const list = heads[2] !== NONE ? 2 : heads[3] !== NONE ? 3 : heads[0] !== NONE ? 0 : 1;
      const slot = this.#unlinkFirst(list);
      const meter = this.meter[slot];
      if (list === 0) this.#busyMeters[meter] &= ~LET_GO;
      if ((this.#busyMeters[meter] & IN_EXCHANGE) !== 0) {
        this.#waitAtMeter(slot, meter, list === 1);
      } else if (atMs - this.offeredAtMs[slot] > this.#settings.retry[this.lane[slot]].giveUpMs) {
        this.#queueTime?.[this.lane[slot]].add(this.enqueuedAtMs[slot], atMs);
        this.#letGoNext(meter);
        this.#answer(slot, OUTCOME.noResponse, atMs);
      } else {
        this.#start(slot, meter, atMs);
      }
    }
  }

  /** At a meter too on demand goes first; a scheduled one that had been let go is back before the others. */
  #waitAtMeter(slot: number, meter: number, isLast: boolean): void {
    let before = NONE;
    let after = this.#waitingAtMeter[meter];
    while (after !== NONE && (isLast || this.lane[after] === LANE.onDemand)) {
      before = after;
      after = this.#next[after];
    }
    this.#next[slot] = after;
    if (before === NONE) this.#waitingAtMeter[meter] = slot;
    else this.#next[before] = slot;
  }

  /** One scheduled request of a meter at a time, or the next would overtake it when an on demand one goes between. */
  #letGoNext(meter: number): void {
    const slot = this.#waitingAtMeter[meter];
    if (slot === NONE) return;
    const lane = this.lane[slot];
    if (lane === LANE.scheduled) {
      if ((this.#busyMeters[meter] & LET_GO) !== 0) return;
      this.#busyMeters[meter] |= LET_GO;
    }
    this.#waitingAtMeter[meter] = this.#next[slot];
    this.#link(slot, lane * 2);
  }

  #start(slot: number, meter: number, atMs: number): void {
    const settings = this.#settings;
    const lane = this.lane[slot];
    if (this.enqueuedAtMs[slot] < atMs) this.#queueTime?.[lane].add(this.enqueuedAtMs[slot], atMs);
    const attempt = ++this.#attempt[slot];
    const index = this.#firstMeter + meter;
    const bits = draw32(this.#seed, index, (this.#occasion[slot] << 4) | attempt, PURPOSE.serviceTime);
    if (atMs >= this.#spellEndMs[meter]) this.#startSpell(meter, index, atMs);
    let durationMs = settings.noAnswerMs;
    if (this.#isSilent[meter] !== 0) {
      this.#failed[slot] = OUTCOME.cannotCommunicate;
    } else if ((bits & ((1 << FAILURE_BITS) - 1)) < settings.attemptFailureShare * (1 << FAILURE_BITS)) {
      this.#failed[slot] = OUTCOME.noResponse;
    } else {
      this.#failed[slot] = OUTCOME.data;
      durationMs = settings.serviceTimes[this.#kind[slot]][bits >>> FAILURE_BITS];
    }
    this.exchanges++;
    this.#busyMeters[meter] |= IN_EXCHANGE;
    this.#startedAtMs[slot] = atMs;
    this.#completions.push(atMs + durationMs, slot);
    if (settings.startsPerSecondMax !== NEVER) {
      // Starts fall on whole milliseconds: the part of one spent waiting for the next is given back.
      const from = atMs - this.#startAllowedAtMs < 1 ? this.#startAllowedAtMs : atMs;
      this.#startAllowedAtMs = from + 1000 / settings.startsPerSecondMax;
    }
  }

  #startSpell(meter: number, index: number, atMs: number): void {
    const { reachability } = this.#settings;
    const originMs = this.#originDay * DAY_MS;
    this.#isSilent[meter] = isReachable(this.#seed, index, originMs + atMs, reachability) ? 0 : 1;
    this.#spellEndMs[meter] = nextSpellMs(this.#seed, index, originMs + atMs, reachability) - originMs;
  }

  #complete(slot: number, atMs: number): void {
    this.#busyTime?.add(this.#startedAtMs[slot], atMs);
    const meter = this.meter[slot];
    this.#busyMeters[meter] &= ~IN_EXCHANGE;
    this.#letGoNext(meter);
    const outcome = this.#failed[slot] as Outcome;
    if (outcome === OUTCOME.data) this.#answer(slot, outcome, atMs);
    else this.#retryOrAnswer(slot, outcome, atMs);
  }

  #retryOrAnswer(slot: number, outcome: Outcome, atMs: number): void {
    const policy = this.#settings.retry[this.lane[slot]];
    const attempt = this.#attempt[slot];
    if (attempt >= policy.attemptsMax) {
      this.#answer(slot, outcome, atMs);
      return;
    }
    const index = this.#firstMeter + this.meter[slot];
    const jitter = draw32(this.#seed, index, (this.#occasion[slot] << 4) | attempt, PURPOSE.retryJitter) / 4294967296;
    // Half to one and a half times the back-off: failures that came together do not come back together.
    const waitMs = Math.round(backoffMs(policy, attempt) * (0.5 + jitter));
    if (atMs + waitMs - this.offeredAtMs[slot] > policy.giveUpMs) this.#answer(slot, outcome, atMs);
    else this.#retries.push(atMs + waitMs, slot);
  }

  #answer(slot: number, outcome: Outcome, atMs: number): void {
    this.#onAnswer(slot, outcome, atMs);
    this.release(slot);
  }

  #changeCapacity(atMs: number): void {
    const { outages, exchangesMax } = this.#settings;
    const upcoming = outages[this.#outage];
    if (!this.#down && upcoming?.startMs === atMs) {
      this.#down = true;
      this.#capacity = 0;
      this.#capacityChangeAtMs = upcoming.endMs;
      this.#loseExchanges(atMs);
      return;
    }
    if (this.#down) {
      this.#down = false;
      this.#outage++;
    }
    // Exchanges come back one by one over the recovery time.
    const { endMs, recoveryMs } = outages[this.#outage - 1];
    const share = recoveryMs === 0 ? 1 : Math.min(1, (atMs - endMs) / recoveryMs);
    this.#capacity = Math.max(1, Math.floor(exchangesMax * share + 1e-9));
    const nextExchangeAtMs =
      this.#capacity >= exchangesMax ? NEVER : endMs + Math.ceil(((this.#capacity + 1) * recoveryMs) / exchangesMax);
    this.#capacityChangeAtMs = Math.min(nextExchangeAtMs, outages[this.#outage]?.startMs ?? NEVER);
  }

  /** The network is down: exchanges in progress end without an answer and are retried by the usual policy. */
  #loseExchanges(atMs: number): void {
    while (this.#completions.size > 0) {
      const slot = this.#completions.pop();
      this.#failed[slot] = OUTCOME.noResponse;
      this.#complete(slot, atMs);
    }
  }

  #grow(): void {
    const slots = Math.min(OPEN_REQUESTS_MAX, 2 * this.#next.length);
    if (slots === this.#next.length)
      throw new MdrError('COULD_NOT_RUN', `more than ${OPEN_REQUESTS_MAX} requests are open in one cell`);
    this.meter = grown(this.meter, new Int32Array(slots));
    this.lane = grown(this.lane, new Uint8Array(slots));
    this.offeredAtMs = grown(this.offeredAtMs, new Float64Array(slots));
    this.enqueuedAtMs = grown(this.enqueuedAtMs, new Float64Array(slots));
    this.#kind = grown(this.#kind, new Uint8Array(slots));
    this.#attempt = grown(this.#attempt, new Uint8Array(slots));
    this.#failed = grown(this.#failed, new Uint8Array(slots));
    this.#occasion = grown(this.#occasion, new Int32Array(slots));
    this.#startedAtMs = grown(this.#startedAtMs, new Float64Array(slots));
    this.#next = grown(this.#next, new Int32Array(slots));
  }
}

function backoffMs(policy: RetryPolicy, attempt: number): number {
  let waitMs = policy.backoffMs;
  for (let k = 1; k < attempt; k++) waitMs *= policy.factor;
  return waitMs;
}

type Slots = Int32Array | Uint8Array | Float64Array;

function grown<T extends Slots>(from: T, to: T): T {
  to.set(from);
  return to;
}
