import { createHash, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { certificateDirectory, issuerAndSerialOf } from './certificate-directory.ts';

/** Of P-256, issued by OU=07, CN=U1 (in the order of the certificate); nobody has its key. */
const CERTIFICATE = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIIBJDCBzAIUTzwrGgn459bFtKOSgXBvXk08KxowCgYIKoZIzj0EAwIwGjELMAkG
A1UECwwCMDcxCzAJBgNVBAMMAlUxMCAXDTI2MTEyNDA4NDQzNloYDzIxMjYxMDMx
MDg0NDM2WjAPMQ0wCwYDVQQDDARVc2VyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAE22UpIZ4uSOB8TluB0ADMtK2zR+aw5J/gzTdaaBLhe/padZD1n0JS56VXtnsN
wzikgoeFpJif9OSYGUq6VOD5yTAKBggqhkjOPQQDAgNHADBEAiBvFWencTe6d+0O
fEUsjLe+nsjP4qMClLuHY56qicSYuAIgfmqNv0Lrqh0s726qRLUtS6wY4XQ2lip3
/C9toVuh9g4=
-----END CERTIFICATE-----`);
const SERIAL = 0x4f3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1an;
const EUI = '90-B3-D5-1F-30-01-00-00';
const lookUp = certificateDirectory([{ eui: EUI, certificate: CERTIFICATE }]);

test('a certificate names its issuer as RFC 4514 does, the last part first, and its serial number in decimal', () => {
  expect(issuerAndSerialOf(CERTIFICATE)).toEqual({ issuerName: 'CN=U1, OU=07', serialNumber: SERIAL });
});

test.each(['CN=U1, OU=07', 'CN=U1,OU=07', 'OU=07,CN=U1', 'cn=U1 ; ou = 07', ' OU=07\n CN=U1 '])(
  'is found by its serial number and its issuer written as %j',
  (issuerName) => {
    const found = lookUp({ issuerName, serialNumber: SERIAL });
    expect(found?.eui).toBe(EUI);
    expect(found?.publicKey.equals(CERTIFICATE.publicKey)).toBe(true);
  },
);

test('is found by what it is', () => {
  const fingerprint = createHash('sha256').update(CERTIFICATE.raw).digest('hex');
  expect(lookUp({ fingerprint })?.eui).toBe(EUI);
});

test.each([
  { issuerName: 'CN=U2, OU=07', serialNumber: SERIAL },
  { issuerName: 'CN=u1, OU=07', serialNumber: SERIAL },
  { issuerName: 'CN=U1', serialNumber: SERIAL },
  { issuerName: 'CN=U1\\, OU=07', serialNumber: SERIAL },
  { issuerName: '', serialNumber: SERIAL },
  { issuerName: 'CN=U1, OU=07', serialNumber: SERIAL + 1n },
  { fingerprint: 'f'.repeat(64) },
])('is not found by %o', (reference) => {
  expect(lookUp(reference)).toBeUndefined();
});

test('a key of another curve is a mistake of who makes the directory', () => {
  const p384 = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIIBLDCB0wIBTTAKBggqhkjOPQQDAjAaMQswCQYDVQQLDAIwNzELMAkGA1UEAwwC
VTEwIBcNMjYxMTI0MDg0NDM2WhgPMjEyNjEwMzEwODQ0MzZaMAwxCjAIBgNVBAMM
AVYwdjAQBgcqhkjOPQIBBgUrgQQAIgNiAATjN/Cu55t4lgygNnoz4axsOP6wz8BN
5Oy3v3dUFkIZw6Zw+XyM9xqsNIEUbmFuAIhfPBzJ+wMuNRbdFcmuWD3ZA44M2tzM
mbU1nKZdd1/7fs7JjVJuuXsVtj3vdY7wbREwCgYIKoZIzj0EAwIDSAAwRQIgLrRE
zYh2XfTzwiXICWnsiIxDbzJPiUr1wSfhZAjpD4ECIQDAh5s7Vs20Ptm8ewx37eyK
CPJKXCoE4bqFmYpKtqLrLQ==
-----END CERTIFICATE-----`);
  expect(() => certificateDirectory([{ eui: EUI, certificate: p384 }])).toThrow(/not of P-256/);
});
