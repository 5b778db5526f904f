import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { encodeCommand } from './command.ts';
import { decodeMessage, type GbcsMessage } from './message.ts';
import { columnsOf } from './meter-columns.ts';
import { encodeResponse } from './response-encoder.ts';
import type { SharedSecrets } from './shared-secrets.ts';

/** Messages of the public reference test data set with the shared secrets that they were made with. */
const REFERENCE = fileURLToPath(new URL('../../../../shared/gbcs/', import.meta.url));
const isThere = existsSync(REFERENCE);
if (!isThere) process.stderr.write(`skipped: reference messages, no ${REFERENCE}\n`);

describe.skipIf(!isThere)('reference messages', () => {
  const files = isThere ? readdirSync(REFERENCE).filter((file) => file.endsWith('.HEX')) : [];
  const { Z } = (isThere ? JSON.parse(readFileSync(`${REFERENCE}shared-secrets.json`, 'utf8')) : {}) as {
    Z: Record<string, string>;
  };
  const secrets: SharedSecrets = (_, party) => Buffer.from(Z[party], 'hex');

  test.each(files)('%s is decoded, and what it says makes the same bytes again', (file) => {
    const bytes = Buffer.from(readFileSync(REFERENCE + file, 'utf8').trim(), 'hex');
    const message = decodeMessage(bytes, secrets);
    expect(message.kind).toBe(file.includes('COMMAND') ? 'command' : 'response');
    expect(file).toContain(`${message.useCase.name}_${message.useCase.srv}_`);
    expect(encoded(message, secrets).toString('hex')).toBe(bytes.toString('hex'));
  });
});

function encoded({ useCase, envelope, ...body }: GbcsMessage, secrets: SharedSecrets): Buffer {
  if ('command' in body) {
    const { startMs, endMs } = body.command;
    const window = startMs === undefined || endMs === undefined ? undefined : { startMs, endMs };
    return encodeCommand(useCase, envelope, window, secrets);
  }
  const { originator, recipient, counter, unknownParty, timeMs } = envelope;
  const columns = body.readings.rows.length === 0 && !body.readings.success ? null : columnsOf(body.readings.rows);
  const head = { useCase, device: originator, atMs: timeMs ?? 0 };
  return unknownParty === undefined
    ? encodeResponse({ ...head, party: recipient, partyCounter: counter }, columns, secrets)
    : encodeResponse(
        {
          ...head,
          party: unknownParty.eui,
          partyCounter: unknownParty.counter,
          unknown: { brokerCounter: counter, deviceCounter: unknownParty.deviceCounter ?? 0n },
        },
        columns,
        secrets,
      );
}
