import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LocalKafka } from './local-kafka.ts';

/** What a watchdog ends when its owner ends; the directory, if any, goes with it. */
export type Watched = { kafka: LocalKafka; directory?: string };

export type Watchdog = {
  watch(watched: Watched): void;
  /** Ends what is watched, and returns when it has ended. */
  end(): Promise<void>;
  /** Lets what is watched live on. */
  release(): Promise<void>;
};

/**
 * A process of its own that waits for the end of its standard input. The system closes that however the owner ends,
 * also by SIGKILL, and then what the owner has started is ended.
 */
export function startWatchdog(): Watchdog {
  const main = fileURLToPath(new URL('watchdog-main.ts', import.meta.url));
  const child = spawn(process.execPath, [main], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  child.unref();
  const input = child.stdin as unknown as { unref(): void };
  input.unref();
  const say = (line: object) => child.stdin.write(`${JSON.stringify(line)}\n`);
  return {
    watch: say,
    end: () => ended(child),
    release: () => {
      say({});
      return ended(child);
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.ref();
  child.stdin?.end();
  await once(child, 'exit');
}
