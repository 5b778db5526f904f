import type { TopicName } from '#schemas/topics.ts';
import type { RawProducer } from './raw-producer.ts';

/**
 * What waits to be sent. One batch of a topic's partition is in flight at a time, so that batches arrive in the order
 * in which they were handed over; one request carries a batch of each partition that has any.
 */
export type Outbox = {
  /** Resolves to the offset of the batch's first record once every replica in sync has it; never rejects before `fail`. */
  send(topic: TopicName, partition: number, batch: Uint8Array, records: number): Promise<number>;
  /** Bytes handed over and not acknowledged. */
  readonly pendingBytes: number;
  readonly recordsSent: number;
  /** The same by topic. */
  readonly sent: ReadonlyMap<TopicName, number>;
  /**
   * Whether the lane of a topic's partition has so many batches that more would only wait: whoever makes small ones as
   * time goes on had better make fewer and larger ones. Of any lane where none is named.
   */
  isBehind(topic?: TopicName, partition?: number): boolean;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
};

/** A producer asks for a pause of its input beyond so much unacknowledged: some seconds of full load. */
export const PENDING_BYTES_MAX = 16 * 1024 * 1024;
/**
 * Batches of a partition handed over and not acknowledged. With one in flight, a broker that takes 100 ms an answer
 * takes ten batches a second, and markers alone are more.
 */
const LANE_BATCHES_MAX = 8;
/** Requests on the way at a time: enough to keep the broker busy while answers travel. */
const REQUESTS_IN_FLIGHT_MAX = 3;
/** A request is a batch of each partition; more than this at once only makes the others wait. */
const REQUEST_BYTES_MAX = 1024 * 1024;
/** Topics whose batches never wait behind others: they go by a connection of their own, which a broker serves apart. */
const URGENT: ReadonlySet<TopicName> = new Set([
  'service-requests.on-demand',
  'anomaly-checks',
  'device-requests.on-demand',
  'quarantine',
  'runs',
]);

type Waiting = { batch: Uint8Array; records: number; resolve: (baseOffset: number) => void };
type Lane = {
  name: TopicName;
  topic: string;
  partition: number;
  waiting: Waiting[];
  head: number;
  isInFlight: boolean;
  road: Road;
};
/** A connection and what waits for it. */
type Road = { producer: RawProducer; ready: Lane[]; requests: number };

/** `urgentProducer` sends the urgent topics. `fail` is told of an error after which nothing more can be sent: the process should end. */
export function createOutbox(
  producer: RawProducer,
  prefix: string,
  fail: (error: Error) => void,
  urgentProducer: RawProducer = producer,
): Outbox {
  const lanes = new Map<string, Lane>();
  const roadOf = (one: RawProducer): Road => ({ producer: one, ready: [], requests: 0 });
  const roads = { urgent: roadOf(urgentProducer), other: roadOf(producer) };
  const idlers: (() => void)[] = [];
  let pendingBytes = 0;
  let recordsSent = 0;
  const sent = new Map<TopicName, number>();
  let isPumpDue = false;

  function pumpAll(): void {
    isPumpDue = false;
    pump(roads.urgent);
    pump(roads.other);
  }

  function pump(on: Road): void {
    const { ready } = on;
    while (on.requests < REQUESTS_IN_FLIGHT_MAX && ready.length > 0) {
      const taken: { lane: Lane; item: Waiting }[] = [];
      let bytes = 0;
      while (ready.length > 0 && bytes < REQUEST_BYTES_MAX) {
        const lane = ready.shift() as Lane;
        const item = lane.waiting[lane.head++];
        if (lane.head === lane.waiting.length) {
          lane.waiting = [];
          lane.head = 0;
        }
        lane.isInFlight = true;
        bytes += item.batch.byteLength;
        taken.push({ lane, item });
      }
      dispatch(on, taken);
    }
  }

  function dispatch(on: Road, taken: { lane: Lane; item: Waiting }[]): void {
    on.requests++;
    const entries = taken.map(({ lane, item }) => ({
      topic: lane.topic,
      partition: lane.partition,
      batch: item.batch,
      records: item.records,
    }));
    on.producer.send(entries).then(
      (results) => {
        on.requests--;
        const offsets = new Map(results.map((result) => [`${result.topic}/${result.partition}`, result.baseOffset]));
        for (const { lane, item } of taken) {
          lane.isInFlight = false;
          if (lane.waiting.length > lane.head) on.ready.push(lane);
          pendingBytes -= item.batch.byteLength;
          recordsSent += item.records;
          sent.set(lane.name, (sent.get(lane.name) ?? 0) + item.records);
          const offset = offsets.get(`${lane.topic}/${lane.partition}`);
          if (offset === undefined) return fail(new Error(`no answer for ${lane.topic}/${lane.partition}`));
          item.resolve(offset);
        }
        if (pendingBytes === 0) for (const wake of idlers.splice(0)) wake();
        pump(on);
      },
      (error: Error) => fail(error),
    );
  }

  return {
    send(topic, partition, batch, records) {
      const name = prefix + topic;
      const key = `${name}/${partition}`;
      let lane = lanes.get(key);
      if (lane === undefined) {
        const taken = URGENT.has(topic) ? roads.urgent : roads.other;
        lane = { name: topic, topic: name, partition, waiting: [], head: 0, isInFlight: false, road: taken };
        lanes.set(key, lane);
      }
      const { waiting } = lane;
      pendingBytes += batch.byteLength;
      const acknowledged = new Promise<number>((resolve) => waiting.push({ batch, records, resolve }));
      if (!lane.isInFlight && waiting.length === lane.head + 1) lane.road.ready.push(lane);
      // What is handed over in one turn of the loop goes in one request.
      if (!isPumpDue) {
        isPumpDue = true;
        setImmediate(pumpAll);
      }
      return acknowledged;
    },
    get pendingBytes() {
      return pendingBytes;
    },
    get recordsSent() {
      return recordsSent;
    },
    sent,
    isBehind(topic, partition) {
      if (topic !== undefined) return depthOf(lanes.get(`${prefix}${topic}/${partition}`)) >= LANE_BATCHES_MAX;
      for (const lane of lanes.values()) if (depthOf(lane) >= LANE_BATCHES_MAX) return true;
      return false;
    },
    idle() {
      if (pendingBytes === 0) return Promise.resolve();
      return new Promise((resolve) => idlers.push(resolve));
    },
  };
}

function depthOf(lane: Lane | undefined): number {
  return lane === undefined ? 0 : lane.waiting.length - lane.head + (lane.isInFlight ? 1 : 0);
}
