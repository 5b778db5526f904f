import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { AnswerRow } from '#services/gateway/answer.ts';
import type { MessageRow } from '#services/gateway/gbcs/message-report.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MDR = join(ROOT, 'bin', 'mdr');
const EXAMPLES = join(ROOT, 'docs', 'using', 'examples');
const WORLD = join(EXAMPLES, 'world.yaml');
const folder = mkdtempSync(join(tmpdir(), 'mdr-decode-'));
afterAll(() => rmSync(folder, { recursive: true }));
const KEYS = join(folder, 'keys');
const DEVICE = '00-DB-12-34-56-78-90-A0';
const MDRA = '90-B3-D5-1F-30-01-00-00';

function mdr(args: string[], input: string | Buffer = ''): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(MDR, args, { encoding: 'utf8', cwd: folder, input, maxBuffer: 2 ** 28 });
}
const ask = (files: string[], ...args: string[]) =>
  mdr(['ask', ...files.map((file) => join(EXAMPLES, file)), '--world', WORLD, ...args]).stdout;
const decode = (input: string | Buffer, ...args: string[]) => mdr(['decode', '--keys', KEYS, ...args], input);
const rowsOf = (stdout: string) => JSON.parse(stdout) as MessageRow[];

mdr(['pki', '--keys', KEYS]);
const response = ask(['read-import-day.xml']);
const [answer] = JSON.parse(ask(['read-import-day.xml'], '--json')) as AnswerRow[];
const payload = Buffer.from(answer.gbcsPayload ?? '', 'base64');

test('what mdr ask prints is read back: the rows are those of its --json', () => {
  const { status, stdout, stderr } = decode(response, '--json');
  expect([status, stderr]).toEqual([0, '']);
  expect(rowsOf(stdout)).toEqual([
    {
      file: 'standard input',
      kind: 'response',
      useCase: 'ECS22b',
      srv: '4.8.1',
      device: DEVICE,
      party: MDRA,
      partyCounter: '5001',
      counter: expect.stringMatching(/^\d+$/),
      deviceCounter: expect.stringMatching(/^\d+$/),
      dataSuccess: true,
      data: answer.data,
    },
  ]);
  expect(answer.data).toHaveLength(48);
});

test('as a table: what it is, of whom, times and units', () => {
  const { status, stdout } = decode(response);
  expect(status).toBe(0);
  const lines = stdout.split('\n');
  expect(lines[0]).toBe(`ECS22b response, service 4.8.1, of device ${DEVICE} to ${MDRA}`);
  expect(lines[1]).toMatch(/^request counter 5001, by the access control broker \(\d+\); the MAC is right, decrypted$/);
  expect(lines.slice(2, 5)).toEqual(['48 rows', '', '                time  import Wh']);
  expect(lines[5]).toMatch(/^2014-12-31T00:30:00Z +\d+$/);
  expect(lines).toHaveLength(5 + 48 + 1);
});

test.each([
  ['raw', payload],
  ['hex', payload.toString('hex')],
  ['hex in capitals, with line ends', payload.toString('hex').toUpperCase().replace(/.{64}/g, '$&\n')],
  ['base64', payload.toString('base64')],
  ['base64 with line ends', payload.toString('base64').replace(/.{76}/g, '$&\r\n')],
  ['a DUIS Response', response],
])('a payload may come as %s', (_, input) => {
  const { status, stdout } = decode(input, '--json');
  expect(status).toBe(0);
  expect(rowsOf(stdout)[0].data).toEqual(answer.data);
});

test('every payload of several Responses is read, those of other kinds are passed over', () => {
  const responses = ask([
    'read-import-day.xml',
    'read-inventory.xml',
    'read-import-smets1.xml',
    'read-export-registers.xml',
  ]);
  expect(rowsOf(decode(responses, '--json').stdout).map(({ useCase }) => useCase)).toEqual(['ECS22b', 'ECS17a']);
});

test('of several payloads the ones that are right are read, the others named, exit code 2', () => {
  const other = response.replace(answer.gbcsPayload as string, `${payload.subarray(0, 100).toString('base64')}`);
  const { status, stdout, stderr } = decode(other + response, '--json');
  expect([status, rowsOf(stdout).length]).toEqual([2, 1]);
  expect(stderr).toContain('standard input, payload 1 of 2');
});

const altered = Buffer.from(payload);
altered[200] ^= 1;
test.each([
  ['one that is cut off', payload.subarray(0, 400), /cut off/],
  ['one with a bit changed', altered, /The MAC does not match/],
  ['two in one', Buffer.concat([payload, payload]), /more than one message/],
  ['text that is none', 'not a payload', /begins with the byte DD/],
  ['nothing', '', /begins with the byte DD/],
  ['a Response without one', ask(['read-inventory.xml']), /expected a GBCSPayload/],
  ['XML that is none', '<sr:Response', /well-formed XML/],
  ['XML with a DTD', '<!DOCTYPE r [<!ENTITY a "a">]><r>&a;</r>', /no DOCTYPE/],
])('%s is refused with exit code 2', (_, input, expected) => {
  const { status, stdout, stderr } = decode(input);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(expected);
  expect(stderr).not.toContain('bug');
});

