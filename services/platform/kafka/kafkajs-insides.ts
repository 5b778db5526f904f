import { createRequire } from 'node:module';
import type { Kafka } from 'kafkajs';

/** What is used of kafkajs that it does not export, as of the version that `assertSeam` pins. */

export type Encoder = {
  writeString(value: string | null): Encoder;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeBufferInternal(buffer: Buffer): void;
};
export type ProtocolRequest = {
  request: {
    apiKey: number;
    apiVersion: number;
    apiName?: string;
    expectResponse?(): boolean;
    encode(): Promise<Encoder>;
  };
  response: { decode(payload: Buffer): Promise<unknown>; parse(data: unknown): Promise<unknown> };
  requestTimeout?: number | null;
};
export type ConnectionPool = { send(request: ProtocolRequest): Promise<unknown> };
export type FetchTopic = {
  topic: string;
  partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
};
export type Broker = {
  nodeId: string;
  produce(options: { timeout?: number; topicData: object[] }): Promise<unknown>;
  fetch(options: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: FetchTopic[];
  }): Promise<unknown>;
  lookupRequest(apiKey: number, definition: unknown): (options: object) => ProtocolRequest;
};
export type Cluster = {
  connectionPoolBuilder: { build(destination?: object): Promise<ConnectionPool> };
  brokerPool: { createBroker(options: object): Broker };
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  removeBroker(address: { host: string; port: number }): void;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  addMultipleTargetTopics(topics: string[]): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findBroker(options: { nodeId: string }): Promise<Broker>;
  fetchTopicsOffset(
    topics: { topic: string; partitions: { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
};
export type ClusterOptions = { metadataMaxAge?: number; allowAutoTopicCreation?: boolean; isolationLevel?: number };
type CreateCluster = (options: ClusterOptions) => Cluster;

const require = createRequire(import.meta.url);

/** A module inside kafkajs, by its path under `src`. */
export function kafkajsModule<T>(path: string): T {
  return require(`kafkajs/src/${path}`) as T;
}

/** A cluster of a client's settings: metadata and connections without consumer or producer. */
export function createCluster(kafka: Kafka, options: ClusterOptions): Cluster {
  return clusterFactory(kafka).create(options);
}

/** The same client, but each cluster that it makes passes through `change`. */
export function changeClusters(kafka: Kafka, change: (cluster: Cluster) => Cluster): Kafka {
  const { symbol, create } = clusterFactory(kafka);
  return Object.create(kafka, { [symbol]: { value: (options: ClusterOptions) => change(create(options)) } }) as Kafka;
}

/** Sends a request as kafkajs's own methods of a broker do: a closed connection is noted. */
export function sendToBroker(broker: Broker, request: ProtocolRequest): Promise<unknown> {
  const symbol = ownSymbol(Object.getPrototypeOf(broker), SEND_REQUEST) as symbol;
  return (broker as unknown as Record<symbol, (request: ProtocolRequest) => Promise<unknown>>)[symbol](request);
}

/** Descriptions of the symbols that hide what is needed. */
export const SEND_REQUEST = 'private:Broker:sendRequest';
const CREATE_CLUSTER = 'private:Kafka:createCluster';

function clusterFactory(kafka: Kafka): { symbol: symbol; create: CreateCluster } {
  const symbol = ownSymbol(kafka, CREATE_CLUSTER);
  if (symbol === undefined) throw new Error('kafkajs makes its clusters otherwise than 2.2.4 does: install that');
  return { symbol, create: (kafka as unknown as Record<symbol, CreateCluster>)[symbol] };
}

export function ownSymbol(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description);
}
