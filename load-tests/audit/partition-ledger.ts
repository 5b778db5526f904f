import { DATA_KINDS, GENERATIONS, type Matrix, MODES } from '#core/matrix.ts';
import { REPEATED_WITHIN_OFFSETS, REPEATED_WITHIN_WALL_MS } from '#schemas/service-request.ts';
import type { Checks } from './checks.ts';
import type { FaultKind, Findings, Place, WarningKind } from './findings.ts';
import { type Log, placeKey, reportUnreadable, type Visited } from './log.ts';
import { Positions } from './positions.ts';
import type {
  BreachRecord,
  DeviceRequestRecord,
  QuarantineRecord,
  RequestRecord,
  ResponseRecord,
} from './record-types.ts';
import type { Replays } from './replays.ts';
import { idOf, idText, modeOf, Requests, SEEN, SOURCES } from './requests.ts';
import type { Users } from './users.ts';

/** What the folds of all partitions write to. */
export type AuditBooks = {
  log: Log;
  matrix: Matrix;
  users: Users;
  /** `topic/partition/offset` of what stands in dead-letters. */
  setAside: ReadonlySet<string>;
  faults: Findings<FaultKind>;
  warnings: Findings<WarningKind>;
  replays: Replays;
};

export type CountedBreach = { offset: number; trtSeconds: number; deadlineMs: number };

export type QuarantineAnswers = { process?: number; delete?: number };

/** One partition's topics folded into its requests. */
export type PartitionLedger = {
  partition: number;
  requests: Requests;
  breaches: ReadonlyMap<number, CountedBreach>;
  /** When in simulated time it was said of a held request that it is to be processed, or deleted. */
  quarantineAnswers: ReadonlyMap<number, QuarantineAnswers>;
  /** Requests that another gateway had accepted just before: access control drops them. */
  repeated: ReadonlySet<number>;
  /** The fleet has finished everything before this instant. */
  fleetMs: number;
  /** Requests whose position was taken by another: access control drops them, and nobody answers. */
  droppedUnseen: [number, number];
  /** Half-hours in the answers of 4.8.1 and 4.8.3. */
  intervals: number;
};

export async function readPartition(books: AuditBooks, partition: number, checks: Checks): Promise<PartitionLedger> {
  const fold = new PartitionFold(books, partition);
  await fold.readRequests();
  fold.takeChecks(checks);
  await fold.readRest();
  return fold.ledger();
}

const LANES = ['service-requests.scheduled', 'service-requests.on-demand'] as const;
const DEVICE_LANES = ['device-requests.scheduled', 'device-requests.on-demand'] as const;
const PROFILES = ['SRV_4_8_1', 'SRV_4_8_3'];
const FOR_DCC: ReadonlySet<string> = new Set(['SRV_5_1', 'SRV_5_2', 'SRV_5_3', 'SRV_8_2']);
/** Sources from here on are gateways, and operators, who send no requests. */
const FIRST_GATEWAY = 2;
const QUARANTINE_BITS = { HELD: SEEN.held, RELEASED: SEEN.released, DELETED: SEEN.deleted } as const;
const HALF_HOURS = DATA_KINDS.indexOf('half-hours');
const DAILY_LOG = DATA_KINDS.indexOf('daily-log');

