import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SERVICE_NODE_FLAGS, serviceNodeFlags } from './node-flags.ts';

test('bin/mdr starts a service with the flags that other ways of starting one have', () => {
  const script = readFileSync(new URL('../../bin/mdr', import.meta.url), 'utf8');
  const [, ofServe] = /^ {2}flags="(.*)"$/m.exec(script) ?? [];
  const [, ofAll] = /exec "\$node" (\S+) \$flags \$MDR_NODE_FLAGS/.exec(script) ?? [];
  expect([ofAll, ...ofServe.split(' ')]).toEqual([...SERVICE_NODE_FLAGS]);
});

test("the user's flags come behind", () => {
  expect(serviceNodeFlags({ MDR_NODE_FLAGS: ' --cpu-prof  --trace-gc ' }).slice(SERVICE_NODE_FLAGS.length)).toEqual([
    '--cpu-prof',
    '--trace-gc',
  ]);
  expect(serviceNodeFlags({})).toEqual([...SERVICE_NODE_FLAGS]);
});
