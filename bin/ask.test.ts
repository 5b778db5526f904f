import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { AnswerRow } from '#services/gateway/answer.ts';

const MDR = fileURLToPath(new URL('mdr.ts', import.meta.url));
const EXAMPLES = fileURLToPath(new URL('../docs/using/examples/', import.meta.url));
const WORLD = join(EXAMPLES, 'world.yaml');
const example = (name: string) => join(EXAMPLES, name);
const folder = mkdtempSync(join(tmpdir(), 'mdr-ask-'));
afterAll(() => rmSync(folder, { recursive: true }));

function ask(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MDR, 'ask', ...args], { encoding: 'utf8', input: '' });
}
const rows = (stdout: string) => JSON.parse(stdout) as AnswerRow[];
function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

test('--json prints one array of rows on stdout and nothing else', () => {
  const { status, stdout, stderr } = ask(example('read-import-day.xml'), '--world', WORLD, '--json');
  expect(status).toBe(0);
  expect(rows(stdout)).toEqual([
    expect.objectContaining({
      file: example('read-import-day.xml'),
      requestId: '90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A0:5001',
      srv: '4.8.1',
      code: 'I0',
      reason: expect.stringContaining('AGNA is the MDRA'),
      trtSeconds: 86_400,
      deadline: '2015-01-02T12:00:00Z',
    }),
  ]);
  expect(rows(stdout)[0].data?.[0]).toEqual({ time: '2014-12-31T00:30:00Z', importWh: expect.any(Number) });
  expect(stderr).toContain("requests are received at 2015-01-01T12:00:00Z, the world's instant");
});

test('a refusal by the DCC is an answer: exit code 0', () => {
  const { status, stdout } = ask(example('read-across-change.xml'), '--world', WORLD, '--json');
  expect([status, rows(stdout)[0].code]).toEqual([0, 'E4']);
});

test('files are answered in their order over one world', () => {
  const files = ['read-schedules.xml', 'delete-schedule.xml', 'read-schedules.xml'].map(example);
  const { stdout } = ask(...files, '--world', WORLD, '--json');
  expect(rows(stdout).map(({ code }) => code)).toEqual(['I0', 'I0', 'E050201']);
});

test('a request can come by standard input, its Response goes to standard output', () => {
  const input = readFileSync(example('read-export-registers.xml'));
  const result = spawnSync(process.execPath, [MDR, 'ask', '--world', WORLD, '--mhhs'], { input, encoding: 'utf8' });
  expect(result.status).toBe(0);
  expect(result.stdout).toMatch(/^<\?xml [\s\S]*<sr:ResponseCode>I0<[\s\S]*<\/sr:Response>\n$/);
});

test('--example-world prints a world that can be used at once', () => {
  const { status, stdout } = ask('--example-world');
  expect(status).toBe(0);
  const { status: used } = ask(example('read-import-day.xml'), '--world', written('world.yaml', stdout));
  expect(used).toBe(0);
});

test('without an instant, requests are received now, and stderr says so', () => {
  const world = written('timeless.yaml', readFileSync(WORLD, 'utf8').replace(/^at: .*$/m, ''));
  expect(ask(example('read-import-day.xml'), '--world', world).stderr).toContain('now (--at sets another instant)');
  const { stderr } = ask(example('read-import-day.xml'), '--world', world, '--at', '2015-01-01T09:00:00Z');
  expect(stderr).toBe('');
});

test.each([
  ['no world', [example('read-import-day.xml')], '--world'],
  ['an unknown option', ['--word', WORLD], '--word'],
  ['an instant that is none', [example('read-import-day.xml'), '--world', WORLD, '--at', 'noon'], '--at'],
  ['an unknown role', [example('read-import-day.xml'), '--world', WORLD, '--role', 'MDRA'], '--role'],
  ['a world that is not there', [example('read-import-day.xml'), '--world', join(folder, 'none.yaml')], 'none.yaml'],
  [
    'a world that is none',
    [example('read-import-day.xml'), '--world', example('read-import-day.xml')],
    'read-import-day.xml',
  ],
])('%s ends with exit code 2 and says what was expected', (_, args, named) => {
  const { status, stdout, stderr } = ask(...args);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(named);
});

