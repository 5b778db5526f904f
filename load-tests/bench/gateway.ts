import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deviceIdOf } from '#fleet-sim/meter.ts';
import { ask, type DuisUser, duisRequest, elementValue, openUser } from '#load-tests/gateway/duis-user.ts';
import { endService, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { createKeyFolder } from '#services/gateway/pki/key-folder.ts';
import { element } from '#services/gateway/xml-writer.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { type Measurement, measured, median, progress } from './measure.ts';
import { benchRun, benchService, publishRun } from './service-run.ts';

const METERS = 1000;
const PARTITIONS = 4;
const WARM_UP = 1000;
const REQUESTS = 3000;
const RUNS = 3;
/** Requests of the User on the way at a time, each on a connection of its own. */
const CONNECTIONS = 16;
/** At the paced rate the broker's JVM compiles its hot code for a while, on a core that the gateway is short of then. */
const PACED_WARM_UP_SECONDS = 10;
const PACED_SECONDS = 20;
const CRYPTOGRAPHY = 3000;

/**
 * Signed Read Inventory requests over mutual TLS: how many the gateway takes in a second of its own CPU, verified, decided
 * on and acknowledged with a signed I99 once the broker has them; and how long one takes at half that rate. Beside it
 * what of that is the verification of one signature and the making of another.
 */
export async function gateway(): Promise<Measurement[]> {
  const kafka = await provideKafka({ onProgress: progress, isOwn: true });
  const directory = mkdtempSync(join(tmpdir(), 'mdr-bench-gateway-'));
  const prefix = 'gateway.';
  const client = createKafka(kafka.brokers, 'mdr-bench', createLog('bench', 'silent'));
  const admin = client.admin();
  await admin.connect();
  await ensureTopics(admin, prefix, PARTITIONS, { create: true });
  const producer = await createRawProducer(client);
  const { record, model } = benchRun('settlement-day', [`fleet.meters=${METERS}`], 1);
  await publishRun(producer, prefix, { ...record, state: 'RUNNING' }, await registerSchemas(kafka.registryUrl));
  const [first] = model.userTable.users;
  const keys = join(directory, 'keys');
  await createKeyFolder(keys, { seed: 1, users: [{ name: 'User', eui: first.eui, roles: ['MDR'] }] }, nowMs(), false);
  const settings = {
    keys,
    'listen-port': 0,
    'user-requests-per-second': 100_000,
    'user-connections-max': 10 * CONNECTIONS,
  };
  const services = [
    await benchService('registration', kafka, prefix, PARTITIONS),
    await benchService('gateway', kafka, prefix, PARTITIONS, settings),
  ];
  try {
    for (const service of services) await untilReady(service, 120_000);
    const [, edge] = services;
    const url = `https://localhost:${(await statusOf(edge))?.listenPort}/api/v1/serviceD`;
    const user = openUser(keys, first.eui, CONNECTIONS);
    let counter = 0;
    const written = (count: number) => Array.from({ length: count }, () => signedRequest(user, ++counter));
    await askAll(user, url, written(WARM_UP));
    const perCpu: number[] = [];
    const bare: number[] = [];
    const perSecond: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const documents = written(REQUESTS);
      const before = Number((await statusOf(edge))?.cpuSeconds);
      const startedMs = performance.now();
      await askAll(user, url, documents);
      perSecond.push((1000 * REQUESTS) / (performance.now() - startedMs));
      perCpu.push(REQUESTS / (Number((await statusOf(edge))?.cpuSeconds) - before));
      bare.push(bareCryptography());
    }
    const rate = Math.floor(Math.min(median(perCpu), median(perSecond)) / 2);
    const latencies = await askPaced(user, url, written(rate * (PACED_WARM_UP_SECONDS + PACED_SECONDS)), rate);
    const warmUp = sorted(latencies.slice(0, rate * PACED_WARM_UP_SECONDS));
    const then = sorted(latencies.slice(rate * PACED_WARM_UP_SECONDS));
    const baseline = { name: 'one ECDSA verification and one signature', value: median(bare) };
    return [
      measured('gateway-accepted', 'requests/CPU-s', perCpu, { baseline, target: '500 a second a core' }),
      measured('gateway-accepted-wall', 'requests/s', perSecond),
      measured(`gateway-acknowledged-p50-at-${rate}-a-second`, 'ms', [quantile(then, 0.5)]),
      measured(`gateway-acknowledged-p99-at-${rate}-a-second`, 'ms', [quantile(then, 0.99)], { target: 'below 50 ms' }),
      measured(`gateway-acknowledged-p99-in-its-first-${PACED_WARM_UP_SECONDS}-s`, 'ms', [quantile(warmUp, 0.99)]),
    ];
  } finally {
    for (const service of services) await endService(service);
    await producer.disconnect();
    await admin.disconnect();
    await kafka.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function signedRequest(user: DuisUser, counter: number): string {
  const body = element('sr:ReadInventory', [element('sr:DeviceID', deviceIdOf(counter % METERS))]);
  return user.sign(duisRequest(user.eui, counter, '8.2', body));
}

async function askOne(user: DuisUser, url: string, document: string): Promise<void> {
  const { body } = await ask(user, url, 'POST', document);
  const code = elementValue(body, 'ResponseCode');
  if (code !== 'I99') throw new Error(`answered ${code ?? body}, expected I99`);
}

async function askAll(user: DuisUser, url: string, documents: readonly string[]): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < documents.length) await askOne(user, url, documents[next++]);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
}

/** Milliseconds that each took; sent at the rate, whether those before are answered or not. */
async function askPaced(user: DuisUser, url: string, documents: readonly string[], rate: number): Promise<number[]> {
  const startedMs = performance.now();
  const asked = documents.map(async (document, k) => {
    const dueMs = startedMs + (1000 * k) / rate;
    await sleep(dueMs - startedMs);
    const sentMs = performance.now();
    await askOne(user, url, document);
    return performance.now() - sentMs;
  });
  return await Promise.all(asked);
}

function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))];
}

function bareCryptography(): number {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const bytes = Buffer.alloc(1000, 1);
  const signature = sign('sha256', bytes, privateKey);
  const started = process.cpuUsage();
  for (let k = 0; k < CRYPTOGRAPHY; k++) {
    if (!verify('sha256', bytes, publicKey, signature)) throw new Error('a signature that was made does not verify');
    sign('sha256', bytes, privateKey);
  }
  const { user, system } = process.cpuUsage(started);
  return CRYPTOGRAPHY / ((user + system) / 1e6);
}
