import { type BinaryLike, verify as cryptoVerify, type KeyLike, sign } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOptionalCallbackFunction, SignedXml } from 'xml-crypto';
import { MdrError } from '#core/errors.ts';
import { canonicalDocument } from './canonical-xml.ts';
import {
  CERTIFICATES,
  EXCLUSIVE_SIGNATURE,
  OTHER_KEYS,
  requestWith,
  SIGNATURE,
  SIGNER_EUI,
  signByLibxml2,
  USER_KEYS,
} from './test/signed-request.ts';
import { readXmlBytes } from './xml-reader.ts';
import { isSignature, type Signer, signElement, verifySignature } from './xml-signature.ts';
import { type ElementNode, element, renderCompactXml } from './xml-writer.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string) => readXmlBytes('f.xml', undefined, bytes(text));
const verify = (text: string) => verifySignature('f.xml', read(text), CERTIFICATES);
const SIGNER: Signer = { privateKey: USER_KEYS.privateKey, issuerName: 'CN=U1, OU=07', serialNumber: 1234567890n };
const ACCEPTED = { signer: SIGNER_EUI };

function refusalOf(text: string): string {
  try {
    const verification = verify(text);
    return 'fault' in verification ? verification.fault : 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(MdrError);
    const { value, expected } = (error as MdrError).faults[0];
    return `${value === undefined ? '' : `${value}, `}expected ${expected}`;
  }
}

const swap = (text: string, from: string | RegExp, to: string) => {
  const swapped = text.replace(from, to);
  expect(swapped).not.toBe(text);
  return swapped;
};

test.each([
  ['the enveloped transform alone', SIGNATURE],
  ['the exclusive canonical form', EXCLUSIVE_SIGNATURE],
])('a request signed with %s by other software is by its signer', (_, signature) => {
  expect(verify(signByLibxml2(requestWith(signature)))).toEqual(ACCEPTED);
});

const REQUESTS = new URL('../../../shared/duis/requests/', import.meta.url);
if (!existsSync(REQUESTS))
  process.stderr.write('skipped: signatures in the real requests, no ../shared/duis/requests\n');
test.skipIf(!existsSync(REQUESTS))(
  'the published example requests verify once their placeholders are filled in',
  () => {
    for (const file of readdirSync(REQUESTS)) {
      const text = readFileSync(new URL(file, REQUESTS), 'utf8');
      expect(refusalOf(text)).toMatch(/expected ds:DigestValue to be base64 of 32 bytes/);
      expect(verify(signByLibxml2(text))).toEqual(ACCEPTED);
    }
  },
);

const ECDSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256';
const EXCLUSIVE_C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';

/** The algorithm that xml-crypto does not bring along. */
class PeerEcdsa {
  getSignature = createOptionalCallbackFunction((text: BinaryLike, key: KeyLike): string =>
    sign('sha256', Buffer.from(text as string), raw(key)).toString('base64'),
  );
  verifySignature = createOptionalCallbackFunction((text: string, key: KeyLike, value: string): boolean =>
    cryptoVerify('sha256', Buffer.from(text), raw(key), Buffer.from(value, 'base64')),
  );
  getAlgorithmName() {
    return ECDSA_SHA256;
  }
}
const raw = (key: KeyLike) => ({ key: key as string, dsaEncoding: 'ieee-p1363' as const });

test('a request that we sign is verified by xml-crypto, over the text that we take for canonical', () => {
  for (const form of ['inclusive', 'exclusive'] as const) {
    const text = renderCompactXml(signElement(UNSIGNED, SIGNER, form));
    expect(verify(text)).toEqual(ACCEPTED);
    const peer = new SignedXml({ publicCert: USER_KEYS.publicKey.export({ type: 'spki', format: 'pem' }) });
    peer.SignatureAlgorithms = { [ECDSA_SHA256]: PeerEcdsa };
    peer.loadSignature(/<ds:Signature [\s\S]*<\/ds:Signature>/.exec(text)?.[0] ?? '');
    expect(peer.checkSignature(text)).toBe(true);
    expect(peer.getSignedReferences()).toEqual([canonicalOf(text, form === 'exclusive')]);
  }
});

