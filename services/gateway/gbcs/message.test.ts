import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import type { Reading } from '../answer.ts';
import { seedSecrets } from '../pki/seed-secrets.ts';
import { encodeCommand } from './command.ts';
import { decodeMessage } from './message.ts';
import { columnsOf } from './meter-columns.ts';
import { encodeResponse } from './response-encoder.ts';
import type { SharedSecrets } from './shared-secrets.ts';
import { anyAnswer, anyParty, DEVICE, MDRA, respond, SRVS_READ, SUPPLIER } from './test/any-message.ts';
import { USE_CASES } from './use-case.ts';

const secrets = seedSecrets(1);
const KNOWN = { party: SUPPLIER, partyCounter: 1002n };
const UNKNOWN = { party: MDRA, partyCounter: 1003n, unknown: { brokerCounter: 1302n, deviceCounter: 2002n } };
const MIDNIGHT = Date.UTC(2015, 0, 1);

/** Rows as a simulated meter would have them, with every column. */
function rowsOf(count: number, stepMs: number): Reading[] {
  return Array.from({ length: count }, (_, k) => ({
    timeMs: MIDNIGHT + k * stepMs,
    activeWh: 100 + 7 * k,
    reactiveVarh: 10 + k,
    touWh: [60 + 7 * k, 40],
  }));
}

function golden(): { name: string; bytes: Buffer }[] {
  const responses = SRVS_READ.flatMap((srv) =>
    Object.entries({ known: KNOWN, unknown: UNKNOWN }).flatMap(([who, party]) => {
      const rows = rowsOf(USE_CASES[srv].kind === 'registers' ? 1 : 2, USE_CASES[srv].kind === 'days' ? 864e5 : 18e5);
      const name = `${USE_CASES[srv].name} ${who}`;
      return [
        { name, bytes: respond({ srv, rows }, party, secrets).bytes },
        { name: `${name} error`, bytes: respond({ srv, rows: null }, party, secrets).bytes },
      ];
    }),
  );
  const commands = SRVS_READ.flatMap((srv) =>
    [commandOf(SUPPLIER, undefined), commandOf(DCC_ACCESS_CONTROL_BROKER, MDRA)].map((envelope) => {
      const window = { startMs: MIDNIGHT, endMs: MIDNIGHT + 864e5 };
      const useCase = USE_CASES[srv];
      const bytes = encodeCommand(useCase, envelope, useCase.kind === 'registers' ? undefined : window, secrets);
      return { name: `${useCase.name} command of ${envelope.unknownParty?.eui ?? envelope.originator}`, bytes };
    }),
  );
  return [...responses, ...commands];
}

function commandOf(originator: string, unknown: string | undefined) {
  const unknownParty = unknown === undefined ? {} : { unknownParty: { eui: unknown, counter: 1003n } };
  return { counter: 1002n, originator, recipient: DEVICE, ...unknownParty };
}

/** Undefined where the payload is accepted. Another error than a refusal is thrown on. */
function refusal(payload: Uint8Array, by: SharedSecrets = secrets): MdrError | undefined {
  try {
    decodeMessage(payload, by);
    return undefined;
  } catch (error) {
    if (error instanceof MdrError && error.code === 'GBCS_REFUSED') return error;
    throw error;
  }
}

test('every use case, success and error, known and unknown party, command and response, is the bytes that it was', async () => {
  const made = Object.fromEntries(golden().map(({ name, bytes }) => [name, bytes.toString('hex')]));
  await expect(`${JSON.stringify(made, null, 2)}\n`).toMatchFileSnapshot('test/golden-messages.json');
});

describe('sizes in bytes are those of real messages', () => {
  test.each([
    ['4.8.1', 48, KNOWN, 544],
    ['4.8.1', 48, UNKNOWN, 568],
    ['4.8.3', 48, KNOWN, 660],
    ['4.8.3', 48, UNKNOWN, 676],
    ['4.17', 48, KNOWN, 544],
    ['4.17', 48, UNKNOWN, 568],
    ['4.6.2', 48, KNOWN, 467],
    ['4.6.2', 48, UNKNOWN, 483],
    ['4.6.1', 31, KNOWN, 10_348],
    ['4.1.1', 1, KNOWN, 183],
    ['4.2', 1, KNOWN, 111],
  ] as const)('%s, %i rows', (srv, rows, party, bytes) => {
    expect(respond({ srv, rows: rowsOf(rows, 18e5) }, party, secrets).bytes).toHaveLength(bytes);
  });

  test.each([
    [KNOWN, 737],
    [UNKNOWN, 761],
  ])('4.8.1 of a twin element meter, 48 rows', (party, bytes) => {
    const rows = rowsOf(48, 18e5).map((row) => ({ ...row, secondaryWh: 1 }));
    expect(respond({ srv: '4.8.1', rows }, party, secrets).bytes).toHaveLength(bytes);
  });
});

test('what is encoded is read back, with who asked and which counters', () => {
  fc.assert(
    fc.property(anyAnswer, anyParty, (answer, party) => {
      const { bytes, rows } = respond(answer, party, secrets);
      const message = decodeMessage(bytes, secrets);
      expect(message).toMatchObject({
        kind: 'response',
        useCase: { srv: answer.srv },
        readings: { srv: answer.srv, generation: 'SMETS2', success: answer.rows !== null },
      });
      expect(message.kind === 'response' && message.readings.rows).toEqual(rows);
      const { envelope } = message;
      expect([envelope.originator, envelope.unknownParty?.eui ?? envelope.recipient]).toEqual([DEVICE, party.party]);
      expect(envelope.unknownParty?.counter ?? envelope.counter).toBe(party.partyCounter);
    }),
    { numRuns: 300 },
  );
});

