import { spawn } from 'node:child_process';

export type Block = { commands: string; prints: string[] };

/** Blocks of commands of a page, each with the lines that the next block says it prints. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  for (const [, kind, text] of page.matchAll(/^```(text)?\n([\s\S]*?)^```$/gm)) {
    if (kind === 'text') (blocks.at(-1) as Block).prints.push(...text.trim().split('\n'));
    else blocks.push({ commands: text.trim(), prints: [] });
  }
  return blocks;
}

/** Seconds differ from run to run. */
export const settled = (text: string) => text.replaceAll(/\d+\.\d s\b/g, 'N s');

export function bash(
  script: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', script], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (part) => {
      stdout += String(part);
    });
    child.stderr.on('data', (part) => {
      stderr += String(part);
    });
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
