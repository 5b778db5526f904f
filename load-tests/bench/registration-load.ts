import { spawn } from 'node:child_process';
import { closeSync, createReadStream, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mpanFrom } from '#core/identifiers.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { type Admin, createKafka, type Kafka } from '#services/platform/kafka/client.ts';
import { createOutbox } from '#services/platform/kafka/outbox.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { type Measurement, measured, median, progress } from './measure.ts';

/** Two appointments an MPAN: its Supplier and its MDRA. All of Great Britain with MDR_BENCH_ROWS=60000000. */
const ROWS = Number(process.env.MDR_BENCH_ROWS ?? 2_000_000);
const ROWS_AN_MPAN = 2;
const PARTITIONS = 4;
const WORKERS = 2;
const RUNS = 3;
/** What a registration with two appointments takes, key apart. */
const VALUE_BYTES = 40;
const RECORDS_A_BATCH = 5000;
const LOOK_EVERY_MS = 50;
const CLOCK_TICKS_A_SECOND = 100;
const MDR = fileURLToPath(new URL('../../bin/mdr', import.meta.url));

/**
 * Rows a second from a CSV file until the last of its registrations is acknowledged and its outcome said, by
 * `mdr registrations load` with its owner in the same process. Beside it in the same run: reading and splitting the file
 * and nothing else, and a producer that sends as many records, made beforehand, to the same broker.
 */
export async function registrationLoad(): Promise<Measurement[]> {
  const directory = mkdtempSync(join(tmpdir(), 'mdr-bench-registration-'));
  const kafka = await provideKafka({ onProgress: progress, isOwn: true });
  const client = createKafka(kafka.brokers, 'mdr-bench', createLog('bench', 'silent'));
  const admin = client.admin();
  await admin.connect();
  try {
    await registerSchemas(kafka.registryUrl);
    const file = join(directory, 'registrations.csv');
    writeRows(file);
    const loads: Load[] = [];
    const splits: number[] = [];
    const sends: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      splits.push(await splitOnly(file));
      sends.push(await sendOnly(client, admin, `sent-${run}.`));
      loads.push(await load(file, kafka, admin, `load-${run}.`));
      progress(`  run ${run + 1}: ${loads[run].perSecond} rows/s, split ${splits[run]}, sent ${sends[run]}`);
    }
    const values = loads.map(({ perSecond }) => perSecond);
    const cpu = loads.map(({ cpuSeconds }) => ROWS / cpuSeconds).map(Math.round);
    return [
      measured('registration-load-rows-per-second', 'rows/s', values, {
        baseline: { name: 'read and split the file, one thread', value: median(splits) },
        cpuSeconds: median(loads.map(({ cpuSeconds }) => cpuSeconds)),
        rssBytesMax: Math.max(...loads.map(({ rssBytesMax }) => rssBytesMax)),
        target: '200,000 rows/s on 2 cores, broker included',
      }),
      measured('registration-load-beside-producer', 'rows/s', values, {
        baseline: {
          name: 'raw producer, batches made beforehand, rows of as many registrations',
          value: median(sends),
        },
      }),
      measured('registration-load-rows-per-cpu-second', 'rows a CPU-second, broker not included', cpu),
    ];
  } finally {
    await admin.disconnect();
    await kafka.stop();
    rmSync(directory, { recursive: true });
  }
}

function writeRows(path: string): void {
  const file = openSync(path, 'w');
  writeSync(file, 'mpan,sequence,role,mpid,efd,etd\n');
  let text = '';
  for (let k = 0; k < ROWS / ROWS_AN_MPAN; k++) {
    const mpan = mpanFrom(100_000_000_000 + k * 7919);
    text += `${mpan},${k + 1},IS,SUPA,2019-04-01,\n${mpan},${k + 1},MDR,AGNA,2026-03-02,\n`;
    if (text.length < 1_000_000) continue;
    writeSync(file, text);
    text = '';
  }
  writeSync(file, text);
  closeSync(file);
}

