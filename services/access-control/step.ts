import { FACT, FACTS, type Fact } from '#core/access-control.ts';
import { type Matrix, MODES, SRVS } from '#core/matrix.ts';
import { partitionOfKey, partitionOfMpan } from '#core/partition.ts';
import type { DayConvention } from '#core/settlement-day.ts';
import { ANSWER_BYTES_MAX, type Answer, writeAnswer } from '#schemas/answer-writer.ts';
import { MalformedBinary } from '#schemas/avro-binary.ts';
import { writeDeviceRequest } from '#schemas/device-request.ts';
import { DEVICE_REQUEST_BYTES_MAX, REQUEST_BYTES_MAX, RequestReader, SOURCES_MAX } from '#schemas/request-reader.ts';
import { REQUEST_KIND, SOURCE, UNKNOWN_GENERATION } from '#schemas/service-request.ts';
import { codeIndex, RESPONSE_SOURCE } from '#schemas/service-response.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { Decision } from '#services/platform/access/decision.ts';
import type { MpanTable } from '#services/platform/access/mpan-table.ts';
import { CHECK_KEY_BYTES, checkKeyOf, type UserDirectory } from '#services/platform/access/users.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import type { DeadLetter } from '#services/platform/kafka/dead-letter.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import { type FinishedBatch, type Lane, StepOutput } from '#services/platform/step-output.ts';
import type { RecentRequestIds } from './recent-request-ids.ts';

export type AccessStepSettings = {
  matrix: Matrix;
  convention: DayConvention;
  partitions: number;
  /** As the registry gave them. */
  schemaIds: { serviceRequest: number; deviceRequest: number; serviceResponse: number };
};

/** Requests of one partition and one lane. Tasks of a partition are run one after another, in order of their offsets. */
export type AccessTask = {
  partition: number;
  /** Position in MODES: which of the two topics of requests. */
  mode: number;
  /** Whole record batches, one or more in each. */
  batches: readonly Uint8Array[];
  /** Records before it were done by an earlier task. */
  fromOffset: number;
  /** By source, the last position that was taken, 0 for none. */
  seen: readonly number[];
  nowWallMs: number;
  table: MpanTable;
  users: UserDirectory;
  /** Of the lane on demand, which gateways write: what they have accepted there lately. */
  recent?: RecentRequestIds;
};

export type AccessResult = {
  outputs: FinishedBatch[];
  /** To be committed when all outputs are acknowledged, together with `seen`. */
  nextOffset: number;
  seen: number[];
  /** For the dead-letters topic; sent with the outputs. */
  deadLetters: DeadLetter[];
  counts: AccessCounts;
};

export type AccessCounts = {
  /** Requests decided, by number of core FACT. */
  byFact: number[];
  /** The same by number of the User, accepted and refused: 2 slots each, those of unknown Users last. */
  byUser: Float64Array;
  duplicates: number;
  /** The same request, accepted by another gateway too. */
  repeated: number;
  markers: number;
  releases: number;
  /** The longest that a request has been on its way here, wall ms; 0 where there is none. */
  lateMsMax: number;
};

/** What a step needs of what a service knows. */
export function stepSettings({
  schemaIds,
  ...rest
}: Omit<AccessStepSettings, 'schemaIds'> & { schemaIds: SchemaIds }): AccessStepSettings {
  return {
    ...rest,
    schemaIds: {
      serviceRequest: schemaIds['service-requests.scheduled'],
      deviceRequest: schemaIds['device-requests.scheduled'],
      serviceResponse: schemaIds['service-responses'],
    },
  };
}

/**
 * Access control on raw record batches. Nothing is allocated per record: a request is read where it stands, decided by
 * core, and copied as it came to its lane, or answered. One object a worker thread; it keeps no state between tasks.
 */
export class AccessStep {
  readonly #settings: AccessStepSettings;
  readonly #output = new StepOutput();
  readonly #walk = new BatchWalk('access-control');
  readonly #reader = new RequestReader();
  readonly #seen = new Float64Array(SOURCES_MAX);
  /** By symbol of Srv: 1 where the DCC is the target of the RequestID. */
  readonly #isForDcc = new Uint8Array(SRVS.length + 1);
  /** Where to send what goes to the anomaly check, by partition. */
  readonly #checkLanes: Lane[];
  // Of the task under way.
  #task!: AccessTask;
  #decision!: Decision;
  #scheduledLane!: Lane;
  #responseLane!: Lane;
  #sources = 0;
  #timestampMs = 0;
  #counts = newCounts(0);

