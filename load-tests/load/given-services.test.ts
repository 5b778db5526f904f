import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { givenServices, silentSince } from './given-services.ts';
import { statusOf } from './processes.ts';

const PLACE = { cluster: 'east', prefix: 'mdr.', partitions: 4 };
const WAITING = { service: 'users', pid: 7, ready: false, kafka: PLACE, waitsFor: 'a run' };
const WITHIN_MS = 300;
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Serves what a service would say of itself, one after another; the last one from then on. */
async function serve(...statuses: unknown[]): Promise<string> {
  const server = createServer((_, response) => {
    const status = statuses.length > 1 ? statuses.shift() : statuses[0];
    response.writeHead(200, { connection: 'close' }).end(JSON.stringify(status));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  ['another prefix', { kafka: { ...PLACE, prefix: 'b.' } }, 'prefix', 'b.', 'mdr., as --prefix says'],
  ['other partitions', { kafka: { ...PLACE, partitions: 2 } }, 'partitions', 2, '4, as --partitions says'],
  ['another Kafka', { kafka: { ...PLACE, cluster: 'west' } }, 'Kafka cluster', 'west', 'east, that of --brokers'],
  ['a run', { run: 'k2x', waitsFor: undefined, ready: true }, 'run', 'k2x', 'none yet: a service takes part in one'],
  [
    'a start that does not end',
    { waitsFor: undefined },
    'users',
    undefined,
    'that it waits for a run: it still starts',
  ],
  [
    'no need of a run',
    { waitsFor: undefined, ready: true },
    'users',
    undefined,
    'that it waits for a run: start it without --load nothing',
  ],
  ['an answer of something else', { service: undefined }, '/status', undefined, 'that of a service of this version'],
])('a service with %s is refused', async (_, status, path, value, expected) => {
  const url = await serve({ ...WAITING, ...status });
  await expect(givenServices([url], PLACE, WITHIN_MS)).rejects.toMatchObject({
    code: 'COULD_NOT_RUN',
    faults: [{ path: `${url} ${path}`, ...(value === undefined ? {} : { value }), expected }],
  });
});

test('all that is wrong is said at once: who does not answer, whose name is not known, what is no URL', async () => {
  const gone = await serve(WAITING);
  servers.splice(0)[0].close();
  const well = await serve(WAITING);
  await expect(
    givenServices([gone, well, 'http://no-such-host.invalid:9464', 'localhost:9464'], PLACE, WITHIN_MS),
  ).rejects.toMatchObject({
    faults: [
      { path: `${gone} /status`, expected: 'an answer: nothing answers there' },
      { path: 'http://no-such-host.invalid:9464', expected: expect.stringContaining('the address of a service: ') },
      { path: 'localhost:9464', expected: 'a URL as http://127.0.0.1:9464' },
    ],
  });
});

test('a service that still starts is waited for', async () => {
  const starting = { ...WAITING, waitsFor: undefined, kafka: { ...PLACE, cluster: undefined } };
  const url = await serve(starting, starting, WAITING);
  const [found] = await givenServices([url], PLACE, 10_000);
  expect(found).toMatchObject({ name: 'users', pid: 7, url, child: undefined });
});

test('a given service is missed once it has not answered for more than a minute, and not before', async () => {
  const url = await serve(WAITING);
  const [found] = await givenServices([url], PLACE, WITHIN_MS);
  const { heardMs } = found;
  expect(silentSince([found], heardMs + 60_000)).toBeUndefined();
  expect(silentSince([found], heardMs + 60_001)).toBe(found);
  await statusOf(found);
  expect(found.heardMs).toBeGreaterThan(heardMs);
  servers.splice(0)[0].close();
  expect(await statusOf(found)).toBeUndefined();
  expect(silentSince([found], found.heardMs + 60_001)).toBe(found);
});
