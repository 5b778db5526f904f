import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { XmlC14NMode, XmlDocument, type XmlElement } from 'libxml2-wasm';
import type { CertificateLookup } from '../certificate-directory.ts';
import { requestText, windowText } from '../request-text.ts';

export const SIGNER_EUI = '90-B3-D5-1F-30-01-00-00';
export const USER_KEYS = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const OTHER_KEYS = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** Knows one certificate, by the issuer and serial number that {@link SIGNATURE} names. */
export const CERTIFICATES: CertificateLookup = (reference) =>
  'serialNumber' in reference && reference.serialNumber === 1234567890n
    ? { eui: SIGNER_EUI, publicKey: USER_KEYS.publicKey }
    : undefined;

/** A ds:Signature as Users' systems write it, its digest and value to be filled in. */
export const SIGNATURE = `<ds:Signature xmlns="http://www.w3.org/2000/09/xmldsig#">
    <!-- Signed -->
    <ds:SignedInfo>
      <ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
      <ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>
      <ds:Reference URI="">
        <ds:Transforms>
          <ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
        </ds:Transforms>
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
        <ds:DigestValue>ZGVmYXVsdA==</ds:DigestValue>
      </ds:Reference>
    </ds:SignedInfo>
    <ds:SignatureValue>ZGVmYXVsdA==</ds:SignatureValue>
    <ds:KeyInfo>
      <ds:X509Data>
        <ds:X509IssuerSerial>
          <ds:X509IssuerName>CN=U1, OU=07</ds:X509IssuerName>
          <ds:X509SerialNumber>1234567890</ds:X509SerialNumber>
        </ds:X509IssuerSerial>
      </ds:X509Data>
    </ds:KeyInfo>
  </ds:Signature>`;

/** The exclusive transform written behind the enveloped one. */
export const EXCLUSIVE_SIGNATURE = SIGNATURE.replace(
  '</ds:Transforms>',
  '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>',
);

/** A read of one day with this signature in it, not signed yet. */
export function requestWith(signature: string): string {
  return requestText({
    target: '00-DB-12-34-56-78-90-A0',
    srv: '4.8.1',
    body: windowText('ReadActiveImportProfileData', '2014-12-31T00:30:00Z', '2015-01-01T00:00:00Z'),
  })
    .replace('<sr:Request ', '<sr:Request xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xsi="urn:unused" ')
    .replace('</sr:Request>', `  ${signature}\n</sr:Request>`);
}

/** Fills in digest and value of the signature in a document, canonical forms being those of libxml2. */
export function signByLibxml2(text: string, key: KeyObject = USER_KEYS.privateKey): string {
  const value = (name: string, bytes: Buffer) => (whole: string) =>
    whole.replace(new RegExp(`(<ds:${name}[^>]*>)[^<]*`), `$1${bytes.toString('base64')}`);
  const exclusive = /<ds:Transform Algorithm="[^"]*exc-c14n#"/.test(text);
  const mode = exclusive ? XmlC14NMode.XML_C14N_EXCLUSIVE_1_0 : XmlC14NMode.XML_C14N_1_0;
  const document = XmlDocument.fromString(text);
  (document.get('/*/ds:Signature', NAMESPACES) as XmlElement).remove();
  const digest = createHash('sha256').update(document.canonicalizeToString({ mode })).digest();
  document.dispose();
  const digested = value('DigestValue', digest)(text);
  const again = XmlDocument.fromString(digested);
  const signedInfo = again.get('/*/ds:Signature/ds:SignedInfo', NAMESPACES) as XmlElement;
  const canonical = signedInfo.canonicalizeToString({ mode: XmlC14NMode.XML_C14N_EXCLUSIVE_1_0 });
  again.dispose();
  return value('SignatureValue', sign('sha256', Buffer.from(canonical), { key, dsaEncoding: 'ieee-p1363' }))(digested);
}

const NAMESPACES = { ds: 'http://www.w3.org/2000/09/xmldsig#' };
