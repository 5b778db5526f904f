import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import avsc from 'avsc';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { mpanFrom } from '#core/identifiers.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { schemaText } from '#schemas/topics.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';
import { ChangeParser, type FeedRules, type ParsedChanges } from './change-parser.ts';
import { readHeader } from './csv-changes.ts';
import { nextChunk } from './file-chunks.ts';
import { knownMpids } from './known-mpids.ts';
import { linesSetAside } from './set-aside.ts';
import { changeOf, csvOf, MPIDS, ndjsonOf, type PlainChange, sorted } from './test/any-changes.ts';

const PARTITIONS = 4;
const SCHEMA_ID = 77;
const CHANGE = avsc.Type.forSchema(JSON.parse(schemaText('registration-changes')));
const REFUSE: FeedRules = { checkDigits: 'refuse', unknownMpids: 'refuse' };
const WARN: FeedRules = { checkDigits: 'warn', unknownMpids: 'warn' };
const mpids = knownMpids([{ roles: [{ mpids: MPIDS }] }]);
const columns = readHeader('test.csv', 'mpan,sequence,role,mpid,efd,etd');
const parser = new ChangeParser(SCHEMA_ID, PARTITIONS);
const MPAN = mpanFrom(101_234_567_890);
const folder = mkdtempSync(join(tmpdir(), 'mdr-parser-'));
afterAll(() => rmSync(folder, { recursive: true }));

function parse(text: string, format: 'csv' | 'ndjson' | 'json', rules = REFUSE, given = columns): ParsedChanges {
  const bytes = Uint8Array.from(Buffer.from(text)).buffer;
  return parser.parse({ bytes, format, columns: given, rules, mpids, stampMs: 1 });
}

/** Changes as they are in the batches, by the line on which each begins. */
function changesOf({ batches }: ParsedChanges): [line: number, PlainChange][] {
  const cursor = new BatchCursor();
  const found: [number, PlainChange][] = [];
  for (const { batch, starts } of batches) {
    cursor.open(Buffer.from(batch.batch));
    for (let k = 0; cursor.next(); k++) {
      const { buffer, keyAt, valueAt, valueLength } = cursor;
      const value = CHANGE.fromBuffer(Buffer.from(buffer.subarray(valueAt + 5, valueAt + valueLength)));
      const { mpan, sequence, appointments } = JSON.parse(JSON.stringify(value));
      expect(buffer.toString('latin1', keyAt, keyAt + 13)).toBe(String(mpan));
      expect(batch.partition).toBe(partitionOfMpan(mpan, PARTITIONS));
      expect(value.removed).toBe(appointments.length === 0);
      found.push([starts[k], { mpan, sequence, appointments }]);
    }
  }
  return found.sort((a, b) => a[0] - b[0]);
}

describe('rows that can be used', () => {
  test('are the same changes as CSV, NDJSON and a JSON array, each with its line', () => {
    const ofDifferentMpans = fc.uniqueArray(changeOf, { maxLength: 6, selector: ({ mpan }) => mpan });
    fc.assert(
      fc.property(ofDifferentMpans, (changes) => {
        const expected = changes.map((one) => ({ ...one, appointments: sorted(one.appointments) }));
        const csv = parse(changes.map(csvOf).join('\r\n'), 'csv');
        const ndjson = parse(`${changes.map(ndjsonOf).join('\n')}\n`, 'ndjson');
        const json = parse(`[${changes.map(ndjsonOf).join()}]`, 'json');
        for (const parsed of [csv, ndjson, json]) {
          expect(parsed.faults).toEqual([]);
          expect(changesOf(parsed).map(([, change]) => change)).toEqual(expected);
        }
        for (const parsed of [ndjson, json])
          expect(changesOf(parsed).map(([line]) => line)).toEqual(changes.map((_, k) => k + 1));
        let line = 1;
        const lines = changes.map(({ appointments }) => {
          const first = line;
          line += Math.max(1, appointments.length);
          return first;
        });
        expect(changesOf(csv).map(([first]) => first)).toEqual(lines);
      }),
    );
  });

  test('may have their columns in any order, in quotes, behind a byte-order mark, with blank lines between', () => {
    const given = readHeader('test.csv', '\uFEFFrole,"efd",etd,mpid,sequence,mpan\r');
    const text = `"MDR",2026-03-02,,"AGNA",7,${MPAN}\n\nIS,2026-03-02,2026-04-01,SUPP,7,"${MPAN}"\n`;
    const parsed = parse(text, 'csv', REFUSE, given);
    expect(parsed).toMatchObject({ lines: 3, rows: 2, changes: 1, faults: [] });
    expect(changesOf(parsed)[0][1].appointments.map(({ role, mpid }) => `${role} ${mpid}`)).toEqual([
      'IS SUPP',
      'MDR AGNA',
    ]);
  });

  test('are counted and applied where a rule only warns', () => {
    const wrong = MPAN % 10 === 9 ? MPAN - 1 : MPAN + 1;
    const text = `${wrong},1,MDR,AGNA,2026-03-02,\n${MPAN},1,MDR,NONE,2026-03-02,\n`;
    expect(parse(text, 'csv', WARN)).toMatchObject({
      changes: 2,
      faults: [],
      warnings: { checkDigits: 1, unknownMpids: 1 },
    });
    expect(parse(text, 'csv', REFUSE).faults).toEqual([
      { line: 1, reason: `mpan is ${wrong}, expected 13 digits of which the last checks the others` },
      { line: 2, reason: 'mpid is NONE, expected that of a User who is known' },
    ]);
  });
});

