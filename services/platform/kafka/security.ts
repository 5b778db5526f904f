import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Fault } from '#core/errors.ts';
import type { Setting } from '../settings.ts';

/** How the connections to brokers and registry are made safe. Nothing set: plain TCP and HTTP, as in development. */
export type Security = { kafka: KafkaSecurity; registry: RegistrySecurity };
/** `ssl` in PEM, with nothing in it for the CAs that Node knows; both as kafkajs takes them. */
export type KafkaSecurity = {
  ssl?: { ca?: string; cert?: string; key?: string };
  sasl?: { mechanism: SaslMechanism; username: string; password: string };
};
/** `ca` in PEM. */
export type RegistrySecurity = { ca?: string; auth?: { username: string; password: string } };

export type SaslMechanism = 'plain' | 'scram-sha-256' | 'scram-sha-512';

export const NO_SECURITY: Security = { kafka: {}, registry: {} };

const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/** Settings of the connections, beside the addresses. Names and values are those that Kafka's own clients have. */
export const SECURITY_SETTINGS = {
  'security-protocol': {
    type: 'choice',
    default: 'PLAINTEXT',
    choices: PROTOCOLS,
    environment: 'KAFKA_SECURITY_PROTOCOL',
    doc: 'How brokers are talked to.',
  },
  'kafka-ca-file': {
    type: 'text',
    doc: "PEM file of the CA of the brokers' certificates; else the CAs that Node knows.",
  },
  'kafka-cert-file': { type: 'text', doc: 'PEM file of the certificate that is shown to brokers, for mutual TLS.' },
  'kafka-key-file': { type: 'text', doc: 'PEM file of its private key.' },
  'sasl-mechanism': { type: 'choice', default: 'SCRAM-SHA-512', choices: MECHANISMS, doc: 'How the name is proved.' },
  'sasl-username': { type: 'text', doc: 'Name at the brokers.' },
  'sasl-password': { type: 'text', isSecret: true, doc: 'Password at the brokers.' },
  'sasl-password-file': { type: 'text', doc: 'File of the password, in place of it.' },
  'registry-ca-file': { type: 'text', doc: "PEM file of the CA of the registry's certificate." },
  'registry-username': { type: 'text', doc: 'Name at the registry, for basic authentication.' },
  'registry-password': { type: 'text', isSecret: true, doc: 'Password at the registry.' },
  'registry-password-file': { type: 'text', doc: 'File of the password, in place of it.' },
} as const satisfies Record<string, Setting>;

type Name = keyof typeof SECURITY_SETTINGS;
export type SecurityValues = Partial<Record<Name, string | undefined>>;

/** The settings, files read. What is missing, cannot be used or is of no use goes into `faults`. */
export function securityOf(values: SecurityValues, registryUrl: string | undefined, faults: Fault[]): Security {
  const protocol = values['security-protocol'] ?? 'PLAINTEXT';
  const isTls = protocol.endsWith('SSL');
  const isSasl = protocol.startsWith('SASL');
  const isRegistryTls = registryUrl?.startsWith('https:') ?? true;
  if (!isTls)
    refuseUseless(values, ['kafka-ca-file', 'kafka-cert-file', 'kafka-key-file'], `nothing at ${protocol}`, faults);
  if (!isSasl)
    refuseUseless(values, ['sasl-username', 'sasl-password', 'sasl-password-file'], `nothing at ${protocol}`, faults);
  if (!isRegistryTls) refuseUseless(values, ['registry-ca-file'], `nothing for a registry at http:`, faults);
  const ssl = isTls ? tlsOf(values, faults) : undefined;
  const credentials = isSasl ? credentialsOf(values, 'sasl', true, faults) : undefined;
  const auth = credentialsOf(values, 'registry', false, faults);
  const ca = isRegistryTls ? textOf(values, 'registry-ca-file', faults) : undefined;
  if (ca !== undefined) checkPem({ ca }, values, ['registry-ca-file'], faults);
  const mechanism = (values['sasl-mechanism'] ?? 'SCRAM-SHA-512').toLowerCase() as SaslMechanism;
  return {
    kafka: { ...(ssl && { ssl }), ...(credentials && { sasl: { mechanism, ...credentials } }) },
    registry: { ...(ca !== undefined && { ca }), ...(auth && { auth }) },
  };
}

function refuseUseless(values: SecurityValues, names: readonly Name[], expected: string, faults: Fault[]): void {
  for (const path of names) if (values[path] !== undefined) faults.push({ path, expected });
}

function tlsOf(values: SecurityValues, faults: Fault[]): KafkaSecurity['ssl'] {
  const [certName, keyName] = ['kafka-cert-file', 'kafka-key-file'] as const;
  for (const [one, other] of [
    [certName, keyName],
    [keyName, certName],
  ] as const)
    if (values[one] !== undefined && values[other] === undefined)
      faults.push({ path: other, expected: `a file, as ${one} is given` });
  const ca = textOf(values, 'kafka-ca-file', faults);
  const cert = textOf(values, certName, faults);
  const key = textOf(values, keyName, faults);
  if (ca !== undefined) checkPem({ ca }, values, ['kafka-ca-file'], faults);
  if (cert === undefined || key === undefined) return ca === undefined ? {} : { ca };
  checkPem({ cert, key }, values, [certName, keyName], faults);
  return { ...(ca !== undefined && { ca }), cert, key };
}

function credentialsOf(
  values: SecurityValues,
  of: 'sasl' | 'registry',
  areNeeded: boolean,
  faults: Fault[],
): { username: string; password: string } | undefined {
  const [name, secret, file] = [`${of}-username`, `${of}-password`, `${of}-password-file`] as const;
  const username = values[name];
  const isPassword = values[secret] !== undefined || values[file] !== undefined;
  if (username === undefined && (areNeeded || isPassword)) faults.push({ path: name, expected: 'a name' });
  if (!isPassword && (areNeeded || username !== undefined))
    faults.push({
      path: secret,
      expected: `a password in MDR_${of.toUpperCase()}_PASSWORD, or a file of it in ${file}`,
    });
  if (values[secret] !== undefined && values[file] !== undefined)
    faults.push({ path: file, expected: `nothing, as ${secret} is given` });
  // A file that an editor has written ends with a line end, which belongs to no password.
  const password = values[secret] ?? textOf(values, file, faults)?.replace(/\r?\n$/, '');
  return username === undefined || password === undefined ? undefined : { username, password };
}

function textOf(values: SecurityValues, path: Name, faults: Fault[]): string | undefined {
  const file = values[path];
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    faults.push({ path, value: file, expected: `a file that can be read (${(error as Error).message})` });
    return undefined;
  }
}

function checkPem(
  parts: { ca?: string; cert?: string; key?: string },
  values: SecurityValues,
  names: readonly Name[],
  faults: Fault[],
): void {
  try {
    // A text without any certificate would be taken, and nobody trusted.
    if (parts.ca !== undefined && !parts.ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate');
    createSecureContext(parts);
  } catch (error) {
    const expected = `${names.length > 1 ? 'a certificate and its key' : 'certificates'} in PEM (${(error as Error).message})`;
    faults.push({ path: names.join(' and '), value: names.map((name) => values[name]).join(' and '), expected });
  }
}
