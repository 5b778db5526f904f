import { describe, expect, test } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { type ReceiptChecks, receiveRequest } from './received-request.ts';
import { CERTIFICATES, requestWith, SIGNATURE, SIGNER_EUI, signByLibxml2 } from './test/signed-request.ts';

const STRICT: ReceiptChecks = { certificates: CERTIFICATES, otherVersions: 'refuse' };
const receive = (text: string, checks = STRICT) => receiveRequest('f.xml', new TextEncoder().encode(text), checks);
const SIGNED = signByLibxml2(requestWith(SIGNATURE));

function refusalOf(text: string, checks = STRICT): string {
  try {
    receive(text, checks);
  } catch (error) {
    expect(error).toBeInstanceOf(MdrError);
    const { line, value, expected } = (error as MdrError).faults[0];
    return `${line}: ${value ?? ''}, expected ${expected}`;
  }
  throw new Error('the request was taken');
}

test('a signed request is taken with its signer, whoever the originator is', () => {
  const other = requestWith(SIGNATURE).replace(SIGNER_EUI, '90-B3-D5-1F-30-02-00-00');
  expect(receive(SIGNED)).toMatchObject({ signer: SIGNER_EUI, request: { requestId: { originator: SIGNER_EUI } } });
  expect(receive(signByLibxml2(other))).toMatchObject({
    signer: SIGNER_EUI,
    request: { requestId: { originator: '90-B3-D5-1F-30-02-00-00' } },
  });
});

test('a request whose signature does not hold is read and answered E1, with the reason', () => {
  expect(receive(SIGNED.replace('2014-12-31', '2013-12-31'))).toMatchObject({
    request: { srv: '4.8.1' },
    fault: 'digestMismatch',
    code: 'E1',
    reason: 'the request is not what was signed',
  });
  expect(receive(requestWith(''))).toMatchObject({ fault: 'signatureMissing', code: 'E1' });
});

test('unchecked, any signature stands or is missing, and the originator is taken for the signer', () => {
  const checks: ReceiptChecks = { certificates: 'unchecked', otherVersions: 'refuse' };
  for (const text of [requestWith(''), requestWith(SIGNATURE), SIGNED.replace('2014-12-31', '2013-12-31')]) {
    expect(receive(text, checks)).toEqual({ request: expect.anything(), signer: SIGNER_EUI });
  }
});

describe('a schemaVersion other than 5.4', () => {
  const of = (version: string) => signByLibxml2(requestWith(SIGNATURE).replace('"5.4"', `"${version}"`));
  test('is refused at its line, or read where the setting says so', () => {
    expect(refusalOf(of('5.3'))).toBe('2: 5.3, expected schemaVersion 5.4');
    const read = receive(of('5.3'), { ...STRICT, otherVersions: 'read' });
    expect(read).toMatchObject({ signer: SIGNER_EUI, request: { schemaVersion: '5.3' } });
  });
  test.each(['5.40', '05.4', ' 5.4 '])('is not what %j is, the same number', (version) => {
    expect(receive(of(version))).toMatchObject({ signer: SIGNER_EUI });
  });
});

test('the signature must be where the schema has it', () => {
  const [signature] = /<ds:Signature [\s\S]*<\/ds:Signature>/.exec(SIGNED) ?? [''];
  const moved = SIGNED.replace(signature, '').replace('<sr:Header>', `${signature}<sr:Header>`);
  expect(refusalOf(moved)).toMatch(/expected Header of namespace/);
});
