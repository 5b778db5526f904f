import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { connectAdmin, createKafka } from '#services/platform/kafka/client.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { requireReachable } from '#services/platform/kafka-provider/given.ts';
import { environmentWithKafka } from '#services/platform/kafka-provider/standing-kafka.ts';
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
  const { json, replicas, rest } = parse(argv);
  const { brokers, registry, prefix, partitions, logLevel } = readSettings({}, rest, await environmentWithKafka(rest));
  await requireReachable({ brokers, registryUrl: registry });
  const kafka = createKafka(brokers, 'topics', createLog('topics', logLevel));
  const admin = await connectAdmin(kafka, brokers);
  try {
    const states = await ensureTopics(admin, prefix, partitions, { create: true, replicas });
    const ids = await registerSchemas(registry);
    const rows = states.map((row) => ({
      ...row,
      partitions,
      schemaId: ids[row.topic.slice(prefix.length) as keyof typeof ids],
    }));
    if (json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    else
      for (const { topic, state, schemaId } of rows)
        process.stdout.write(`${state.padEnd(8)} ${topic}, schema ${schemaId}\n`);
  } finally {
    await admin.disconnect();
  }
  return 0;
}

/** Its own options apart from the settings that it shares with the services. */
function parse(argv: string[]): { json: boolean; replicas: number; rest: string[] } {
  const options = { replicas: { type: 'string' }, json: { type: 'boolean', default: false } } as const;
  const { values, tokens } = parseArgs({ args: argv, strict: false, tokens: true, options });
  const own = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== 'option' || !Object.hasOwn(options, token.name)) continue;
    own.add(token.index);
    if (token.value !== undefined && !token.inlineValue) own.add(token.index + 1);
  }
  const { replicas = '1', json } = values;
  if (!/^[1-9]\d{0,2}$/.test(String(replicas))) {
    throw new MdrError('USAGE', `--replicas ${replicas} is not a number of copies from 1 to 999`);
  }
  return { json: json === true, replicas: Number(replicas), rest: argv.filter((_, index) => !own.has(index)) };
}
