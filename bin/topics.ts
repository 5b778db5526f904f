import { parseArgs } from 'node:util';
import { createKafka } from '#services/platform/kafka/client.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { createLog } from '#services/platform/log.ts';
import { readSettings } from '#services/platform/settings.ts';

export const summary = 'Creates the topics of the stream and registers their schemas';

export const help = `Usage: mdr topics [--prefix P] [--partitions N] [--replicas N] [--brokers LIST] [--registry URL] [--json]

Creates what is missing, and holds what is there against its declaration (schemas/topics.ts). A topic that differs is
left as it is: the command says what differs and how to mend it, and ends with 3. Registers each topic's Avro schema
with backward compatibility; a schema that could not read what is in the topic is refused.

  --replicas N   copies of each partition [1]

Examples:
  mdr kafka up && mdr topics
  mdr topics --prefix trial. --partitions 8 --json
`;

export async function run(argv: string[]): Promise<number> {
  const isJson = argv.includes('--json');
  const { values } = parseArgs({
    args: argv,
    strict: false,
    options: { replicas: { type: 'string', default: '1' } },
  });
  const rest = argv.filter((arg, k) => arg !== '--json' && arg !== '--replicas' && argv[k - 1] !== '--replicas');
  const settings = readSettings({}, rest, process.env);
  const kafka = createKafka(settings.brokers, 'topics', createLog('topics', settings.logLevel));
  const admin = kafka.admin();
  await admin.connect();
  try {
    const states = await ensureTopics(admin, settings.prefix, settings.partitions, {
      create: true,
      replicas: Number(values.replicas),
    });
    const ids = await registerSchemas(settings.registry);
    const rows = states.map((row) => ({
      ...row,
      partitions: settings.partitions,
      schemaId: ids[row.topic.slice(settings.prefix.length) as keyof typeof ids],
    }));
    if (isJson) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    else
      for (const { topic, state, schemaId } of rows)
        process.stdout.write(`${state.padEnd(8)} ${topic}, schema ${schemaId}\n`);
  } finally {
    await admin.disconnect();
  }
  return 0;
}