test('a request that xml-crypto signs is by its signer', () => {
  for (const exclusive of [false, true]) {
    const peer = new SignedXml({
      privateKey: USER_KEYS.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      signatureAlgorithm: ECDSA_SHA256,
      canonicalizationAlgorithm: EXCLUSIVE_C14N,
      getKeyInfoContent: () => /<ds:X509Data>[\s\S]*<\/ds:X509Data>/.exec(SIGNATURE)?.[0] ?? null,
    });
    peer.SignatureAlgorithms = { [ECDSA_SHA256]: PeerEcdsa };
    peer.addReference({
      xpath: '/*',
      isEmptyUri: true,
      digestAlgorithm: 'http://www.w3.org/2001/04/xmlenc#sha256',
      transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', ...(exclusive ? [EXCLUSIVE_C14N] : [])],
    });
    peer.computeSignature(requestWith(''), { prefix: 'ds' });
    expect(verify(peer.getSignedXml())).toEqual(ACCEPTED);
  }
});

const SIGNED = signByLibxml2(requestWith(SIGNATURE));
const [SIGNATURE_IN] = /<ds:Signature [\s\S]*<\/ds:Signature>/.exec(SIGNED) ?? [''];
const EVIL = SIGNED.replace(SIGNATURE_IN, '').replace('2014-12-31', '2013-12-31');
const resigned = (from: string | RegExp, to: string) => signByLibxml2(swap(requestWith(SIGNATURE), from, to));

