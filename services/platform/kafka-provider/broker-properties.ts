/** `host` is what the broker listens on, `address` what it tells clients, `logDirectory` where its records are. */
export type BrokerSettings = {
  host: string;
  port: number;
  controllerPort: number;
  address: string;
  logDirectory: string;
};

/** Any will do, but a data directory is bound to the one that it was formatted with. */
export const CLUSTER_ID = 'bWRyLXN0cmVhbS1sb2NhbA';

export function brokerHeap(): string {
  return process.env.MDR_KAFKA_HEAP?.trim() || '-Xmx1g -Xms512m';
}

/** The settings of a single broker that is its own controller, for development and tests. */
export function brokerProperties(settings: BrokerSettings): string {
  return Object.entries({ ...places(settings), ...SETTINGS })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function places({ host, port, controllerPort, address, logDirectory }: BrokerSettings): Record<string, string> {
  return {
    'log.dirs': logDirectory,
    listeners: `PLAINTEXT://${host}:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${address}`,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
  };
}

const SETTINGS = {
  'node.id': 1,
  'process.roles': 'broker,controller',
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'PLAINTEXT',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',

  'auto.create.topics.enable': false,
  'delete.topic.enable': true,
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,

  'group.initial.rebalance.delay.ms': 0,
  'group.min.session.timeout.ms': 1_000,
  // Low watermarks and the origins seen travel in the metadata of offset commits.
  'offset.metadata.max.bytes': 65_536,
  'message.max.bytes': 4_194_304,
  'replica.fetch.max.bytes': 4_194_304,

  // Records bear simulated time: their age by the wall clock says nothing, so size alone bounds what is kept,
  // and a timestamp ahead of the wall clock is no fault. The limit is a partition's.
  'log.retention.ms': -1,
  'log.retention.bytes': 2_147_483_648,
  'log.segment.bytes': 268_435_456,
  'log.message.timestamp.after.max.ms': '9223372036854775807',
  'log.cleaner.dedupe.buffer.size': 33_554_432,
  'log.cleaner.backoff.ms': 1_000,

  // A lone broker has nobody to elect but itself, and after a crash waits for its former self's session to end.
  'controller.quorum.election.timeout.ms': 100,
  'controller.quorum.fetch.timeout.ms': 200,
  'controller.quorum.election.backoff.max.ms': 100,
  'broker.heartbeat.interval.ms': 500,
  'broker.session.timeout.ms': 4_000,

  'num.network.threads': 2,
  'num.io.threads': 4,
};
