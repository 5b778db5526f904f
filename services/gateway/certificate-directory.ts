import type { KeyObject, X509Certificate } from 'node:crypto';
import type { DeviceId } from '#core/identifiers.ts';

/** How a signature names the certificate of its key: by issuer and serial number, or by what it is (its SHA-256). */
export type CertificateReference = { issuerName: string; serialNumber: bigint } | { fingerprint: string };

/** A certificate whose P-256 key a User signs with. */
export type SigningCertificate = { eui: DeviceId; publicKey: KeyObject };

/** The certificate that is meant, if it is a User's: no certificate is taken from a document. */
export type CertificateLookup = (reference: CertificateReference) => SigningCertificate | undefined;

/** A lookup of these certificates, each with the EUI-64 of the User that it was issued to. */
export function certificateDirectory(
  certificates: Iterable<{ eui: DeviceId; certificate: X509Certificate }>,
): CertificateLookup {
  const byReference = new Map<string, SigningCertificate>();
  for (const { eui, certificate } of certificates) {
    const { publicKey } = certificate;
    if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw new Error(`the key of ${eui} is not of P-256`);
    }
    const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
    byReference.set(keyOf({ fingerprint }), { eui, publicKey });
    byReference.set(keyOf(issuerAndSerialOf(certificate)), { eui, publicKey });
  }
  return (reference) => byReference.get(keyOf(reference));
}

/** How ds:X509IssuerSerial names a certificate: the issuer as RFC 4514 writes it, the last name first. */
export function issuerAndSerialOf(certificate: X509Certificate): { issuerName: string; serialNumber: bigint } {
  return {
    issuerName: certificate.issuer.split('\n').reverse().join(', '),
    serialNumber: BigInt(`0x${certificate.serialNumber}`),
  };
}

function keyOf(reference: CertificateReference): string {
  return 'fingerprint' in reference
    ? reference.fingerprint
    : `${reference.serialNumber} ${comparableName(reference.issuerName)}`;
}

/**
 * A distinguished name with its parts in one order, types in upper case and white space collapsed: software disagrees
 * on the order. Two issuers of the same parts would need the same serial number too, and then only the key decides.
 */
function comparableName(name: string): string {
  const parts = name.split(/(?<!\\)[,;+\n]/).map((part) => {
    const [type, ...value] = part.trim().split('=');
    return `${type.trim().toUpperCase()}=${value.join('=').trim().replace(/\s+/g, ' ')}`;
  });
  return parts.sort().join(',');
}
