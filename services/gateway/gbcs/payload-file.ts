import { SaxesParser } from 'saxes';
import { MdrError } from '#core/errors.ts';
import { DUIS_NAMESPACE } from '../element-sequence.ts';

/** Bytes of a file of payloads. The longest payload is 0.3 MB in base64; this leaves room for a few hundred of them. */
export const PAYLOAD_FILE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The GBCS payloads in a file: one message raw, in hex or in base64, or the GBCSPayload elements of DUIS documents, one
 * behind the other. Throws GBCS_REFUSED where it holds none.
 */
export function payloadsIn(file: string, bytes: Uint8Array): Uint8Array[] {
  if (bytes[0] === FIRST_BYTE) return [bytes];
  const text = new TextDecoder().decode(bytes).trim();
  const payloads = text.startsWith('<') ? elementsOf(file, text) : [text];
  if (payloads.length === 0) {
    throw refuse(file, 'a GBCSPayload; SMETS1 readings stand in the clear, and a refusal has none');
  }
  return payloads.map((payload) => binary(file, payload.replace(/\s+/g, '')));
}

/** General ciphering: what every message begins with, `3Q` in base64. */
const FIRST_BYTE = 0xdd;

function binary(file: string, text: string): Uint8Array {
  if (/^dd([0-9a-f]{2})*$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^3[Q-T][A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) return Buffer.from(text, 'base64');
  throw refuse(file, 'a message that begins with the byte DD, raw, in hex or in base64', text.slice(0, 40));
}

function elementsOf(file: string, text: string): string[] {
  return text.split(/(?=<\?xml\s)/).flatMap((document) => payloadElements(file, document));
}

function payloadElements(file: string, document: string): string[] {
  const parser = new SaxesParser({ xmlns: true, position: false });
  const payloads: string[] = [];
  let isInside = false;
  parser.on('error', (error) => {
    throw refuse(file, `well-formed XML (${error.message})`);
  });
  parser.on('doctype', () => {
    throw refuse(file, 'no DOCTYPE');
  });
  parser.on('opentag', ({ uri, local }) => {
    isInside = uri === DUIS_NAMESPACE && local === 'GBCSPayload';
    if (isInside) payloads.push('');
  });
  parser.on('closetag', () => {
    isInside = false;
  });
  parser.on('text', (part) => {
    if (isInside) payloads[payloads.length - 1] += part;
  });
  parser.write(document).close();
  return payloads;
}

function refuse(file: string, expected: string, value?: string): MdrError {
  const fault = value === undefined ? { file, expected } : { file, value, expected };
  return new MdrError('GBCS_REFUSED', `${file} holds no GBCS payload`, [fault]);
}
