/**
 * An MPID as a number: four capital letters are a number of four digits to the base 26, which fits 19 bits. So a table
 * in shared memory holds MPIDs themselves, and no list of them has to be kept the same in every thread.
 */
export const MPID_CODES = 26 ** 4;
export const MPID_CODE_BITS = 19;

const A = 65;

/** -1 where the four bytes are not capital letters. */
export function mpidCodeAt(bytes: Uint8Array, at: number): number {
  let code = 0;
  for (let k = 0; k < 4; k++) {
    const letter = bytes[at + k] - A;
    if (!(letter >= 0 && letter < 26)) return -1;
    code = code * 26 + letter;
  }
  return code;
}

/** -1 where the text is no MPID. */
export function mpidCodeOf(mpid: string): number {
  if (mpid.length !== 4) return -1;
  let code = 0;
  for (let k = 0; k < 4; k++) {
    const letter = mpid.charCodeAt(k) - A;
    if (!(letter >= 0 && letter < 26)) return -1;
    code = code * 26 + letter;
  }
  return code;
}

export function mpidOf(code: number): string {
  const letters = [17_576, 676, 26, 1].map((unit) => A + (Math.floor(code / unit) % 26));
  return String.fromCharCode(...letters);
}
