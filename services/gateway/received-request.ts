import type { DeviceId } from '#core/identifiers.ts';
import type { CertificateLookup } from './certificate-directory.ts';
import { DUIS_VERSION, type DuisRequest, REQUEST_ROOT, requestOf } from './duis-request.ts';
import { readXmlBytes, refuseXml } from './xml-reader.ts';
import { SIGNATURE_FAULTS, type SignatureFault, verifySignature } from './xml-signature.ts';

/** How strictly a request is taken. */
export type ReceiptChecks = {
  /** Whose signatures are good; `unchecked` lets any stand and any be missing, and takes the originator for the signer. */
  certificates: CertificateLookup | 'unchecked';
  /** Whether a request of another schemaVersion is refused, or read by the rules of DUIS_VERSION. */
  otherVersions: 'refuse' | 'read';
};

/** A request that was read, and who signed it: to be checked against its originator by access control. */
export type ReceivedRequest =
  | { request: DuisRequest; signer: DeviceId }
  | { request: DuisRequest; fault: SignatureFault; code: 'E1'; reason: string };

/**
 * Reads and verifies the bytes of one request, which are read once: what is verified is what is interpreted. Throws
 * XML_REFUSED for what is no DUIS Request, or one signed in a form that is not taken.
 */
export function receiveRequest(file: string, bytes: Uint8Array, checks: ReceiptChecks): ReceivedRequest {
  const document = readXmlBytes(file, REQUEST_ROOT, bytes);
  const request = requestOf(file, document.root);
  if (checks.otherVersions === 'refuse' && Number(request.schemaVersion) !== Number(DUIS_VERSION)) {
    throw refuseXml(file, document.root.line, `schemaVersion ${DUIS_VERSION}`, request.schemaVersion);
  }
  if (checks.certificates === 'unchecked') return { request, signer: request.requestId.originator };
  const verification = verifySignature(file, document, checks.certificates);
  if ('signer' in verification) return { request, signer: verification.signer };
  const { fault } = verification;
  return { request, fault, code: 'E1', reason: SIGNATURE_FAULTS[fault] };
}
