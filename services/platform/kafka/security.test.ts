import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { type Fault, formatFault } from '#core/errors.ts';
import { environmentSecurity, readSettings } from '../settings.ts';
import { type SecurityValues, securityOf } from './security.ts';

const folder = mkdtempSync(join(tmpdir(), 'mdr-security-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const [ca] = rootCertificates;
const caFile = fileOf('ca.pem', ca);
const password = fileOf('password', 'from a file\n');
const noCertificate = fileOf('none.pem', 'hello\n');
const SASL = { 'security-protocol': 'SASL_SSL', 'sasl-username': 'mdr' } as const;

describe('what is set is how brokers and registry are talked to', () => {
  test.each<[string, SecurityValues, string, object]>([
    ['nothing', {}, 'http://r', { kafka: {}, registry: {} }],
    [
      'TLS with the CAs that Node knows',
      { 'security-protocol': 'SSL' },
      'http://r',
      { kafka: { ssl: {} }, registry: {} },
    ],
    [
      'TLS with a CA, a password from a file without its line end',
      { ...SASL, 'kafka-ca-file': caFile, 'sasl-password-file': password },
      'http://r',
      {
        kafka: { ssl: { ca }, sasl: { mechanism: 'scram-sha-512', username: 'mdr', password: 'from a file' } },
        registry: {},
      },
    ],
    [
      'a name in the clear',
      { ...SASL, 'security-protocol': 'SASL_PLAINTEXT', 'sasl-mechanism': 'PLAIN', 'sasl-password': ' p ' },
      'http://r',
      { kafka: { sasl: { mechanism: 'plain', username: 'mdr', password: ' p ' } }, registry: {} },
    ],
    [
      'a registry with a name and a CA',
      { 'registry-ca-file': caFile, 'registry-username': 'r', 'registry-password': 'p' },
      'https://r',
      { kafka: {}, registry: { ca, auth: { username: 'r', password: 'p' } } },
    ],
  ])('%s', (_, values, registryUrl, security) => {
    const faults: Fault[] = [];
    expect(securityOf(values, registryUrl, faults)).toEqual(security);
    expect(faults).toEqual([]);
  });
});

describe('what is missing or of no use is named', () => {
  test.each<[SecurityValues, string, (string | RegExp)[]]>([
    [{ 'kafka-ca-file': caFile }, 'http://r', ['kafka-ca-file expected nothing at PLAINTEXT']],
    [{ 'sasl-username': 'a', 'security-protocol': 'SSL' }, 'http://r', ['sasl-username expected nothing at SSL']],
    [
      { 'security-protocol': 'SASL_SSL' },
      'http://r',
      [
        'sasl-username expected a name',
        'sasl-password expected a password in MDR_SASL_PASSWORD, or a file of it in sasl-password-file',
      ],
    ],
    [
      { ...SASL, 'sasl-password': 'p', 'sasl-password-file': password },
      'http://r',
      ['sasl-password-file expected nothing, as sasl-password is given'],
    ],
    [
      { 'security-protocol': 'SSL', 'kafka-cert-file': caFile },
      'http://r',
      ['kafka-key-file expected a file, as kafka-cert-file is given'],
    ],
    [
      { 'security-protocol': 'SSL', 'kafka-cert-file': caFile, 'kafka-key-file': noCertificate },
      'http://r',
      [/^kafka-cert-file and kafka-key-file is ".*", expected a certificate and its key in PEM \(.+\)$/],
    ],
    [
      { 'security-protocol': 'SSL', 'kafka-ca-file': noCertificate },
      'http://r',
      [/^kafka-ca-file is ".*none.pem", expected certificates in PEM \(no certificate\)$/],
    ],
    [
      { 'security-protocol': 'SSL', 'kafka-ca-file': join(folder, 'absent') },
      'http://r',
      [/^kafka-ca-file is ".*absent", expected a file that can be read \(ENOENT.*\)$/],
    ],
    [{ 'registry-ca-file': caFile }, 'http://r', ['registry-ca-file expected nothing for a registry at http:']],
    [{ 'registry-password': 'p' }, 'http://r', ['registry-username expected a name']],
    [
      { 'registry-username': 'r' },
      'http://r',
      ['registry-password expected a password in MDR_REGISTRY_PASSWORD, or a file of it in registry-password-file'],
    ],
  ])('%j', (values, registryUrl, expected) => {
    const faults: Fault[] = [];
    securityOf(values, registryUrl, faults);
    expect(faults.map(formatFault)).toEqual(
      expected.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one))),
    );
  });
});

test('a password is no flag', () => {
  const flags = ['--brokers', 'a:1', '--registry', 'http://r', '--sasl-password', 'p'];
  expect(() => readSettings({}, flags, {})).toThrow(/Unknown option '--sasl-password'/);
});

test('where the Kafka is given by options, the environment says how it is secured', () => {
  const environment = { KAFKA_SECURITY_PROTOCOL: 'SASL_SSL', MDR_SASL_USERNAME: 'mdr', MDR_SASL_PASSWORD: 'p' };
  expect(environmentSecurity('http://r', environment).kafka).toEqual({
    ssl: {},
    sasl: { mechanism: 'scram-sha-512', username: 'mdr', password: 'p' },
  });
  expect(() => environmentSecurity('http://r', { MDR_SECURITY_PROTOCOL: 'TLS' })).toThrow(
    expect.objectContaining({
      faults: [
        { path: 'MDR_SECURITY_PROTOCOL', value: 'TLS', expected: 'one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL' },
      ],
    }),
  );
});
