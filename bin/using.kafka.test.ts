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
/** That pages name: each is another one here. */
const PORTS = ['9470', '9471', '8443'];
const folder = mkdtempSync(join(tmpdir(), 'mdr-using-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeWithKafka('the pages that tell how to use the stream', ({ brokers, registryUrl }) => {
  test.each([[['users']], [['registrations']], [['gateway', 'schedules']]])(
    '%s: every command does what it says, and prints what it says',
    { timeout: 600_000 },
    async (pages) => {
      const [name] = pages;
      const cwd = join(folder, name);
      cpSync(join(USING, 'examples'), cwd, { recursive: true });
      const blocks = pages.flatMap((page) => blocksOf(readFileSync(join(USING, `${page}.md`), 'utf8')));
      const prefix = `using-${name}-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
      const env = {
        ...process.env,
        KAFKA_BROKERS: brokers.join(),
        SCHEMA_REGISTRY_URL: registryUrl,
        MDR_PREFIX: prefix,
      };
      let script = blocks
        // The broker of the test is there already.
        .map(({ commands }) => `echo '${MARK}'\n${commands.replaceAll(/^npx mdr kafka .*$/gm, 'true')}`)
        .join('\n')
        .replaceAll('npx mdr', MDR)
        .replaceAll('--prefix mdr.', `--prefix ${prefix}`)
        .replaceAll('mdr serve gateway', 'mdr serve gateway --listen-port 8443');
      for (const port of PORTS) script = script.replaceAll(port, String(await freePort()));
      const topics = blocks.some(({ commands }) => /mdr (topics|load)/.test(commands)) ? '' : `${MDR} topics\n`;
      const { code, stdout, stderr } = await bash(
        `set -euo pipefail\ntrap 'jobs -p | xargs -r kill' EXIT\n${topics}${script}`,
        cwd,
        env,
      );
      const printed = stdout.split(`${MARK}\n`).slice(1);
      expect([code, printed.length], `${stdout}\n${stderr}`).toEqual([0, blocks.length]);
      expect(blocks.filter(({ prints }) => prints.length > 0).length).toBeGreaterThan(1);
      blocks.forEach(({ commands, prints }, k) => {
        const lines = settled(printed[k]).split('\n');
        for (const line of prints) expect(lines, commands).toContain(settled(line));
      });
    },
  );
});
