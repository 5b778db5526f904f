import { hash, type KeyObject, sign, verify } from 'node:crypto';
import type { DeviceId } from '#core/identifiers.ts';
import { canonicalDocument, canonicalElement } from './canonical-xml.ts';
import type { CertificateLookup, CertificateReference } from './certificate-directory.ts';
import { bytesOf, CERTIFICATE, SERIAL_NUMBER, stringOf } from './duis-types.ts';
import { type ElementSchema, type ElementSequence, sequenceOf, textOf } from './element-sequence.ts';
import { refuseXml, type XmlDocument, type XmlElement } from './xml-reader.ts';
import { type ElementNode, element, writtenElement, type XmlNode } from './xml-writer.ts';

/** Why a signature of the right form is not accepted. The answer to each is E1. */
export const SIGNATURE_FAULTS = {
  signatureMissing: 'the request is not signed',
  certificateUnknown: 'no User has the certificate that the signature names',
  digestMismatch: 'the request is not what was signed',
  valueMismatch: 'the signature was not made with the key of the certificate that it names',
} as const;
export type SignatureFault = keyof typeof SIGNATURE_FAULTS;

/** Who signed a document, as its certificate says; or why nobody can be taken to have. */
export type Verification = { signer: DeviceId } | { fault: SignatureFault };

/**
 * Verifies the enveloped signature of a document: a ds:Signature, the only one among the root's children, over the
 * whole document but itself, in the one form of which DUIS makes use. Reads the tree that is then interpreted, so that
 * nothing can be signed that is not what is read. Throws XML_REFUSED where the signature is of another form: another
 * algorithm, other or more references or transforms, anything in it that is not expected.
 */
export function verifySignature(file: string, document: XmlDocument, certificates: CertificateLookup): Verification {
  const signatures = document.root.children.filter(isSignature);
  const [signature] = signatures;
  if (signature === undefined) return { fault: 'signatureMissing' };
  if (signatures.length > 1) throw refuseXml(file, signatures[1].line, 'one signature only', signatures[1].name);
  const { signedInfo, exclusive, digest, value, certificate } = readSignature(file, signature);
  const signing = certificates(certificate);
  if (signing === undefined) return { fault: 'certificateUnknown' };
  if (!sha256(canonicalDocument(document, exclusive, signature)).equals(digest)) return { fault: 'digestMismatch' };
  const isValid = verify('sha256', Buffer.from(canonicalElement(signedInfo)), rawEcdsa(signing.publicKey), value);
  return isValid ? { signer: signing.eui } : { fault: 'valueMismatch' };
}

export function isSignature({ uri, local }: XmlElement): boolean {
  return uri === DSIG_NAMESPACE && local === 'Signature';
}

/** A P-256 private key and how its certificate is named in the ds:KeyInfo. */
export type Signer = { privateKey: KeyObject; issuerName: string; serialNumber: bigint };

/**
 * The element with a ds:Signature over it as its last child, as {@link verifySignature} takes it. It is signed as
 * renderCompactXml writes it, and must be sent so. The exclusive form stays valid when the element, which must declare
 * all its namespaces itself, is sent within another document and taken out of it again.
 */
export function signElement(unsigned: ElementNode, signer: Signer, form: 'inclusive' | 'exclusive'): ElementNode {
  const exclusive = form === 'exclusive';
  const document = { root: writtenElement(unsigned), before: [], after: [] };
  const signedInfo = signedInfoOf(sha256(canonicalDocument(document, exclusive)).toString('base64'), exclusive);
  const canonical = canonicalElement(writtenElement(signedInfo, { ds: DSIG_NAMESPACE }));
  const value = sign('sha256', Buffer.from(canonical), rawEcdsa(signer.privateKey)).toString('base64');
  const signature = element(
    'ds:Signature',
    [signedInfo, element('ds:SignatureValue', value), keyInfoOf(signer)],
    DECLARES_DS,
  );
  return { ...unsigned, content: [...unsigned.content, signature] as XmlNode[] };
}

const DSIG_NAMESPACE = 'http://www.w3.org/2000/09/xmldsig#';
const DECLARES_DS = { 'xmlns:ds': DSIG_NAMESPACE };
const EXCLUSIVE_C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const ECDSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256';
const SHA256 = 'http://www.w3.org/2001/04/xmlenc#sha256';
const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
const DIGEST = bytesOf(32);
const SIGNATURE_VALUE = bytesOf(64);
const ISSUER_NAME = stringOf(1, 1024);

/** An Id changes nothing: no reference but to the whole document is taken. */
const SIGNATURE_SCHEMA: ElementSchema = {
  uri: DSIG_NAMESPACE,
  attributes: {
    SignedInfo: ['Id'],
    CanonicalizationMethod: ['Algorithm'],
    SignatureMethod: ['Algorithm'],
    Reference: ['Id', 'URI'],
    Transform: ['Algorithm'],
    DigestMethod: ['Algorithm'],
    SignatureValue: ['Id'],
    KeyInfo: ['Id'],
  },
};

