import { ON_DEMAND, SCHEDULED } from '#core/trt-row.ts';
import { bigCounterOf } from '#schemas/counter.ts';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES, writeMpanKey, writeWireHeader } from '#schemas/wire.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { typeWithCounters } from '#services/platform/counter-type.ts';
import { type Commit, joinGroup } from '#services/platform/kafka/group.ts';
import type { Committed } from '#services/platform/kafka/intake.ts';
import { endOffsets } from '#services/platform/kafka/partition-reader.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { AnswerRate } from './deadline-slack.ts';
import {
  type Breach,
  type LaneStart,
  type LaneState,
  PartitionMonitor,
  type ResponsesStart,
} from './partition-monitor.ts';
import { TrtCounts, TrtTable } from './trt-counts.ts';
import { exposeTrts } from './trt-metrics.ts';

export const trtMonitor: Service = {
  name: 'trt-monitor',
  summary: 'what is open, answered within its Target Response Time, and in breach the moment that runs out',
  settings: {
    'grace-ms': {
      type: 'integer',
      default: 0,
      min: 0,
      max: 600_000,
      doc: 'Wall time that an answer in time may still be on its way when its deadline passes on the clock.',
    },
  },
  start,
};

const ON_DEMAND_LANE = 'device-requests.on-demand';
const SCHEDULED_LANE = 'device-requests.scheduled';
const RESPONSES = 'service-responses';
const LOOK_EVERY_MS = 10;
/** A breach where no answer comes at all is noticed so much later than it happens, at most. */
const LOOK_AT_ENDS_EVERY_MS = 250;
/** A breach takes some 100 bytes. */
const BREACH_BYTES_MAX = 256;
const BREACH_BATCH_BYTES = 256 * 1024;

const BREACH = typeWithCounters(schemaText('trt-breaches'));
const SYMBOLS = Object.fromEntries(
  (BREACH as unknown as { fields: { name: string; type: { symbols?: string[] } }[] }).fields.map(({ name, type }) => [
    name,
    type.symbols ?? [],
  ]),
);

async function start(context: ServiceContext): Promise<RunningService> {
  const { kafka, settings, outbox, schemaIds, setAside, fail } = context;
  const run = await awaitRun(context);
  const counts = new TrtCounts();
  const rate = new AnswerRate();
  const trts = new TrtTable(run.matrix);
  const monitors = new Map<number, PartitionMonitor>();
  const breaches = new Map<number, Breach[]>();
  /** Partitions whose answers wait until their requests have been read again. */
  const keptBack = new Set<number>();
  let breachesPublished = 0;
  let isDraining = false;

  function createMonitor(
    partition: number,
    committed: ReadonlyMap<TopicName, Committed>,
    responsesEnd: number,
  ): PartitionMonitor {
    return new PartitionMonitor(
      {
        partition,
        partitions: settings.partitions,
        schemaIds: { deviceRequest: schemaIds[SCHEDULED_LANE], serviceResponse: schemaIds[RESPONSES] },
        trts,
        counts,
        clock: run.clock,
        graceWallMs: settings.own['grace-ms'] as number,
        startMs: run.record.startMs,
        countedStartMs: run.record.countedStartMs,
        countedEndMs: run.record.countedEndMs,
        errorsCountAsWithin: run.scenario.errorsCountAsWithinTrt,
        nowMs,
        onBreach(breach) {
          const waiting = breaches.get(partition);
          if (waiting === undefined) breaches.set(partition, [breach]);
          else waiting.push(breach);
        },
      },
      [laneStart(committed.get(SCHEDULED_LANE)), laneStart(committed.get(ON_DEMAND_LANE))],
      responsesStart(committed.get(RESPONSES), run.record.startMs),
      responsesEnd,
    );
  }

  const group = joinGroup(context, {
    topics: [ON_DEMAND_LANE, SCHEDULED_LANE, RESPONSES],
    lookAtEndsEveryMs: LOOK_AT_ENDS_EVERY_MS,
    ended(topic, partition, endOffset, askedWallMs) {
      if (topic === RESPONSES) monitors.get(partition)?.noteEnd(endOffset, askedWallMs);
    },
    async assigned(partition, committed) {
      const responsesEnd = (await endOffsets(kafka, settings.prefix + RESPONSES))[partition];
      monitors.set(partition, createMonitor(partition, committed, responsesEnd));
    },
    lost(partition) {
      monitors.delete(partition);
      breaches.delete(partition);
      keptBack.delete(partition);
    },
    take({ topic, partition, batches, fromOffset, nextOffset, highWatermark }) {
      const monitor = monitors.get(partition) as PartitionMonitor;
      if (topic === RESPONSES && !monitor.takesResponses) {
        keptBack.add(partition);
        return false;
      }
      const letters =
        topic === RESPONSES
          ? monitor.takeResponses(batches, fromOffset, nextOffset, highWatermark)
          : monitor.takeRequests(topic === SCHEDULED_LANE ? SCHEDULED : ON_DEMAND, batches, fromOffset, nextOffset);
      setAside(letters).catch(fail);
      if (monitor.takesResponses && keptBack.delete(partition)) group.resume(RESPONSES, partition);
      return true;
    },
    // Breaches are published before what they came from is committed.
    committable: () => (isPublishing || breaches.size > 0 ? [] : [...monitors.values()].flatMap(commitsOf)),
  });

  let isPublishing = false;
  async function publish(): Promise<void> {
    if (breaches.size === 0) return;
    isPublishing = true;
    try {
      await Promise.all(
        [...breaches].map(async ([partition, list]) => {
          breaches.delete(partition);
          breachesPublished += list.length;
          for (const { batch, records } of encodeBreaches(list, schemaIds['trt-breaches']))
            await outbox.send('trt-breaches', partition, batch, records);
        }),
      );
    } finally {
      isPublishing = false;
    }
  }

  async function work(): Promise<void> {
    while (!isDraining) {
      for (const monitor of monitors.values()) monitor.advance();
      if (monitors.size > 0)
        rate.note(Math.min(...[...monitors.values()].map(({ nowMs: atMs }) => atMs)), counts.answers);
      await publish();
      await sleep(LOOK_EVERY_MS);
    }
    await publish();
  }

  exposeTrts({ counts, trts, rate, monitors: () => monitors.values(), objectives: run.scenario.measures });
  await group.start();
  const working = work();
  working.catch(fail);
  return {
    notReadyBecause: () => (group.isSettled ? undefined : 'its partitions are not assigned yet'),
    status: () => ({
      partitions: group.partitions,
      nowMs: Object.fromEntries([...monitors].map(([partition, monitor]) => [partition, monitor.nowMs])),
      completeMs: Object.fromEntries([...monitors].map(([partition, { completeMs }]) => [partition, completeMs])),
      open: sum(monitors, ({ open }) => open),
      openCounted: sum(monitors, ({ openCounted }) => openCounted),
      received: total(counts.received),
      within: total(counts.within),
      breaches: total(counts.breaches),
      breachesPublished,
      refused: counts.refusals,
      duplicates: counts.duplicates,
      lag: group.lag(),
    }),
    drain: () =>
      group.leave(async () => {
        isDraining = true;
        await working;
        await outbox.idle();
        await run.end();
      }),
  };
}

