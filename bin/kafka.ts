import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { type GivenKafka, givenKafka, requireReachable, unreachable } from '#services/platform/kafka-provider/given.ts';
import { bringDown, bringUp, standingKafka } from '#services/platform/kafka-provider/standing-kafka.ts';

export const summary = 'Starts, shows or stops a Kafka broker and a schema registry on this machine';

export const help = `Usage: mdr kafka up|status|down [options]

up starts one Kafka broker and a registry with Confluent's API on 127.0.0.1, ready in seconds, and leaves them running.
status says where they are; its exit code is 0 when both run, 1 when not. down stops what up has started; topics,
records and schemas are kept for the next up. They run in Docker when an engine answers, else by Java 17 or later with
jars that Maven fetches once. Where a Kafka is given, nothing is started or stopped; it is only asked whether it answers.

  --port N             the broker's port (up; a free one unless given)
  --registry-port N    the registry's (up; a free one unless given)
  --provider NAME      docker or java (up; what is there unless given)
  --delete-data        forgets topics, records and schemas (down)
  --brokers HOST:PORT  the Kafka that is given, several with commas (KAFKA_BROKERS)
  --registry URL       its schema registry (SCHEMA_REGISTRY_URL)
  --json               prints provider, brokers and registryUrl as JSON (up and status)
  --help

Data, logs and state.json are in .kafka/ beside the package, or in MDR_KAFKA_DIR. MDR_KAFKA_HEAP sets the broker's heap
(-Xmx1g -Xms512m), MDR_KAFKA_IMAGE and MDR_REGISTRY_IMAGE the images for Docker.

Exit codes: 0 done, 1 not running (status), 2 bad input, 3 could not run.

Examples:
  mdr kafka up
  mdr kafka up --port 9092 --registry-port 8081
  mdr kafka status --json | jq -r '.brokers[]'
  mdr kafka down --delete-data
  KAFKA_BROKERS=kafka:9092 SCHEMA_REGISTRY_URL=http://registry:8081 mdr kafka status
`;

const OPTIONS = {
  port: { type: 'string' },
  'registry-port': { type: 'string' },
  provider: { type: 'string' },
  'delete-data': { type: 'boolean', default: false },
  brokers: { type: 'string' },
  registry: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;
/** The options that say something to one of the three alone. */
const OPTIONS_OF: Record<string, string[]> = {
  up: ['port', 'registry-port', 'provider', 'json'],
  status: ['json'],
  down: ['delete-data'],
};

type Values = ReturnType<typeof parse>['values'];
type Shown = Omit<GivenKafka, 'security'> & { provider: string; startedAt?: string };

const parse = (argv: string[]) => parseArgs({ args: argv, allowPositionals: true, options: OPTIONS, tokens: true });

export async function run(argv: string[]): Promise<number> {
  const { values, positionals, tokens } = parse(argv);
  const [action = '', ...more] = positionals;
  if (!Object.hasOwn(OPTIONS_OF, action) || more.length > 0) {
    throw new MdrError('USAGE', `one of up, status and down, not ${positionals.join(' ') || 'none'}`);
  }
  for (const token of tokens) {
    if (token.kind === 'option' && ![...OPTIONS_OF[action], 'brokers', 'registry'].includes(token.name)) {
      throw new MdrError('USAGE', `${action} takes no ${token.rawName}`);
    }
  }
  const given = givenKafka(values);
  if (action === 'up') return await up(values, given);
  return action === 'status' ? await status(values, given) : await down(values, given);
}

async function up(values: Values, given: GivenKafka | undefined): Promise<number> {
  if (given !== undefined) {
    await requireReachable(given);
    return show({ provider: 'given', ...given }, 'Kafka is given and answers', values.json);
  }
  const startedMs = performance.now();
  const { kafka, wasRunning } = await bringUp({
    provider: values.provider,
    brokerPort: portNumber('--port', values.port),
    registryPort: portNumber('--registry-port', values['registry-port']),
    onProgress: (text) => process.stderr.write(`${text}\n`),
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  return show(kafka, wasRunning ? 'Kafka runs already' : `Kafka is ready after ${seconds} s`, values.json);
}

async function status(values: Values, given: GivenKafka | undefined): Promise<number> {
  const kafka = given === undefined ? await standingKafka() : undefined;
  if (kafka !== undefined) return show(kafka, 'Kafka runs', values.json);
  const missing = given === undefined ? ['Kafka is not running'] : await unreachable(given);
  if (given !== undefined && missing.length === 0) {
    return show({ provider: 'given', ...given }, 'Kafka is given and answers', values.json);
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ running: false, missing }, null, 2)}\n`);
  else process.stdout.write(`${missing.join('\n')}\n`);
  return 1;
}

async function down(values: Values, given: GivenKafka | undefined): Promise<number> {
  if (given !== undefined) throw new MdrError('USAGE', 'the Kafka that is given was not started here: nothing to stop');
  const stopped = await bringDown(values['delete-data']);
  const said = stopped === undefined ? 'Kafka was not running' : 'Kafka is stopped';
  process.stdout.write(`${said}${values['delete-data'] ? ', and its data are deleted' : ''}\n`);
  return 0;
}

function show({ provider, brokers, registryUrl, startedAt }: Shown, said: string, isJson: boolean): number {
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ running: true, provider, brokers, registryUrl, startedAt }, null, 2)}\n`);
    return 0;
  }
  process.stdout.write(`${said} (${provider})
  export KAFKA_BROKERS=${brokers.join(',')}
  export SCHEMA_REGISTRY_URL=${registryUrl}
`);
  return 0;
}

function portNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new MdrError('USAGE', `${option} ${text} is not a port from 1 to 65535`);
  }
  return port;
}
