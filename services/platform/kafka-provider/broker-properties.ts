/** `host` is what the broker listens on, `address` what it tells clients, `logDirectory` where its records are. */
export type BrokerSettings = {
  host: string;
  port: number;
  controllerPort: number;
  address: string;
  logDirectory: string;
  secured?: SecuredListeners | undefined;
};

/** Listeners on 127.0.0.1 that know their clients, beside the plain one. Keys and certificates in PEM. */
export type SecuredListeners = {
  /** SASL_SSL: the user is known by PLAIN and by SCRAM. */
  saslPort: number;
  user: { name: string; password: string };
  /** SSL: clients show a certificate of this CA. */
  tlsPort: number;
  clientCa: string;
  /** What the broker shows. */
  key: string;
  certificate: string;
};

/** Any will do, but a data directory is bound to the one that it was formatted with. */
export const CLUSTER_ID = 'bWRyLXN0cmVhbS1sb2NhbA';

/**
 * Options of the broker's JVM; of two that contradict each other the later one holds. A broker of some minutes spends
 * more on C2's compilations than it gains by them: 14 CPU-s of 34 in a day of a million meters.
 */
export function brokerOptions(): string {
  return `-XX:TieredStopAtLevel=1 ${process.env.MDR_KAFKA_HEAP?.trim() || '-Xmx1g -Xms512m'}`;
}

/** The settings of a single broker that is its own controller, for development and tests. */
export function brokerProperties(settings: BrokerSettings): string {
  const { secured } = settings;
  return Object.entries({ ...SETTINGS, ...places(settings), ...(secured && security(secured)) })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function places(settings: BrokerSettings): Record<string, string> {
  const { host, port, controllerPort, address, logDirectory, secured } = settings;
  const more =
    secured === undefined ? '' : `,SASL_SSL://127.0.0.1:${secured.saslPort},SSL://127.0.0.1:${secured.tlsPort}`;
  return {
    'log.dirs': logDirectory,
    listeners: `PLAINTEXT://${host}:${port},CONTROLLER://127.0.0.1:${controllerPort}${more}`,
    'advertised.listeners': `PLAINTEXT://${address}${more}`,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
  };
}

function security({ user, clientCa, key, certificate }: SecuredListeners): Record<string, string> {
  const module = (name: string, rest = '') => `org.apache.kafka.common.security.${name} required${rest};`;
  return {
    'listener.security.protocol.map': `${SETTINGS['listener.security.protocol.map']},SASL_SSL:SASL_SSL,SSL:SSL`,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.key': inOneLine(key),
    'ssl.keystore.certificate.chain': inOneLine(certificate),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.certificates': inOneLine(clientCa),
    'listener.name.ssl.ssl.client.auth': 'required',
    'sasl.enabled.mechanisms': ['PLAIN', ...SCRAM_MECHANISMS].join(','),
    'listener.name.sasl_ssl.plain.sasl.jaas.config': module(
      'plain.PlainLoginModule',
      ` user_${user.name}="${user.password}"`,
    ),
    ...Object.fromEntries(
      SCRAM_MECHANISMS.map((mechanism) => [
        `listener.name.sasl_ssl.${mechanism.toLowerCase()}.sasl.jaas.config`,
        module('scram.ScramLoginModule'),
      ]),
    ),
  };
}

/** What a data directory is formatted with, for SCRAM to know the user from the start. */
export function scramCredentials({ user }: SecuredListeners): string[] {
  return SCRAM_MECHANISMS.map((mechanism) => `${mechanism}=[name=${user.name},password=${user.password}]`);
}

const SCRAM_MECHANISMS = ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/** PEM as a value of a properties file. */
function inOneLine(pem: string): string {
  return pem.trim().replaceAll('\n', '\\n');
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
