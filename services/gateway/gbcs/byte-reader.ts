import { MdrError } from '#core/errors.ts';
import type { DeviceId } from '#core/identifiers.ts';
import { euiText } from '#schemas/wire.ts';

/** Refuses a payload; `path` says where in it. */
export function refuseGbcs(message: string, expected: string, path?: string, value?: unknown): MdrError {
  return new MdrError('GBCS_REFUSED', message, [
    { ...(path === undefined ? {} : { path }), ...(value === undefined ? {} : { value }), expected },
  ]);
}

/**
 * Reads big-endian values one behind the other, never beyond the end. Throws GBCS_REFUSED at the byte that is missing or
 * not what it must be, numbered as in the whole payload.
 */
export class ByteReader {
  readonly bytes: Buffer;
  at = 0;
  readonly #what: string;

  /** `what` names the bytes in refusals, as `payload`. */
  constructor(bytes: Buffer, what: string) {
    this.bytes = bytes;
    this.#what = what;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    return this.take(1)[0];
  }

  u16(): number {
    return this.take(2).readUInt16BE();
  }

  u32(): number {
    return this.take(4).readUInt32BE();
  }

  u64(): bigint {
    return this.take(8).readBigUInt64BE();
  }

  eui(): DeviceId {
    return euiText(this.take(8), 0);
  }

  take(length: number): Buffer {
    if (length > this.left) {
      throw this.refusal(`${length} bytes, found ${this.left}: the ${this.#what} is cut off`, this.at);
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** Takes these very bytes. */
  expect(bytes: Uint8Array, meaning: string): void {
    const { at } = this;
    const found = this.take(bytes.length);
    if (!found.equals(bytes)) throw this.refusal(`${hex(bytes)} (${meaning})`, at, hex(found));
  }

  /** A length in its shortest form. */
  length(): number {
    const { at } = this;
    const first = this.u8();
    if (first < 0x80) return first;
    const bytes = first - 0x80;
    if (bytes < 1 || bytes > LENGTH_BYTES_MAX) throw this.refusal('a length of at most three bytes', at, hex([first]));
    const length = this.take(bytes).readUIntBE(0, bytes);
    if (length < 0x80 || (bytes > 1 && length < 1 << (8 * (bytes - 1)))) {
      throw this.refusal('a length in its shortest form', at, length);
    }
    return length;
  }

  /** Refuses what is left over. */
  end(): void {
    if (this.left > 0) throw this.refusal(`the end of the ${this.#what}`, this.at, `${this.left} bytes more`);
  }

  refusal(expected: string, at: number, value?: unknown): MdrError {
    return refuseGbcs(NOT_READABLE, expected, `byte ${at} of the ${this.#what}`, value);
  }
}

/** A message of a whole log of 13 months is 152 kB. */
const LENGTH_BYTES_MAX = 3;
const NOT_READABLE = 'This is not a GBCS message that can be read';

function hex(bytes: Iterable<number>): string {
  return Buffer.from([...bytes])
    .toString('hex')
    .toUpperCase();
}