test('all files that cannot be answered are named, the others are answered, exit code 2', () => {
  const bomb = written('bomb.xml', '<!DOCTYPE r [<!ENTITY a "a">]><r>&a;</r>');
  const cut = written('cut.xml', readFileSync(example('read-import-day.xml'), 'utf8').slice(0, 400));
  const none = join(folder, 'none.xml');
  const good = example('read-import-day.xml');
  const { status, stdout, stderr } = ask(bomb, good, cut, none, folder, '--world', WORLD, '--json');
  expect(status).toBe(2);
  expect(rows(stdout).map(({ file }) => file)).toEqual([good]);
  for (const file of [bomb, cut, none, folder]) expect(stderr).toContain(file);
  expect(stderr).toMatch(/bomb\.xml:1: .*no DOCTYPE/);
});

const REPORT_RSS =
  'data:text/javascript,process.on("exit",()=>process.stderr.write("RSS "+process.resourceUsage().maxRSS))';
const SECONDS_MAX = 20;
const RSS_KB_MAX = 300_000;
const HUNDRED_MB = 100_000_000;
describe('a request of 100 MB is refused within 20 s and 300 MB', () => {
  test.each([
    ['in one comment', '<!-- ', 'x', /at most 131072 bytes/],
    ['in one text', '<sr:Header>', 'x', /at most 131072 bytes/],
    ['of nested elements', '', '<a>', /nested at most 32 deep/],
    ['of white space', '', '\n', /at most 131072 bytes/],
  ])('%s', async (_, begin, filling, expected) => {
    const file = join(folder, 'huge.xml');
    const handle = await open(file, 'w');
    await handle.write(
      `<sr:Request xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4">${begin}`,
    );
    const chunk = Buffer.from(filling.repeat(1_000_000 / filling.length));
    for (let written = 0; written < HUNDRED_MB; written += chunk.length) await handle.write(chunk);
    await handle.close();
    const before = performance.now();
    const args = ['--import', REPORT_RSS, MDR, 'ask', file, '--world', WORLD];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(performance.now() - before).toBeLessThan(SECONDS_MAX * 1000);
    expect(status).toBe(2);
    expect(stderr).toMatch(expected);
    expect(Number(/RSS (\d+)/.exec(stderr)?.[1])).toBeLessThan(RSS_KB_MAX);
  });

  test('and an endless standard input as well', async () => {
    const child = spawn(process.execPath, [MDR, 'ask', '-', '--world', WORLD]);
    child.stdin.on('error', () => child.stdin.destroy());
    const feed = () => {
      while (!child.stdin.destroyed && child.stdin.write(Buffer.alloc(65_536, ' ')));
    };
    child.stdin.on('drain', feed);
    feed();
    const status = await new Promise((resolve) => child.on('exit', resolve));
    expect(status).toBe(2);
  });
});

const PUBLISHED = fileURLToPath(new URL('../../shared/duis/requests/', import.meta.url));
if (!existsSync(PUBLISHED)) process.stderr.write(`skipped: real requests, no ${PUBLISHED}\n`);
test.skipIf(!existsSync(PUBLISHED))('the published example requests are all answered by the example world', () => {
  const files = readdirSync(PUBLISHED).map((file) => join(PUBLISHED, file));
  const { status, stdout } = ask(...files, '--world', WORLD, '--json');
  expect(status).toBe(0);
  const codes = rows(stdout).map(({ file, code }) => [file, code]);
  expect(codes).toEqual(files.map((file) => [file, file.includes('GCS17') ? 'E11' : 'I0']));
});
