import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { TOPICS } from '#schemas/topics.ts';
import { createKeyFolder } from '#services/gateway/pki/key-folder.ts';
import { nowMs } from '#services/platform/clock.ts';
import { connectAdmin, createKafka } from '#services/platform/kafka/client.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { requireReachable } from '#services/platform/kafka-provider/given.ts';
import { javaProvider } from '#services/platform/kafka-provider/java-provider.ts';
import { freePort } from '#services/platform/kafka-provider/ports.ts';
import { type ProvidedKafka, provideKafka } from '#services/platform/kafka-provider/provide.ts';
import { createLog } from '#services/platform/log.ts';
import { readSettings } from '#services/platform/settings.ts';

const MDR = fileURLToPath(new URL('mdr', import.meta.url));
const USER = { name: 'mdr', password: 'brokers-only' };
const REGISTRY_USER = { name: 'schemas', password: 'registry: only' };
const folder = mkdtempSync(join(tmpdir(), 'mdr-secured-'));
const keys = join(folder, 'keys');
const party = join(keys, 'parties', DCC_ACCESS_CONTROL_BROKER);
const read = (file: string) => readFileSync(file, 'utf8');

const missing = await javaProvider.missing(() => {});
if (missing !== undefined) process.stderr.write(`the tests of a secured broker are skipped: ${missing}\n`);

describe.skipIf(missing !== undefined)('brokers that know their clients, and a registry that asks for a name', () => {
  let kafka: ProvidedKafka;
  let registry: Server;
  let registryUrl: string;
  let saslPort: number;
  let tlsPort: number;

  beforeAll(async () => {
    await createKeyFolder(keys, { seed: 7, users: [] }, nowMs(), false);
    [saslPort, tlsPort] = [await freePort(), await freePort()];
    const [key, certificate, clientCa] = ['server.key', 'server.pem', 'ca.pem'].map((name) => read(join(keys, name)));
    const secured = { saslPort, tlsPort, user: USER, key, certificate, clientCa };
    kafka = await provideKafka({ isOwn: true, provider: 'java', secured });
    registry = await askingForName(kafka.registryUrl);
    const { port } = registry.address() as AddressInfo;
    registryUrl = `https://localhost:${port}${new URL(kafka.registryUrl).pathname}`;
    for (const [name, text] of Object.entries({ password: `${USER.password}\n`, registry: REGISTRY_USER.password }))
      writeFileSync(join(folder, name), text);
  });
  afterAll(async () => {
    registry?.close();
    await kafka?.stop();
    rmSync(folder, { recursive: true });
  });

  /** Apicurio has neither TLS nor names as it is started here; both are put before it. */
  function askingForName(target: string): Promise<Server> {
    const { hostname, port } = new URL(target);
    const expected = `Basic ${Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64')}`;
    const files = { key: read(join(keys, 'server.key')), cert: read(join(keys, 'server.pem')) };
    const server = createServer(files, (incoming, answer) => {
      const { method, url: path, headers } = incoming;
      if (headers.authorization !== expected) return answer.writeHead(401).end();
      const onward = request({ hostname, port, method, path, headers }, (response) => {
        answer.writeHead(response.statusCode as number, response.headers);
        response.pipe(answer);
      });
      incoming.pipe(onward);
    });
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
  }

  /** What `mdr topics` does with the settings of an environment; the states of the topics. */
  async function makeTopics(environment: NodeJS.ProcessEnv): Promise<string[]> {
    const { brokers, registry: url, security } = readSettings({}, [], environment);
    await requireReachable({ brokers, registryUrl: url, security });
    const admin = await connectAdmin(
      createKafka(brokers, 'secured', createLog('secured', 'silent'), security.kafka),
      brokers,
    );
    try {
      const states = await ensureTopics(admin, 'secured.', 1, { create: true });
      expect(Object.values(await registerSchemas(url, security.registry)).every((id) => id > 0)).toBe(true);
      return states.map(({ state }) => state);
    } finally {
      await admin.disconnect();
    }
  }

  const ca = () => join(keys, 'ca.pem');
  const registryAccess = () => ({
    SCHEMA_REGISTRY_URL: registryUrl,
    MDR_REGISTRY_CA_FILE: ca(),
    MDR_REGISTRY_USERNAME: REGISTRY_USER.name,
    MDR_REGISTRY_PASSWORD_FILE: join(folder, 'registry'),
  });
  const sasl = () => ({
    ...registryAccess(),
    KAFKA_BROKERS: `localhost:${saslPort}`,
    MDR_SECURITY_PROTOCOL: 'SASL_SSL',
    MDR_KAFKA_CA_FILE: ca(),
    MDR_SASL_USERNAME: USER.name,
    MDR_SASL_PASSWORD_FILE: join(folder, 'password'),
  });
  const mutualTls = () => ({
    ...registryAccess(),
    KAFKA_BROKERS: `127.0.0.1:${tlsPort}`,
    KAFKA_SECURITY_PROTOCOL: 'SSL',
    MDR_KAFKA_CA_FILE: ca(),
    MDR_KAFKA_CERT_FILE: join(party, 'client.pem'),
    MDR_KAFKA_KEY_FILE: join(party, 'client.key'),
  });

  test.each<[string, () => NodeJS.ProcessEnv]>([
    ['SCRAM-SHA-512 over TLS', sasl],
    ['SCRAM-SHA-256 over TLS', () => ({ ...sasl(), MDR_SASL_MECHANISM: 'SCRAM-SHA-256' })],
    ['PLAIN over TLS', () => ({ ...sasl(), MDR_SASL_MECHANISM: 'PLAIN' })],
    ['a certificate', mutualTls],
  ])('let us in by %s', async (_, environment) => {
    const states = await makeTopics(environment());
    expect(states).toHaveLength(Object.keys(TOPICS).length);
  });

  test.each<[string, () => NodeJS.ProcessEnv, RegExp]>([
    [
      'another password',
      () => ({ ...sasl(), MDR_SASL_PASSWORD_FILE: undefined, MDR_SASL_PASSWORD: 'x' }),
      /no Kafka broker lets us in at localhost/,
    ],
    [
      'no certificate',
      () => ({ ...mutualTls(), MDR_KAFKA_CERT_FILE: undefined, MDR_KAFKA_KEY_FILE: undefined }),
      /lets us in/,
    ],
    ['no CA', () => ({ ...sasl(), MDR_KAFKA_CA_FILE: undefined }), /lets us in/],
    [
      'another password at the registry',
      () => ({ ...sasl(), MDR_REGISTRY_PASSWORD_FILE: undefined, MDR_REGISTRY_PASSWORD: 'x' }),
      /no schema registry answers at https/,
    ],
    [
      'no CA of the registry',
      () => ({ ...sasl(), MDR_REGISTRY_CA_FILE: undefined }),
      /no schema registry answers at https/,
    ],
  ])('with %s this is what is said', async (_, environment, says) => {
    await expect(makeTopics(environment())).rejects.toMatchObject({
      code: 'COULD_NOT_RUN',
      message: expect.stringMatching(says),
    });
  });

  test('a scenario goes through every service, and the audit finds its ledger clean', {
    timeout: 300_000,
  }, async () => {
    const out = join(folder, 'report');
    const args = ['load', 'settlement-day', '--set', 'fleet.meters=200', '--out', out, '--audit'];
    const { PATH } = process.env;
    const { code, output } = await new Promise<{ code: number; output: string }>((resolve) => {
      execFile(MDR, args, { env: { PATH, ...sasl() }, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }),
      );
    });
    expect([0, 1, 4], output).toContain(code);
    expect(output).toMatch(/clean/i);
  });
});
