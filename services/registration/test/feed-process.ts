import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '#services/platform/clock.ts';
import { freePort } from '#services/platform/kafka-provider/ports.ts';

export type FeedProcess = {
  url: string;
  log: string;
  exited: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
  kill(): Promise<void>;
};

const MDR = fileURLToPath(new URL('../../../bin/mdr', import.meta.url));
const READY_TRIES = 1200;

/** A registration service without a fleet, as a process that can be killed. Resolves when it is ready. */
export async function startFeedService(
  {
    brokers,
    registryUrl,
    prefix,
    partitions,
  }: { brokers: string[]; registryUrl: string; prefix: string; partitions: number },
  flags: readonly string[],
): Promise<FeedProcess> {
  const port = await freePort();
  const log = join(mkdtempSync(join(tmpdir(), 'mdr-feed-log-')), 'log');
  const file = openSync(log, 'a');
  const common = [
    '--brokers',
    brokers.join(),
    '--registry',
    registryUrl,
    '--prefix',
    prefix,
    '--partitions',
    String(partitions),
  ];
  // A member that was killed is missed soon.
  const own = ['--load', 'nothing', '--port', String(port), '--session-timeout-ms', '3000', ...flags];
  const child = spawn(MDR, ['serve', 'registration', ...common, ...own], { stdio: ['ignore', file, file] });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${url}/ready`).catch(() => undefined);
    if (ready?.ok === true) break;
    if (child.exitCode !== null || tries === READY_TRIES)
      throw new Error(`it is not ready: ${readFileSync(log, 'utf8')}`);
    await sleep(50);
  }
  return {
    url,
    log,
    exited,
    signal: (name) => child.kill(name),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
