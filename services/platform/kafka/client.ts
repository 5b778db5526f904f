import { type Admin, Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs';
import { MdrError } from '#core/errors.ts';
import type { Log } from '#services/platform/log.ts';
import type { KafkaSecurity } from './security.ts';

export { type Admin, CompressionTypes, type Kafka } from 'kafkajs';

/** A broker that restarts is back within seconds; for a minute requests are repeated before the process gives up. */
export const RETRIES_MAX = 40;
const RETRY_FIRST_MS = 100;
const RETRY_MS_MAX = 2000;
const CONNECT_WITHIN_MS = 5000;
const ANSWER_WITHIN_MS = 30_000;

/** kafkajs, its log lines in ours: what it retries is no matter for a person. */
export function createKafka(brokers: string[], clientId: string, log: Log, security: KafkaSecurity = {}): Kafka {
  return new Kafka({
    clientId,
    brokers,
    ...connectionOf(security),
    connectionTimeout: CONNECT_WITHIN_MS,
    requestTimeout: ANSWER_WITHIN_MS,
    enforceRequestTimeout: true,
    retry: {
      retries: RETRIES_MAX,
      initialRetryTime: RETRY_FIRST_MS,
      maxRetryTime: RETRY_MS_MAX,
      // A consumer whose retries are used up would begin them anew for ever, and nobody would know. But kafkajs tries
      // to join a group once only, and a broker that has just started answers that it is still loading; and it gives up
      // at once when it has forgotten the only broker, whose connection was closed.
      restartOnFailure: async ({ name }) => name === 'KafkaJSProtocolError' || name === 'KafkaJSNoBrokerAvailableError',
    },
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => {
      const { message, timestamp: _, logger: __, ...rest } = entry.log;
      if (entry.level === logLevel.ERROR) log.info({ kafkajs: rest }, message);
      else log.debug({ kafkajs: rest }, message);
    },
  });
}

/** Connects an admin client. Throws COULD_NOT_RUN where no broker answers for as long as requests are repeated. */
export async function connectAdmin(kafka: Kafka, brokers: readonly string[]): Promise<Admin> {
  const admin = kafka.admin();
  try {
    await admin.connect();
  } catch (error) {
    throw new MdrError(
      'COULD_NOT_RUN',
      `No Kafka broker answers at ${brokers.join(', ')}: ${(error as Error).message}`,
    );
  }
  return admin;
}

/** Whether a broker lets a client in that is known by TLS or SASL. A closed connection says no more of the reason. */
export async function letsIn(broker: string, security: KafkaSecurity): Promise<boolean> {
  const retry = { retries: 0 };
  const secured = { ...connectionOf(security), connectionTimeout: CONNECT_WITHIN_MS, retry };
  const admin = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING, ...secured }).admin();
  try {
    await admin.connect();
    return true;
  } catch {
    return false;
  } finally {
    await admin.disconnect();
  }
}

function connectionOf({ ssl, sasl }: KafkaSecurity): Pick<KafkaConfig, 'ssl' | 'sasl'> {
  return { ...(ssl && { ssl }), ...(sasl && { sasl: sasl as SASLOptions }) };
}
