import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { endService, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { endOffsets } from '#services/platform/kafka/partition-reader.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { fetchJars, jarsHere, java } from '#services/platform/kafka-provider/jars.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { type Measurement, measured, progress } from './measure.ts';
import { benchRun, benchService, publishRun } from './service-run.ts';

/** A tenth of Great Britain; all of it with MDR_BENCH_METERS=30000000. */
const METERS = Number(process.env.MDR_BENCH_METERS ?? 3_000_000);
const PARTITIONS = 4;
const RUNS = 3;
const READY_WITHIN_MS = 30 * 60_000;
const LOOK_EVERY_MS = 20;

type AccessStatus = { mpans: number; tableBytes: number; rssBytes: number };

/**
 * How fast access control's tables are restored from registrations and inventory, records of both a second, beside
 * Kafka's own consumer perf tool on the same registrations in the same run.
 */
export async function restore(): Promise<Measurement[]> {
  await fetchJars(progress);
  const kafka = await provideKafka({ onProgress: progress, isOwn: true });
  const prefix = 'restore.';
  const client = createKafka(kafka.brokers, 'mdr-bench', createLog('bench', 'silent'));
  const admin = client.admin();
  await admin.connect();
  try {
    await ensureTopics(admin, prefix, PARTITIONS, { create: true });
    const schemaIds = await registerSchemas(kafka.registryUrl);
    const producer = await createRawProducer(client);
    await publishRun(producer, prefix, benchRun('gb-settlement-day', [`fleet.meters=${METERS}`], 1).record, schemaIds);
    await producer.disconnect();
    const registration = await benchService('registration', kafka, prefix, PARTITIONS, {}, 2);
    const fillingMs = nowMs();
    await untilReady(registration, READY_WITHIN_MS);
    await endService(registration);
    const counts = await Promise.all(
      ['registrations', 'inventory'].map(async (topic) =>
        (await endOffsets(client, prefix + topic)).reduce((sum, end) => sum + end, 0),
      ),
    );
    const records = counts[0] + counts[1];
    progress(`  ${counts[0]} registrations filled in ${((nowMs() - fillingMs) / 1000).toFixed(0)} s`);
    const ours: number[] = [];
    const perfTool: number[] = [];
    let bytesPerMpan = 0;
    for (let run = 0; run < RUNS; run++) {
      const restored = await restoreOnce(kafka, prefix, records);
      ours.push(restored.perSecond);
      bytesPerMpan = restored.bytesPerMpan;
      perfTool.push(await consumerPerf(kafka.brokers, `${prefix}registrations`, counts[0]));
      progress(`  run ${run + 1}: ${ours[run]} records/s, consumer perf tool ${perfTool[run]}`);
      await admin.deleteGroups([`${prefix}access-control`]).catch(() => {});
    }
    const baseline = perfTool.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)];
    return [
      measured('restore-records-per-second', 'records/s', ours, {
        baseline: { name: 'kafka consumer perf tool', value: baseline },
        target: 'at least half of the consumer perf tool',
      }),
      measured('restore-bytes-per-mpan', 'bytes', [bytesPerMpan]),
    ];
  } finally {
    await admin.disconnect();
    await kafka.stop();
  }
}

/** From the first record applied until the tables are complete. */
async function restoreOnce(
  kafka: { brokers: string[]; registryUrl: string },
  prefix: string,
  records: number,
): Promise<{ perSecond: number; bytesPerMpan: number }> {
  const service = await benchService('access-control', kafka, prefix, PARTITIONS, {}, 2);
  try {
    let startedMs: number | undefined;
    for (const endMs = nowMs() + READY_WITHIN_MS; nowMs() < endMs; await sleep(LOOK_EVERY_MS)) {
      const status = (await statusOf(service)) as (AccessStatus & { ready: boolean }) | undefined;
      if (status === undefined) continue;
      if (startedMs === undefined && status.mpans === undefined) continue;
      startedMs ??= nowMs();
      if (!status.ready) continue;
      const seconds = (nowMs() - startedMs) / 1000;
      return {
        perSecond: Math.round(records / seconds),
        bytesPerMpan: Number((status.tableBytes / status.mpans).toFixed(1)),
      };
    }
    throw new Error(`the tables were not restored: see ${service.log}`);
  } finally {
    await endService(service);
  }
}

/** Messages a second of `kafka-consumer-perf-test`, without the time that it takes to join its group. */
async function consumerPerf(brokers: string[], topic: string, messages: number): Promise<number> {
  const { stdout } = await promisify(execFile)(java(), [
    '-Xmx512m',
    '-cp',
    join(jarsHere().kafka, '*'),
    'org.apache.kafka.tools.ConsumerPerformance',
    '--bootstrap-server',
    brokers.join(','),
    '--topic',
    topic,
    '--messages',
    String(messages),
    '--timeout',
    '60000',
  ]);
  const lines = stdout.trim().split('\n');
  const names = lines[0].split(',').map((name) => name.trim());
  const values = lines[lines.length - 1].split(',').map((value) => value.trim());
  return Math.round(Number(values[names.indexOf('fetch.nMsg.sec')]));
}