describe('keys', () => {
  test('of another seed do not fit', () => {
    const other = join(folder, 'other');
    mdr(['pki', '--keys', other, '--seed', '2']);
    const { status, stderr } = mdr(['decode', '--keys', other], response);
    expect(status).toBe(2);
    expect(stderr).toContain('The MAC does not match');
  });

  test('that are not there are named', () => {
    const none = mdr(['decode', '--keys', join(folder, 'none')], response);
    expect([none.status, none.stderr]).toEqual([2, expect.stringContaining('none holds no keys')]);
    const partial = join(folder, 'partial');
    mdr(['pki', '--keys', partial]);
    rmSync(join(partial, 'parties', MDRA), { recursive: true });
    const { status, stderr } = mdr(['decode', '--keys', partial], response);
    expect([status, stderr]).toEqual([2, expect.stringContaining(`the key of ${MDRA}`)]);
    writeFileSync(join(partial, 'parties', '90-B3-D5-1F-30-00-00-02', 'key-agreement.key'), 'no key');
    expect(mdr(['decode', '--keys', partial], response).stderr).toContain('holds no key');
  });

  test("of a device are its certificate's where the folder has one", () => {
    const own = join(folder, 'own');
    mdr(['pki', '--keys', own]);
    mdr(['pki', 'device', '00-DB-12-34-56-78-90-A1', '--keys', own]);
    expect(mdr(['decode', '--keys', own], response).status).toBe(0);
    const certificate = readFileSync(join(own, 'devices', '00-DB-12-34-56-78-90-A1.pem'));
    writeFileSync(join(own, 'devices', `${DEVICE}.pem`), certificate);
    expect(mdr(['decode', '--keys', own], response).stderr).toContain('The MAC does not match');
  });

  test.each([
    ['no JSON', '{'],
    ['no secrets', '{"Z": {"90-B3-D5-1F-30-01-00-00": "42"}}'],
  ])('in a file that holds %s are refused', (_, text) => {
    const file = join(folder, 'secrets.json');
    writeFileSync(file, text);
    const { status, stderr } = mdr(['decode', '--keys', file], response);
    expect([status, stderr]).toEqual([2, expect.stringContaining('secrets.json')]);
  });
});

test('--json and --mmc exclude each other, and one FILE is taken at a time', () => {
  expect(decode(response, '--json', '--mmc').stderr).toContain('not both');
  expect(decode(response, 'a', 'b').stderr).toContain('one FILE');
  const { status, stderr } = decode('', join(folder, 'nothing.hex'));
  expect([status, stderr]).toEqual([2, expect.stringContaining('nothing.hex cannot be read')]);
});

const SHARED = join(ROOT, '..', 'shared');
const XSD = join(SHARED, 'duis', 'xsd', 'MMC_Schema_V5.4.xsd');
const canValidate = existsSync(XSD) && spawnSync('xmllint', ['--version']).error === undefined;
if (!canValidate) process.stderr.write(`skipped: validation of MMC documents, no xmllint or no ${XSD}\n`);
test.skipIf(!canValidate)('--mmc prints documents that the MMC schema takes', () => {
  for (const input of [response, ask(['read-export-registers.xml'])]) {
    const { status, stdout } = decode(input, '--mmc');
    expect(status).toBe(0);
    const lint = spawnSync('xmllint', ['--noout', '--nonet', '--schema', XSD, '-'], {
      input: stdout,
      encoding: 'utf8',
    });
    expect([lint.status, lint.stderr]).toEqual([0, '- validates\n']);
  }
});

const REFERENCE = join(SHARED, 'gbcs');
if (!existsSync(REFERENCE)) process.stderr.write(`skipped: reference messages, no ${REFERENCE}\n`);
test.skipIf(!existsSync(REFERENCE))('the reference messages are read with their shared secrets', () => {
  const secrets = join(REFERENCE, 'shared-secrets.json');
  for (const file of readdirSync(REFERENCE).filter((name) => name.endsWith('.HEX'))) {
    const { status, stdout } = mdr(['decode', join(REFERENCE, file), '--keys', secrets, '--json']);
    expect(status).toBe(0);
    const [row] = rowsOf(stdout);
    expect(file).toContain(`${row.useCase}_${row.srv}`);
    expect(row.device).toBe(DEVICE);
    if (row.kind === 'response') expect(row.dataSuccess).toBe(file.includes('SUCCESS'));
  }
});

describe('every command of docs/using/decode.md', () => {
  const page = readFileSync(join(ROOT, 'docs', 'using', 'decode.md'), 'utf8');
  const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) => block.trim().split('\n'));
  const hasOpenssl = spawnSync('openssl', ['version']).error === undefined;
  const place = join(folder, 'docs');
  mkdirSync(place);
  // The page is written for the project's folder, with keys where they usually are.
  const run = (command: string) =>
    spawnSync('sh', ['-c', command.replaceAll('npx mdr', 'mdr').replaceAll('docs/using/examples', EXAMPLES)], {
      cwd: place,
      encoding: 'utf8',
      env: {
        ...process.env,
        PATH: `${join(ROOT, 'bin')}${delimiter}${process.env.PATH}`,
        MDR_PKI_DIR: join(place, '.pki'),
      },
    });

  test('runs in their order', () => {
    expect(commands.length).toBeGreaterThan(5);
    for (const command of commands) {
      if (command.startsWith('openssl') && !hasOpenssl) continue;
      const { status, stdout, stderr } = run(command);
      expect([command, status, stderr.replace(/^mdr ask: .*\n/gm, '')]).toEqual([command, 0, '']);
      expect(stdout.length, command).toBeGreaterThan(command.includes(' > ') ? -1 : 0);
    }
  });
});
