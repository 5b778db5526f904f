import { readFileSync } from 'node:fs';
import { crc32, inflateSync } from 'node:zlib';

export type Picture = { width: number; height: number; colours: number };

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
/** Samples a pixel, by the colour type of a PNG. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const EIGHT_BITS = 8;

/**
 * Reads a PNG of 8-bit samples, whole: every chunk by its checksum, every row of pixels. Size in pixels; `colours`: how
 * many different bytes its rows have, 2 or so where nothing is drawn. Throws where it is none.
 */
export function readPicture(path: string): Picture {
  const bytes = readFileSync(path);
  if (!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new Error(`${path} is no PNG`);
  const data: Buffer[] = [];
  let head: Buffer | undefined;
  let last = '';
  for (let at = SIGNATURE.length; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    last = bytes.toString('latin1', at + 4, at + 8);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (bytes.readUInt32BE(at + 8 + length) !== crc32(bytes.subarray(at + 4, at + 8 + length)))
      throw new Error(`${path}: the checksum of ${last} is wrong`);
    if (last === 'IHDR') head = body;
    if (last === 'IDAT') data.push(body);
    at += 12 + length;
  }
  if (head === undefined || last !== 'IEND') throw new Error(`${path} is cut off`);
  const [width, height, depth, samples] = [head.readUInt32BE(0), head.readUInt32BE(4), head[8], SAMPLES[head[9]]];
  const rows = inflateSync(Buffer.concat(data));
  if (depth !== EIGHT_BITS || rows.length !== height * (1 + width * samples))
    throw new Error(`${path} has ${rows.length} bytes of pixels for ${width} x ${height}`);
  return { width, height, colours: new Set(rows).size };
}
