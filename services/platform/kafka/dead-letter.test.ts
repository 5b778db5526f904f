import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import { expect, test } from 'vitest';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import { type DeadLetter, encodeDeadLetters } from './dead-letter.ts';
import { BatchCursor } from './record-batch.ts';

const TYPE = avsc.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../../schemas/dead-letter.avsc', import.meta.url), 'utf8')),
);
const LETTER: DeadLetter = {
  service: 'access-control',
  topic: 'service-requests.scheduled',
  partition: 1,
  offset: 7,
  reason: 'UNDECODABLE',
  detail: 'no Avro',
  key: Buffer.from('1200000000012'),
  value: Buffer.from([1, 2, 3]),
  valueBytes: 3,
};

function written(letters: readonly DeadLetter[]) {
  const { batch, records } = encodeDeadLetters(letters, 5);
  const cursor = new BatchCursor();
  cursor.open(Buffer.from(batch));
  const found: { key: string | null; letter: DeadLetter }[] = [];
  while (cursor.next()) {
    const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
    const letter = TYPE.fromBuffer(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength)) as DeadLetter;
    found.push({ key: keyLength < 0 ? null : buffer.toString('latin1', keyAt, keyAt + keyLength), letter });
  }
  expect(found).toHaveLength(records);
  return found;
}

// A step in a worker thread found the records, and a Buffer that goes from thread to thread arrives as a Uint8Array: the
// first bad record ended access control and the scheduler, each time that they came to it.
test('what was set aside is written whichever thread found it', () => {
  const fromWorker = structuredClone([LETTER, { ...LETTER, offset: 8, key: null, value: null }]);
  expect(fromWorker[0].value).not.toBeInstanceOf(Buffer);
  for (const letters of [fromWorker, [LETTER, { ...LETTER, offset: 8, key: null, value: null }]]) {
    const [first, second] = written(letters);
    expect(first).toMatchObject({ key: '1200000000012', letter: { ...LETTER, key: LETTER.key, value: LETTER.value } });
    expect(second).toMatchObject({ key: null, letter: { offset: 8, key: null, value: null } });
  }
});
