import { type Fault, MdrError } from '#core/errors.ts';
import { parseDeviceId } from '#core/identifiers.ts';
import type { ServiceSettings, Setting } from '#services/platform/settings.ts';
import { ASSUMED_CODES, type AssumedCode } from './assumed-codes.ts';
import type { EdgeLimits } from './edge/listener.ts';
import { pkiDirectory } from './pki/places.ts';
import { XML_LIMITS } from './xml-reader.ts';

const CODE_SETTINGS = Object.fromEntries(
  Object.entries(ASSUMED_CODES).map(([name, { pattern, default: value, says }]): [string, Setting] => [
    codeSetting(name),
    { type: 'text', default: value, form: { pattern: new RegExp(pattern), expected: `a code as ${value}` }, doc: says },
  ]),
);

export const GATEWAY_SETTINGS: Readonly<Record<string, Setting>> = {
  'listen-host': { type: 'text', default: '127.0.0.1', doc: 'Address that Users reach it at.' },
  'listen-port': { type: 'integer', default: 8443, min: 0, max: 65_535, doc: 'Port of the same; 0 for any free one.' },
  transport: {
    type: 'choice',
    default: 'tls',
    choices: ['tls', 'plain'],
    doc: 'Mutual TLS; or plain HTTP, on a loopback address only: then nobody is known by a certificate.',
  },
  keys: { type: 'text', environment: 'MDR_PKI_DIR', doc: "Folder of keys as 'mdr pki' makes it [.pki]." },
  source: {
    type: 'integer',
    default: 2,
    min: 2,
    max: 1022,
    doc: 'Number of this process among those of the gateway: two that run at a time have two. Low ones cost least.',
  },
  signatures: {
    type: 'choice',
    default: 'verified',
    choices: ['verified', 'unchecked'],
    doc: 'Whether requests must be signed; unchecked takes the originator for the signer.',
  },
  'other-versions': {
    type: 'choice',
    default: 'refuse',
    choices: ['refuse', 'read'],
    doc: 'Requests of another schemaVersion: refused, or read by the rules of 5.4.',
  },
  'mhhs-users': {
    type: 'list',
    form: { pattern: /\S/, expected: 'EUI-64s with commas between them' },
    doc: 'IS and ES whose requests are all sent for MHHS. Of others the header X-MDR-Service: mhhs says so.',
  },
  'body-bytes-max': {
    type: 'integer',
    default: XML_LIMITS.bytesMax,
    min: 1024,
    max: XML_LIMITS.bytesMax,
    doc: 'Of one request; a larger one is 413.',
  },
  'header-bytes-max': { type: 'integer', default: 8192, min: 1024, max: 65_536, doc: 'Of the headers of one request.' },
  'request-seconds-max': {
    type: 'integer',
    default: 10,
    min: 1,
    max: 300,
    doc: 'A client slower than this is cut off.',
  },
  'connections-max': { type: 'integer', default: 1000, min: 1, max: 100_000, doc: 'Open at a time, of all Users.' },
  'user-connections-max': { type: 'integer', default: 64, min: 1, max: 10_000, doc: 'Open at a time, of one User.' },
  'user-requests-per-second': {
    type: 'integer',
    default: 200,
    min: 1,
    max: 100_000,
    doc: 'Of one User; more is 429 with Retry-After.',
  },
  'remember-hours': {
    type: 'integer',
    default: 48,
    min: 1,
    max: 168,
    doc: 'How long a RequestID is known, so that it is not run again.',
  },
  'request-ids-max': {
    type: 'integer',
    default: 4_000_000,
    min: 1000,
    max: 100_000_000,
    doc: 'RequestIDs remembered in half of that time, 32 to 64 bytes each; more is 503.',
  },
  'retry-seconds': {
    type: 'integer',
    default: 10,
    min: 1,
    max: 300,
    doc: 'Pause before a delivery is tried again; each next one is twice as long, up to 300 s.',
  },
  'hold-hours': {
    type: 'integer',
    default: 48,
    min: 1,
    max: 160,
    doc: 'How long a response is held for a User that is away; then it is a service event, in dead-letters.',
  },
  ...CODE_SETTINGS,
};

export type GatewayOptions = {
  host: string;
  port: number;
  isTls: boolean;
  keys: string;
  source: number;
  isVerified: boolean;
  otherVersions: 'refuse' | 'read';
  mhhsUsers: ReadonlySet<string>;
  limits: EdgeLimits;
  rememberMs: number;
  requestIdsMax: number;
  retrySeconds: number;
  holdHours: number;
  codes: Record<AssumedCode, string>;
};

const LOOPBACK = /^(127\.|::1$|localhost$)/;
const HOUR_MS = 3_600_000;

/** The settings of one process. Throws INPUT_INVALID where they do not go together. */
export function gatewayOptions({ own }: ServiceSettings): GatewayOptions {
  const text = (name: string) => own[name] as string;
  const number = (name: string) => own[name] as number;
  const faults: Fault[] = [];
  if (own.transport === 'plain' && !LOOPBACK.test(text('listen-host')))
    faults.push({ path: 'listen-host', value: own['listen-host'], expected: 'a loopback address for plain HTTP' });
  const mhhsUsers = ((own['mhhs-users'] as string[] | undefined) ?? []).map((eui) => {
    const parsed = parseDeviceId(eui);
    if (parsed === undefined) faults.push({ path: 'mhhs-users', value: eui, expected: 'an EUI-64 as 8 hex pairs' });
    return parsed ?? '';
  });
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', 'The settings cannot be used', faults);
  return {
    host: text('listen-host'),
    port: number('listen-port'),
    isTls: own.transport === 'tls',
    keys: (own.keys as string | undefined) ?? pkiDirectory(),
    source: number('source'),
    isVerified: own.signatures === 'verified',
    otherVersions: own['other-versions'] as 'refuse' | 'read',
    mhhsUsers: new Set(mhhsUsers),
    limits: {
      bodyBytesMax: number('body-bytes-max'),
      headerBytesMax: number('header-bytes-max'),
      requestSecondsMax: number('request-seconds-max'),
      connectionsMax: number('connections-max'),
      userConnectionsMax: number('user-connections-max'),
      userRequestsPerSecond: number('user-requests-per-second'),
    },
    rememberMs: number('remember-hours') * HOUR_MS,
    requestIdsMax: number('request-ids-max'),
    retrySeconds: number('retry-seconds'),
    holdHours: number('hold-hours'),
    codes: Object.fromEntries(Object.keys(ASSUMED_CODES).map((name) => [name, text(codeSetting(name))])) as Record<
      AssumedCode,
      string
    >,
  };
}

function codeSetting(name: string): string {
  return `code-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
