import { createRequire } from 'node:module';
import { type Consumer, type ConsumerConfig, Kafka, logLevel } from 'kafkajs';
import {
  type Broker,
  type Cluster,
  type ClusterOptions,
  type ConnectionPool,
  changeClusters,
  createCluster,
  kafkajsModule,
  ownSymbol,
  type ProtocolRequest,
  SEND_REQUEST,
} from './kafkajs-insides.ts';
import { decodeRawFetch } from './raw-fetch.ts';

/**
 * The seam into kafkajs: whole record batches in and out, with its metadata, retries, TLS, SASL and groups kept.
 *
 * kafkajs has no hook for this. Swapping its modules would change every client in the process, and loading it twice
 * makes two of every class. So two methods are replaced on the objects of one client: `send` of its connections, to
 * decode fetch responses otherwise, or `produce` of its brokers. An ordinary client made of the same `Kafka` is as
 * before. It is pinned to one version: what is relied on is no public interface.
 */
const KAFKAJS_VERSION = '2.2.4';

/** Refuses to start unless kafkajs is the version, and has the insides, that this was written for. */
export function assertSeam(version = installedVersion()): void {
  if (version !== KAFKAJS_VERSION)
    throw new Error(`kafkajs is ${version}, but record batches pass through its insides as of ${KAFKAJS_VERSION}`);
  const cluster = createCluster(new Kafka({ brokers: ['unused:1'], logLevel: logLevel.NOTHING }), {});
  const broker = kafkajsModule<{ prototype: Broker }>('broker/index.js').prototype;
  const pool = kafkajsModule<{ prototype: ConnectionPool }>('network/connectionPool.js').prototype;
  const { requests } = kafkajsModule<{ requests: Record<string, { versions: string[] }> }>(
    'protocol/requests/index.js',
  );
  for (const [what, isThere] of [
    ['Cluster.connectionPoolBuilder.build', typeof cluster.connectionPoolBuilder?.build === 'function'],
    ['Cluster.brokerPool.createBroker', typeof cluster.brokerPool?.createBroker === 'function'],
    ['Broker.produce', typeof broker.produce === 'function'],
    ['Broker.fetch', typeof broker.fetch === 'function'],
    ['Broker.sendRequest', ownSymbol(broker, SEND_REQUEST) !== undefined],
    ['ConnectionPool.send', typeof pool.send === 'function'],
    ['Fetch version 11 as its newest', requests.Fetch?.versions.at(-1) === '11'],
    ['Produce version 7 as its newest', requests.Produce?.versions.at(-1) === '7'],
    ['JoinGroup version 5 as its newest', requests.JoinGroup?.versions.at(-1) === '5'],
  ] as const)
    if (!isThere) throw new Error(`kafkajs ${version} lacks ${what}: its installation is not the published one`);
}

/**
 * A consumer whose messages are record batches: `value` holds one batch as it is on the log, `offset` is its last one.
 * A batch may begin before `fetchedOffset`, after a seek or a commit into its middle: records below that are not asked
 * for (`cursor.open(batch, fetchedOffset(batch))`). Compressed batches and those of committed transactions arrive as
 * plain ones, aborted and control batches not at all; what cannot be made plain arrives as it is, for the cursor to
 * refuse. These messages have no key, timestamp or headers of their own.
 *
 * `onGeneration` is called with the number of each generation of the group that it joins, before GROUP_JOIN is emitted:
 * kafkajs does not tell.
 */
export function createRawConsumer(
  kafka: Kafka,
  config: ConsumerConfig,
  onGeneration: (generation: number) => void = () => {},
): Consumer {
  const change = (cluster: Cluster) => noteGenerations(fetchRaw(cluster), onGeneration);
  return changeClusters(kafka, change).consumer(config);
}

/** The offset that was asked for: records of the first batch may lie below it. */
export function fetchedOffset(batch: object): number {
  return Number((batch as { fetchedOffset: string }).fetchedOffset);
}

/** kafkajs's metadata and connections without a consumer, fetching as a raw consumer does. */
export function createRawCluster(kafka: Kafka, options: ClusterOptions): Cluster {
  return fetchRaw(createCluster(kafka, options));
}

function installedVersion(): string {
  return (createRequire(import.meta.url)('kafkajs/package.json') as { version: string }).version;
}

const FETCH = 1;
/** The version that `decodeRawFetch` reads, the newest that kafkajs asks for. */
const FETCH_VERSION = 11;

function fetchRaw(cluster: Cluster): Cluster {
  return changeRequests(cluster, FETCH, withRawResponse);
}

const JOIN_GROUP = 11;

function noteGenerations(cluster: Cluster, onGeneration: (generation: number) => void): Cluster {
  return changeRequests(cluster, JOIN_GROUP, ({ request, response: { decode, parse }, ...rest }) => ({
    ...rest,
    request,
    response: {
      decode,
      async parse(data) {
        const joined = (await parse(data)) as { generationId: number };
        onGeneration(joined.generationId);
        return joined;
      },
    },
  }));
}

function changeRequests(
  cluster: Cluster,
  apiKey: number,
  change: (request: ProtocolRequest) => ProtocolRequest,
): Cluster {
  const { connectionPoolBuilder } = cluster;
  const { build } = connectionPoolBuilder;
  connectionPoolBuilder.build = async (destination) => {
    const pool = await build(destination);
    const send = pool.send.bind(pool);
    pool.send = (request) => send(request.request.apiKey === apiKey ? change(request) : request);
    return pool;
  };
  return cluster;
}

function withRawResponse(fetch: ProtocolRequest): ProtocolRequest {
  const { apiVersion } = fetch.request;
  if (apiVersion !== FETCH_VERSION)
    throw new Error(`the broker answers Fetch only up to version ${apiVersion}: Kafka 2.3 or later is needed`);
  return { ...fetch, response: { decode: decodeRawFetch, parse: fetch.response.parse } };
}
