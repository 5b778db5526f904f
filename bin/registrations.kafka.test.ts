import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, expect, test } from 'vitest';
import { mpanFrom } from '#core/identifiers.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { endOffsets } from '#services/platform/kafka/partition-reader.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const prefix = `load-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
const folder = mkdtempSync(join(tmpdir(), 'mdr-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const HEADER = 'mpan,sequence,role,mpid,efd,etd\n';

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

describeWithKafka('mdr registrations load', ({ brokers, registryUrl }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const stream = ['--brokers', brokers.join(), '--registry', registryUrl, '--prefix', prefix];
  const args = (file: string, more: readonly string[]) => [
    'registrations',
    'load',
    file,
    ...stream,
    '--unknown-mpids',
    'warn',
    ...more,
  ];
  const registrations = async () =>
    (await endOffsets(kafka, `${prefix}registrations`)).reduce((sum, end) => sum + end, 0);

  function load(file: string, ...more: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(MDR, args(file, more), { encoding: 'utf8', timeout: 100_000 });
  }

  function exited(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
    return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  }

  test('killed in the middle of a file it goes on there, and nothing is lost, applied twice or set aside twice', {
    timeout: 240_000,
  }, async () => {
    expect(spawnSync(MDR, ['topics', ...stream], { encoding: 'utf8' }).status).toBe(0);
    const changes = 300_000;
    const rows = Array.from({ length: changes }, (_, k) => {
      const mpan = mpanFrom(101_000_000_000 + k);
      // Every thousandth has a wrong check digit.
      return k % 1000 === 0
        ? `${mpan - (mpan % 10) + ((mpan + 1) % 10)},1,MDR,AGNA,2026-03-02,`
        : `${mpan},1,MDR,AGNA,2026-03-02,`;
    });
    const file = written('bulk.csv', `${HEADER}${rows.join('\n')}\n`);
    const place = `${file}.place.json`;
    for (const [signal, share] of [
      ['SIGKILL', 0.2],
      ['SIGTERM', 0.5],
    ] as const) {
      const child = spawn(MDR, args(file, []), { stdio: 'ignore' });
      const ended = exited(child);
      for (
        const endMs = nowMs() + 60_000;
        nowMs() < endMs && ((await registrations()) < share * changes || !existsSync(place));
      )
        await sleep(5);
      child.kill(signal);
      const { code } = await ended;
      // What is told to end says where it has come to.
      if (signal === 'SIGTERM') expect(code).toBe(3);
      expect(JSON.parse(readFileSync(place, 'utf8')).bytesDone).toBeGreaterThan(0);
    }
    const before = JSON.parse(readFileSync(place, 'utf8')).summary;
    const { status, stdout, stderr } = load(file, '--json');
    expect([status, stderr]).toEqual([1, expect.stringContaining(`goes on behind line ${before.lines}`)]);
    const [summary] = JSON.parse(stdout);
    expect(summary).toMatchObject({
      rows: changes,
      lines: changes + 1,
      changes: changes - 300,
      stale: 0,
      setAside: 300,
    });
    expect(summary.applied + summary.duplicate).toBe(changes - 300);
    const aside = readFileSync(`${file}.set-aside.ndjson`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(aside.map(({ line }) => line)).toEqual(Array.from({ length: 300 }, (_, k) => 2 + 1000 * k));
    expect(aside[0].row).toBe(rows[0]);
    expect(await registrations()).toBe(changes - 300);
    expect(existsSync(place)).toBe(false);
    const again = load(file, '--json', '--quiet');
    expect(again).toMatchObject({ status: 1, stderr: '' });
    expect(JSON.parse(again.stdout)[0]).toMatchObject({ applied: 0, duplicate: changes - 300, setAside: 300 });
    expect(await registrations()).toBe(changes - 300);
  });

  test('several files are taken in their order, and --set-aside keeps what is written elsewhere', () => {
    const mpan = mpanFrom(202_000_000_000);
    const first = written('first.csv', `${HEADER}${mpan},1,MDR,AGNA,2026-03-02,\n`);
    const second = written('second.ndjson', `{"mpan":"${mpan}","sequence":2,"removed":true}\nnonsense\n`);
    const { status, stdout } = load(first, second, '--set-aside', tmpdir(), '--workers', '2');
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /first.csv: 1 rows, 1 changes.*1 applied.*second.ndjson: 2 rows, 1 changes.*1 applied.*1 set aside, see /s,
    );
    const aside = join(tmpdir(), 'second.ndjson.set-aside.ndjson');
    expect(JSON.parse(readFileSync(aside, 'utf8'))).toMatchObject({ line: 2, row: 'nonsense' });
    rmSync(aside);
  });

  test.each<[string[], number, string]>([
    [['registrations'], 2, 'There is no mdr registrations '],
    [['registrations', 'load'], 2, 'Name a file to load'],
    [['registrations', 'load', 'a.csv', '--workers', 'many'], 2, '--workers is "many"'],
    [['registrations', 'load', 'a.csv', '--check-digits', 'ignore'], 2, 'expected one of refuse, warn'],
    [['registrations', 'load', '/no/such.csv', '--unknown-mpids', 'warn'], 2, '/no/such.csv cannot be read'],
    [['registrations', 'load', tmpdir(), '--unknown-mpids', 'warn'], 2, 'is of no format that is read'],
    [
      ['registrations', 'load', written('a.csv', 'a,b\n'), '--unknown-mpids', 'warn'],
      2,
      'a.csv:1: is "a,b", expected the columns mpan,sequence,role,mpid,efd,etd',
    ],
    [['registrations', 'load', written('b.csv', HEADER)], 2, 'No User is known, so no row could be applied'],
    [['users', 'list', 'all'], 2, 'list takes no User'],
    [['users', 'grant'], 2, 'There is no mdr users grant'],
    [['users', 'suspend', 'x', '--gate', 'uept'], 2, 'suspend takes no --gate'],
    [['users', 'suspend', 'x', '--from', 'soon'], 2, '--from soon is not a date'],
    [['users', 'suspend', 'x'], 2, 'user is "x", expected one of none, as there are none'],
    [['users', 'expire', 'x', '--gate', 'all'], 2, 'is none of accession, uept, security, privacy, adt'],
    [['users', 'add'], 2, 'add takes a file, or the options of one User'],
    [['users', 'add', '/no/such.yaml'], 2, '/no/such.yaml cannot be read'],
    [
      ['users', 'add', written('u.yaml', 'users:\n  - name: A\n    eui: zz\n')],
      2,
      'u.yaml:3: users[0].eui is "zz", expected an EUI-64',
    ],
  ])('%j ends with %i', (given, code, message) => {
    const { status, stdout, stderr } = spawnSync(MDR, [...given, ...stream], { encoding: 'utf8', timeout: 100_000 });
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('bug');
  });
});
