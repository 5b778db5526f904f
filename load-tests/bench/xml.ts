import { generateKeyPairSync, type KeyLike, sign, verify } from 'node:crypto';
import { SignedXml } from 'xml-crypto';
import { HALF_HOUR_MS } from '#core/settlement-day.ts';
import { canonicalDocument, canonicalElement } from '#services/gateway/canonical-xml.ts';
import { parseDuisRequest, REQUEST_ROOT } from '#services/gateway/duis-request.ts';
import { type ResponseContent, type ResponseSigners, renderResponse } from '#services/gateway/duis-response.ts';
import { receiveRequest } from '#services/gateway/received-request.ts';
import { readXmlBytes } from '#services/gateway/xml-reader.ts';
import { isSignature, type Signer, signElement } from '#services/gateway/xml-signature.ts';
import { element, renderCompactXml } from '#services/gateway/xml-writer.ts';
import { type Measurement, measured, median, progress } from './measure.ts';

const RUNS = 5;
const RUN_MS = 1_000;
const EUI = '90-B3-D5-1F-30-01-00-00';
const DEVICE = '00-DB-12-34-56-78-90-A0';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const SIGNER: Signer = { privateKey, issuerName: 'CN=U1, OU=07', serialNumber: 1234567890n };
const SIGNERS: ResponseSigners = { dcc: SIGNER, s1sp: SIGNER };
const ECDSA = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
const ECDSA_PUBLIC = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
const UNIT = 'a CPU-second';

/**
 * Signed DUIS requests read and verified, and Responses signed, by CPU time of one thread; the baselines are the bare
 * ECDSA of node:crypto over the same bytes, and xml-crypto, in the same run.
 */
export async function xml(): Promise<Measurement[]> {
  const requests = verification();
  progress('  requests done');
  return [...requests, ...responses()];
}

function verification(): Measurement[] {
  const text = signedRequest();
  const bytes = Buffer.from(text);
  const { root } = readXmlBytes('request', REQUEST_ROOT, bytes);
  const document = { root, before: [], after: [] };
  const signature = root.children.find(isSignature);
  if (signature === undefined) throw new Error('the request is not signed');
  const [signedInfo] = signature.children;
  const signed = Buffer.from(canonicalElement(signedInfo));
  const value = Buffer.from(signature.children[1].text, 'base64');
  const bare = perCpuSecond(() => expectTrue(verify('sha256', signed, ECDSA_PUBLIC, value)));
  const baseline = { name: 'the ECDSA verification alone, node:crypto', value: median(bare) };
  const certificates = () => ({ eui: EUI, publicKey });
  return [
    measured(
      'xml-verify',
      `requests read and verified ${UNIT}`,
      perCpuSecond(() => {
        const received = receiveRequest('request', bytes, { certificates, otherVersions: 'refuse' });
        expectTrue('signer' in received);
      }),
      { baseline, target: 'at least 1000' },
    ),
    measured(
      'xml-read',
      `requests read ${UNIT}`,
      perCpuSecond(() => parseDuisRequest('request', bytes)),
      { baseline },
    ),
    measured(
      'xml-canonical',
      `requests brought into canonical form ${UNIT}`,
      perCpuSecond(() => {
        canonicalDocument(document, false, signature);
        canonicalElement(signedInfo);
      }),
      { baseline },
    ),
    measured(
      'xml-verify-xml-crypto',
      `requests verified, not read, ${UNIT}`,
      perCpuSecond(() => verifyByPeer(text)),
      { baseline },
    ),
  ];
}

function responses(): Measurement[] {
  const bytes = Buffer.alloc(700, 1);
  const bare = perCpuSecond(() => sign('sha256', bytes, ECDSA));
  const baseline = { name: 'the ECDSA signature alone, node:crypto', value: median(bare) };
  const rows = Array.from({ length: 48 }, (_, at) => ({ timeMs: (at + 1) * HALF_HOUR_MS, activeWh: 100 + at }));
  const contents: [string, ResponseContent][] = [
    ['acknowledgement', { kind: 'none' }],
    ['smets2', { kind: 'gbcs', payload: new Uint8Array(568) }],
    ['smets1', { kind: 'smets1', readings: { srv: '4.8.1', generation: 'SMETS1', success: true, rows } }],
  ];
  return contents.map(([name, content]) =>
    measured(
      `xml-sign-${name}`,
      `Responses written and signed ${UNIT}`,
      perCpuSecond(() => {
        const requestId = { originator: EUI, target: DEVICE, counter: 1n };
        renderResponse({ requestId, srv: '4.8.1', code: 'I0', atMs: 0, content }, SIGNERS);
      }),
      { baseline },
    ),
  );
}

/** A read of one day, as the published example requests have it. */
function signedRequest(): string {
  const text = (name: string, content: string) => element(`sr:${name}`, content);
  const period = [text('StartDateTime', '2014-12-31T00:30:00.00Z'), text('EndDateTime', '2015-01-01T00:00:00.00Z')];
  const header = [
    text('RequestID', `${EUI}:${DEVICE}:1002`),
    text('CommandVariant', '1'),
    text('ServiceReference', '4.8'),
    text('ServiceReferenceVariant', '4.8.1'),
  ];
  const body = element('sr:ReadActiveImportProfileData', [element('sr:ReadLogPeriod', period)]);
  const request = element('sr:Request', [element('sr:Header', header), element('sr:Body', [body])], {
    'xmlns:sr': REQUEST_ROOT.uri,
    schemaVersion: '5.4',
  });
  return renderCompactXml(signElement(request, SIGNER, 'inclusive'));
}

const ECDSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256';

/** xml-crypto brings no ECDSA along. */
class PeerEcdsa {
  getSignature(): never {
    throw new Error('only verifies');
  }
  verifySignature(text: string, key: KeyLike, value: string): boolean {
    const options = { key: key as string, dsaEncoding: 'ieee-p1363' as const };
    return verify('sha256', Buffer.from(text), options, Buffer.from(value, 'base64'));
  }
  getAlgorithmName(): string {
    return ECDSA_SHA256;
  }
}

function verifyByPeer(text: string): void {
  const peer = new SignedXml({ publicCert: publicKey });
  peer.SignatureAlgorithms = { [ECDSA_SHA256]: PeerEcdsa };
  peer.loadSignature(text.slice(text.indexOf('<ds:Signature '), text.indexOf('</sr:Request>')));
  expectTrue(peer.checkSignature(text));
}

function expectTrue(value: boolean): void {
  if (!value) throw new Error('a signature that should hold does not');
}

/** Calls a second of CPU time, several runs of {@link RUN_MS} each, after one that warms up. */
function perCpuSecond(call: () => void): number[] {
  const run = () => {
    const before = process.cpuUsage();
    for (let calls = 0; ; calls += 100) {
      const { user, system } = process.cpuUsage(before);
      const milliseconds = (user + system) / 1000;
      if (milliseconds >= RUN_MS) return Math.round((calls / milliseconds) * 1000);
      for (let k = 0; k < 100; k++) call();
    }
  };
  run();
  return Array.from({ length: RUNS }, run);
}
