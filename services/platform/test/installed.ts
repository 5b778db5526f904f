import { spawnSync } from 'node:child_process';

/** Whether a program is installed; where it is not, says once what is skipped for want of it. */
export function isInstalled(program: string, skipped: string): boolean {
  const isThere = spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
  if (!isThere) console.error(`skipped: ${skipped}, ${program} is not installed`);
  return isThere;
}
