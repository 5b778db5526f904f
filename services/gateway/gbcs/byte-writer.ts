import type { DeviceId } from '#core/identifiers.ts';

/** Writes big-endian values one behind the other into a buffer that its owner has made large enough. */
export class ByteWriter {
  readonly buffer: Buffer;
  at = 0;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  u8(value: number): void {
    this.buffer[this.at++] = value;
  }

  u16(value: number): void {
    this.at = this.buffer.writeUInt16BE(value, this.at);
  }

  u32(value: number): void {
    this.at = this.buffer.writeUInt32BE(value, this.at);
  }

  u64(value: bigint): void {
    this.at = this.buffer.writeBigUInt64BE(value, this.at);
  }

  bytes(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  zeros(bytes: number): void {
    this.buffer.fill(0, this.at, this.at + bytes);
    this.at += bytes;
  }

  eui(eui: DeviceId): void {
    this.at = writeEui(this.buffer, this.at, eui);
  }

  /** A length as DLMS has it: one byte below 0x80, else the number of bytes that follow and those. */
  length(length: number): void {
    const bytes = lengthBytes(length);
    if (bytes > 1) this.u8(0x7f + bytes);
    for (let shift = 8 * Math.max(0, bytes - 2); shift >= 0; shift -= 8) this.u8((length >>> shift) & 0xff);
  }
}

/** What {@link ByteWriter.length} takes. */
export function lengthBytes(length: number): number {
  return length < 0x80 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 4;
}

/** Writes the 8 bytes of an EUI-64 and returns the position behind them. Makes no string: three stand in a message. */
export function writeEui(buffer: Uint8Array, at: number, eui: DeviceId): number {
  for (let k = 0; k < 8; k++) {
    buffer[at + k] = (hexDigit(eui.charCodeAt(3 * k)) << 4) | hexDigit(eui.charCodeAt(3 * k + 1));
  }
  return at + 8;
}

function hexDigit(character: number): number {
  return character <= NINE ? character - ZERO : character - LETTER_A + 10;
}

const ZERO = 48;
const NINE = 57;
const LETTER_A = 65;
