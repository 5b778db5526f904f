/** Confluent's wire format: a zero byte and the schema's id before the Avro of each value. */
export const WIRE_HEADER_BYTES = 5;

/** Writes the header and returns the position behind it. */
export function writeWireHeader(buffer: Uint8Array, at: number, schemaId: number): number {
  buffer[at] = 0;
  buffer[at + 1] = schemaId >>> 24;
  buffer[at + 2] = schemaId >>> 16;
  buffer[at + 3] = schemaId >>> 8;
  buffer[at + 4] = schemaId;
  return at + WIRE_HEADER_BYTES;
}

/** The id of a value's schema, -1 where the bytes do not begin as they must. */
export function wireSchemaId(buffer: Uint8Array, at: number, length: number): number {
  if (length < WIRE_HEADER_BYTES || buffer[at] !== 0) return -1;
  return (buffer[at + 1] << 24) | (buffer[at + 2] << 16) | (buffer[at + 3] << 8) | buffer[at + 4];
}

const DIGIT_ZERO = 48;
export const MPAN_KEY_BYTES = 13;

/** Writes the 13 digits of an MPAN, the key of nearly every topic. */
export function writeMpanKey(buffer: Uint8Array, at: number, mpan: number): void {
  let high = Math.floor(mpan / 1e7);
  let low = mpan - high * 1e7;
  for (let k = 12; k >= 6; k--) {
    const rest = (low / 10) | 0;
    buffer[at + k] = DIGIT_ZERO + low - rest * 10;
    low = rest;
  }
  for (let k = 5; k >= 0; k--) {
    const rest = (high / 10) | 0;
    buffer[at + k] = DIGIT_ZERO + high - rest * 10;
    high = rest;
  }
}

/** The 8 bytes of an EUI-64 written `00-DB-12-34-56-78-90-A0`. */
export function euiBytes(eui: string): Buffer {
  return Buffer.from(eui.replaceAll('-', ''), 'hex');
}

/** The EUI-64 in 8 bytes as text, in the form that core keys by. */
export function euiText(buffer: Buffer, at: number): string {
  return (
    buffer
      .toString('hex', at, at + 8)
      .toUpperCase()
      .match(/../g) as string[]
  ).join('-');
}
