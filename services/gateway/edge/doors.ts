import { formatFault, MdrError } from '#core/errors.ts';
import type { DeviceId } from '#core/identifiers.ts';
import type { Mailbox } from '../delivery/mailbox.ts';
import { PAGE_MAX } from '../delivery/mailbox.ts';
import type { DuisRequest } from '../duis-request.ts';
import { type ResponseSigners, renderResponse } from '../duis-response.ts';
import { type ReceiptChecks, receiveRequest } from '../received-request.ts';
import type { Acceptance, Verdict } from './acceptance.ts';
import type { HeldRequests } from './held-requests.ts';
import type { Received, Reply } from './listener.ts';
import { isQuarantineAnswer, QUARANTINE_ANSWERS } from './quarantine-answer.ts';

export type DoorOptions = {
  acceptance: Acceptance;
  mailbox: Mailbox;
  held: HeldRequests;
  checks: ReceiptChecks;
  signers: ResponseSigners;
  mhhsUsers: ReadonlySet<DeviceId>;
  /** Of the run, for ResponseDateTime. */
  nowMs(): number;
  /** Undefined while requests are taken. */
  closedBecause(): string | undefined;
  onVerdict(code: string): void;
};

const CLOSED_SECONDS = 2;

/** What is asked at each path of the gateway. */
export function answerAt(options: DoorOptions): (received: Received) => Promise<Reply> {
  return async (received) => {
    const { method, path } = received;
    const closed = options.closedBecause();
    if (closed !== undefined) return { status: 503, body: `${closed}\n`, headers: retryAfter(CLOSED_SECONDS) };
    switch (`${method} ${path}`) {
      case 'POST /api/v1/serviceS':
        return await service(received, 'serviceS', options);
      case 'POST /api/v1/serviceD':
        return await service(received, 'serviceD', options);
      case 'GET /api/v1/responses':
        return await responses(received, options);
      case 'POST /api/v1/responses/ack':
        return await acknowledgement(received, options);
      case 'GET /api/v1/quarantine':
        return quarantined(received, options);
      default:
        if (method === 'POST' && path.startsWith(QUARANTINE)) return await quarantineAnswer(received, options);
        return { status: 404, body: PATHS };
    }
  };
}

const QUARANTINE = '/api/v1/quarantine/';
const PATHS = `there are POST /api/v1/serviceS and serviceD, GET /api/v1/responses, POST /api/v1/responses/ack,
GET /api/v1/quarantine and POST /api/v1/quarantine/ID
`;

async function service(received: Received, path: 'serviceS' | 'serviceD', options: DoorOptions): Promise<Reply> {
  let taken: ReturnType<typeof receiveRequest>;
  try {
    taken = receiveRequest('the request', received.body, options.checks);
  } catch (error) {
    if (!(error instanceof MdrError) || error.code !== 'XML_REFUSED') throw error;
    options.onVerdict('not-duis');
    return {
      status: 400,
      body: `${error.message}\n${error.faults.map((fault) => `${formatFault(fault)}\n`).join('')}`,
    };
  }
  const verdict = await verdictOn(taken, received, path, options);
  if ('retryAfterSeconds' in verdict) {
    options.onVerdict('busy');
    return { status: 503, body: `${verdict.reason}\n`, headers: retryAfter(verdict.retryAfterSeconds) };
  }
  options.onVerdict(verdict.code);
  return {
    status: 200,
    type: 'application/xml; charset=utf-8',
    headers: { 'x-mdr-reason': verdict.reason },
    body: acknowledgementOf(taken.request, verdict.code, options),
  };
}

async function verdictOn(
  taken: ReturnType<typeof receiveRequest>,
  { user, headers }: Received,
  path: 'serviceS' | 'serviceD',
  { acceptance, mhhsUsers }: DoorOptions,
): Promise<Verdict> {
  const { request } = taken;
  if ('fault' in taken) return { code: taken.code, reason: taken.reason };
  const { originator } = request.requestId;
  if (user !== undefined && user !== originator)
    return { code: 'E1', reason: `the certificate is of ${user}, the originator is ${originator}` };
  const mhhs = mhhsUsers.has(originator) || headers['x-mdr-service'] === 'mhhs';
  return await acceptance.accept({ request, signer: taken.signer, path, mhhs });
}

function acknowledgementOf({ requestId, srv }: DuisRequest, code: string, { signers, nowMs }: DoorOptions): string {
  return renderResponse({ requestId, srv, code, atMs: nowMs(), content: { kind: 'none' } }, signers);
}

async function responses({ query, user, headers }: Received, { mailbox }: DoorOptions): Promise<Reply> {
  const who = userOf(user, headers);
  if (who === undefined) return NOBODY;
  const limit = Number(query.get('limit') ?? PAGE_MAX);
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
    return { status: 400, body: `limit is ${query.get('limit')}, expected 1 to ${PAGE_MAX}\n` };
  const page = await mailbox.page(who, query.get('after'), limit);
  if (page === undefined) return { status: 400, body: `after is ${query.get('after')}, expected a cursor\n` };
  return { status: 200, type: 'application/json', body: `${JSON.stringify(page)}\n` };
}

async function acknowledgement({ body, user, headers }: Received, { mailbox }: DoorOptions): Promise<Reply> {
  const who = userOf(user, headers);
  if (who === undefined) return NOBODY;
  const cursor = body.toString('latin1').trim();
  if (!(await mailbox.acknowledge(who, cursor))) return { status: 400, body: 'the body is no cursor\n' };
  return { status: 204, body: '' };
}

function quarantined({ user, headers }: Received, { held }: DoorOptions): Reply {
  const who = userOf(user, headers);
  if (who === undefined) return NOBODY;
  return { status: 200, type: 'application/json', body: `${JSON.stringify({ held: held.list(who) })}\n` };
}

async function quarantineAnswer(received: Received, { held, acceptance }: DoorOptions): Promise<Reply> {
  const { path, body, user, headers } = received;
  const who = userOf(user, headers);
  if (who === undefined) return NOBODY;
  const id = path.slice(QUARANTINE.length);
  const request = held.get(who, id);
  if (request === undefined) return { status: 404, body: 'no request of the User is held under this number\n' };
  const answer = body.toString('latin1').trim();
  if (!isQuarantineAnswer(answer))
    return { status: 400, body: `the body is expected to be ${QUARANTINE_ANSWERS.join(' or ')}\n` };
  const verdict = await acceptance.answerQuarantine(request, answer, () => held.forget(id));
  return 'code' in verdict
    ? { status: 202, body: `${verdict.reason}\n` }
    : { status: 503, body: `${verdict.reason}\n`, headers: retryAfter(verdict.retryAfterSeconds) };
}

const NOBODY: Reply = { status: 403, body: 'on plain HTTP the header X-MDR-User names the User\n' };

/** 16 hexadecimal digits. Plain HTTP, on loopback, believes what is said. */
function userOf(user: DeviceId | undefined, headers: Received['headers']): string | undefined {
  const eui = user ?? headers['x-mdr-user'];
  return typeof eui === 'string' && /^([0-9A-F]{2}-){7}[0-9A-F]{2}$/.test(eui) ? eui.replaceAll('-', '') : undefined;
}

function retryAfter(seconds: number): Record<string, string> {
  return { 'retry-after': String(seconds) };
}
