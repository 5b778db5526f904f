import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { benchRun } from '#load-tests/bench/service-run.ts';
import { nowMs } from '#services/platform/clock.ts';
import { encodeRun, RUN_PARTITION } from '#services/platform/run-record.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { openContext } from '#services/platform/test/open-context.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const AGENT = [
  '--name',
  'Agent A',
  '--eui',
  '90-B3-D5-1F-30-01-00-00',
  '--category',
  'MDR Party',
  '--role',
  'MDR=AGNA',
];
/** In force on the days of the run, from 2026-03-01 on, and on no day on which this test can be run. */
const GATES = ['--security', '2025-05-01', '--privacy', '2025-05-01'];
const SINCE = ['--acceded', '2025-01-10', '--uept', 'MDR=2025-04-01', '--adt-declared', '2025-06-01'];

// What the stream makes of it is in access.kafka.test.ts.
describeWithKafka('mdr users', (kafka) => {
  let context: ServiceContext;
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ context, close } = await openContext(kafka, 'users', 2));
  });
  afterAll(() => close?.());

  function users(...args: string[]) {
    const { brokers, registry, prefix, partitions } = context.settings;
    const stream = ['--brokers', brokers.join(), '--registry', registry, '--prefix', prefix];
    const all = ['users', ...args, ...stream, '--partitions', String(partitions)];
    return spawnSync(MDR, all, { encoding: 'utf8', timeout: 120_000 });
  }

  test('ends at once where its topics are missing, and names those that could be meant', () => {
    const { brokers, registry, prefix } = context.settings;
    const stream = ['--brokers', brokers.join(), '--registry', registry, '--prefix', `no-${prefix}`];
    const missing = spawnSync(MDR, ['users', 'list', ...stream], { encoding: 'utf8', timeout: 60_000 });
    expect([missing.status, missing.stdout]).toEqual([3, '']);
    expect(missing.stderr).toMatch(/^mdr users: Topics are missing; there are those of .*--prefix /);
  });

  /** The head and what is said of the one User's role. */
  function listed(...args: string[]): (string | undefined)[] {
    const lines = users('list', ...args).stdout.split('\n');
    return [lines[0], lines[2]];
  }

  test.each<[string[], string]>([
    [[''], 'there are list, add, suspend, resume, expire, remove'],
    [['list', 'Agent A'], 'list takes no User'],
    [['list', '--on', 'today'], '--on today is not a date as 2026-03-02'],
    [['suspend', 'Agent A', '--from', '2026-02-30'], '--from 2026-02-30 is not a date as 2026-03-02'],
    [['expire', 'Agent A'], 'Say by --gate what has lapsed: accession, uept, security, privacy, adt'],
    [['expire', 'Agent A', '--gate', 'safety'], '--gate safety is none of accession, uept, security, privacy, adt'],
    [
      ['expire', 'Agent A', '--gate', 'security', '--role', 'MDR'],
      'security is of a User as a whole, so it lapses for all of its roles: leave --role out. Only --gate uept is of a role',
    ],
    [['expire', 'Agent A', '--gate', 'uept', '--role', 'MDA'], '--role MDA is none of '],
    [['suspend', 'Agent A', '--on', '2026-03-02'], 'suspend takes no --on'],
  ])('%j is refused', (args, message) => {
    const { status, stdout, stderr } = users(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('bug');
  });

  test('who may act is judged by the clock of the run, and today where there is none; a suspension begins so too', async () => {
    expect(users('add', ...AGENT, ...SINCE, ...GATES).stdout).toBe('Agent A is added\n');
    const today = new Date(nowMs()).toISOString().slice(0, 10);
    expect(listed()).toEqual([
      `Who may act on ${today}, today in UTC, as there is no run:`,
      '  MDR AGNA: securityAssessmentLapsed',
    ]);
    const { record } = benchRun('settlement-day', [], 1);
    const batch = encodeRun({ ...record, state: 'RUNNING', wallEpochMs: nowMs() }, context.schemaIds.runs);
    await context.outbox.send('runs', RUN_PARTITION, batch, 1);
    const onRun = 'Who may act on 2026-03-01, by the clock of run bench:';
    expect(listed()).toEqual([onRun, '  MDR AGNA: may act']);
    expect(listed('--on', '2026-05-01')).toEqual([
      'Who may act on 2026-05-01:',
      '  MDR AGNA: securityAssessmentLapsed',
    ]);
    expect(JSON.parse(users('list', '--json').stdout)).toMatchObject([
      { name: 'Agent A', standingOn: '2026-03-01', standing: { MDR: 'may act' } },
    ]);
    expect(users('suspend', 'Agent A').stdout).toBe('Agent A is suspended from 2026-03-01 on\n');
    expect(listed()).toEqual([onRun, '  MDR AGNA: suspended']);
  });
});
