import { parseArgs } from 'node:util';
import { requireReachable } from '#services/platform/kafka-provider/given.ts';
import { environmentWithKafka } from '#services/platform/kafka-provider/standing-kafka.ts';
import { createLog } from '#services/platform/log.ts';
import { Connections, type ServiceContext } from '#services/platform/service.ts';
import { COMMON_SETTINGS, readSettings, type ServiceSettings, type Setting } from '#services/platform/settings.ts';

/** The common settings that make sense for a command that ends by itself. */
export const STREAM_SETTINGS = ['brokers', 'registry', 'prefix', 'partitions', 'log-level'] as const;

type Flags = Record<string, boolean | string | (string | boolean)[] | undefined>;
export type StreamArguments = { settings: ServiceSettings; positionals: string[]; flags: Flags };

/**
 * The arguments of a command that works on the topics of a stream: settings as a service has them, from flags,
 * environment or the file of --config, beside options that are its own. Throws INPUT_INVALID, and what parseArgs does.
 */
export async function streamArguments(
  argv: string[],
  settings: Readonly<Record<string, Setting>>,
  options: Readonly<Record<string, { type: 'boolean' | 'string'; multiple?: boolean }>>,
): Promise<StreamArguments> {
  const names = [...Object.keys(COMMON_SETTINGS), ...Object.keys(settings), 'config'];
  const all = { ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])), ...options };
  const { values, positionals } = parseArgs({ args: argv, options: all, allowPositionals: true });
  const given = names.flatMap((name) => (values[name] === undefined ? [] : [`--${name}=${values[name]}`]));
  const flags = Object.fromEntries(Object.keys(options).map((name) => [name, values[name] as Flags[string]]));
  const environment = await environmentWithKafka(given);
  return { settings: readSettings(settings, given, environment), positionals, flags };
}

/** Runs `act` as a client of the stream, and ends the connections. Throws COULD_NOT_RUN where there is none. */
export async function withStream<T>(
  name: string,
  settings: ServiceSettings,
  act: (context: ServiceContext) => Promise<T>,
): Promise<T> {
  const { brokers, registry: registryUrl, security } = settings;
  await requireReachable({ brokers, registryUrl, security });
  const connections = new Connections();
  const failed = Promise.withResolvers<never>();
  try {
    // What it could connect before it failed is closed too, or the command would not end.
    const context = await connections.open(name, settings, createLog(name, settings.logLevel), failed.reject);
    return await Promise.race([act(context), failed.promise]);
  } finally {
    await connections.close();
  }
}

/** Whether any process is a member of a service's group. */
export async function isServed({ admin, settings }: ServiceContext, service: string): Promise<boolean> {
  const { groups } = await admin.describeGroups([settings.prefix + service]);
  return groups.some(({ members }) => members.length > 0);
}
