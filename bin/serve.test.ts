import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { COMMON_SETTINGS, type Setting } from '#services/platform/settings.ts';
import { SERVICES } from './serve.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const NAMES = 'registration, access-control, anomaly, scheduler, fleet-sim, users, trt-monitor';

function serve(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { KAFKA_BROKERS: _, SCHEMA_REGISTRY_URL: __, ...env } = process.env;
  return spawnSync(MDR, ['serve', ...args], { encoding: 'utf8', env, timeout: 100_000 });
}

test('without a name, or with another than there are, mdr serve names those that there are', () => {
  expect(serve()).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(`Name a service: ${NAMES}`) });
  const { status, stdout, stderr } = serve('gatekeeper', '--port', '0');
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`There is no service gatekeeper: ${NAMES}`);
});

/** Settings that a help text describes, by flag; secrets by what is said of them. */
function described(text: string): string[] {
  const all = Object.entries<Setting>(Object.assign({}, COMMON_SETTINGS, ...SERVICES.map(({ settings }) => settings)));
  return all
    .filter(([name, { isSecret, doc }]) =>
      new RegExp(`^  ${isSecret ? '' : `--${name}`} +${RegExp.escape(doc)}`, 'm').test(text),
    )
    .map(([name]) => name);
}

test('--help describes every service, and the settings that all take', () => {
  const { status, stdout, stderr } = serve('--help');
  expect([status, stderr]).toEqual([0, '']);
  for (const { name, summary } of SERVICES)
    expect(stdout).toMatch(new RegExp(`^  ${name} +${RegExp.escape(summary)}$`, 'm'));
  expect(described(stdout)).toEqual(Object.keys(COMMON_SETTINGS));
  for (const [common, { isSecret }] of Object.entries<Setting>(COMMON_SETTINGS))
    if (isSecret) expect(stdout).not.toMatch(new RegExp(`^  --${common} `, 'm'));
});

test.each(SERVICES.map(({ name, summary, settings }) => ({ name, summary, settings })))(
  '$name --help describes the settings that it takes, and no others',
  ({ name, summary, settings }) => {
    const { status, stdout, stderr } = serve(name, '--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Usage: mdr serve ${name} `);
    expect(stdout).toContain(summary);
    expect(described(stdout).sort()).toEqual([...Object.keys(COMMON_SETTINGS), ...Object.keys(settings)].sort());
    for (const other of SERVICES) if (other.summary !== summary) expect(stdout).not.toContain(other.summary);
  },
);

test('mdr help serve NAME is the same', () => {
  const asked = spawnSync(MDR, ['help', 'serve', 'gateway'], { encoding: 'utf8' });
  expect(asked.stdout).toBe(serve('gateway', '--help').stdout);
});

test('no service has a setting that all have already', () => {
  for (const { settings } of SERVICES)
    for (const own of Object.keys(settings)) expect(Object.keys(COMMON_SETTINGS)).not.toContain(own);
});

test('settings that cannot be used are all named: exit code 2', () => {
  const { status, stdout, stderr } = serve('trt-monitor', '--port', 'http', '--grace-ms=-1');
  expect([status, stdout]).toEqual([2, '']);
  for (const part of [
    '--port is "http"',
    'brokers expected --brokers or KAFKA_BROKERS',
    'registry expected --registry',
  ])
    expect(stderr).toContain(part);
});

test('a port that is taken is named: exit code 3', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const given = ['--brokers', '127.0.0.1:9', '--registry', 'http://127.0.0.1:9'];
  const { status, stdout, stderr } = serve('users', '--port', String(port), ...given);
  server.close();
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr).toContain(`mdr serve: Cannot listen: listen EADDRINUSE: address already in use 127.0.0.1:${port}`);
});
