import { expect, test } from 'vitest';
import { FACTS } from './access-control.ts';
import { isResponseCode, RESPONSE_CODES } from './response-codes.ts';

test('the closed list holds the codes of the domain and no others', () => {
  const domain = 'I0 I99 E1 E2 E3 E4 E5 E11 E12 E13 E17 E19 E20 E21 E30'.split(' ');
  expect(Object.keys(RESPONSE_CODES)).toEqual(domain);
  for (const code of domain) expect(isResponseCode(code)).toBe(true);
  for (const text of ['', 'E0', 'e1', 'quarantine', 'toString']) expect(isResponseCode(text), text).toBe(false);
});

test('access control answers with codes of the list, or quarantines', () => {
  for (const { code } of FACTS) expect(code === 'quarantine' || isResponseCode(code), code).toBe(true);
});
