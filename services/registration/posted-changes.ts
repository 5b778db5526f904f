import type { IncomingMessage, ServerResponse } from 'node:http';
import { nowMs, within } from '#services/platform/clock.ts';
import { PENDING_BYTES_MAX } from '#services/platform/kafka/outbox.ts';
import type { Pool } from '#services/platform/pool.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import type { FeedRules } from './change-parser.ts';
import type { Door } from './door.ts';
import { OUTCOME } from './outcomes.ts';
import { elementsSetAside, lettersOf, linesSetAside } from './set-aside.ts';
import type { Task, TaskResult } from './worker.ts';

/** What a row of a request has come to. */
export type RowAnswer = { row: number; outcome: 'applied' | 'stale' | 'duplicate' | 'set-aside'; reason?: string };

export type PostOptions = {
  context: ServiceContext;
  door: Door;
  pool: Pool<Task, TaskResult>;
  rules: FeedRules;
  mpids(): SharedArrayBuffer;
};

/** Five thousand changes: 10 ms of a worker, and what a client can do again without pain. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** Requests that are worked on at a time; those beyond would only wait, with their bodies in memory. */
export const POSTS_MAX = 32;
/** A healthy owner answers in milliseconds, another takes a partition over within a session's time-out. */
const ANSWER_WITHIN_MS = 30_000;
const RETRY_AFTER_SECONDS = 2;
const OUTCOMES = ['applied', 'stale', 'duplicate', 'set-aside'] as const;
const FORMATS: Record<string, 'ndjson' | 'json'> = {
  'application/x-ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'application/json': 'json',
};

type Parsed = Extract<TaskResult, { kind: 'parse' }>;

/**
 * Answers `POST /registrations`: changes as NDJSON or as a JSON array. 200 with what became of each row, once what was
 * applied is acknowledged; 413, 415 where the body cannot be taken; 503 with Retry-After where there is no room or no
 * answer in time: to post the same again is harmless.
 */
export function createPostedChanges(options: PostOptions) {
  const { context, door } = options;
  let open = 0;
  let isClosed = false;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const format = FORMATS[(request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase()];
    if (format === undefined)
      return refuse(response, 415, `expected content-type ${Object.keys(FORMATS).join(' or ')}`);
    if (isClosed) return refuse(response, 503, 'the service ends');
    if (open >= POSTS_MAX) return refuse(response, 503, `${POSTS_MAX} requests are being worked on`);
    if (context.outbox.pendingBytes > PENDING_BYTES_MAX) return refuse(response, 503, 'the broker is behind');
    open++;
    try {
      const body = await readBody(request);
      if (body === undefined) return refuse(response, 413, `expected at most ${BODY_BYTES_MAX} bytes`);
      const rows = await within(ANSWER_WITHIN_MS, 'the answer', apply(options, body, format));
      const counts = Object.fromEntries(
        OUTCOMES.map((name) => [name, rows.filter((row) => row.outcome === name).length]),
      );
      send(response, 200, { ...counts, rows });
    } catch (error) {
      context.log.warn({ err: error }, 'a request was not answered');
      refuse(response, 503, 'it is not known yet what became of the changes: post them again');
    } finally {
      open--;
    }
  }

  return {
    route: (request: IncomingMessage, response: ServerResponse) => {
      // Whoever went away need not be told.
      request.on('error', () => {});
      answer(request, response).catch(context.fail);
    },
    /** Takes no more requests. */
    close() {
      isClosed = true;
    },
    get open() {
      return open;
    },
    get waiting() {
      return door.waiting;
    },
  };
}

async function apply(
  { context, door, pool, rules, mpids }: PostOptions,
  bytes: ArrayBuffer,
  format: 'ndjson' | 'json',
): Promise<RowAnswer[]> {
  const stampMs = Math.floor(nowMs());
  const parsed = (await pool.run({ kind: 'parse', bytes, format, rules, mpids: mpids(), stampMs }, [bytes])) as Parsed;
  const answers = new Map<number, RowAnswer>();
  const rows = (format === 'json' ? elementsSetAside : linesSetAside)(parsed.bytes, parsed.faults, 0);
  for (const { line, reason } of rows) answers.set(line, { row: line, outcome: 'set-aside', reason });
  await context.setAside(lettersOf('POST /registrations', rows));
  await Promise.all(
    parsed.batches.map(async ({ batch, starts }) => {
      for (const row of starts) answers.set(row, { row, outcome: 'applied' });
      for (const { offset, outcome, detail } of await door.submit(
        batch.partition,
        new Uint8Array(batch.batch),
        batch.records,
      )) {
        const row = starts[offset];
        answers.set(row, {
          row,
          outcome: OUTCOMES[outcome],
          ...(outcome === OUTCOME.setAside ? { reason: detail } : {}),
        });
      }
    }),
  );
  return [...answers.values()].sort((a, b) => a.row - b.row);
}

/** Undefined where it is larger than is taken; the rest of it is not read. */
async function readBody(request: IncomingMessage): Promise<ArrayBuffer | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    parts.push(part);
  }
  const body = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body.buffer;
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  if (status === 503) response.setHeader('retry-after', String(RETRY_AFTER_SECONDS));
  send(response, status, { error: reason });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  // What is left of a body that was refused is not waited for.
  const isWhole = response.req.complete;
  response.writeHead(status, { 'content-type': 'application/json', ...(isWhole ? {} : { connection: 'close' }) });
  response.end(`${JSON.stringify(body)}\n`);
}

if (OUTCOME.setAside !== OUTCOMES.indexOf('set-aside')) throw new Error('outcomes are named in another order');
