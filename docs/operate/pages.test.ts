import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createKeyFolder } from '#services/gateway/pki/key-folder.ts';
import { nowMs } from '#services/platform/clock.ts';
import { HELM, KUBE_VERSION } from '../../helm/test/chart.ts';

const PAGES = ['install', 'size', 'upgrade', 'recover', 'scenarios'] as const;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'mdr-pages-'));
afterAll(() => rmSync(work, { recursive: true }));
symlinkSync(join(ROOT, 'helm'), join(work, 'helm'));

const texts = Object.fromEntries(
  PAGES.map((page) => [page, readFileSync(join(ROOT, `docs/operate/${page}.md`), 'utf8')]),
);

/** Blocks of a page: commands, and files whose first line is their name. */
function blocksOf(page: string, language: string): string[] {
  return [...texts[page].matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, of, text]) =>
    of === language ? [text] : [],
  );
}

for (const text of PAGES.flatMap((page) => blocksOf(page, 'yaml'))) {
  const [, name] = /^# (\S+\.yaml)\n/.exec(text) ?? [];
  if (name === undefined) throw new Error(`a file without a name: ${text}`);
  writeFileSync(join(work, name), text);
}

const commands = PAGES.flatMap((page) =>
  [...blocksOf(page, '').join('').split('\n'), ...[...texts[page].matchAll(/`(helm [^`]+)`/g)].map(([, line]) => line)]
    .filter((line) => line.startsWith('helm '))
    .map((line) => [page, line] as const),
);
const WITHOUT_TEMPLATES = /^helm (rollback|uninstall|install)( mdr --namespace mdr)?$/;

describe.skipIf(HELM === undefined)('commands of the pages', () => {
  test('are there', () => {
    expect(commands.length).toBeGreaterThan(8);
    expect(new Set(commands.map(([page]) => page))).toEqual(new Set(PAGES));
  });

  // What a cluster would be asked for is rendered in its place, with the same values.
  test.each(commands.filter(([, line]) => !WITHOUT_TEMPLATES.test(line)))('%s: %s', (_, line) => {
    const [verb, ...args] = line.split(/\s+/).slice(1);
    const isDry = verb === 'template' || verb === 'lint';
    const given = isDry ? [verb, ...args] : ['template', ...args, '--kube-version', KUBE_VERSION];
    const said = execFileSync(
      HELM as string,
      given.map((arg) => arg.replaceAll("'", '')),
      { cwd: work, encoding: 'utf8', stdio: 'pipe' },
    );
    expect(said).toMatch(verb === 'lint' ? /0 chart\(s\) failed/ : /^kind: Deployment$/m);
  });

  test('the command that makes the Secret of the gateway names each file that the chart mounts, and no other', async () => {
    const users = (
      parse(readFileSync(join(work, 'gateway-values.yaml'), 'utf8')) as { gateway: { keys: { users: string[] } } }
    ).gateway.keys.users;
    const keys = join(work, 'keys');
    mkdirSync(dirname(keys), { recursive: true });
    const party = (eui: string) => ({ name: eui, eui: eui as never, roles: ['MDR'] });
    await createKeyFolder(keys, { seed: 1, users: users.map(party) }, nowMs(), false);
    const line = blocksOf('install', '')
      .join('')
      .split('\n')
      .find((one) => one.includes('gateway-keys')) as string;
    const script = `kubectl() { printf '%s\\n' "$@"; }\n${line}`;
    const named = execFileSync('bash', ['-c', script], { cwd: keys, encoding: 'utf8' })
      .match(/^--from-file=.*$/gm)
      ?.map((one) => one.split('=')[1]);
    const values = ['mdr-values.yaml', 'gateway-values.yaml'].flatMap((file) => ['-f', file]);
    const args = [
      'template',
      'mdr',
      'helm/mdr-stream',
      ...values,
      '--set',
      'gateway.keys.serverSecret=',
      '--kube-version',
      KUBE_VERSION,
    ];
    const rendered = execFileSync(HELM as string, args, { cwd: work, encoding: 'utf8' });
    const mounted = [...rendered.matchAll(/\{ key: (\S+), path: \S+ \}/g)]
      .map(([, key]) => key)
      .filter((key) => /\.(pem|key|json)$/.test(key));
    expect(named?.sort()).toEqual([...new Set(mounted)].sort());
  });
});