function commitsOf(monitor: PartitionMonitor): Commit[] {
  const { partition } = monitor;
  const committable = monitor.committable();
  if (committable === undefined) return [];
  const { lanes, responses } = committable;
  return [
    ...lanes.map(({ mode, offset, next, state }) => ({
      topic: mode === SCHEDULED ? (SCHEDULED_LANE as TopicName) : (ON_DEMAND_LANE as TopicName),
      partition,
      offset,
      metadata: JSON.stringify({ next, state }),
    })),
    { topic: RESPONSES, partition, offset: responses.offset, metadata: JSON.stringify(responses) },
  ];
}

function laneStart(committed: Committed | undefined): LaneStart {
  if (committed === undefined) return { offset: 0, next: 0, state: undefined };
  // Offsets that a person has set have no metadata.
  if (committed.metadata === '') return { offset: committed.offset, next: committed.offset, state: undefined };
  const { next, state } = JSON.parse(committed.metadata) as { next: number; state: LaneState };
  return { offset: committed.offset, next, state };
}

function responsesStart(committed: Committed | undefined, startMs: number): ResponsesStart {
  if (committed === undefined) return { offset: 0, next: 0, nowMs: startMs };
  if (committed.metadata === '') return { offset: committed.offset, next: committed.offset, nowMs: startMs };
  return { ...(JSON.parse(committed.metadata) as ResponsesStart), offset: committed.offset };
}

function encodeBreaches(breaches: readonly Breach[], schemaId: number): { batch: Uint8Array; records: number }[] {
  const finished: { batch: Uint8Array; records: number }[] = [];
  const key = Buffer.alloc(13);
  const stamp = Math.floor(nowMs());
  let builder = new BatchBuilder(BREACH_BATCH_BYTES);
  const finish = () => {
    if (builder.count > 0) finished.push({ batch: builder.finish(), records: builder.count });
    builder = new BatchBuilder(BREACH_BATCH_BYTES);
  };
  for (const breach of breaches) {
    if (!builder.fits(BREACH_BYTES_MAX)) finish();
    writeMpanKey(key, 0, breach.mpan);
    const value = BREACH.toBuffer({
      ...breach,
      counter: bigCounterOf(breach),
      mode: SYMBOLS.mode[breach.mode],
      srv: SYMBOLS.srv[breach.srv],
      service: SYMBOLS.service[breach.service],
      generation: SYMBOLS.generation[breach.generation],
    });
    const at = builder.begin(stamp, key, 0, key.length);
    writeWireHeader(builder.buffer, at, schemaId);
    builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
  }
  finish();
  return finished;
}

function sum(monitors: ReadonlyMap<number, PartitionMonitor>, of: (monitor: PartitionMonitor) => number): number {
  return [...monitors.values()].reduce((all, monitor) => all + of(monitor), 0);
}

function total(counts: Float64Array): number {
  return counts.reduce((all, count) => all + count, 0);
}