class PartitionFold {
  readonly #books: AuditBooks;
  readonly #partition: number;
  readonly #requests: Requests;
  readonly #breaches = new Map<number, CountedBreach>();
  readonly #answers: { id: string; said: QuarantineAnswers }[] = [];
  readonly #quarantineAnswers = new Map<number, QuarantineAnswers>();
  /** By RequestID, the last of gateways that is no repetition. */
  readonly #ofGateways = new Map<string, { offset: number; dueWallMs: number }>();
  readonly #repeated = new Set<number>();
  readonly #doubtful: {
    id: string;
    mode: number;
    offset: number;
    position: number;
    source: number;
    isOfEarlierTenure: boolean;
  }[] = [];
  /** Request that a replay at this offset of a lane repeats. */
  readonly #replayOf: readonly [Map<number, number>, Map<number, number>] = [new Map(), new Map()];
  readonly #droppedUnseen: [number, number] = [0, 0];
  #fleetMs = Number.NEGATIVE_INFINITY;
  #intervals = 0;

  constructor(books: AuditBooks, partition: number) {
    this.#books = books;
    this.#partition = partition;
    const lanes = LANES.map((topic) => books.log.end(topic, partition)) as [number, number];
    this.#requests = new Requests(partition, lanes, books.matrix);
  }

  async readRequests(): Promise<void> {
    const { log, faults, setAside } = this.#books;
    for (let mode = 0; mode < MODES.length; mode++) {
      const topic = LANES[mode];
      const positions = new Positions();
      const report = reportUnreadable(faults, setAside, topic, this.#partition);
      await log.read(
        topic,
        this.#partition,
        ({ value, offset, writtenMs }) => {
          if (value === null) positions.noteUnreadable();
          else this.#takeRequest(value, mode, offset, writtenMs, positions);
        },
        (offset, why) => {
          positions.noteUnreadable();
          report(offset, why);
        },
      );
    }
    this.#matchAnswers();
    this.#judgeDoubtful();
  }

  takeChecks({ requestOffset, writtenMs, generation, setAside }: Checks): void {
    const requests = this.#requests;
    const onDemand = MODES.indexOf('on-demand');
    requestOffset.forEach((offset, at) => {
      const index = requests.at(onDemand, offset);
      if (index < 0) {
        const what = this.#replayOf[onDemand].has(offset) ? 'a replay' : 'no request';
        this.#stray(LANES[onDemand], offset, null, `anomaly-checks holds a check of this offset, where ${what} stands`);
        return;
      }
      requests.seen[index] |= SEEN.checked | (setAside.has(offset) ? SEEN.setAside : 0);
      requests.generation[index] = generation[at];
      this.#noteDecision(index, writtenMs[at]);
    });
  }

  async readRest(): Promise<void> {
    for (let mode = 0; mode < MODES.length; mode++) {
      const seen = new Array<number>(this.#books.log.partitions).fill(-1);
      await this.#read(DEVICE_LANES[mode], (record, value) => this.#takeDelivery(mode, record, value, seen));
    }
    await this.#read('quarantine', (record, value) => this.#takeQuarantine(record, value));
    await this.#read('service-responses', (record, value) => this.#takeResponse(record, value));
    await this.#read('trt-breaches', (record, value) => this.#takeBreach(record, value));
  }

  ledger(): PartitionLedger {
    return {
      partition: this.#partition,
      requests: this.#requests,
      breaches: this.#breaches,
      quarantineAnswers: this.#quarantineAnswers,
      repeated: this.#repeated,
      fleetMs: this.#fleetMs,
      droppedUnseen: this.#droppedUnseen,
      intervals: this.#intervals,
    };
  }

  async #read<
    Topic extends
      | 'device-requests.scheduled'
      | 'device-requests.on-demand'
      | 'quarantine'
      | 'service-responses'
      | 'trt-breaches',
  >(topic: Topic, take: (record: Visited<Topic>, value: NonNullable<Visited<Topic>['value']>) => void): Promise<void> {
    const { log, faults, setAside } = this.#books;
    const report = reportUnreadable(faults, setAside, topic, this.#partition);
    await log.read(
      topic,
      this.#partition,
      (record) => {
        if (record.value === null) report(record.offset, 'a tombstone where a value is needed');
        else take(record, record.value);
      },
      report,
    );
  }

  #takeRequest(value: RequestRecord, mode: number, offset: number, writtenMs: number, positions: Positions): void {
    const { source, position, kind } = value;
    const { users, setAside, replays, faults } = this.#books;
    const isMarker = kind === 'MARKER';
    if (isMarker ? positions.isReplayedMarker(source, position) : positions.isReplay(source, position)) {
      replays.add(LANES[mode]);
      if (kind === 'REQUEST') this.#noteReplay(value, mode, offset, positions);
      return;
    }
    // A marker repeats the position of the record before it.
    const gap = positions.missingUpTo(source, isMarker ? position : position - 1);
    positions.reach(source, position, offset);
    if (gap !== undefined) {
      const place = { ...this.#place(LANES[mode], offset, isMarker ? null : idOf(value)), mode: MODES[mode] };
      const { first, last, behindOffset } = gap;
      const missing = first === last ? `position ${first} is` : `positions ${first} to ${last} are`;
      const after = behindOffset < 0 ? 'nothing came before' : `the last before stands at offset ${behindOffset}`;
      faults.add('gap', place, () => `${missing} missing of source ${source}: ${after}`);
    }
    if (kind === 'RELEASE') this.#answers.push({ id: idOf(value), said: { process: value.receivedMs } });
    if (kind === 'DELETE') this.#answers.push({ id: idOf(value), said: { delete: value.receivedMs } });
    if (kind !== 'REQUEST') return;
    const index = this.#requests.add(value, mode, offset, writtenMs, users);
    positions.noteRequest(source, position, index);
    if (source >= FIRST_GATEWAY) this.#noteRepetition(index, value, offset);
    if (setAside.has(placeKey(LANES[mode], this.#partition, offset))) this.#requests.seen[index] |= SEEN.setAside;
  }

  #noteRepetition(index: number, { originator, device, counter, srv, dueWallMs }: RequestRecord, offset: number): void {
    const target = FOR_DCC.has(srv) ? 'DCC' : device.toString('latin1', 0, 8);
    const id = originator.toString('latin1', 0, 8) + target + counter;
    const before = this.#ofGateways.get(id);
    const isRepeated =
      before !== undefined &&
      offset - before.offset <= REPEATED_WITHIN_OFFSETS &&
      Math.abs(dueWallMs - before.dueWallMs) <= REPEATED_WITHIN_WALL_MS;
    if (isRepeated) this.#repeated.add(index);
    else this.#ofGateways.set(id, { offset, dueWallMs });
  }

  // A replay repeats what stood at its position. Another RequestID is a request that nobody will answer, unless it has
  // a place of its own further on.
  #noteReplay(value: RequestRecord, mode: number, offset: number, positions: Positions): void {
    const id = idOf(value);
    const { source, position } = value;
    const first = positions.requestAt(source, position);
    if (first >= 0 && this.#requests.ids[first] === id) this.#replayOf[mode].set(offset, first);
    else {
      const isOfEarlierTenure = positions.isOfEarlierTenure(source, position);
      this.#doubtful.push({ id, mode, offset, position, source, isOfEarlierTenure });
    }
  }

  #judgeDoubtful(): void {
    const { faults, warnings } = this.#books;
    for (const { id, mode, offset, position, source, isOfEarlierTenure } of this.#doubtful) {
      const place = this.#place(LANES[mode], offset, id);
      const taken = `position ${position} of source ${source} was another record's before, so it is dropped as a replay`;
      const elsewhere = this.#requests.byId.get(id);
      if (elsewhere !== undefined) {
        this.#replayOf[mode].set(offset, elsewhere);
        if (!isOfEarlierTenure)
          warnings.add('conflicting', place, () => `${taken}; the request stands at another position too`);
      } else {
        this.#droppedUnseen[mode]++;
        faults.add('lost', place, () => `${taken}, and the request stands nowhere else`);
      }
    }
  }

  #matchAnswers(): void {
    const requests = this.#requests;
    for (const { id, said } of this.#answers) {
      for (let index = requests.byId.get(id) ?? -1; index >= 0; index = requests.sameId[index])
        this.#quarantineAnswers.set(index, { ...this.#quarantineAnswers.get(index), ...said });
    }
  }

  #takeDelivery(
    mode: number,
    { offset, writtenMs }: { offset: number; writtenMs: number },
    value: DeviceRequestRecord,
    seen: number[],
  ): void {
    const { faults, replays, setAside } = this.#books;
    const { request, requestOffset, sourcePartition, sourceOffset } = value;
    const requests = this.#requests;
    const topic = DEVICE_LANES[mode];
    const isReplay = sourceOffset <= seen[sourcePartition];
    if (!isReplay) seen[sourcePartition] = sourceOffset;
    if (isReplay) replays.add(topic);
    if (request.kind === 'MARKER') return;
    const index = this.#find(topic, offset, mode, requestOffset, idOf(request));
    if (index < 0) return;
    if (isReplay) {
      requests.seen[index] |= SEEN.dropped;
      return;
    }
    if (requests.has(index, SEEN.delivered)) {
      const first = requests.deliveredAt[index];
      faults.add(
        'answered-twice',
        requests.place(index),
        () => `put to its meter twice: by offsets ${first} and ${offset} of ${topic}, which have different sources`,
      );
      return;
    }
    requests.seen[index] |= SEEN.delivered;
    requests.deliveredAt[index] = offset;
    requests.quarantinedMs[index] = value.quarantinedMs;
    requests.generation[index] = (GENERATIONS as readonly string[]).indexOf(value.generation);
    if (setAside.has(placeKey(topic, this.#partition, offset))) requests.seen[index] |= SEEN.setAside;
    if (mode === MODES.indexOf('scheduled')) this.#noteDecision(index, writtenMs);
  }

  #takeQuarantine({ offset }: { offset: number }, { kind, request: of }: QuarantineRecord): void {
    const requests = this.#requests;
    const index = this.#find('quarantine', offset, modeOf(of.request.mode), of.requestOffset, idOf(of.request));
    if (index < 0) return;
    const bit = QUARANTINE_BITS[kind];
    if (requests.has(index, bit)) this.#books.replays.add('quarantine');
    requests.seen[index] |= bit;
    if (kind === 'HELD') return;
    if (kind === 'RELEASED' && !requests.has(index, SEEN.delivered)) requests.quarantinedMs[index] = of.quarantinedMs;
    const answer = kind === 'RELEASED' ? 'process' : 'delete';
    if (this.#quarantineAnswers.get(index)?.[answer] === undefined)
      this.#stray('quarantine', offset, requests.ids[index], `${kind}, though its User did not say ${answer}`);
  }

  #takeResponse({ offset, writtenMs }: { offset: number; writtenMs: number }, value: ResponseRecord): void {
    if (value.kind === 'MARKER') {
      this.#fleetMs = Math.max(this.#fleetMs, value.answeredMs);
      return;
    }
    const { replays, warnings } = this.#books;
    const requests = this.#requests;
    const index = this.#find('service-responses', offset, modeOf(value.mode), value.requestOffset, idOf(value));
    if (index < 0) return;
    if (requests.isAnswered(index)) {
      replays.add('service-responses');
      const [first, firstAt] = [requests.codeOf(index), requests.answeredAt[index]];
      if (first !== value.code) {
        const says = `${value.code} at offset ${offset} of service-responses, after ${first} at offset ${firstAt}`;
        warnings.add('conflicting', requests.place(index), () => says);
      }
      return;
    }
    requests.answeredAt[index] = offset;
    requests.answeredMs[index] = value.answeredMs;
    requests.platformMs[index] = value.platformMs;
    requests.quarantinedMs[index] = value.quarantinedMs;
    requests.generation[index] = (GENERATIONS as readonly string[]).indexOf(value.generation);
    requests.source[index] = SOURCES.indexOf(value.source);
    requests.code[index] = requests.codeNumber(value.code);
    requests.fact[index] = value.fact;
    // A refusal is judged by what was in force until it was written, whatever was let through before a crash.
    if (value.source === 'ACCESS_CONTROL') requests.decidedMs[index] = writtenMs;
    else this.#noteDecision(index, writtenMs);
    this.#takeRows(index, value);
  }

  #takeRows(index: number, { srv, code, activeWh, firstStampMs, stepMs }: ResponseRecord): void {
    const rows = activeWh.length;
    if (code !== 'I0' || rows === 0) return;
    if (PROFILES.includes(srv)) this.#intervals += rows;
    const requests = this.#requests;
    const kind = this.#books.matrix.data[requests.srv[index]];
    if (kind !== HALF_HOURS && kind !== DAILY_LOG) return;
    const lastStampMs = firstStampMs + (rows - 1) * stepMs;
    const isOutside = firstStampMs < requests.windowStartMs[index] || lastStampMs > requests.windowEndMs[index];
    if (isOutside) requests.seen[index] |= SEEN.outside;
  }

  #takeBreach({ offset }: { offset: number }, value: BreachRecord): void {
    const index = this.#find('trt-breaches', offset, modeOf(value.mode), value.requestOffset, idOf(value));
    if (index < 0) return;
    if (this.#breaches.has(index)) this.#books.replays.add('trt-breaches');
    else this.#breaches.set(index, { offset, trtSeconds: value.trtSeconds, deadlineMs: value.deadlineMs });
  }

  // The request that a record says it is about, where that is the one it names.
  #find(
    topic: 'quarantine' | 'service-responses' | 'trt-breaches' | (typeof DEVICE_LANES)[number],
    offset: number,
    mode: number,
    requestOffset: number,
    id: string,
  ): number {
    const requests = this.#requests;
    const index = requests.at(mode, requestOffset);
    if (index >= 0 && requests.ids[index] === id) return index;
    const original = this.#replayOf[mode].get(requestOffset) ?? -1;
    if (original >= 0 && requests.ids[original] === id && topic !== 'quarantine' && topic !== 'trt-breaches') {
      const says = `its replay at offset ${requestOffset} was carried out too: offset ${offset} of ${topic}`;
      this.#books.faults.add('answered-twice', requests.place(original), () => says);
      return -1;
    }
    const there = index < 0 ? 'no request' : idText(requests.ids[index]);
    this.#stray(topic, offset, id, `says it is of offset ${requestOffset} of ${LANES[mode]}, where ${there} stands`);
    return -1;
  }

  #stray(topic: string, offset: number, id: string | null, says: string): void {
    this.#books.faults.add('stray', this.#place(topic, offset, id), () => says);
  }

  #place(topic: string, offset: number, id: string | null): Place {
    const mode = topic.endsWith('.scheduled') ? 'scheduled' : topic.endsWith('.on-demand') ? 'on-demand' : null;
    return { requestId: id === null ? null : idText(id), mode, topic, partition: this.#partition, offset };
  }

  #noteDecision(index: number, writtenMs: number): void {
    const { decidedMs } = this.#requests;
    if (writtenMs < decidedMs[index]) decidedMs[index] = writtenMs;
  }
}