test.each<[string, string, RegExp]>([
  ['no signature', requestWith(''), /^signatureMissing$/],
  ['a changed request', swap(SIGNED, '2014-12-31', '2013-12-31'), /^digestMismatch$/],
  ['a text added', swap(SIGNED, '</sr:Header>', ' </sr:Header>'), /^digestMismatch$/],
  ['an instruction added', swap(SIGNED, '<sr:Request', '<?go?><sr:Request'), /^digestMismatch$/],
  ['a namespace added', swap(SIGNED, '<sr:Request', '<sr:Request xmlns:n="urn:n"'), /^digestMismatch$/],
  ['another key', signByLibxml2(requestWith(SIGNATURE), OTHER_KEYS.privateKey), /^valueMismatch$/],
  ['another serial number', swap(SIGNED, '1234567890<', '1234567891<'), /^certificateUnknown$/],
  ['a signature of zeros', swap(SIGNED, /(SignatureValue>)[^<]*/, `$1${'A'.repeat(86)}==`), /^valueMismatch$/],
  ['a signature in DER', swap(SIGNED, /(SignatureValue>)[^<]*/, `$1${'A'.repeat(96)}`), /base64 of 64 bytes/],
  ['an empty signature', swap(SIGNED, /(SignatureValue>)[^<]*/, '$1'), /base64 of 64 bytes/],
  ['an empty digest', swap(SIGNED, /(DigestValue>)[^<]*/, '$1'), /base64 of 32 bytes/],
  ['a comment in another digest', swap(SIGNED, /(DigestValue>)/, `$1${'A'.repeat(43)}=<!-- -->`), /base64 of 32 bytes/],
  ['two signatures', swap(SIGNED, SIGNATURE_IN, SIGNATURE_IN + SIGNATURE_IN), /one signature only/],
  [
    'a signature deeper down',
    swap(SIGNED, SIGNATURE_IN, `<sr:Deeper>${SIGNATURE_IN}</sr:Deeper>`),
    /^signatureMissing$/,
  ],
  [
    'the signed request within an Object',
    swap(
      EVIL,
      '</sr:Request>',
      SIGNATURE_IN.replace('</ds:Signature>', `<ds:Object>${SIGNED.slice(38)}</ds:Object></ds:Signature></sr:Request>`),
    ),
    /the end of ds:Signature/,
  ],
  [
    'the signed request within the other',
    swap(EVIL, '</sr:Request>', `${SIGNED.slice(38).replace(SIGNATURE_IN, '')}${SIGNATURE_IN}</sr:Request>`),
    /^digestMismatch$/,
  ],
  [
    'the signature of another request',
    swap(EVIL, '</sr:Request>', `  ${SIGNATURE_IN}\n</sr:Request>`),
    /^digestMismatch$/,
  ],
  ['a reference to an Id', resigned('URI=""', 'URI="#a"'), /^#a, expected a reference to the whole document/],
  ['a reference by XPointer', resigned('URI=""', 'URI="#xpointer(/)"'), /the whole document/],
  ['a reference to a file', resigned('URI=""', 'URI="file:///etc/passwd"'), /the whole document/],
  ['a reference without URI', resigned(' URI=""', ''), /the whole document/],
  ['two references', resigned(/(<ds:Reference[\s\S]*<\/ds:Reference>)/, '$1$1'), /the end of ds:SignedInfo/],
  ['no reference', swap(SIGNED, /<ds:Reference[\s\S]*<\/ds:Reference>/, ''), /Reference in ds:SignedInfo/],
  ['a type of reference', resigned('URI=""', 'URI="" Type="urn:t"'), /no attribute Type/],
  [
    'no transform',
    resigned(/<ds:Transforms>[\s\S]*<\/ds:Transforms>/, '<ds:Transforms/>'),
    /Transform in ds:Transforms/,
  ],
  ['no transforms', resigned(/<ds:Transforms>[\s\S]*<\/ds:Transforms>/, ''), /expected Transforms/],
  [
    'an XPath transform',
    resigned(
      '#enveloped-signature"/>',
      '#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"/>',
    ),
    /xpath.*exc-c14n/,
  ],
  [
    'an XSLT transform first',
    resigned('<ds:Transform ', '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/><ds:Transform '),
    /xslt.*enveloped/,
  ],
  [
    'three transforms',
    signByLibxml2(requestWith(EXCLUSIVE_SIGNATURE.replace(/(<ds:Transform [^>]*exc-c14n#"\/>)/, '$1$1'))),
    /the end of ds:Transforms/,
  ],
  [
    'inclusive prefixes',
    resigned(
      '#enveloped-signature"/>',
      '#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"><e:InclusiveNamespaces xmlns:e="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="xsi"/></ds:Transform>',
    ),
    /the end of ds:Transform/,
  ],
  ['canonical form with comments', resigned('exc-c14n#', 'exc-c14n#WithComments'), /WithComments, expected/],
  [
    'the inclusive form of SignedInfo',
    resigned('http://www.w3.org/2001/10/xml-exc-c14n#', 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315'),
    /expected ds:CanonicalizationMethod/,
  ],
  ['RSA', resigned('ecdsa-sha256', 'rsa-sha256'), /rsa-sha256, expected ds:SignatureMethod/],
  ['SHA-1 in the signature', resigned('ecdsa-sha256', 'ecdsa-sha1'), /ecdsa-sha1, expected/],
  ['an HMAC keyed with what is public', resigned('ecdsa-sha256', 'hmac-sha256'), /hmac-sha256, expected/],
  [
    'a length of HMAC',
    resigned('ecdsa-sha256"/>', 'ecdsa-sha256"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>'),
    /the end of ds:SignatureMethod/,
  ],
  [
    'SHA-1 in the digest',
    resigned('2001/04/xmlenc#sha256', '2000/09/xmldsig#sha1'),
    /xmldsig#sha1, expected ds:DigestMethod/,
  ],
  ['two digests', resigned(/(<ds:DigestValue>[^<]*<\/ds:DigestValue>)/, '$1$1'), /the end of ds:Reference/],
  ['two SignedInfos', swap(SIGNED, /(<ds:SignedInfo>[\s\S]*<\/ds:SignedInfo>)/, '$1$1'), /expected SignatureValue/],
  ['a key of its own', resigned(/<ds:X509Data>[\s\S]*<\/ds:X509Data>/, '<ds:KeyValue/>'), /expected X509Data/],
  ['no KeyInfo', resigned(/<ds:KeyInfo>[\s\S]*<\/ds:KeyInfo>/, ''), /expected KeyInfo|KeyInfo in/],
  [
    'two certificates',
    resigned(/(<ds:X509IssuerSerial>[\s\S]*<\/ds:X509IssuerSerial>)/, '$1$1'),
    /the end of ds:X509Data/,
  ],
  [
    'a certificate nobody has',
    resigned(/<ds:X509IssuerSerial>[\s\S]*<\/ds:X509IssuerSerial>/, '<ds:X509Certificate>Zg==</ds:X509Certificate>'),
    /^certificateUnknown$/,
  ],
  [
    'an entity in the digest',
    swap(swap(SIGNED, '<sr:Request', '<!DOCTYPE r [<!ENTITY e "">]><sr:Request'), 'DigestValue>', 'DigestValue>&e;'),
    /no DOCTYPE/,
  ],
])('%s is refused', (_, text, expected) => {
  expect(refusalOf(text)).toMatch(expected);
});

test('what canonical form does not see may change: comments, quotes, empty tags and line ends', () => {
  const same = swap(swap(swap(SIGNED, '<sr:Header>', '<sr:Header><!-- c -->'), / URI=""/, " URI=''"), /\n/g, '\r\n');
  expect(verify(same)).toEqual(ACCEPTED);
});

test('a request with one byte changed is by its signer only where it reads the same', () => {
  const original = Buffer.from(SIGNED);
  const canonical = canonicalOf(SIGNED);
  fc.assert(
    fc.property(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const changed = Buffer.from(original);
      changed[at] ^= difference;
      let verification: ReturnType<typeof verify>;
      try {
        verification = verifySignature('f.xml', readXmlBytes('f.xml', undefined, changed), CERTIFICATES);
      } catch (error) {
        expect(error).toBeInstanceOf(MdrError);
        return;
      }
      if ('signer' in verification) expect(canonicalOf(changed.toString())).toBe(canonical);
    }),
    { numRuns: 3000 },
  );
});

test('whatever is signed verifies, and not with one character of text changed', () => {
  const NAME = fc.constantFrom('sr:A', 'sr:B', 'C', 'x:D');
  const TEXT = fc.string({ unit: 'grapheme', maxLength: 20 });
  const { node: NODE } = fc.letrec<{ node: ElementNode }>((tie) => ({
    node: fc
      .tuple(
        NAME,
        fc.dictionary(fc.constantFrom('a', 'b', 'x:c'), TEXT),
        fc.oneof(TEXT, fc.array(tie('node'), { maxLength: 3 })),
      )
      .map(([name, attributes, content]) => element(name, content, attributes)),
  }));
  fc.assert(
    fc.property(
      fc.array(NODE, { maxLength: 3 }),
      fc.constantFrom('inclusive' as const, 'exclusive' as const),
      (content, form) => {
        const namespaces = { 'xmlns:sr': 'urn:sr', 'xmlns:x': 'urn:x', xmlns: 'urn:d' };
        const root = element('sr:Root', [element('sr:Text', 'text'), ...content], namespaces);
        const text = renderCompactXml(signElement(root, SIGNER, form));
        expect(verify(text)).toEqual(ACCEPTED);
        expect(verify(swap(text, '>text<', '>test<'))).toEqual({ fault: 'digestMismatch' });
      },
    ),
    { numRuns: 200 },
  );
});

const UNSIGNED = element('sr:Request', [element('sr:Header', 'a & b'), element('sr:Body')], {
  'xmlns:sr': 'http://www.dccinterface.co.uk/ServiceUserGateway',
  'xmlns:unused': 'urn:unused',
  schemaVersion: '5.4',
});

function canonicalOf(text: string, exclusive = false): string {
  const document = read(text);
  return canonicalDocument(document, exclusive, document.root.children.find(isSignature));
}
