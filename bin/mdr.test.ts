import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import matrixFile from '#core/matrices/mp162-v0.4.json' with { type: 'json' };
import { GENERATIONS, MODES, ROLES, SERVICES } from '#core/matrix.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const COMMANDS = [
  'plan',
  'ask',
  'scenarios',
  'matrix',
  'load',
  'serve',
  'topics',
  'kafka',
  'registrations',
  'users',
  'quarantine',
  'audit',
  'pki',
  'decode',
];
const folder = mkdtempSync(join(tmpdir(), 'mdr-'));
afterAll(() => rmSync(folder, { recursive: true }));

function mdr(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(MDR, args, { encoding: 'utf8', cwd: folder });
}

describe('mdr', () => {
  const overview = mdr();
  test('without a command says what there is, and that one was expected', () => {
    const { status, stdout } = overview;
    expect(status).toBe(2);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  });

  test.each([['--help'], ['help']])('%s is the same, asked for', (option) => {
    const { status, stdout } = mdr(option);
    expect([status, stdout]).toEqual([0, overview.stdout]);
  });

  test('--version is that of the package', () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    expect(mdr('--version')).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each(COMMANDS)('%s --help names its options and gives examples', (command) => {
    const { status, stdout, stderr } = mdr(command, '--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^Usage: mdr ${command} `));
    expect(stdout).toMatch(/^Examples:\n {2}mdr /m);
  });

  test.each(['nosuch', 'constructor'])('%s is no command: exit code 2 and the ones that are', (command) => {
    const { status, stdout, stderr } = mdr(command);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toBe(
      `mdr ${command}: There is no command ${command}; there are ${COMMANDS.join(', ')}\nRun 'mdr --help' to see what it takes.\n`,
    );
  });

  test('runs by a link to it from anywhere', () => {
    const link = join(folder, 'link');
    symlinkSync(MDR, link);
    expect(spawnSync(link, ['--version'], { encoding: 'utf8', cwd: '/' }).status).toBe(0);
  });

  test('does not mind a reader that has seen enough', () => {
    const script = `"${MDR}" matrix --json | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });
});

describe('mdr matrix', () => {
  test('--json prints a row for every SRV, generation, mode and service: 88', () => {
    const { status, stdout, stderr } = mdr('matrix', '--json');
    expect([status, stderr]).toEqual([0, '']);
    const rows = JSON.parse(stdout) as Record<string, unknown>[];
    expect(rows).toHaveLength(88);
    const keys = new Set<string>();
    for (const row of rows) {
      expect(Object.keys(row)).toEqual(['srv', 'name', 'generation', 'mode', 'service', 'roles', 'trtSeconds']);
      expect(GENERATIONS).toContain(row.generation);
      expect(MODES).toContain(row.mode);
      expect(SERVICES).toContain(row.service);
      const roles = row.roles as string[];
      expect(roles.every((role) => (ROLES as readonly string[]).includes(role))).toBe(true);
      if (row.trtSeconds === null) expect(roles).toEqual([]);
      else expect(roles).toEqual(row.service === 'mhhs' ? ['IS', 'ES', 'MDR'] : ['IS', 'ES']);
      keys.add(`${row.srv} ${row.generation} ${row.mode} ${row.service}`);
    }
    expect(keys.size).toBe(88);
    const find = (srv: string, generation: string, mode: string, service: string) =>
      rows.find((r) => r.srv === srv && r.generation === generation && r.mode === mode && r.service === service);
    // Some cells of the table in the business requirements, section 2.5.
    expect(find('4.8.1', 'SMETS2', 'on-demand', 'existing')?.trtSeconds).toBe(5600);
    expect(find('4.8.1', 'SMETS1', 'scheduled', 'mhhs')?.trtSeconds).toBe(86_400);
    expect(find('4.6.2', 'SMETS1', 'scheduled', 'mhhs')?.trtSeconds).toBeNull();
    expect(find('8.2', 'SMETS1', 'on-demand', 'existing')?.trtSeconds).toBe(30);
  });

  test('prints the same as a table', () => {
    const { status, stdout } = mdr('matrix');
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(89);
    expect(lines[0]).toMatch(/^SRV +name +meter +mode +service +TRT +roles$/);
    expect(stdout).toMatch(/^4\.8\.1 +Read Active Import Profile Data +SMETS2 +on-demand +existing +5600 s +IS ES$/m);
  });

  test('takes a file, and names every fault of it', () => {
    const changed = structuredClone(matrixFile);
    changed.services[0].trtSeconds.existing.SMETS2.onDemand = 77;
    writeFileSync(join(folder, 'ours.json'), JSON.stringify(changed));
    expect(mdr('matrix', 'ours.json').stdout).toContain(' 77 s');
    changed.services[0].trtSeconds.existing.SMETS2.onDemand = -77;
    changed.services[1].srv = '4.1.1';
    writeFileSync(join(folder, 'bad.json'), JSON.stringify(changed));
    const { status, stdout, stderr } = mdr('matrix', 'bad.json');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.split('\n').filter((line) => line.includes('bad.json')).length).toBeGreaterThanOrEqual(2);
    expect(stderr).toContain('-77');
  });

  test.each([['none.json'], ['mp162-v0.4', 'mp162-v0.4']])('%s is refused with exit code 2', (...args) => {
    const { status, stdout, stderr } = mdr('matrix', ...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^mdr matrix: .+\n/);
  });
});

describe('mdr scenarios', () => {
  const names = ['agent-switch', 'autumn-change', 'gb-settlement-day', 'outage-72h', 'settlement-day', 'spring-change'];

  test('lists the built-in ones with their titles', () => {
    const { status, stdout } = mdr('scenarios');
    expect(status).toBe(0);
    for (const name of names) expect(stdout).toMatch(new RegExp(`^${name} +\\S`, 'm'));
    const rows = JSON.parse(mdr('scenarios', '--json').stdout) as Record<string, unknown>[];
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(rows.find(({ name }) => name === 'gb-settlement-day')).toMatchObject({ meters: 30_000_000, days: 1 });
  });

  test('prints one to start from: saved, it runs as a file of its own', () => {
    const { stdout } = mdr('scenarios', 'settlement-day');
    writeFileSync(join(folder, 'mine.yaml'), stdout.replace('name: settlement-day', 'name: mine'));
    const small = ['--set', 'fleet.meters=500', '--json'];
    const { status, stdout: report } = mdr('plan', 'mine.yaml', ...small);
    expect(status).toBe(0);
    expect(JSON.parse(report).scenario.name).toBe('mine');
  });

  test('prints it with every default by --json', () => {
    const scenario = JSON.parse(mdr('scenarios', 'outage-72h', '--json').stdout);
    expect(scenario).toMatchObject({ name: 'outage-72h', fleet: { metersPerCell: 5000 }, anomaly: { answer: 'hold' } });
  });

  test.each([['nosuch'], ['settlement-day', 'outage-72h']])('%s is refused with exit code 2', (...args) => {
    const { status, stdout, stderr } = mdr('scenarios', ...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^mdr scenarios: .+\n/);
  });
});
