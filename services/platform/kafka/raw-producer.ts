import type { Kafka } from 'kafkajs';
import { KafkaError } from './errors.ts';
import {
  type Broker,
  type Cluster,
  changeClusters,
  type Encoder,
  kafkajsModule,
  sendToBroker,
} from './kafkajs-insides.ts';
import { countOf } from './record-batch.ts';

export type RawEntry = { topic: string; partition: number; batch: Uint8Array; records: number };
export type RawAcknowledgement = { topic: string; partition: number; baseOffset: number };

export type RawProducer = {
  /**
   * Sends finished batches, one a topic's partition at most, in one request a broker, and resolves when every replica in
   * sync has them, in the order of the entries. kafkajs retries; what was acknowledged before a retry is not sent
   * again, what was written and not acknowledged is: a batch may be in the log twice. The batches must not change
   * until then. Two calls for one partition at a time may change places.
   */
  send(entries: readonly RawEntry[]): Promise<RawAcknowledgement[]>;
  disconnect(): Promise<void>;
};

/** Connected. */
export async function createRawProducer(kafka: Kafka): Promise<RawProducer> {
  const producer = changeClusters(kafka, produceRaw).producer({
    allowAutoTopicCreation: false,
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition as number,
  });
  await producer.connect();
  return {
    async send(entries) {
      const topics = new Map<string, RawMessage[]>();
      const messages = entries.map((entry) => toMessage(entry, topics));
      await producer.sendBatch({
        acks: ALL_REPLICAS,
        topicMessages: [...topics].map(([topic, messages]) => ({ topic, messages })),
      });
      return entries.map(({ topic, partition }, k) => {
        const { baseOffset } = messages[k];
        // kafkajs passes over a partition that the topic does not have, without a word.
        if (baseOffset === UNACKNOWLEDGED)
          throw new KafkaError('TOPIC_UNKNOWN', `${topic} has no partition ${partition}`);
        return { topic, partition, baseOffset };
      });
    },
    disconnect: () => producer.disconnect(),
  };
}

/** What kafkajs takes for a message: it carries the batch down to `produce`, and the answer back. */
type RawMessage = { partition: number; value: Buffer; baseOffset: number };

const ALL_REPLICAS = -1;
const UNACKNOWLEDGED = -1;
const PRODUCE = 0;
/** The version written here, the newest that kafkajs knows. */
const PRODUCE_VERSION = 7;
const TIMEOUT_MS = 30_000;

const KafkajsEncoder = kafkajsModule<new (bytes: number) => Encoder>('protocol/encoder.js');
const { requests } = kafkajsModule<{ requests: { Produce: unknown } }>('protocol/requests/index.js');
const { createErrorFromCode } = kafkajsModule<{ createErrorFromCode(code: number): Error }>('protocol/error.js');

function toMessage({ topic, partition, batch, records }: RawEntry, topics: Map<string, RawMessage[]>): RawMessage {
  const value = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  if (countOf(value) !== records) throw new Error(`a batch of ${countOf(value)} records was said to have ${records}`);
  const messages = topics.get(topic) ?? [];
  if (messages.some((other) => other.partition === partition))
    throw new Error(`two batches for ${topic}/${partition}: Kafka takes one in a request`);
  const message = { partition, value, baseOffset: UNACKNOWLEDGED };
  messages.push(message);
  topics.set(topic, messages);
  return message;
}

function produceRaw(cluster: Cluster): Cluster {
  const { brokerPool } = cluster;
  const { createBroker } = brokerPool;
  brokerPool.createBroker = (options) => {
    const broker = createBroker(options);
    broker.produce = ({ topicData }) => produce(broker, topicData as RawTopic[]);
    return broker;
  };
  return cluster;
}

type RawPartition = { partition: number; messages: RawMessage[] };
type RawTopic = { topic: string; partitions: RawPartition[] };
type ProduceResponse = {
  topics: { topicName: string; partitions: { partition: number; errorCode: number; baseOffset: string }[] }[];
};

/** In place of kafkajs's `Broker.produce`, for one attempt. Throws the first failure once all that went well is noted. */
async function produce(broker: Broker, attempt: RawTopic[]): Promise<ProduceResponse> {
  const topicData = attempt
    .map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.filter(({ messages }) => messages[0].baseOffset === UNACKNOWLEDGED),
    }))
    .filter(({ partitions }) => partitions.length > 0);
  if (topicData.length === 0) return { topics: [] };
  const { request, response } = broker.lookupRequest(PRODUCE, requests.Produce)({ acks: ALL_REPLICAS, topicData: [] });
  if (request.apiVersion !== PRODUCE_VERSION)
    throw new Error(`the broker takes Produce only up to version ${request.apiVersion}: Kafka 2.1 or later is needed`);
  const answer = (await sendToBroker(broker, {
    request: { ...request, encode: async () => encodeProduce(topicData) },
    response: { decode: response.decode, parse: async (data) => data },
  })) as ProduceResponse;
  const failure = noteAcknowledged(answer, topicData);
  if (failure !== undefined) throw failure;
  return answer;
}

function noteAcknowledged({ topics }: ProduceResponse, topicData: readonly RawTopic[]): Error | undefined {
  let failure: Error | undefined;
  for (const { topicName, partitions } of topics) {
    const sent = topicData.find(({ topic }) => topic === topicName) as RawTopic;
    for (const { partition, errorCode, baseOffset } of partitions) {
      const { messages } = sent.partitions.find((entry) => entry.partition === partition) as RawPartition;
      if (errorCode === 0) messages[0].baseOffset = Number(baseOffset);
      else failure ??= createErrorFromCode(errorCode);
    }
  }
  return failure;
}

/** Produce version 7: transactional id, acks, time-out, topics with partitions with a batch each. */
function encodeProduce(topicData: readonly RawTopic[]): Encoder {
  let bytes = 0;
  for (const { topic, partitions } of topicData) {
    bytes += 64 + 3 * topic.length;
    for (const { messages } of partitions) bytes += 8 + messages[0].value.length;
  }
  const encoder = new KafkajsEncoder(bytes).writeString(null).writeInt16(ALL_REPLICAS).writeInt32(TIMEOUT_MS);
  encoder.writeInt32(topicData.length);
  for (const { topic, partitions } of topicData) {
    encoder.writeString(topic).writeInt32(partitions.length);
    for (const { partition, messages } of partitions) {
      const { value } = messages[0];
      encoder.writeInt32(partition).writeInt32(value.length);
      encoder.writeBufferInternal(value);
    }
  }
  return encoder;
}