type SignatureParts = {
  signedInfo: XmlElement;
  /** Whether the document's digest is of its exclusive canonical form. */
  exclusive: boolean;
  digest: Buffer;
  value: Buffer;
  certificate: CertificateReference;
};

function readSignature(file: string, signature: XmlElement): SignatureParts {
  const inside = (element: XmlElement) => sequenceOf(file, element, SIGNATURE_SCHEMA);
  const parts = inside(signature);
  const signedInfo = parts.element('SignedInfo');
  const info = inside(signedInfo);
  takeAlgorithm(file, info, 'CanonicalizationMethod', EXCLUSIVE_C14N);
  takeAlgorithm(file, info, 'SignatureMethod', ECDSA_SHA256);
  const reference = info.element('Reference');
  info.end();
  if (attributeOf(reference, 'URI') !== '') {
    throw refuseXml(file, reference.line, 'a reference to the whole document, URI=""', attributeOf(reference, 'URI'));
  }
  const referenced = inside(reference);
  const exclusive = readTransforms(file, inside(referenced.element('Transforms')));
  takeAlgorithm(file, referenced, 'DigestMethod', SHA256);
  const digest = referenced.value('DigestValue', DIGEST);
  referenced.end();
  const value = parts.value('SignatureValue', SIGNATURE_VALUE);
  const certificate = readKeyInfo(file, inside(parts.element('KeyInfo')));
  parts.end();
  return { signedInfo, exclusive, digest, value, certificate };
}

/**
 * The enveloped-signature transform, and nothing or exclusive canonicalization behind it. Where there is nothing, the
 * digest is of the inclusive canonical form. [XMLDSIG 4.4.3.2]
 */
function readTransforms(file: string, transforms: ElementSequence): boolean {
  takeAlgorithm(file, transforms, 'Transform', ENVELOPED);
  const exclusive = transforms.peek() !== undefined;
  if (exclusive) takeAlgorithm(file, transforms, 'Transform', EXCLUSIVE_C14N);
  transforms.end();
  return exclusive;
}

function takeAlgorithm(file: string, parts: ElementSequence, local: string, algorithm: string): void {
  const element = parts.element(local);
  const found = attributeOf(element, 'Algorithm');
  if (found !== algorithm) throw refuseXml(file, element.line, `${element.name} to be ${algorithm}`, found);
  sequenceOf(file, element, SIGNATURE_SCHEMA).end();
}

function readKeyInfo(file: string, keyInfo: ElementSequence): CertificateReference {
  const data = sequenceOf(file, keyInfo.element('X509Data'), SIGNATURE_SCHEMA);
  keyInfo.end();
  const named = data.choice(['X509IssuerSerial', 'X509Certificate']);
  data.end();
  if (named.local === 'X509Certificate') {
    const der = Buffer.from(textOf(file, named, CERTIFICATE), 'base64');
    return { fingerprint: hash('sha256', der, 'hex') };
  }
  const parts = sequenceOf(file, named, SIGNATURE_SCHEMA);
  const issuerName = parts.value('X509IssuerName', ISSUER_NAME);
  const serialNumber = parts.value('X509SerialNumber', SERIAL_NUMBER);
  parts.end();
  return { issuerName, serialNumber };
}

function attributeOf({ attributes }: XmlElement, local: string): string | undefined {
  return attributes.find((attribute) => attribute.uri === '' && attribute.local === local)?.value;
}

function signedInfoOf(digest: string, exclusive: boolean): ElementNode {
  const algorithm = (name: string, Algorithm: string) => element(name, [], { Algorithm });
  return element('ds:SignedInfo', [
    algorithm('ds:CanonicalizationMethod', EXCLUSIVE_C14N),
    algorithm('ds:SignatureMethod', ECDSA_SHA256),
    element(
      'ds:Reference',
      [
        element('ds:Transforms', [
          algorithm('ds:Transform', ENVELOPED),
          exclusive ? algorithm('ds:Transform', EXCLUSIVE_C14N) : undefined,
        ]),
        algorithm('ds:DigestMethod', SHA256),
        element('ds:DigestValue', digest),
      ],
      { URI: '' },
    ),
  ]);
}

function keyInfoOf({ issuerName, serialNumber }: Signer): ElementNode {
  return element('ds:KeyInfo', [
    element('ds:X509Data', [
      element('ds:X509IssuerSerial', [
        element('ds:X509IssuerName', issuerName),
        element('ds:X509SerialNumber', String(serialNumber)),
      ]),
    ]),
  ]);
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

/** XMLDSig writes an ECDSA signature as r and s, 32 bytes each. [XMLDSIG 6.4.3] */
function rawEcdsa(key: KeyObject): { key: KeyObject; dsaEncoding: 'ieee-p1363' } {
  return { key, dsaEncoding: 'ieee-p1363' };
}
