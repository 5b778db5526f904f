// The library resolves its parts by decorators and asks for this before it is loaded.
import 'reflect-metadata';
import { createPublicKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  type Name,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type DeviceId, parseDeviceId } from '#core/identifiers.ts';
import { euiBytes } from '#schemas/wire.ts';

/** What a certificate lets its key do. */
export type CertificateUse = 'client' | 'signing' | 'key-agreement';
/** An organisation: its EUI stands in the subject's x500UniqueIdentifier, its roles in OU. */
export type Party = { name: string; eui: DeviceId; roles: readonly string[] };
/** Between which instants a certificate is valid. */
export type Validity = { notBeforeMs: number; notAfterMs: number };
/** Who signs: the CA's certificate and its private key. */
export type Issuer = { certificate: string; privateKey: KeyObject };

/** The CA's own certificate. All certificates are ecdsa-with-SHA256 over P-256, in PEM. */
export async function caCertificate(name: string, privateKey: KeyObject, validity: Validity): Promise<string> {
  const publicKey = publicKeyOf(privateKey);
  const subject = [{ CN: [name] }];
  const extensions = [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(publicKey, false, CRYPTO),
  ];
  return await signed({ subject, issuer: subject, publicKey, extensions }, privateKey, validity);
}

/** A server's, for these host names and addresses. */
export async function serverCertificate(
  hosts: { dns: readonly string[]; ip: readonly string[] },
  publicKey: KeyObject,
  issuer: Issuer,
  validity: Validity,
): Promise<string> {
  const names = [
    ...hosts.dns.map((value) => ({ type: 'dns' as const, value })),
    ...hosts.ip.map((value) => ({ type: 'ip' as const, value })),
  ];
  return await issued([{ CN: [hosts.dns[0]] }], publicKey, issuer, validity, [
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(names),
  ]);
}

/** A User's or the DCC's. */
export async function partyCertificate(
  { name, eui, roles }: Party,
  use: CertificateUse,
  publicKey: KeyObject,
  issuer: Issuer,
  validity: Validity,
): Promise<string> {
  const identifier = `#${bitString(euiBytes(eui)).toString('hex')}`;
  const subject = [{ CN: [name] }, ...roles.map((role) => ({ OU: [role] })), { [UNIQUE_IDENTIFIER]: [identifier] }];
  const usage = use === 'key-agreement' ? KeyUsageFlags.keyAgreement : KeyUsageFlags.digitalSignature;
  return await issued(subject, publicKey, issuer, validity, [
    new KeyUsagesExtension(usage, true),
    ...(use === 'client' ? [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])] : []),
  ]);
}

/** A device's: no subject, and its EUI as the serial number of a hardware module. [RFC 4108] */
export async function deviceCertificate(
  device: DeviceId,
  publicKey: KeyObject,
  issuer: Issuer,
  validity: Validity,
): Promise<string> {
  return await issued([], publicKey, issuer, validity, [
    new KeyUsagesExtension(KeyUsageFlags.keyAgreement, true),
    new Extension(SUBJECT_ALTERNATIVE_NAME, true, hardwareModuleName(device)),
  ]);
}

/** Whose certificate a PEM or DER is: undefined where it carries no EUI in its subject. Says nothing of its validity. */
export function partyOf(certificate: string | Uint8Array): Party | undefined {
  const { subjectName } = new X509Certificate(typeof certificate === 'string' ? certificate : Buffer.from(certificate));
  const [identifier] = subjectName.getField(UNIQUE_IDENTIFIER);
  const bytes = Buffer.from(identifier?.replace(/^#/, '') ?? '', 'hex');
  const eui = parseDeviceId(
    bytes
      .subarray(-8)
      .toString('hex')
      .replace(/..(?!$)/g, '$&-'),
  );
  if (eui === undefined || !bytes.equals(bitString(euiBytes(eui)))) return undefined;
  return { name: subjectName.getField('CN')[0] ?? '', eui, roles: subjectName.getField('OU') };
}

const CRYPTO = webcrypto as Parameters<typeof X509CertificateGenerator.create>[1];
const UNIQUE_IDENTIFIER = '2.5.4.45';
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';

type Subject = JsonName;
type Unsigned = { subject: Subject; issuer: Subject | Name; publicKey: PublicKey; extensions: Extension[] };

async function issued(
  subject: Subject,
  key: KeyObject,
  { certificate, privateKey }: Issuer,
  validity: Validity,
  own: readonly Extension[],
): Promise<string> {
  const publicKey = new PublicKey(key.export({ format: 'der', type: 'spki' }));
  const extensions = [
    ...own,
    await SubjectKeyIdentifierExtension.create(publicKey, false, CRYPTO),
    await AuthorityKeyIdentifierExtension.create(publicKeyOf(privateKey), false, CRYPTO),
  ];
  const issuer = new X509Certificate(certificate).subjectName;
  return await signed({ subject, issuer, publicKey, extensions }, privateKey, validity);
}

async function signed(unsigned: Unsigned, privateKey: KeyObject, validity: Validity): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const certificate = await X509CertificateGenerator.create(
    {
      ...unsigned,
      serialNumber: newSerialNumber(),
      signingKey: privateKey.toCryptoKey(algorithm, false, ['sign']),
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      notBefore: new Date(validity.notBeforeMs),
      notAfter: new Date(validity.notAfterMs),
    },
    CRYPTO,
  );
  return `${certificate.toString('pem')}\n`;
}

/**
 * 63 bits, 19 decimal digits: signatures name a certificate by it, and libxml2 knows no integers of more than 24
 * digits, so that longer ones fail in many a User's validation.
 */
function newSerialNumber(): string {
  const bytes = randomBytes(8);
  bytes[0] = (bytes[0] & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function publicKeyOf(privateKey: KeyObject): PublicKey {
  return new PublicKey(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
}

/** DER of a BIT STRING of whole bytes. */
function bitString(bytes: Uint8Array): Buffer {
  return Buffer.from([0x03, bytes.length + 1, 0, ...bytes]);
}

/**
 * DER of the alternative name: otherName of id-on-hardwareModuleName, with a type of hardware from the arc for examples
 * (RFC 5612) and the EUI. The library has no text form of an otherName.
 */
function hardwareModuleName(device: DeviceId): Buffer {
  const type = Buffer.from('06092B0601040181FD5901', 'hex');
  const serial = [0x04, 8, ...euiBytes(device)];
  const name = [0x30, type.length + serial.length, ...type, ...serial];
  const id = Buffer.from('06082B06010505070804', 'hex');
  const other = [...id, 0xa0, name.length, ...name];
  return Buffer.from([0x30, other.length + 2, 0xa0, other.length, ...other]);
}
