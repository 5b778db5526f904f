import { MPID_CODES, mpidCodeOf } from '#core/mpid-code.ts';

/** A bit for each MPID that a User has, in memory that all threads share: 57 kB. */
export function knownMpids(users: Iterable<{ roles: { mpids: string[] }[] }>): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(Math.ceil(MPID_CODES / 8));
  const bits = new Uint8Array(memory);
  for (const { roles } of users) {
    for (const code of roles.flatMap(({ mpids }) => mpids.map(mpidCodeOf)))
      if (code >= 0) bits[code >> 3] |= 1 << (code & 7);
  }
  return memory;
}

export function isKnownMpid(bits: Uint8Array, code: number): boolean {
  return (bits[code >> 3] & (1 << (code & 7))) !== 0;
}