/** Rows a second of a loop that does no more than find the fields. */
async function splitOnly(path: string): Promise<number> {
  const startedMs = nowMs();
  let fields = 0;
  let rest = '';
  for await (const part of createReadStream(path, { encoding: 'latin1', highWaterMark: 1024 * 1024 })) {
    const lines = (rest + part).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) fields += line.split(',').length;
  }
  if (fields < ROWS * 6) throw new Error(`${fields} fields of ${ROWS} rows`);
  return perSecond(nowMs() - startedMs);
}

/** Rows a second of a producer to which everything is handed as it goes onto the wire. */
async function sendOnly(client: Kafka, admin: Admin, prefix: string): Promise<number> {
  await ensureTopics(admin, prefix, PARTITIONS, { create: true });
  const producer = await createRawProducer(client);
  const outbox = createOutbox(producer, prefix, (error) => {
    throw error;
  });
  const batches = batchesBeforehand();
  const startedMs = nowMs();
  await Promise.all(
    batches.map(({ batch, records }, k) => outbox.send('registrations', k % PARTITIONS, batch, records)),
  );
  const found = perSecond(nowMs() - startedMs);
  await producer.disconnect();
  return found;
}

function batchesBeforehand(): { batch: Uint8Array; records: number }[] {
  const builder = new BatchBuilder(1024 * 1024);
  const batches: { batch: Uint8Array; records: number }[] = [];
  for (let k = 0; k < ROWS / ROWS_AN_MPAN; ) {
    builder.reset();
    while (k < ROWS / ROWS_AN_MPAN && builder.count < RECORDS_A_BATCH) {
      const key = Buffer.from(String(1_000_000_000_000 + k++));
      const at = builder.begin(1, key, 0, key.length);
      builder.end(at + VALUE_BYTES);
    }
    batches.push({ batch: new Uint8Array(builder.take()), records: builder.count });
  }
  return batches;
}

type Load = { perSecond: number; cpuSeconds: number; rssBytesMax: number };

async function load(
  file: string,
  { brokers, registryUrl }: { brokers: string[]; registryUrl: string },
  admin: Admin,
  prefix: string,
): Promise<Load> {
  await ensureTopics(admin, prefix, PARTITIONS, { create: true });
  const stream = ['--brokers', brokers.join(), '--registry', registryUrl, '--prefix', prefix];
  const own = ['--partitions', String(PARTITIONS), '--workers', String(WORKERS), '--unknown-mpids', 'warn', '--json'];
  const child = spawn(MDR, ['registrations', 'load', file, ...stream, ...own], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (part) => {
    text += String(part);
  });
  let isOver = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      isOver = true;
      resolve(code);
    });
  });
  let cpuSeconds = 0;
  let rssBytesMax = 0;
  for (; !isOver; await sleep(LOOK_EVERY_MS)) {
    const used = usageOf(child.pid as number);
    cpuSeconds = Math.max(cpuSeconds, used.cpuSeconds);
    rssBytesMax = Math.max(rssBytesMax, used.rssBytes);
  }
  const code = await exited;
  const [summary] = JSON.parse(text) as { rows: number; applied: number; seconds: number }[];
  if (code !== 0 || summary.applied !== ROWS / ROWS_AN_MPAN) throw new Error(`it ended with ${code}: ${text}`);
  return { perSecond: Math.round(summary.rows / summary.seconds), cpuSeconds, rssBytesMax };
}

/** Of a process that runs, as Linux says. */
function usageOf(pid: number): { cpuSeconds: number; rssBytes: number } {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_A_SECOND,
      rssBytes: Number(fields[21]) * 4096,
    };
  } catch {
    return { cpuSeconds: 0, rssBytes: 0 };
  }
}

function perSecond(ms: number): number {
  return Math.round(ROWS / (ms / 1000));
}