test('the longest log is one message, read back whole', () => {
  const rows = rowsOf(19_056, 18e5).map(({ timeMs, activeWh }) => ({ timeMs, activeWh, secondaryWh: 5 }));
  const { bytes } = respond({ srv: '4.8.1', rows }, UNKNOWN, secrets);
  const message = decodeMessage(bytes, secrets);
  expect(message.kind === 'response' && message.readings.rows).toEqual(rows);
  const tooMany = columnsOf([...rows, ...rows]);
  expect(() =>
    encodeResponse({ useCase: USE_CASES['4.8.1'], device: DEVICE, ...KNOWN, atMs: 0 }, tooMany, secrets),
  ).toThrow('more than a log holds');
});

test('a window that a command asks for is read back, to the second', () => {
  const instant = fc.integer({ min: MIDNIGHT / 1000 - 1e8, max: MIDNIGHT / 1000 + 1e9 });
  const certificate = fc.option(fc.uint8Array({ minLength: 9, maxLength: 700 }), { nil: undefined });
  fc.assert(
    fc.property(
      fc.constantFrom(...SRVS_READ),
      instant,
      instant,
      fc.boolean(),
      certificate,
      (srv, a, b, isKnown, der) => {
        const useCase = USE_CASES[srv];
        const window = useCase.kind === 'registers' ? undefined : { startMs: a * 1000, endMs: b * 1000 };
        const envelope = commandOf(isKnown ? SUPPLIER : DCC_ACCESS_CONTROL_BROKER, isKnown ? undefined : MDRA);
        if (envelope.unknownParty !== undefined && der !== undefined) {
          Object.assign(envelope.unknownParty, { certificate: Buffer.from(der) });
        }
        const bytes = encodeCommand(useCase, envelope, window, secrets);
        const message = decodeMessage(bytes, secrets);
        expect(message).toMatchObject({ kind: 'command', useCase: { srv }, envelope });
        expect(message.kind === 'command' && message.command).toEqual(window ?? {});
      },
    ),
    { numRuns: 200 },
  );
});

describe('refused is', () => {
  test('every message with any one bit changed', () => {
    const accepted: string[] = [];
    let tampered = 0;
    for (const { name, bytes } of golden()) {
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] ^= 1 << (bit & 7);
        if (refusal(changed) === undefined) accepted.push(`${name}, bit ${bit}`);
        tampered++;
      }
    }
    expect(accepted).toEqual([]);
    expect(tampered).toBeGreaterThan(40_000);
  });

  test('every message that is cut off anywhere, or has something behind it', () => {
    for (const { name, bytes } of golden()) {
      for (let length = 0; length < bytes.length; length++) {
        expect(refusal(bytes.subarray(0, length))?.faults[0].expected, `${name}, ${length} bytes`).toMatch(/cut off/);
      }
      expect(refusal(Buffer.concat([bytes, Buffer.of(0)]))?.faults[0].expected).toMatch(/more than one message/);
    }
  });

  test('a message of keys of another seed', () => {
    for (const { bytes } of golden()) expect(refusal(bytes, seedSecrets(2))?.message).toBe('The MAC does not match');
  });

  test('readings that are encrypted to another key than the party has now, though the MAC is right', () => {
    const { bytes } = respond({ srv: '4.8.1', rows: rowsOf(2, 18e5) }, UNKNOWN, secrets);
    const other: SharedSecrets = (device, party) => (party === MDRA ? seedSecrets(2) : secrets)(device, party);
    expect(refusal(bytes, other)).toMatchObject({
      message: 'The readings cannot be decrypted',
      faults: [{ expected: expect.stringContaining(MDRA) }],
    });
  });

  test.each([
    [Buffer.from('00'.repeat(100), 'hex'), /a message with a MAC/],
    [Buffer.from('DD00000000000083FFFFFF', 'hex'), /cut off/],
    [Buffer.from('DD000000000000840000000A', 'hex'), /at most three bytes/],
    [Buffer.from('DD0000000000008110', 'hex'), /shortest form/],
    [Buffer.from('DD000000000000820010', 'hex'), /shortest form/],
  ])('what is no message: %#', (bytes, expected) => {
    expect(refusal(bytes)?.faults[0].expected).toMatch(expected);
  });

  test('a message of a use case that is none of the seven, with a right MAC', () => {
    const useCase = { ...USE_CASES['4.8.1'], code: 0x0038 };
    const bytes = encodeResponse({ useCase, device: DEVICE, ...KNOWN, atMs: 0 }, null, secrets);
    expect(refusal(bytes)).toMatchObject({ message: expect.stringContaining('none of an electricity read') });
  });

  test('any bytes: never another error, never for long', () => {
    const [{ bytes }] = golden();
    const mutated = fc
      .array(fc.record({ at: fc.nat(bytes.length - 1), value: fc.integer({ min: 0, max: 255 }) }), { minLength: 1 })
      .map((changes) => {
        const changed = Buffer.from(bytes);
        for (const { at, value } of changes) changed[at] = value;
        return changed;
      })
      .filter((changed) => !changed.equals(bytes));
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 400 })), (payload) => {
        expect(refusal(payload)).toBeDefined();
      }),
      { numRuns: 2000 },
    );
  });
});
