import {
  PEER_OUTPUTS,
  type PeerPass,
  type PeerResult,
  runKafkaStreamsPeer,
} from '#load-tests/peers/kafka-streams/run.ts';
import { type TopicName, topicSettings } from '#schemas/topics.ts';
import type { Admin, Kafka } from '#services/platform/kafka/client.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas, type SchemaIds } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import {
  expectedDecisions,
  fillJoinTopics,
  JOIN_SHAPE,
  type JoinShape,
  type JoinWorld,
  joinWorld,
} from './join-data.ts';
import { type Measurement, measured, median, progress } from './measure.ts';

/** What a run of our service is given: full topics, and a number to make a group of its own with. */
export type JoinRun = {
  brokers: string[];
  registryUrl: string;
  prefix: string;
  schemaIds: SchemaIds;
  world: JoinWorld;
  run: number;
};
/** Decides every request of the topics once, counted as {@link PeerPass} says. */
export type RunOurs = (given: JoinRun) => Promise<PeerPass>;

const RUNS = 3;

/** Our access control and the Kafka Streams application on the same topics, in turns, so that both meet the same machine. */
export async function measureJoin(
  runOurs: RunOurs,
  shape: JoinShape = JOIN_SHAPE,
  runs = RUNS,
): Promise<Measurement[]> {
  const kafka = await provideKafka({ onProgress: progress });
  try {
    const client = createKafka(kafka.brokers, 'mdr-bench', createLog('bench', 'warn'));
    const prefix = `join-${process.pid}.`;
    const world = joinWorld(shape);
    const given = { ...kafka, prefix, world, schemaIds: await registerSchemas(kafka.registryUrl) };
    await prepareJoin(client, prefix, world, given.schemaIds);
    progress('  topics filled');
    const ours: PeerPass[] = [];
    const peers: PeerResult[] = [];
    for (let run = 0; run < runs; run++) {
      ours.push(checked('access control', world, await runOurs({ ...given, run })));
      peers.push(checked('Kafka Streams', world, await runPeer(given)));
      progress(`  run ${run + 1}: ${ours[run].perCpuSecond} and ${peers[run].perCpuSecond} SR a CPU-second`);
    }
    await deleteTopics(client, prefix);
    return rowsOf(ours, peers);
  } finally {
    await kafka.stop();
  }
}

/** Creates the topics of the platform and of the peer, and fills those that the join reads. */
export async function prepareJoin(kafka: Kafka, prefix: string, world: JoinWorld, schemaIds: SchemaIds): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await ensureTopics(admin, prefix, world.shape.partitions, { create: true });
  await createPeerOutputs(admin, prefix, world.shape.partitions);
  await admin.disconnect();
  const producer = await createRawProducer(kafka);
  await fillJoinTopics(world, prefix, schemaIds, producer);
  await producer.disconnect();
}

/** Half a gigabyte that a broker which goes on running need not keep. */
async function deleteTopics(kafka: Kafka, prefix: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
  await admin.deleteTopics({ topics });
  await admin.disconnect();
}

function runPeer({ brokers, prefix, world, schemaIds }: Omit<JoinRun, 'run' | 'registryUrl'>): Promise<PeerResult> {
  return runKafkaStreamsPeer({ brokers, prefix, requests: world.shape.requests, users: world.users, schemaIds });
}

async function createPeerOutputs(admin: Admin, prefix: string, partitions: number): Promise<void> {
  await admin.createTopics({
    // The Java client waits by itself; kafkajs fails where the broker does not know the new topic yet.
    waitForLeaders: false,
    topics: Object.entries(PEER_OUTPUTS).map(([ours, theirs]) => ({
      topic: prefix + theirs,
      numPartitions: partitions,
      configEntries: Object.entries(topicSettings(ours as TopicName)).map(([name, value]) => ({ name, value })),
    })),
  });
}

/** A run that decides otherwise than it must measures nothing. */
function checked<T extends PeerPass>(who: string, world: JoinWorld, result: T): T {
  const { accepted, refused } = expectedDecisions(world);
  if (result.accepted !== accepted || result.refused !== refused) {
    throw new Error(`${who} accepted ${result.accepted} and refused ${result.refused}, not ${accepted} and ${refused}`);
  }
  return result;
}

/** Each of ours is the first pass of a process, and so is what it is held against; the peer's third is beside it. */
function rowsOf(ours: readonly PeerPass[], peers: readonly PeerResult[]): Measurement[] {
  const perCpuSecond = ours.map((one) => one.perCpuSecond);
  const perSecond = ours.map((one) => one.perSecond);
  const cpuSeconds = median(ours.map((one) => one.cpuSeconds));
  const first = peers.map(({ cold }) => cold);
  const baseline = (name: string, values: readonly number[]) => ({ name, value: median(values) });
  const target = 'at least 3 times the baseline';
  return [
    measured('join-per-cpu-second', 'SR/CPU-s', perCpuSecond, {
      baseline: baseline(
        'Kafka Streams, first pass',
        first.map((one) => one.perCpuSecond),
      ),
      cpuSeconds,
      target,
    }),
    measured('join-per-second', 'SR/s', perSecond, {
      baseline: baseline(
        'Kafka Streams, first pass',
        first.map((one) => one.perSecond),
      ),
    }),
    measured('join-per-cpu-second-beside-warm-peer', 'SR/CPU-s', perCpuSecond, {
      baseline: baseline(
        'Kafka Streams, third pass of one process',
        peers.map((one) => one.perCpuSecond),
      ),
    }),
  ];
}
