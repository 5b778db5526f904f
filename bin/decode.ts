import { createReadStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Fault, MdrError } from '#core/errors.ts';
import { decodeMessage, type GbcsMessage } from '#services/gateway/gbcs/message.ts';
import { type MessageRow, messageRow, messageText } from '#services/gateway/gbcs/message-report.ts';
import { PAYLOAD_FILE_BYTES_MAX, payloadsIn } from '#services/gateway/gbcs/payload-file.ts';
import { gbcsResponse } from '#services/gateway/mmc-response.ts';
import { openSecrets } from '#services/gateway/pki/folder-secrets.ts';
import { pkiDirectory } from '#services/gateway/pki/places.ts';
import { renderXml } from '#services/gateway/xml-writer.ts';

export const summary = "Reads a SMETS2 meter's GBCS payload back: its MAC checked, its readings decrypted";

export const help = `Usage: mdr decode [FILE] [--keys KEYS] [--json|--mmc]

Reads a GBCSPayload of one of the seven electricity reads, a command or a response, checks its MAC, decrypts it where it
is encrypted, and prints its readings with their times and units. FILE is one message (raw, hex or base64), or DUIS
documents that carry GBCSPayload elements, as mdr ask prints them; - or no FILE is standard input.

  --keys KEYS   a folder of mdr pki (MDR_PKI_DIR, or .pki beside the package), or a JSON file
                {"Z": {"EUI": "64 hex digits", ...}} of a device's shared secrets with parties
  --json        Print a JSON array of {file, kind, useCase, srv, device, party, ..., data} instead of a table
  --mmc         Print each response as a GBCSResponse of the MMC schema
  --help        Print this

Exit codes: 0 every payload was read, 2 a payload or a key is not what it must be, 3 could not run.

Examples:
  mdr ask request.xml --world world.yaml | mdr decode
  mdr decode response.xml --keys keys --json | jq '.[].data[]'
  mdr decode payload.hex --mmc
  mdr ask request.xml --world world.yaml --json | jq -r '.[0].gbcsPayload' | mdr decode
`;

export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      keys: { type: 'string' },
      json: { type: 'boolean', default: false },
      mmc: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) throw new MdrError('USAGE', `one FILE at a time, not ${positionals.join(' and ')}`);
  if (values.json && values.mmc) throw new MdrError('USAGE', '--json or --mmc, not both');
  const [path = STDIN] = positionals;
  const file = path === STDIN ? 'standard input' : path;
  const payloads = payloadsIn(file, await readBytes(path, file));
  const secrets = openSecrets(values.keys ?? pkiDirectory());
  const rows: MessageRow[] = [];
  const refused: Fault[] = [];
  let message = '';
  payloads.forEach((payload, at) => {
    try {
      const decoded = decodeMessage(payload, secrets);
      if (values.json) rows.push(messageRow(file, decoded));
      else process.stdout.write(values.mmc ? mmcText(decoded) : `${at === 0 ? '' : '\n'}${messageText(decoded)}`);
    } catch (error) {
      if (!(error instanceof MdrError)) throw error;
      message ||= error.message;
      const name = payloads.length === 1 ? file : `${file}, payload ${at + 1} of ${payloads.length}`;
      refused.push(...error.faults.map((fault) => ({ file: name, ...fault })));
    }
  });
  if (values.json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  if (refused.length > 0) throw new MdrError('GBCS_REFUSED', message, refused);
  return 0;
}

const STDIN = '-';

async function readBytes(path: string, file: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of path === STDIN ? process.stdin : createReadStream(path)) {
      bytes += chunk.length;
      if (bytes > PAYLOAD_FILE_BYTES_MAX) {
        throw new MdrError('INPUT_INVALID', `${file} is too large`, [
          { file, expected: `at most ${PAYLOAD_FILE_BYTES_MAX} bytes` },
        ]);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof MdrError || code === undefined) throw error;
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read`, [
      { file, expected: `a file that can be read (${code})` },
    ]);
  }
  return Buffer.concat(chunks);
}

function mmcText(message: GbcsMessage): string {
  if (message.kind === 'command') {
    throw new MdrError('GBCS_REFUSED', 'There is no MMC document of a command', [{ expected: 'a response' }]);
  }
  return `<?xml version="1.0" encoding="UTF-8"?>\n${renderXml(gbcsResponse(message))}`;
}
