import { connectAdmin, createKafka } from '../kafka/client.ts';
import { ensureTopics } from '../kafka/topics.ts';
import { createLog } from '../log.ts';
import { Connections, type ServiceContext } from '../service.ts';
import { readSettings } from '../settings.ts';

let contexts = 0;

/** What a service is connected to, on topics of its own; `fail` of it throws. */
export async function openContext(
  { brokers, registryUrl }: { brokers: string[]; registryUrl: string },
  name: string,
  partitions: number,
): Promise<{ context: ServiceContext; close(): Promise<void> }> {
  const prefix = `${name}-${process.pid}-${Math.trunc(performance.timeOrigin)}-${contexts++}.`;
  const log = createLog(name, 'silent');
  const admin = await connectAdmin(createKafka(brokers, name, log), brokers);
  await ensureTopics(admin, prefix, partitions, { create: true });
  await admin.disconnect();
  const flags = Object.entries({ brokers: brokers.join(), registry: registryUrl, prefix, partitions });
  const settings = readSettings(
    {},
    flags.map(([flag, value]) => `--${flag}=${value}`),
    {},
  );
  const connections = new Connections();
  const context = await connections.open(name, settings, log, (error) => {
    throw error;
  });
  return { context, close: () => connections.close() };
}
