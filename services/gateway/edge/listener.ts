import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { MdrError } from '#core/errors.ts';
import type { DeviceId } from '#core/identifiers.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { GatewayKeys } from './keys.ts';
import { RateLimit } from './rate-limit.ts';

/** What a client may cost. Each is a setting of the service. */
export type EdgeLimits = {
  bodyBytesMax: number;
  headerBytesMax: number;
  /** Of one request, headers and body together: who is slower is cut off. */
  requestSecondsMax: number;
  connectionsMax: number;
  userConnectionsMax: number;
  userRequestsPerSecond: number;
};

/** A request that has come in whole. */
export type Received = {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** The User of the TLS certificate; undefined on plain HTTP, where nobody is known. */
  user: DeviceId | undefined;
};
export type Reply = { status: number; body: string; type?: string; headers?: Record<string, string> };

export type ListenerOptions = {
  host: string;
  port: number;
  /** Undefined: plain HTTP. */
  keys: GatewayKeys | undefined;
  limits: EdgeLimits;
  answer(request: Received): Promise<Reply>;
  /** Told of each reply's status, and of connections turned away as 0. */
  onReply(status: number): void;
  fail(error: Error): void;
};

export type Listener = { port: number; connections(): number; close(): Promise<void> };

/** How long an idle connection is kept for the next request. */
const KEEP_ALIVE_MS = 30_000;

/** Listens for Users: mutual TLS, or plain HTTP. Throws COULD_NOT_RUN where the address is not to be had. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { keys, limits, host, port } = options;
  const rate = new RateLimit(limits.userRequestsPerSecond);
  const connectionsOf = new Map<string, number>();
  const timeouts = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.requestSecondsMax * 1000,
    requestTimeout: limits.requestSecondsMax * 1000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1000,
  };
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    serve(request, response).catch(options.fail);
  };
  const server: Server =
    keys === undefined
      ? createHttpServer(timeouts, handle)
      : createHttpsServer(
          { ...timeouts, ...keys.tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' },
          handle,
        );
  server.maxConnections = limits.connectionsMax;
  server.on('drop', () => options.onReply(0));
  server.on(keys === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    const user = userOf(socket) ?? socket.remoteAddress ?? '';
    const open = (connectionsOf.get(user) ?? 0) + 1;
    connectionsOf.set(user, open);
    socket.once('close', () => {
      const left = (connectionsOf.get(user) ?? 1) - 1;
      if (left > 0) connectionsOf.set(user, left);
      else connectionsOf.delete(user);
    });
    if (open > limits.userConnectionsMax) {
      options.onReply(0);
      socket.destroy();
    }
  });

  function userOf(socket: Socket): DeviceId | undefined {
    if (keys === undefined) return undefined;
    const { fingerprint256 } = (socket as TLSSocket).getPeerCertificate();
    return keys.userOfCertificate.get(fingerprint256);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = ({ status, body, type = 'text/plain; charset=utf-8', headers = {} }: Reply) => {
      options.onReply(status);
      if (response.destroyed) return;
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers });
      response.end(body);
    };
    const user = userOf(request.socket);
    if (keys !== undefined && user === undefined) return reply({ status: 403, body: 'the certificate is no User’s\n' });
    const waitSeconds = rate.take(user ?? request.socket.remoteAddress ?? '', nowMs());
    if (waitSeconds > 0) {
      request.resume();
      return reply({
        status: 429,
        body: `at most ${limits.userRequestsPerSecond} requests a second\n`,
        headers: { 'retry-after': String(waitSeconds) },
      });
    }
    const body = await bodyOf(request, limits.bodyBytesMax);
    if (typeof body === 'string') {
      return reply({ status: 413, body, headers: { connection: 'close' } });
    }
    if (body === undefined) return;
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://gateway');
    reply(
      await options.answer({
        method: request.method ?? '',
        path: pathname,
        query: searchParams,
        headers: request.headers,
        body,
        user,
      }),
    );
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new MdrError('COULD_NOT_RUN', `Cannot listen: ${error.message}`)));
    server.listen(port, host, resolve);
  });
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections++;
    socket.once('close', () => connections--);
  });
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      await closed;
    },
  };
}

/** Undefined where the client went away; a sentence where there is too much. Compressed bodies are not taken. */
async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Buffer | string | undefined> {
  const tooLong = `a body has at most ${bytesMax} bytes\n`;
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return tooLong;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) return tooLong;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}
