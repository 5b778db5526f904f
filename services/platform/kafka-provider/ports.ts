import { connect, createServer } from 'node:net';
import { MdrError } from '#core/errors.ts';
import { askRegistry } from '../kafka/registry-request.ts';
import type { RegistrySecurity } from '../kafka/security.ts';

/**
 * Below the ranges from which Linux (32768) and macOS (49152) take the ports of outgoing connections: a port from
 * there could be taken, or connect to itself, while a broker that is to keep it restarts.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
const TRIES_MAX = 100;
const CONNECT_MS = 2_000;

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (await isFree(port)) return port;
  }
  throw new MdrError('COULD_NOT_RUN', `no free port found between ${PORT_MIN} and ${PORT_MAX}`);
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Whether a broker answers at HOST:PORT and is part of a cluster. Asked with a Metadata request of version 1 for no
 * topics, as a client would be a heavier way to learn one number:
 *
 *     request   size 4 | api key 2 = 3 | version 2 = 1 | correlation 4 | client id 2 = -1 (none) | topics 4 = 0
 *     response  size 4 | correlation 4 | brokers 4 | ...
 */
export function answersAsBroker(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`kafka://${address}`);
  const request = Buffer.from('0000000e0003000100000001ffff00000000', 'hex');
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), timeout: CONNECT_MS });
    let answer = Buffer.alloc(0);
    const end = (isReady: boolean) => {
      socket.destroy();
      resolve(isReady);
    };
    socket.once('connect', () => socket.write(request));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length >= 12) end(answer.readInt32BE(8) > 0);
    });
  });
}

/** Whether a registry with Confluent's API answers at the address. */
export async function answersAsRegistry(url: string, security: RegistrySecurity = {}): Promise<boolean> {
  try {
    return Array.isArray((await askRegistry(`${url}/subjects`, security, CONNECT_MS)).json);
  } catch {
    return false;
  }
}
