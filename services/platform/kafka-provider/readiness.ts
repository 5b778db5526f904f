import { MdrError } from '#core/errors.ts';
import { sleep } from '../clock.ts';

/** A server that is starting. */
export type Start = {
  name: string;
  isReady(): Promise<boolean>;
  isRunning(): Promise<boolean>;
  /** The end of its log, when it has failed. */
  logLines(): Promise<string[]>;
};

const POLL_MS = 50;
const READY_MS = 90_000;
const LOG_LINES_SHOWN = 8;

export async function untilReady({ name, isReady, isRunning, logLines }: Start): Promise<void> {
  const end = performance.now() + READY_MS;
  while (!(await isReady())) {
    const isLate = performance.now() > end;
    if (isLate || !(await isRunning())) {
      const what = isLate ? `was not ready in ${READY_MS / 1000} s` : 'ended at its start';
      const lines = (await logLines()).slice(-LOG_LINES_SHOWN).map((line) => `\n  ${line}`);
      throw new MdrError('COULD_NOT_RUN', `${name} ${what}:${lines.join('')}`);
    }
    await sleep(POLL_MS);
  }
}
