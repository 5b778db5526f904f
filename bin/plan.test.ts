import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { Report } from '#load-tests/report/report.ts';
import { expectReport } from '#load-tests/test/report-shape.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'mdr-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

function plan(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(MDR, ['plan', ...args], { encoding: 'utf8', cwd: folder });
}

const set = (...settings: string[]) => settings.flatMap((setting) => ['--set', setting]);
const SMALL = ['settlement-day', ...set('fleet.meters=2000', 'fleet.metersPerCell=250')];
const EXIT_CODES = { held: 0, broken: 1, undecided: 4 };

function parsed(stdout: string): Report {
  const report = JSON.parse(stdout) as Report;
  expectReport(report);
  return report;
}

describe('the exit code is the verdict', () => {
  test.each([
    ['held', 0, ['open == 0', 'withinTrt >= 0.5']],
    ['broken', 1, ['open == 0', 'withinTrt > 1']],
    ['undecided', 4, ['open == 0', 'withinTrt{srv=5.3} >= 0.5']],
  ])('%s: %i', (verdict, code, thresholds) => {
    const { status, stdout } = plan(...SMALL, ...set(`thresholds=${JSON.stringify(thresholds)}`), '--json');
    expect(parsed(stdout).verdict).toBe(verdict);
    expect(status).toBe(code);
  });

  test('bad input 2, and a report that cannot be written 3, each with a sentence', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const { status, stderr } = plan(...SMALL, '--out', join(file, 'report'));
    expect(status).toBe(3);
    expect(stderr).toMatch(/^mdr plan: cannot write the report to .*file\/report: /m);
  });
});

test('a reader that has seen enough changes nothing about the verdict', () => {
  const broken = `thresholds=${JSON.stringify(['withinTrt > 1'])}`;
  const script = 'set -o pipefail; "$0" "$@" | true';
  const args = ['-c', script, MDR, 'plan', ...SMALL, ...set(broken), '--json'];
  expect(spawnSync('bash', args, { encoding: 'utf8', cwd: folder })).toMatchObject({ status: 1, stderr: '' });
});

describe('bad options end with exit code 2 and a sentence that names them', () => {
  test.each([
    [['--seed', 'x'], '--seed x is not a whole number from 0 to 4294967295'],
    [['--days', '0'], '--days 0 is not a whole number from 1 to 366'],
    [['--workers', '1.5'], '--workers 1.5 is not a whole number from 1 to 256'],
    [['--sample', '1/0'], '--sample 1/0 is not of the form 1/N'],
    [['--smaple', '1/2'], "Unknown option '--smaple'"],
    [['settlement-day', 'outage-72h'], 'one scenario at a time, not settlement-day and outage-72h'],
    [['settlement-dya'], 'There is no scenario or file settlement-dya; built in are agent-switch'],
    [['/dev/zero'], '/dev/zero is not a file'],
    [['.'], '. is not a file'],
    [set('fleet.metres=5'), '--set: fleet.metres expected the name of a setting; did you mean meters?'],
  ])('%j', (args, expected) => {
    const { status, stdout, stderr } = plan(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(expected);
    expect(stderr).not.toContain('    at ');
  });

  test('and so does a file with ten mistakes, all of them named with their lines', () => {
    const lines = ['name: x', 'fleet: { metres: 5 }', ...Array.from({ length: 8 }, (_, k) => `oops${k}: 1`)];
    writeFileSync(join(folder, 'bad.yaml'), lines.join('\n'));
    const { status, stderr } = plan('bad.yaml');
    expect(status).toBe(2);
    for (let line = 3; line <= 10; line++) expect(stderr).toContain(`bad.yaml:${line}: oops${line - 3} expected`);
    expect(stderr).toContain('bad.yaml:2: fleet.metres expected the name of a setting; did you mean meters?');
  });
});

describe('--json', () => {
  const { status, stdout } = plan(...SMALL, '--json');

  test('prints the report and nothing else on stdout, and writes no file', () => {
    expect(status).toBe(0);
    expect(stdout.startsWith('{') && stdout.endsWith('}\n')).toBe(true);
    parsed(stdout);
    expect(existsSync(join(folder, 'mdr-report'))).toBe(false);
  });

  test('is the report.json of --out', () => {
    const { stdout: again } = plan(...SMALL, '--json', '--out', 'both');
    expect(JSON.parse(readFileSync(join(folder, 'both/report.json'), 'utf8'))).toEqual(JSON.parse(again));
  });

  test('the command in the report gives the same counts again, on any number of workers', () => {
    const options = ['--seed', '9', '--days', '2', '--sample', '1/2', '--workers', '1'];
    const thresholds = "thresholds=['withinTrt{network=CSP North} >= 0.5']";
    const first = parsed(plan(...SMALL, ...options, ...set(thresholds), '--json').stdout);
    expect(first.run).toMatchObject({ seed: 9, workers: 1, complete: true });
    const command = first.run.command.replace(/^npx mdr /, `'${MDR}' `);
    const second = parsed(spawnSync('sh', ['-c', `${command} --workers 2 --json`], { encoding: 'utf8' }).stdout);
    expect(second.run).toMatchObject({ digest: first.run.digest, workers: 2, command: first.run.command });
    expect({ ...second, run: null }).toEqual({ ...first, run: null });
    expect(first.run.digest).not.toBe(parsed(stdout).run.digest);
  });
});

describe('without --json', () => {
  const result = plan(...SMALL, '--out', 'report');

  test('the summary says the verdict first and where the report is', () => {
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/^✓ The Target Response Times hold/);
    expect(result.stdout).toMatch(/\nReport: report\/index\.html \(open it in a browser\)/);
  });

  test('where there is no terminal, progress is plain lines on stderr', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(result.stdout + result.stderr).not.toMatch(/[\r\x1b]/);
    for (const line of result.stderr.trimEnd().split('\n').filter(Boolean))
      expect(line).toMatch(/^settlement-day: \d+ of 9 cells simulated$/);
  });

  test('--out has the page, the JSON and the CSV files, and nothing half-written', () => {
    const files = readdirSync(join(folder, 'report')).toSorted();
    expect(files).toEqual(expect.arrayContaining(['index.html', 'report.json', 'trt.csv', 'thresholds.csv']));
    for (const name of files) expect(name).toMatch(/\.(html|json|csv)$/);
    parsed(readFileSync(join(folder, 'report/report.json'), 'utf8'));
    expect(readFileSync(join(folder, 'report/index.html'), 'utf8')).toMatch(/^<!doctype html>/i);
  });

  test('the report goes to mdr-report/SCENARIO unless told', () => {
    expect(plan(...SMALL).status).toBe(0);
    expect(existsSync(join(folder, 'mdr-report/settlement-day/index.html'))).toBe(true);
    rmSync(join(folder, 'mdr-report'), { recursive: true });
  });
});