  constructor(settings: AccessStepSettings) {
    const { schemaIds, partitions } = settings;
    this.#settings = settings;
    settings.matrix.services.forEach(({ target }, srv) => {
      this.#isForDcc[settings.matrix.srv[srv]] = target === 'dcc' ? 1 : 0;
    });
    this.#checkLanes = Array.from({ length: partitions }, (_, partition) =>
      this.#output.lane('anomaly-checks', partition, schemaIds.deviceRequest),
    );
  }

  run(task: AccessTask): AccessResult {
    this.#begin(task);
    const { schemaIds } = this.#settings;
    const walk = this.#walk;
    walk.begin({ ...task, topic: TOPIC_OF_MODE[task.mode] });
    while (walk.next()) {
      if (walk.hasValue(schemaIds.serviceRequest, REQUEST_BYTES_MAX)) this.#take(walk);
    }
    return {
      outputs: this.#output.take(),
      nextOffset: walk.nextOffset,
      seen: Array.from(this.#seen.subarray(0, this.#sources)),
      deadLetters: walk.deadLetters,
      counts: this.#counts,
    };
  }

  #begin(task: AccessTask): void {
    const { matrix, convention, partitions, schemaIds } = this.#settings;
    const { partition, seen, table, users } = task;
    if (!(partition >= 0 && partition < partitions)) throw new Error(`partition ${partition} of ${partitions}`);
    if (seen.length > SOURCES_MAX) throw new Error(`${seen.length} sources, at most ${SOURCES_MAX}`);
    this.#task = task;
    this.#decision ??= new Decision(matrix, convention, table, users);
    this.#decision.use(table, users);
    this.#seen.fill(0);
    this.#seen.set(seen);
    this.#sources = seen.length;
    this.#timestampMs = Math.floor(task.nowWallMs);
    this.#counts = newCounts(users.checkPartition.length);
    this.#scheduledLane = this.#output.lane('device-requests.scheduled', partition, schemaIds.deviceRequest);
    this.#responseLane = this.#output.lane('service-responses', partition, schemaIds.serviceResponse);
  }

  #take(walk: BatchWalk): void {
    const { buffer, valueAt, valueLength } = walk.cursor;
    const reader = this.#reader;
    try {
      reader.readServiceRequest(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      walk.setAside('UNDECODABLE', error.message);
      return;
    }
    const impossibility = reader.impossibility();
    if (impossibility !== undefined) walk.setAside('IMPOSSIBLE_VALUE', impossibility);
    else if (reader.kind === REQUEST_KIND.marker) this.#takeMarker(walk);
    else if (this.#belongsHere(walk) && !this.#isDuplicate() && !this.#isRepeated(walk)) this.#decide(walk);
  }

  #decide(walk: BatchWalk): void {
    const decision = this.#decision;
    const reader = this.#reader;
    if (reader.kind !== REQUEST_KIND.request) {
      this.#counts.releases++;
      decision.findDevice(reader);
      this.#sendToCheck(walk, -1);
      return;
    }
    const fact = decision.decide(reader);
    const lateMs = this.#task.nowWallMs - reader.dueWallMs;
    if (lateMs > this.#counts.lateMsMax) this.#counts.lateMsMax = lateMs;
    this.#counts.byFact[fact]++;
    const { byUser } = this.#counts;
    const userAt = decision.user < 0 ? byUser.length - 2 : 2 * decision.user;
    byUser[userAt + (fact === FACT.accepted ? 0 : 1)]++;
    if (fact !== FACT.accepted) this.#refuse(walk, fact);
    else if (this.#task.mode === SCHEDULED) this.#forwardWithKey(walk, this.#scheduledLane, decision.generation);
    else this.#sendToCheck(walk, decision.user);
  }

  // What its writer cannot have meant for this partition of this topic.
  #belongsHere(walk: BatchWalk): boolean {
    const { kind, mode, mpan } = this.#reader;
    const { partitions } = this.#settings;
    const partition = partitionOfMpan(mpan, partitions);
    if (partition !== this.#task.partition)
      return walk.setAside('WRONG_PARTITION', `MPAN ${mpan} belongs to partition ${partition} of ${partitions}`);
    if (!isMpanKey(walk, mpan))
      return walk.setAside('IMPOSSIBLE_VALUE', `mpan is ${mpan}, expected the 13 digits of the key`);
    if (mode !== this.#task.mode)
      return walk.setAside('IMPOSSIBLE_VALUE', `mode is ${MODES[mode]}, expected that of the topic`);
    if (kind !== REQUEST_KIND.request && mode === SCHEDULED)
      return walk.setAside(
        'IMPOSSIBLE_VALUE',
        'kind is RELEASE or DELETE, expected requests and markers in the scheduled lane',
      );
    return true;
  }

  #isDuplicate(): boolean {
    const { source, position } = this.#reader;
    if (position <= this.#seen[source]) {
      this.#counts.duplicates++;
      return true;
    }
    this.#see(source, position);
    return false;
  }

  // Two gateways were given one request: it is run once, and the one answer is that to both.
  #isRepeated(walk: BatchWalk): boolean {
    const { recent } = this.#task;
    const { kind, source, buffer, originatorAt, requestIdEnd, srv, dueWallMs } = this.#reader;
    if (recent === undefined || kind !== REQUEST_KIND.request || source < SOURCE.gateway) return false;
    const { offset } = walk.cursor;
    if (!recent.isRepeat(buffer, originatorAt, requestIdEnd, this.#isForDcc[srv] === 1, offset, dueWallMs))
      return false;
    this.#counts.repeated++;
    return true;
  }

  #see(source: number, position: number): void {
    this.#seen[source] = position;
    if (source >= this.#sources) this.#sources = source + 1;
  }

  // One below what was taken is of a writer whose tenure is over: what it says was written may have been dropped.
  #takeMarker(walk: BatchWalk): void {
    const { source, position } = this.#reader;
    if (position < this.#seen[source]) {
      this.#counts.duplicates++;
      return;
    }
    if (position > this.#seen[source]) this.#see(source, position);
    this.#forwardMarker(walk);
  }

  #forwardMarker(walk: BatchWalk): void {
    this.#counts.markers++;
    if (this.#task.mode === SCHEDULED) this.#forwardWithKey(walk, this.#scheduledLane, UNKNOWN_GENERATION);
    else for (const lane of this.#checkLanes) this.#forwardWithKey(walk, lane, UNKNOWN_GENERATION);
  }

  // To the partition of the User, so that its requests are counted together. `user` -1: one that is not known.
  #sendToCheck(walk: BatchWalk, user: number): void {
    const { users } = this.#task;
    const { generation } = this.#decision;
    if (user >= 0) {
      const lane = this.#checkLanes[users.checkPartition[user]];
      this.#forward(walk, lane, generation, users.checkKeys, user * CHECK_KEY_BYTES, CHECK_KEY_BYTES);
      return;
    }
    const key = checkKeyOf(this.#reader.buffer, this.#reader.originatorAt);
    const lane = this.#checkLanes[partitionOfKey(key, this.#settings.partitions)];
    this.#forward(walk, lane, generation, key, 0, CHECK_KEY_BYTES);
  }

  #forwardWithKey(walk: BatchWalk, lane: Lane, generation: number): void {
    const { buffer, keyAt, keyLength } = walk.cursor;
    this.#forward(walk, lane, generation, buffer, keyAt, keyLength);
  }

  // A DeviceRequest: the request as it came, and where it came from.
  #forward(walk: BatchWalk, lane: Lane, generation: number, key: Uint8Array, keyAt: number, keyLength: number): void {
    const { offset } = walk.cursor;
    const { buffer: source, requestAt, requestEnd } = this.#reader;
    const at = lane.begin(this.#timestampMs, key, keyAt, keyLength, DEVICE_REQUEST_BYTES_MAX);
    const { partition } = this.#task;
    lane.end(
      writeDeviceRequest(lane.buffer, at, source, requestAt, requestEnd, generation, offset, partition, offset, 0),
    );
  }

  #refuse(walk: BatchWalk, fact: Fact): void {
    const reader = this.#reader;
    const { buffer, keyAt, keyLength, offset } = walk.cursor;
    const { nowWallMs } = this.#task;
    answer.mode = reader.mode;
    answer.requestOffset = offset;
    answer.generation = this.#decision.generation;
    answer.code = CODE_OF_FACT[fact];
    answer.fact = fact;
    answer.answeredMs = reader.receivedMs;
    answer.platformMs = Math.max(0, nowWallMs - reader.dueWallMs);
    answer.sentWallMs = nowWallMs;
    const lane = this.#responseLane;
    const at = lane.begin(this.#timestampMs, buffer, keyAt, keyLength, ANSWER_BYTES_MAX);
    lane.end(writeAnswer(lane.buffer, at, reader, answer));
  }
}

const SCHEDULED = MODES.indexOf('scheduled');
const TOPIC_OF_MODE = ['service-requests.scheduled', 'service-requests.on-demand'] as const;
const CODE_OF_FACT = Uint8Array.from(FACTS, ({ code }) => (code === 'quarantine' ? 0 : codeIndex(code)));

// Reused from refusal to refusal. Instants and wall clocks are doubles from the start.
const answer: Answer = {
  source: RESPONSE_SOURCE.accessControl,
  mode: 0,
  requestOffset: 0.5,
  generation: 0,
  code: 0,
  fact: 0,
  quarantinedMs: 0,
  answeredMs: 0.5,
  platformMs: 0.5,
  sentWallMs: 0.5,
};

function newCounts(users: number): AccessCounts {
  return {
    byFact: new Array(FACTS.length).fill(0),
    byUser: new Float64Array(2 * (users + 1)),
    duplicates: 0,
    repeated: 0,
    markers: 0,
    releases: 0,
    lateMsMax: 0,
  };
}

const MPAN_DIGITS = 13;
const ZERO = 48;

function isMpanKey(walk: BatchWalk, mpan: number): boolean {
  const { buffer, keyAt, keyLength } = walk.cursor;
  if (keyLength !== MPAN_DIGITS) return false;
  let first7 = 0;
  let last6 = 0;
  for (let k = 0; k < MPAN_DIGITS; k++) {
    const digit = buffer[keyAt + k] - ZERO;
    if (!(digit >= 0 && digit <= 9)) return false;
    if (k < 7) first7 = first7 * 10 + digit;
    else last6 = last6 * 10 + digit;
  }
  return first7 * 1e6 + last6 === mpan;
}
