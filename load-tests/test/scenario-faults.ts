import { expect } from 'vitest';
import { type Fault, formatFault, MdrError } from '#core/errors.ts';
import { parseScenario } from '#load-tests/scenario/load.ts';

/** A scenario file of six lines. */
export const SMALL = `name: small
fleet:
  meters: 1000
users:
  - { name: Agent One, mpid: AONE, role: MDR, share: 1 }
  - { name: Supplier One, mpid: SONE, role: IS, share: 1 }
`;

/** The faults of a scenario's text, none where it can be run. */
export function faultsOf(text: string, settings: readonly string[] = []): Fault[] {
  try {
    parseScenario(text, 'my.yaml', settings);
  } catch (error) {
    if (!(error instanceof MdrError)) throw error;
    expect(error.code).toBe('INPUT_INVALID');
    return [...error.faults];
  }
  return [];
}

/** The same as `mdr` prints them. */
export function linesOf(text: string, settings: readonly string[] = []): string[] {
  return faultsOf(text, settings).map(formatFault);
}
