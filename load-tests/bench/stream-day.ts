import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LoadResult, runLoad } from '#load-tests/load/run.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { nowMs } from '#services/platform/clock.ts';
import { provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { type Measurement, measured, progress } from './measure.ts';

const GB_METERS = 30_000_000;
/** The whole of it with MDR_BENCH_METERS=30000000: half an hour, 30 GB of disk. */
const METERS = Number(process.env.MDR_BENCH_METERS ?? GB_METERS / 10);
const TARGET_SECONDS = 480;
/**
 * The meters' scheduled reads, and the registers that a monthly meter is read for: no other traffic. Who is asked again
 * for what did not come is asked on demand, and that is not the claim; `MDR_BENCH_RE_REQUESTS=1` leaves it in.
 */
const SETTINGS = ['existing.reads=[]', 'existing.other=[]', 'warmUpHours=0'];
const HAS_RE_REQUESTS = process.env.MDR_BENCH_RE_REQUESTS === '1';

/**
 * The scheduled reads of a Settlement Day from fan-out to TRT verdict through the broker, as fast as it goes: the time
 * from the start of the clock until the last request that counts has its verdict, and every service's part in it.
 */
export async function gbDay(): Promise<Measurement[]> {
  const kafka = await provideKafka({ onProgress: progress, isOwn: true });
  try {
    const { users } = loadScenario('gb-settlement-day').scenario;
    const asksOnce = HAS_RE_REQUESTS ? [] : users.map((_, user) => `users[${user}].reRequests.max=0`);
    const loaded = loadScenario('gb-settlement-day', [...SETTINGS, ...asksOnce, `fleet.meters=${METERS}`]);
    const runId = `bench-${Math.floor(nowMs()).toString(36)}`;
    let shownMs = 0;
    const result = await runLoad({
      loaded,
      kafka,
      speed: 0,
      partitions: 4,
      processes: {},
      workers: 1,
      runId,
      directory: mkdtempSync(join(tmpdir(), 'mdr-bench-')),
      onProgress({ phase, sample }) {
        if (sample === undefined) progress(`  ${phase}`);
        else if (sample.atMs - shownMs > 10_000) {
          shownMs = sample.atMs;
          progress(`  ${Math.round(sample.atMs / 1000)} s: ${sample.answered} answered, ${sample.openCounted} open`);
        }
      },
    });
    return rowsOf(result);
  } finally {
    await kafka.stop();
  }
}

function rowsOf({ samples, startedWallMs, endedWallMs, preparedMs }: LoadResult): Measurement[] {
  const last = samples[samples.length - 1];
  const seconds = (endedWallMs - startedWallMs) / 1000;
  const answers = last.answered + last.refused;
  const first = new Map(samples[0].services.map(({ pid, cpuSeconds }) => [pid, cpuSeconds]));
  const cpuSeconds = last.services.reduce((sum, one) => sum + one.cpuSeconds - (first.get(one.pid) ?? 0), 0);
  const rssBytesMax = Math.max(
    ...samples.map(({ services }) => services.reduce((sum, { rssBytes }) => sum + rssBytes, 0)),
  );
  progress(
    `  ${answers} answers in ${seconds.toFixed(1)} s, after ${(preparedMs / 1000).toFixed(0)} s of filling topics`,
  );
  for (const { name, pid, cpuSeconds: cpu, rssBytes } of last.services)
    progress(`  ${name}: ${(cpu - (first.get(pid) ?? 0)).toFixed(1)} CPU-s, ${Math.round(rssBytes / 1e6)} MB`);
  const round = (value: number) => Number(value.toFixed(1));
  return [
    measured(`gb-day-${METERS}-meters`, 's', [round(seconds)], {
      cpuSeconds: round(cpuSeconds),
      rssBytesMax,
      target: `at most ${TARGET_SECONDS} s for ${GB_METERS} meters`,
    }),
    measured('gb-day-answers-per-second', 'answers/s', [Math.round(answers / seconds)], {
      target: `at least ${Math.round(GB_METERS / TARGET_SECONDS)}`,
    }),
  ];
}
