import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SCHEMAS = fileURLToPath(new URL('../../../../shared/duis/xsd/', import.meta.url));
const hasXmllint = spawnSync('xmllint', ['--version']).error === undefined;

/** Whether documents can be compared with the DUIS schemas here; says why not. */
export const canValidate = existsSync(SCHEMAS) && hasXmllint;
if (!canValidate) {
  process.stderr.write(`skipped: validation of responses, ${hasXmllint ? `no ${SCHEMAS}` : 'no xmllint'}\n`);
}

/** What a schema finds wrong with these documents; empty for nothing. */
export function schemaFaults(schema: 'DUIS' | 'MMC', documents: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'mdr-schema-'));
  const files = documents.map((document, at) => {
    const file = join(folder, `${at}.xml`);
    writeFileSync(file, document);
    return file;
  });
  const path = join(SCHEMAS, `${schema}_Schema_V5.4.xsd`);
  const lint = spawnSync('xmllint', ['--noout', '--nonet', '--huge', '--schema', path, ...files], {
    maxBuffer: 2 ** 28,
  });
  rmSync(folder, { recursive: true });
  return lint.status === 0 ? '' : String(lint.stderr);
}
