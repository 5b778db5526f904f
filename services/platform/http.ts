import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MdrError } from '#core/errors.ts';
import { exposition } from './metrics/exposition.ts';

export type Health = {
  /** False: the process is beyond help and should be started anew. */
  isLive(): boolean;
  /** Whether it is ready, or would be if others had done their part: how long that takes is not its matter. */
  hasStarted(): boolean;
  /** Why it cannot take work yet; undefined when it can. */
  notReadyBecause(): string | undefined;
  /** Where the service stands, for `mdr load` and people: plain JSON. */
  status(): Record<string, unknown>;
  /** What else is answered, by method and path. */
  routes?(): Routes;
};
export type Routes = Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>>;

const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_BYTES_MAX = 8192;
/** A megabyte comes in this time on any line that is worth the name. */
const REQUEST_TIMEOUT_MS = 30_000;
/** A service that starts is ready within some of these. */
const RETRY_AFTER_SECONDS = 2;

/** Serves /metrics, /live, /started, /ready and /status. Throws COULD_NOT_RUN where the address is not to be had. */
export async function serveHealth(
  health: Health,
  host: string,
  port: number,
): Promise<{ server: Server; port: number; close(): Promise<void> }> {
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: REQUEST_BYTES_MAX },
    (request, response) => {
      const answer = (status: number, body: string, type = 'text/plain; charset=utf-8') => {
        response.writeHead(status, { 'content-type': type, connection: 'close' });
        response.end(request.method === 'HEAD' ? undefined : body);
      };
      const route = health.routes?.()[`${request.method} ${request.url}`];
      if (route !== undefined) return route(request, response);
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        const reason = health.notReadyBecause();
        if (reason === undefined) return answer(405, 'only GET\n');
        response.setHeader('retry-after', String(RETRY_AFTER_SECONDS));
        return answer(503, `not ready: ${reason}\n`);
      }
      switch (request.url) {
        case '/live':
          return health.isLive() ? answer(200, 'live\n') : answer(503, 'not live\n');
        case '/started':
          return health.hasStarted() ? answer(200, 'started\n') : answer(503, 'not started\n');
        case '/ready': {
          const reason = health.notReadyBecause();
          return reason === undefined ? answer(200, 'ready\n') : answer(503, `not ready: ${reason}\n`);
        }
        case '/status':
          return answer(200, `${JSON.stringify(health.status())}\n`, 'application/json');
        case '/metrics':
          exposition(request.headers.accept).then(
            ({ text, contentType }) => answer(200, text, contentType),
            (error: Error) => answer(500, `${error.message}\n`),
          );
          return;
        default:
          answer(404, 'there are /metrics, /live, /started, /ready and /status\n');
      }
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new MdrError('COULD_NOT_RUN', `Cannot listen: ${error.message}`)));
    server.listen(port, host, resolve);
  });
  return {
    server,
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
