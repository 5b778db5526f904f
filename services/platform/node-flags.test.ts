import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SERVICE_ENVIRONMENT, SERVICE_NODE_FLAGS, serviceEnvironment, serviceNodeFlags } from './node-flags.ts';

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

test('the environment of a service is what bin/mdr and the image say', () => {
  const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  for (const [name, value] of Object.entries(SERVICE_ENVIRONMENT)) {
    expect(text('bin/mdr')).toContain(`export ${name}="\${${name}:-${value}}"`);
    expect(text('docker/Dockerfile')).toMatch(new RegExp(`^ENV .*\\b${name}=${value}$`, 'm'));
  }
  expect(serviceEnvironment({ GLIBC_TUNABLES: 'mine', A: 'b' })).toEqual({ GLIBC_TUNABLES: 'mine', A: 'b' });
  expect(serviceEnvironment({})).toEqual(SERVICE_ENVIRONMENT);
});
