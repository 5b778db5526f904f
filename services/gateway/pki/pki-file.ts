import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import type { Party } from './certificate.ts';

/** What a folder of keys is made of: its pki.json. */
export type Pki = { seed: number; users: readonly Party[] };

/** Reads pki.json. Throws INPUT_UNREADABLE where the folder is none of these. */
export function readPki(directory: string): Pki {
  const file = join(directory, 'pki.json');
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Pki;
  } catch (error) {
    const expected = `a folder of keys as 'mdr pki' makes it (${(error as NodeJS.ErrnoException).code ?? 'no JSON'})`;
    throw new MdrError('INPUT_UNREADABLE', `${directory} holds no keys`, [{ file, expected }]);
  }
}
