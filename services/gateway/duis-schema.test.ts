import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { parseDuisRequest } from './duis-request.ts';

const EXAMPLES = new URL('../../docs/using/examples/', import.meta.url);
const SCHEMA = fileURLToPath(new URL('../../../shared/duis/xsd/DUIS_Schema_V5.4.xsd', import.meta.url));
const canLint = existsSync(SCHEMA) && spawnSync('xmllint', ['--version']).error === undefined;
if (!canLint) process.stderr.write(`skipped: comparison with the DUIS schema, no xmllint or no ${SCHEMA}\n`);

const EUI = '00-DB-12-34-56-78-90-A0';
const TEXTS = [
  ...[
    '',
    ' ',
    'x',
    '-1',
    '-0',
    '0',
    '1',
    '+5',
    '05',
    '8.0',
    '10',
    '-400',
    '-401',
    '4.8',
    ' 4.8',
    ' 8 ',
    '1000000000001',
  ],
  ...[
    '2014-02-30',
    '2014-02-28Z',
    '0000-01-01',
    '2016-02-29T12:00:00Z',
    '2014-12-31T24:00:00Z',
    '2014-12-31T24:00:01Z',
  ],
  ...['2014-12-31T23:59:60Z', '2014-12-31T00:00:00', '2014-12-31T00:00Z', '2014-12-31T00:00:00.000000001Z'],
  ...['2014-12-31T00:00:00+14:00', '2014-12-31T00:00:00+14:01', '2014-12-31T00:00:00z', '0000-01-01T00:00:00Z'],
  ...['24:00:00', '25:00:00', '00:00:00.Z', '12:30:15.125+01:00', 'Yearly', 'daily', '<!-- c -->5', '<![CDATA[5]]>'],
  ...[EUI.toLowerCase(), ` ${EUI} `, EUI.slice(1), `${EUI}:${EUI}:01`, ` ${EUI}:${EUI}:18446744073709551615\n`],
  ...[`${EUI}:${EUI}:18446744073709551616`, 'abcdefghijklm', 'abcdefghijklmn'],
];
const INSERTS = [
  ...['text', '<x/>', '<!-- c -->', '<?pi x?>', '<sr:MPxN>1</sr:MPxN>', '<sr:FirstInSequence> 0 </sr:FirstInSequence>'],
  '<sr:ExecutionDateTime>2014-12-31T00:00:00Z</sr:ExecutionDateTime>',
  ...['Zg==', 'Zh==', 'ZGV', 'Z m 9 v', ''].map(
    (text) => `<sr:KAPublicSecurityCredentials>${text}</sr:KAPublicSecurityCredentials>`,
  ),
  '<sr:KAPublicSecurityCredential>Zg==</sr:KAPublicSecurityCredential>',
  '<sr:ScheduleEndDate>2020-01-01</sr:ScheduleEndDate>',
];

/** Where this reader asks more than the schema can say (docs/using/ask.md). */
const STRICTER = [/, the reference of /, / to schedule /, / not before the /, /does not end before it starts/];

/** Every text replaced, and everything inserted between any two tags, one place at a time. */
function variantsOf(text: string): string[] {
  const leaves = [...text.matchAll(/<sr:(\w+)>([^<]*\S[^<]*)<\/sr:\1>/g)].flatMap(({ index, 0: all, 1: name }) =>
    ['', ...TEXTS.map((value) => `<sr:${name}>${value}</sr:${name}>`), all + all].map(
      (value) => text.slice(0, index) + value + text.slice(index + all.length),
    ),
  );
  const gaps = [...text.matchAll(/>\s*</g)]
    .slice(2)
    .flatMap(({ index }) => INSERTS.map((value) => text.slice(0, index + 1) + value + text.slice(index + 1)));
  return [text, ...leaves, ...gaps];
}

test.skipIf(!canLint)('a request changed in one place is taken where the schema takes it, and nowhere else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mdr-schema-'));
  const examples = readdirSync(EXAMPLES).filter((file) => file.endsWith('.xml'));
  const variants = examples.flatMap((file) => variantsOf(readFileSync(new URL(file, EXAMPLES), 'utf8')));
  variants.forEach((text, at) => {
    writeFileSync(join(folder, `${at}.xml`), text);
  });
  const files = variants.map((_, at) => `${at}.xml`);
  const lint = spawnSync('xmllint', ['--noout', '--nonet', '--schema', SCHEMA, ...files], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  rmSync(folder, { recursive: true });
  const valid = new Set([...lint.stderr.matchAll(/^(\d+)\.xml validates$/gm)].map(([, at]) => Number(at)));
  expect(valid.size).toBeGreaterThan(300);
  const different = variants.flatMap((text, at) => {
    const refusal = refusalOf(text);
    const agrees = (refusal === undefined) === valid.has(at) || STRICTER.some((rule) => rule.test(refusal ?? ''));
    return agrees ? [] : [{ text, refusal }];
  });
  expect(different).toEqual([]);
});

function refusalOf(text: string): string | undefined {
  try {
    parseDuisRequest('f.xml', new TextEncoder().encode(text));
    return undefined;
  } catch (error) {
    if (!(error instanceof MdrError)) throw error;
    return error.faults[0].expected;
  }
}