describe('--sample', () => {
  test('scales counts to the fleet, with intervals, and says so', () => {
    const thresholds = `thresholds=${JSON.stringify(['withinTrt >= 0.1', 'withinTrt{mode=scheduled} >= 1'])}`;
    const { status, stdout } = plan(...SMALL, '--sample', '1/2', ...set(thresholds), '--json');
    const report = parsed(stdout);
    expect(report.run.sample).toEqual({ oneIn: 2, cells: 8, cellsAll: 9 });
    expect(report.trt.every(({ interval }) => interval !== undefined)).toBe(true);
    expect(report.thresholds.map(({ verdict }) => verdict)).toEqual(['held', 'undecided']);
    expect(status).toBe(4);
  });
});

describe('the folder of a report', () => {
  const running = () => spawn('sleep', ['60'], { stdio: 'ignore' });

  test('belongs to one run at a time: another is refused, names it, and changes nothing', () => {
    const other = running();
    mkdirSync(join(folder, 'held'));
    writeFileSync(join(folder, 'held/.written-by'), `${other.pid}\n`);
    const { status, stderr } = plan(...SMALL, '--out', 'held');
    other.kill();
    expect(status).toBe(3);
    expect(stderr).toContain(`another run (process ${other.pid}) writes its report to held:`);
    expect(stderr).toContain('--out');
    expect(readdirSync(join(folder, 'held'))).toEqual(['.written-by']);
  });

  test('is taken from a run that has ended without letting go', async () => {
    const other = running();
    const ended = new Promise((resolve) => other.once('exit', resolve));
    other.kill('SIGKILL');
    await ended;
    mkdirSync(join(folder, 'left'));
    writeFileSync(join(folder, 'left/.written-by'), `${other.pid}\n`);
    expect(plan(...SMALL, '--out', 'left').status).toBe(0);
    expect(readdirSync(join(folder, 'left'))).not.toContain('.written-by');
  });

  test('of two runs at once one writes its report, and the other is refused', async () => {
    const codes = await Promise.all(
      [1, 2].map(
        () =>
          new Promise((resolve) => {
            spawn(MDR, ['plan', ...SMALL, '--out', 'raced'], { cwd: folder, stdio: 'ignore' }).once('close', resolve);
          }),
      ),
    );
    // Where the machine is so busy that one had ended before the other began, both have written, one after the other.
    expect([
      [0, 3],
      [0, 0],
    ]).toContainEqual(codes.sort());
    parsed(readFileSync(join(folder, 'raced/report.json'), 'utf8'));
  });
});

describe('Ctrl-C', () => {
  /** Runs until the first sign of progress, interrupts, and waits for the end. */
  async function interrupted(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(MDR, ['plan', 'gb-settlement-day', ...set('fleet.meters=6000000'), ...args], { cwd: folder });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const hadBegun = stderr.includes('cells simulated');
      stderr += text;
      if (!hadBegun && stderr.includes('cells simulated')) child.kill('SIGINT');
    });
    const status = await new Promise<number | null>((resolve) => {
      child.on('close', resolve);
    });
    return { status, stdout, stderr };
  }

  test('leaves a valid partial report that says so, and the exit code of its verdict', async () => {
    const { status, stdout, stderr } = await interrupted('--out', 'stopped');
    expect(stderr).toContain('Stopping after the cells in progress; press Ctrl-C again to leave at once.');
    expect(stdout).toContain('Partial report: the run was stopped before its end.');
    const report = parsed(readFileSync(join(folder, 'stopped/report.json'), 'utf8'));
    expect(report.run.complete).toBe(false);
    expect(report.run.sample?.cells).toBeGreaterThan(0);
    expect(report.run.sample?.cells).toBeLessThan(report.run.sample?.cellsAll as number);
    expect(status).toBe(EXIT_CODES[report.verdict]);
    expect(readFileSync(join(folder, 'stopped/index.html'), 'utf8')).toContain('Partial report');
  });
});
