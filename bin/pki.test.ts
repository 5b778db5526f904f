import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { partyOf } from '#services/gateway/pki/certificate.ts';
import { deviceKeys, userKeys } from '#services/gateway/pki/seed-keys.ts';

const MDR = fileURLToPath(new URL('mdr.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'mdr-pki-'));
afterAll(() => rmSync(folder, { recursive: true }));
const KEYS = join(folder, 'keys');
const USER = '90-B3-D5-1F-30-01-00-00';
const SUPPLIER = '90-B3-D5-1F-30-02-00-00';
const BROKER = '90-B3-D5-1F-30-00-00-02';
const DEVICE = '00-DB-12-34-56-78-90-A0';

function pki(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MDR, 'pki', ...args], { encoding: 'utf8', cwd: folder });
}
const read = (...path: string[]) => readFileSync(join(KEYS, ...path), 'utf8');
const filesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name));

const made = pki('--keys', KEYS);
const added = pki('device', DEVICE.toLowerCase(), '--keys', KEYS);

test('a folder has the keys of the CA, a server, the DCC and every User of the world', () => {
  expect([made.status, made.stderr]).toEqual([0, '']);
  expect(made.stdout).toContain('Keys of seed 1');
  expect(readdirSync(join(KEYS, 'parties')).sort()).toEqual([BROKER, USER, SUPPLIER, '90-B3-D5-1F-30-03-00-00']);
  expect(partyOf(read('parties', USER, 'client.pem'))).toEqual({ name: 'Example MDRA', eui: USER, roles: ['MDR'] });
  expect(partyOf(read('parties', SUPPLIER, 'signing.pem'))?.roles).toEqual(['IS', 'ES']);
  expect(partyOf(read('parties', BROKER, 'key-agreement.pem'))?.eui).toBe(BROKER);
  expect([added.status, added.stdout]).toEqual([0, `keys/devices/${DEVICE}.pem\n`]);
});

test('each certificate is of the key that the seed gives', () => {
  const spki = (pem: string) => new X509Certificate(pem).publicKey.export({ format: 'jwk' });
  const { tls, signing, keyAgreement } = userKeys(1, USER);
  const certificates = ['client', 'signing', 'key-agreement'].map((use) => spki(read('parties', USER, `${use}.pem`)));
  expect(certificates).toEqual(
    [tls, signing, keyAgreement].map(({ publicKey }) => publicKey.export({ format: 'jwk' })),
  );
  expect(spki(read('devices', `${DEVICE}.pem`))).toEqual(
    deviceKeys(1, DEVICE).keyAgreement.publicKey.export({ format: 'jwk' }),
  );
  for (const file of filesIn(KEYS).filter((path) => path.endsWith('.key'))) {
    const certificate = new X509Certificate(readFileSync(file.replace(/key$/, 'pem')));
    expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(file))), file).toBe(true);
  }
});

test('private keys and the seed are readable by their owner alone', () => {
  const secrets = filesIn(KEYS).filter((path) => /\.key$|pki\.json$/.test(path));
  expect(secrets.length).toBe(2 + 4 * 3 + 1 + 1);
  for (const file of secrets) expect([file, statSync(file).mode & 0o777]).toEqual([file, 0o600]);
});

