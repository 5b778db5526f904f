import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ServiceContext } from '#services/platform/service.ts';
import { openContext } from '#services/platform/test/open-context.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));

// What it does to requests that are held is in load-tests/gateway/gateway.kafka.test.ts.
describeWithKafka('mdr quarantine', (kafka) => {
  let context: ServiceContext;
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ context, close } = await openContext(kafka, 'quarantine', 2));
  });
  afterAll(() => close?.());

  function quarantine(...args: string[]) {
    const { brokers, registry, prefix, partitions } = context.settings;
    const stream = ['--brokers', brokers.join(), '--registry', registry, '--prefix', prefix];
    const all = ['quarantine', ...args, ...stream, '--partitions', String(partitions)];
    return spawnSync(MDR, all, { encoding: 'utf8', timeout: 120_000 });
  }

  test.each([
    [['list'], ''],
    [['list', '--json'], '[]\n'],
    [['list', '--user', '90-b3-d5-1f-30-01-00-00', '--json'], '[]\n'],
  ])('%j where nothing is held', (args, printed) => {
    const { status, stdout, stderr } = quarantine(...args);
    expect([status, stdout, stderr]).toEqual([0, printed, '']);
  });

  test.each<[string[], string]>([
    [[''], 'there are list, process, delete'],
    [['release'], 'There is no mdr quarantine release'],
    [['list', '17'], 'list takes no ID'],
    [['list', '--user', 'Agent A'], '--user Agent A is no EUI-64'],
    [['process'], 'process takes the IDs that list prints'],
    [['delete', '17', '--user', '90-B3-D5-1F-30-01-00-00'], 'delete takes no --user'],
    [['process', '17', 'x'], 'ID is "x", expected the number of a request that is held'],
    [['process', '17', 'x'], 'ID is "17", expected the number of a request that is held'],
  ])('%j is refused', (args, message) => {
    const { status, stdout, stderr } = quarantine(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('bug');
  });
});