describe('a row of CSV that cannot be used says what stood there and what was expected', () => {
  test.each<[string, string]>([
    ['1,1,MDR,AGNA,2026-03-02,', 'mpan is "1", expected 13 digits, the first not 0'],
    ['0012345678901,1,MDR,AGNA,2026-03-02,', 'mpan is "0012345678901", expected 13 digits'],
    [`${MPAN},0,MDR,AGNA,2026-03-02,`, 'sequence is "0", expected a whole number from 1 to 9007199254740991'],
    [`${MPAN},1e3,MDR,AGNA,2026-03-02,`, 'sequence is "1e3", expected a whole number'],
    [`${MPAN},9007199254740992,MDR,AGNA,2026-03-02,`, 'from 1 to 9007199254740991'],
    [`${MPAN},1,MDA,AGNA,2026-03-02,`, 'field 3 is "MDA", expected one of IS, ES, MDR and REMOVED'],
    [`${MPAN},1,,AGNA,2026-03-02,`, 'field 3 is "", expected one of'],
    [`${MPAN},1,MDR,agna,2026-03-02,`, 'field 4 is "agna", expected four capital letters'],
    [`${MPAN},1,MDR,AGNA,2026-02-29,`, 'field 5 is "2026-02-29", expected a date as 2026-03-02'],
    [`${MPAN},1,MDR,AGNA,02/03/2026,`, 'field 5 is "02/03/2026", expected a date'],
    [`${MPAN},1,MDR,AGNA,,`, 'field 5 is "", expected a date'],
    [`${MPAN},1,MDR,AGNA,1989-12-31,`, 'efd is 1989-12-31, expected in the years 1990 to 2168'],
    [
      `${MPAN},1,MDR,AGNA,2026-03-02,2026-03-01`,
      'etd is 2026-03-01, expected none or a day from the efd 2026-03-02 on',
    ],
    [`${MPAN},1,MDR,AGNA,2026-03-02,9999-12-31`, 'etd is 9999-12-31, expected none or a day'],
    [`${MPAN},1,MDR,AGNA,2026-03-02`, 'expected 6 fields'],
    [`${MPAN},1,MDR,AGNA,2026-03-02,,`, 'expected 6 fields'],
    [`${MPAN},1,REMOVED,AGNA,,`, 'field 4 is "AGNA", expected nothing beside the removal'],
  ])('%s', (row, reason) => {
    const parsed = parse(`${row}\n${MPAN},2,MDR,AGNA,2026-03-02,\n`, 'csv');
    expect(parsed.faults).toEqual([{ line: 1, reason: expect.stringContaining(reason) }]);
    expect(changesOf(parsed).map(([line]) => line)).toEqual([2]);
  });

  test('and takes the other rows of its change with it, not those of the next', () => {
    const rows = ['MDR,AGNA,2026-03-02,', 'MDR,AGNB,2026-03-02,', 'IS,SUPP,2020-01-01,'].map(
      (row) => `${MPAN},4,${row}`,
    );
    const parsed = parse([...rows, `${MPAN},5,MDR,AGNA,2026-03-02,`].join('\n'), 'csv');
    expect(parsed.faults).toEqual([
      { line: 2, reason: 'MDR: two appointments with the EFD 2026-03-02' },
      { line: 1, reason: 'its change cannot be used: see line 2' },
      { line: 3, reason: 'its change cannot be used: see line 2' },
    ]);
    expect(changesOf(parsed).map(([, { sequence }]) => sequence)).toEqual([5]);
    expect(linesSetAside(parsed.bytes, parsed.faults, 100).map(({ line, row }) => [line, row])).toEqual(
      rows.map((row, k) => [101 + k, row]),
    );
  });
});