const OPENSSL = spawnSync('openssl', ['version']).error === undefined;
if (!OPENSSL) process.stderr.write('skipped: certificates looked at by openssl, which is not there\n');
describe.skipIf(!OPENSSL)('openssl', () => {
  const openssl = (...args: string[]) => spawnSync('openssl', args, { encoding: 'utf8', cwd: KEYS });

  test('verifies every certificate strictly, each for what it is for', () => {
    const certificates = filesIn(KEYS).filter((path) => path.endsWith('.pem'));
    expect(certificates.length).toBe(2 + 4 * 3 + 1);
    for (const file of certificates) {
      const purpose = file.endsWith('client.pem') ? 'sslclient' : file.endsWith('server.pem') ? 'sslserver' : 'any';
      const { stdout, stderr } = openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.pem', file);
      expect(stdout + stderr).toBe(`${file}: OK\n`);
    }
    const wrong = openssl('verify', '-purpose', 'sslclient', '-CAfile', 'ca.pem', 'server.pem');
    expect(wrong.status).not.toBe(0);
  });

  test('finds EUI and role in the subject of a party, and the EUI in the alternative name of a device', () => {
    const text = (file: string) => openssl('x509', '-in', file, '-noout', '-text').stdout;
    const party = text(`parties/${USER}/key-agreement.pem`);
    expect(party).toMatch(/Subject: .*OU = MDR.*x500UniqueIdentifier = #03090090B3D51F30010000/);
    expect(party).toMatch(/Signature Algorithm: ecdsa-with-SHA256[\s\S]*prime256v1[\s\S]*critical\s+Key Agreement/);
    const device = text(`devices/${DEVICE}.pem`);
    expect(device).toMatch(
      /Subject: \n[\s\S]*Subject Alternative Name: critical\s+othername: 1\.3\.6\.1\.5\.5\.7\.8\.4/,
    );
    expect(new X509Certificate(read('devices', `${DEVICE}.pem`)).raw.toString('hex')).toContain('040800db1234567890a0');
  });
});

test('a server of the folder and a client of it meet over mutual TLS, and a client without a certificate is turned away', async () => {
  const server = createServer(
    {
      key: read('server.key'),
      cert: read('server.pem'),
      ca: read('ca.pem'),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const { raw } = (request.socket as TLSSocket).getPeerCertificate();
      response.end(partyOf(raw)?.eui);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const ask = (host: string, client: object) =>
    new Promise<string>((resolve, reject) => {
      get({ host, port, ca: read('ca.pem'), agent: false, ...client }, async (response) => {
        resolve((await response.toArray()).join(''));
      }).on('error', reject);
    });
  const client = { key: read('parties', USER, 'client.key'), cert: read('parties', USER, 'client.pem') };
  try {
    expect(await ask('127.0.0.1', client)).toBe(USER);
    expect(await ask('localhost', client)).toBe(USER);
    await expect(ask('127.0.0.1', {})).rejects.toThrow();
  } finally {
    server.close();
  }
});

describe('a folder that is there', () => {
  test('is not touched, unless --overwrite is given and it is one of keys', () => {
    const before = read('parties', USER, 'client.key');
    const refused = pki('--keys', KEYS, '--seed', '2');
    expect([refused.status, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain('is there already');
    expect(read('parties', USER, 'client.key')).toBe(before);

    const other = join(folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'thesis.txt'), 'years of work');
    expect(pki('--keys', other, '--overwrite').status).toBe(2);
    expect(readdirSync(other)).toEqual(['thesis.txt']);
  });

  test('is replaced as a whole by --overwrite, with other keys for another seed and the same for the same', () => {
    const copy = join(folder, 'copy');
    expect(pki('--keys', copy).status).toBe(0);
    const key = () => readFileSync(join(copy, 'parties', USER, 'signing.key'), 'utf8');
    expect(key()).toBe(read('parties', USER, 'signing.key'));
    expect(pki('device', DEVICE, '--keys', copy).status).toBe(0);
    expect(pki('--keys', copy, '--seed', '2', '--overwrite').status).toBe(0);
    expect(key()).not.toBe(read('parties', USER, 'signing.key'));
    expect(readdirSync(join(copy, 'devices'))).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.startsWith('copy'))).toEqual(['copy']);
  });
});

test.each([
  ['a seed that is none', ['--seed', '-1'], '--seed'],
  ['a seed that is too large', ['--seed', '4294967296'], '4294967295'],
  ['a world that is not there', ['--world', 'none.yaml'], 'none.yaml'],
  ['another action', ['devices'], 'device or nothing'],
  ['no device', ['device', '--keys', KEYS], 'at least one'],
  ['a device that is none', ['device', '12-34', '--keys', KEYS], '12-34'],
  ['a folder without keys', ['device', DEVICE, '--keys', folder], 'pki.json'],
])('%s ends with exit code 2 and makes nothing', (_, args, named) => {
  const { status, stdout, stderr } = pki(
    ...args,
    ...(args.includes('--keys') ? [] : ['--keys', join(folder, 'nothing')]),
  );
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(named);
  expect(existsSync(join(folder, 'nothing'))).toBe(false);
});
