/**
 * Avro's binary encoding of single values, by hand: what the hot path reads and writes of a record without objects.
 * Longs are zigzag numbers of 7 bits a byte, the same on Kafka's record batches. A long is a safe integer here
 * (|value| < 2^53); others do not occur in our schemas and are refused. No BigInt: a long beyond 31 bits is split into
 * its low 28 bits (four whole bytes) and the rest.
 */

const LOW_BITS_VALUES = 2 ** 27;
const HIGH_MAX = 2 ** 26;
/** Bits that a ten-byte number may shift its rest by; a longer one is no long. */
const HIGH_SHIFT_MAX = 35;

/** Most bytes that `writeLong` takes. */
export const LONG_BYTES_MAX = 8;

/** Bytes that are no value of the type read, or that end before it does. */
export class MalformedBinary extends RangeError {
  readonly code = 'MALFORMED';

  constructor(message: string) {
    super(message);
    this.name = 'MalformedBinary';
  }
}

/** Writes a safe integer and returns the position behind it. The caller sees to the room (`LONG_BYTES_MAX`). */
export function writeLong(buffer: Uint8Array, at: number, value: number): number {
  let to = at;
  if (value >= -0x40000000 && value < 0x40000000) {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 127) {
      buffer[to++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    buffer[to++] = rest;
    return to;
  }
  const magnitude = value < 0 ? -(value + 1) : value;
  const low = ((magnitude & (LOW_BITS_VALUES - 1)) << 1) | (value < 0 ? 1 : 0);
  let high = Math.floor(magnitude / LOW_BITS_VALUES);
  buffer[to++] = (low & 127) | 128;
  buffer[to++] = ((low >> 7) & 127) | 128;
  buffer[to++] = ((low >> 14) & 127) | 128;
  buffer[to++] = ((low >> 21) & 127) | 128;
  while (high > 127) {
    buffer[to++] = (high & 127) | 128;
    high >>>= 7;
  }
  buffer[to++] = high;
  return to;
}

/** Bytes that `writeLong` takes for a whole number from 0 to 2^30 - 1, as lengths are. */
export function bytesOfLength(length: number): number {
  return length < 0x40 ? 1 : length < 0x2000 ? 2 : length < 0x100000 ? 3 : length < 0x8000000 ? 4 : 5;
}

export function writeBoolean(buffer: Uint8Array, at: number, value: boolean): number {
  buffer[at] = value ? 1 : 0;
  return at + 1;
}

/** Length and bytes, as Avro's `bytes`; the bytes of a string are written with it too. */
export function writeBytes(
  buffer: Uint8Array,
  at: number,
  source: Uint8Array,
  sourceAt: number,
  length: number,
): number {
  return writeFixed(buffer, writeLong(buffer, at, length), source, sourceAt, length);
}

/** Bytes without their length. A loop where it is faster than a call: 38 ns against 85 for 13 bytes, even at 35. */
export function writeFixed(
  buffer: Uint8Array,
  at: number,
  source: Uint8Array,
  sourceAt: number,
  length: number,
): number {
  if (length > 35) buffer.set(source.subarray(sourceAt, sourceAt + length), at);
  else for (let k = 0; k < length; k++) buffer[at + k] = source[sourceAt + k];
  return at + length;
}

/** Returns -1 where the string does not fit; the buffer's last bytes may then hold some of it. */
export function writeString(buffer: Buffer, at: number, value: string): number {
  if (value.length < 64 && at + value.length < buffer.length && writeAscii(buffer, at + 1, value)) {
    buffer[at] = value.length << 1;
    return at + 1 + value.length;
  }
  const length = Buffer.byteLength(value);
  const from = writeLong(buffer, at, length);
  if (from + length > buffer.length) return -1;
  return from + buffer.write(value, from, length, 'utf8');
}

/** False where the text is not ASCII. For 16 characters 75 ns; by `Buffer.byteLength` and `write` it is 194. */
function writeAscii(buffer: Buffer, at: number, value: string): boolean {
  for (let k = 0; k < value.length; k++) {
    const code = value.charCodeAt(k);
    if (code > 127) return false;
    buffer[at + k] = code;
  }
  return true;
}

/**
 * Reads values one after another. Point it at bytes with `open`, or set `at` and `end` by hand. A read that would pass
 * `end` throws `MalformedBinary`, with `at` then of no meaning. Numbers are returned without allocation.
 */
export class AvroReader {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  /** First position that is not to be read. At most the buffer's length. */
  end = 0;

  open(buffer: Buffer, at = 0, end = buffer.length): this {
    this.buffer = buffer;
    this.at = at;
    this.end = Math.min(end, buffer.length);
    return this;
  }

  long(): number {
    const buffer = this.buffer;
    let at = this.at;
    let byte = buffer[at++];
    let low = byte & 127;
    // Reading past the buffer gives undefined, which ends each loop; one look at the position afterwards is enough.
    for (let shift = 7; byte > 127 && shift < 28; shift += 7) {
      byte = buffer[at++];
      low |= (byte & 127) << shift;
    }
    let value = (low >>> 1) ^ -(low & 1);
    if (byte > 127) {
      let high = 0;
      for (let shift = 0; byte > 127; shift += 7) {
        byte = buffer[at++];
        if (shift > HIGH_SHIFT_MAX || (shift > 21 && (byte & 127) !== 0)) throw tooLong();
        if (shift <= 21) high |= (byte & 127) << shift;
      }
      if (high >= HIGH_MAX) throw tooLong();
      const magnitude = high * LOW_BITS_VALUES + (low >>> 1);
      value = (low & 1) === 0 ? magnitude : -magnitude - 1;
    }
    if (at > this.end) throw endsEarly();
    this.at = at;
    return value;
  }

  int(): number {
    const value = this.long();
    if (value !== (value | 0)) throw new MalformedBinary(`${value} is no 32-bit number`);
    return value;
  }

  skipLong(): void {
    const buffer = this.buffer;
    let at = this.at;
    const last = at + 10;
    while (buffer[at++] > 127) if (at === last) throw tooLong();
    if (at > this.end) throw endsEarly();
    this.at = at;
  }

  boolean(): boolean {
    if (this.at >= this.end) throw endsEarly();
    const byte = this.buffer[this.at++];
    if (byte > 1) throw new MalformedBinary(`${byte} is no boolean`);
    return byte === 1;
  }

  /** Reads the length of `bytes` or of a string, and leaves `at` on its first byte. All of it is there. */
  length(): number {
    const length = this.long();
    if (length < 0) throw new MalformedBinary(`a length of ${length}`);
    if (length > this.end - this.at) throw endsEarly();
    return length;
  }

  /** Passes over so many bytes, as of a `fixed`, and returns where they began. */
  skip(bytes: number): number {
    const from = this.at;
    if (bytes > this.end - from) throw endsEarly();
    this.at = from + bytes;
    return from;
  }

  skipBytes(): void {
    const length = this.length();
    this.at += length;
  }

  string(): string {
    const length = this.length();
    const from = this.skip(length);
    return this.buffer.toString('utf8', from, from + length);
  }
}

function endsEarly(): MalformedBinary {
  return new MalformedBinary('the bytes end inside a value');
}

function tooLong(): MalformedBinary {
  return new MalformedBinary('a number beyond 53 bits');
}