describe('a row of JSON that cannot be used says where, what stood there and what was expected', () => {
  const appointment = '{"mpid":"AGNA","role":"MDR","efd":"2026-03-02"}';
  test.each<[string, string]>([
    ['7', 'expected an object'],
    ['null', 'expected an object'],
    ['{"mpan":', 'expected JSON'],
    [`{"sequence":1,"appointments":[${appointment}]}`, 'mpan is missing'],
    [`{"mpan":"${MPAN}","sequence":"1","appointments":[${appointment}]}`, 'sequence is "1", expected a whole number'],
    [`{"mpan":"${MPAN}","sequence":1.5,"appointments":[${appointment}]}`, 'sequence is 1.5'],
    [`{"mpan":"${MPAN}","sequence":1}`, 'appointments: expected a list'],
    [`{"mpan":"${MPAN}","sequence":1,"appointments":[]}`, 'appointments: expected a list of at least one'],
    [`{"mpan":"${MPAN}","sequence":1,"removed":true,"appointments":[${appointment}]}`, 'expected none beside'],
    [`{"mpan":"${MPAN}","sequence":1,"removed":"yes","appointments":[${appointment}]}`, 'removed is "yes"'],
    [`{"mpan":"${MPAN}","sequence":1,"appointment":[${appointment}]}`, 'appointment: no such field'],
    [`{"mpan":"${MPAN}","sequence":1,"appointments":[{"mpid":"AGNA","role":"MDR"}]}`, 'appointments[0].efd is missing'],
    [`{"mpan":"${MPAN}","sequence":1,"appointments":[{"mpid":"AGNA","role":"GS","efd":"2026-03-02"}]}`, 'role is "GS"'],
    [`{"mpan":"${MPAN}","sequence":1,"appointments":[${appointment.replace('}', ',"etd":"soon"}')}]}`, 'etd is "soon"'],
    [`{"mpan":"${MPAN}","sequence":1,"appointments":[${appointment},${appointment}]}`, 'two appointments with the EFD'],
  ])('%s', (row, reason) => {
    const good = `{"mpan":"${MPAN}","sequence":2,"appointments":[${appointment}]}`;
    const parsed = parse(`${row}\n${good}\n`, 'ndjson');
    expect(parsed.faults[0]).toEqual({ line: 1, reason: expect.stringContaining(reason) });
    expect(changesOf(parsed).map(([line]) => line)).toEqual([2]);
  });

  test('a body that is no array is one row', () => {
    expect(parse('{"mpan":1}', 'json')).toMatchObject({
      rows: 1,
      faults: [{ line: 1, reason: 'expected a JSON array' }],
    });
  });
});

test('no bytes make the parser fail, and every row is in a change or set aside', () => {
  const part = fc.constantFrom(
    String(MPAN),
    '1',
    'MDR',
    'IS',
    'REMOVED',
    'AGNA',
    '2026-03-02',
    '',
    ',',
    ',,',
    '\n',
    '\r\n',
    '"',
    '{',
    '[]',
    '\u0000',
    'é',
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(part, fc.string()), { maxLength: 60 }),
      fc.constantFrom('csv' as const, 'ndjson' as const, 'json' as const),
      (parts, format) => {
        const text = parts.join(format === 'csv' ? ',' : '');
        const parsed = parse(text, format);
        const rows =
          format === 'json'
            ? parsed.rows
            : text
                .split('\n')
                .filter((line) => line.replace(/\r$/, '') !== '' && (format === 'csv' || line.trim() !== '')).length;
        expect(parsed.rows).toBe(rows);
        const aside = new Set(parsed.faults.map(({ line }) => line));
        expect(parsed.changes + aside.size).toBeLessThanOrEqual(Math.max(rows, 1));
        if (parsed.changes === 0) expect(aside.size).toBe(rows);
      },
    ),
    { numRuns: 500 },
  );
});

test.each(['mpan,sequence,role,mpid,efd', 'mpan,sequence,role,mpid,efd,etd,name', 'mpan,mpan,role,mpid,efd,etd', ''])(
  'a header of %s is refused with what was expected',
  (line) => {
    expect(() => readHeader('a.csv', line)).toThrow('a.csv has no header');
  },
);

test('a file comes in chunks that tear neither a line nor the rows of an MPAN, and is the same again in one', async () => {
  const rows: string[] = [];
  for (let k = 0; rows.length < 60_000; k++) {
    const mpan = mpanFrom(101_000_000_000 + k);
    for (let own = 0; own < 1 + ((k * 7) % 5); own++) rows.push(`${mpan},${1 + own},MDR,AGNA,2026-03-02,2026-03-03`);
  }
  const file = join(folder, 'chunks.csv');
  const text = `${rows.join('\n')}\n`;
  writeFileSync(file, text);
  const handle = await open(file);
  const chunks: string[] = [];
  for (let at = 0; at < text.length; ) {
    const bytes = await nextChunk(handle, at, text.length, columns);
    at += bytes.byteLength;
    chunks.push(Buffer.from(bytes).toString());
  }
  await handle.close();
  expect(chunks.length).toBeGreaterThan(2);
  expect(chunks.join('')).toBe(text);
  const mpansOf = chunks.map(
    (chunk) =>
      new Set(
        chunk
          .trim()
          .split('\n')
          .map((row) => row.slice(0, 13)),
      ),
  );
  for (let k = 1; k < chunks.length; k++)
    expect([...mpansOf[k]].filter((mpan) => mpansOf[k - 1].has(mpan))).toEqual([]);
  await expect(
    (async () => {
      writeFileSync(file, 'x'.repeat(3_000_000));
      const one = await open(file);
      try {
        return await nextChunk(one, 0, 3_000_000, undefined);
      } finally {
        await one.close();
      }
    })(),
  ).rejects.toThrow('too long');
});
