import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { sleep } from '../clock.ts';

/** A process and the instant of its start as the system tells it: a process id alone is given to others later. */
export type ProcessIdentity = { pid: number; bornAt: string };

const POLL_MS = 20;

/**
 * Starts a process in a session of its own, so that a Ctrl-C meant for this one does not reach it. Its output is
 * appended to `logFile`.
 */
export function startDetached(command: string, args: string[], logFile: string): ProcessIdentity {
  const log = openSync(logFile, 'a');
  try {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log] });
    if (child.pid === undefined) throw new Error(`${command} did not start`);
    child.unref();
    return identityOf(child.pid);
  } finally {
    closeSync(log);
  }
}

export function identityOf(pid: number): ProcessIdentity {
  return { pid, bornAt: bornAtOf(pid) ?? 'ended' };
}

export function isRunning({ pid, bornAt }: ProcessIdentity): boolean {
  return bornAtOf(pid) === bornAt;
}

/** Asks a process to end, and ends it when it has not done so after `graceMs`. */
export async function endProcess(process: ProcessIdentity, graceMs: number): Promise<void> {
  signal(process, 'SIGTERM');
  if (!(await hasEnded(process, graceMs))) await killProcess(process);
}

export async function killProcess(process: ProcessIdentity): Promise<void> {
  signal(process, 'SIGKILL');
  // Nothing refuses SIGKILL, but a process in a system call takes it when the call returns.
  await hasEnded(process, 10_000);
}

function signal(process: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isRunning(process)) return;
  try {
    globalThis.process.kill(process.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function hasEnded(process: ProcessIdentity, limitMs: number): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (isRunning(process)) {
    if (performance.now() > end) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Undefined when there is no such process, or one that has ended and that nobody has waited for. */
function bornAtOf(pid: number): string | undefined {
  return process.platform === 'linux' ? bornAtOnLinux(pid) : bornAtByPs(pid);
}

function bornAtOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses, which may hold blanks; state is field 3, start time field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function bornAtByPs(pid: number): string | undefined {
  const { status, stdout } = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' });
  const [state, ...start] = stdout.trim().split(/\s+/);
  return status !== 0 || state.startsWith('Z') ? undefined : start.join(' ');
}
