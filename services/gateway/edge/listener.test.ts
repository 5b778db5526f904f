import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type EdgeLimits, type Listener, listen } from './listener.ts';

const LIMITS: EdgeLimits = {
  bodyBytesMax: 1024,
  headerBytesMax: 2048,
  requestSecondsMax: 1,
  connectionsMax: 100,
  userConnectionsMax: 3,
  userRequestsPerSecond: 1000,
};

describe('what a client may cost', () => {
  let listener: Listener | undefined;
  afterEach(async () => {
    await listener?.close();
  });

  async function open(limits: Partial<EdgeLimits> = {}): Promise<string> {
    listener = await listen({
      host: '127.0.0.1',
      port: 0,
      keys: undefined,
      limits: { ...LIMITS, ...limits },
      answer: async ({ body }) => ({ status: 200, body: `${body.length}\n` }),
      onReply: () => {},
      fail: (error) => {
        throw error;
      },
    });
    return `http://127.0.0.1:${listener.port}/`;
  }

  const post = (url: string, body: string | ReadableStream) =>
    fetch(url, { method: 'POST', body, headers: { connection: 'close' }, duplex: 'half' } as RequestInit);

  test('a body of as many bytes as may be is taken, one more is 413, said before or not', async () => {
    const url = await open();
    expect([(await post(url, 'x'.repeat(1024))).status, (await post(url, 'x'.repeat(1025))).status]).toEqual([
      200, 413,
    ]);
    const chunks = new ReadableStream({
      start(controller) {
        for (let k = 0; k < 3; k++) controller.enqueue(new Uint8Array(500));
        controller.close();
      },
    });
    const unsaid = await post(url, chunks).then(
      ({ status }) => status,
      () => 'cut off',
    );
    expect([413, 'cut off']).toContain(unsaid);
  });

  test('requests beyond the rate are 429 with how long to wait', async () => {
    const url = await open({ userRequestsPerSecond: 3 });
    const answers = [];
    for (let k = 0; k < 5; k++) answers.push(await post(url, 'x'));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(answers[0].status).toBe(200);
    for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('a client that does not finish its request is cut off', async () => {
    const { port } = new URL(await open());
    const socket = connect(Number(port), '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.resume();
    socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx');
    const startedMs = performance.now();
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test('of one client no more connections are kept than may be', async () => {
    const { port } = new URL(await open());
    const sockets = Array.from({ length: 6 }, () => connect(Number(port), '127.0.0.1'));
    const closed = sockets.map((socket) => {
      socket.on('error', () => {});
      socket.resume();
      return new Promise((resolve) => socket.once('close', resolve));
    });
    await Promise.all([closed[3], closed[4], closed[5]]);
    expect(sockets.filter((socket) => !socket.destroyed).length).toBe(3);
    for (const socket of sockets) socket.destroy();
  });
});
