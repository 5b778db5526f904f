import { endService, statusOf, untilReady } from '#load-tests/load/processes.ts';
import type { PeerPass } from '#load-tests/peers/kafka-streams/run.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { createLog } from '#services/platform/log.ts';
import type { JoinRun } from './join.ts';
import { benchRun, benchService, publishRun } from './service-run.ts';

const READY_WITHIN_MS = 120_000;
/** Each look costs the service a millisecond. */
const LOOK_EVERY_MS = 100;
/** What is counted begins when so much of the work is done: code is compiled by then. */
const WARM_SHARE = 0.1;
const WORK_WITHIN_MS = 120_000;

type Status = { decided: Record<string, number>; cpuSeconds: number; pendingBytes: number };

/** Our access-control service, as a process of its own, over the topics once; ended when every output is acknowledged. */
export async function runAccessControl({ brokers, registryUrl, prefix, schemaIds, world }: JoinRun): Promise<PeerPass> {
  const { partitions, requests } = world.shape;
  const kafka = createKafka(brokers, 'mdr-bench', createLog('bench', 'silent'));
  const producer = await createRawProducer(kafka);
  await publishRun(producer, prefix, benchRun('settlement-day', [], 1).record, schemaIds);
  await producer.disconnect();
  const admin = kafka.admin();
  await admin.connect();
  const service = await benchService('access-control', { brokers, registryUrl }, prefix, partitions);
  try {
    await untilReady(service, READY_WITHIN_MS);
    let start: { wallMs: number; cpuSeconds: number; done: number } | undefined;
    for (const endMs = nowMs() + WORK_WITHIN_MS; nowMs() < endMs; await sleep(LOOK_EVERY_MS)) {
      const status = (await statusOf(service)) as Status | undefined;
      if (status === undefined) continue;
      const wallMs = nowMs();
      const done = Object.values(status.decided).reduce((sum, count) => sum + count, 0);
      if (start === undefined && done >= WARM_SHARE * requests) start = { wallMs, cpuSeconds: status.cpuSeconds, done };
      if (start === undefined || done < requests || status.pendingBytes > 0) continue;
      const seconds = (wallMs - start.wallMs) / 1000;
      const cpuSeconds = status.cpuSeconds - start.cpuSeconds;
      const counted = requests - start.done;
      const accepted = status.decided.accepted ?? 0;
      return {
        processed: requests,
        accepted,
        refused: requests - accepted,
        counted,
        wallSeconds: seconds,
        cpuSeconds,
        perSecond: Math.round(counted / seconds),
        perCpuSecond: Math.round(counted / cpuSeconds),
      };
    }
    throw new Error(`access control did not decide ${requests} requests: see ${service.log}`);
  } finally {
    await endService(service);
    await admin.deleteGroups([`${prefix}access-control`]).catch(() => {});
    await admin.disconnect();
  }
}
