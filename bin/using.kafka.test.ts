import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { freePort } from '#services/platform/kafka-provider/ports.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { bash, blocksOf, settled } from './test/page-blocks.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const USING = fileURLToPath(new URL('../docs/using/', import.meta.url));
const MARK = '--- block';
const folder = mkdtempSync(join(tmpdir(), 'mdr-using-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeWithKafka('the pages that tell how to use the stream', ({ brokers, registryUrl }) => {
  test.each(['users', 'registrations'])(
    '%s.md: every command does what it says, and prints what it says',
    async (name) => {
      const cwd = join(folder, name);
      cpSync(join(USING, 'examples'), cwd, { recursive: true });
      const blocks = blocksOf(readFileSync(join(USING, `${name}.md`), 'utf8'));
      const prefix = `using-${name}-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
      const env = {
        ...process.env,
        KAFKA_BROKERS: brokers.join(),
        SCHEMA_REGISTRY_URL: registryUrl,
        MDR_PREFIX: prefix,
      };
      const script = blocks
        // The broker of the test is there already.
        .map(({ commands }) => `echo '${MARK}'\n${commands.replaceAll(/^npx mdr kafka .*$/gm, 'true')}`)
        .join('\n')
        .replaceAll('npx mdr', MDR)
        .replaceAll('9470', String(await freePort()));
      const topics = name === 'registrations' ? '' : `${MDR} topics\n`;
      const { code, stdout, stderr } = await bash(
        `set -euo pipefail\ntrap 'jobs -p | xargs -r kill' EXIT\n${topics}${script}`,
        cwd,
        env,
      );
      const printed = stdout.split(`${MARK}\n`).slice(1);
      expect([code, printed.length], stderr).toEqual([0, blocks.length]);
      expect(blocks.filter(({ prints }) => prints.length > 0).length).toBeGreaterThan(1);
      blocks.forEach(({ commands, prints }, k) => {
        const lines = settled(printed[k]).split('\n');
        for (const line of prints) expect(lines, commands).toContain(settled(line));
      });
    },
  );
});
