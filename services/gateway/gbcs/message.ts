import type { Readings } from '../answer.ts';
import { ACCESS } from './body.ts';
import { ByteReader, refuseGbcs } from './byte-reader.ts';
import { type CommandBody, readCommand } from './command.ts';
import { type Envelope, macParties, readEnvelope } from './envelope.ts';
import { KEY_FLAG, macOf, messageKey, TAG_BYTES } from './protection.ts';
import { readResponse } from './response-decoder.ts';
import type { SharedSecrets } from './shared-secrets.ts';
import { type UseCase, useCaseOfCode } from './use-case.ts';

/** A message whose MAC is right, and whose data has been decrypted where it was encrypted. */
export type GbcsMessage =
  | { kind: 'command'; useCase: UseCase; envelope: Envelope; command: CommandBody }
  | { kind: 'response'; useCase: UseCase; envelope: Envelope; readings: Readings };

/**
 * Reads one whole message of the seven electricity reads: its structure, then its MAC, then what it says. Throws
 * GBCS_REFUSED where a bit of it is not as its sender wrote it, or the secrets are not those of its device and party.
 */
export function decodeMessage(payload: Uint8Array, secrets: SharedSecrets): GbcsMessage {
  const from = new ByteReader(Buffer.from(payload.buffer, payload.byteOffset, payload.length), 'payload');
  const { envelope, coveredAt, bodyBytes } = readEnvelope(from);
  const bodyAt = from.at;
  from.take(bodyBytes);
  from.expect(Uint8Array.of(0), 'no signature');
  const macAt = from.at;
  const mac = from.take(TAG_BYTES);
  from.end();
  checkMac(envelope, from.bytes.subarray(coveredAt, macAt), mac, secrets);
  const useCase = useCaseOfCode(envelope.code);
  if (useCase === undefined) {
    const code = envelope.code.toString(16).padStart(4, '0');
    throw refuseGbcs(NOT_A_READ, 'a use case of the seven electricity reads', 'use-case code', code);
  }
  const body = new ByteReader(from.bytes.subarray(0, bodyAt + bodyBytes), 'payload');
  body.at = bodyAt;
  readBodyHead(body, envelope);
  const message =
    envelope.kind === 'command'
      ? { kind: 'command' as const, useCase, envelope, command: readCommand(body, useCase, envelope) }
      : { kind: 'response' as const, useCase, envelope, readings: readResponse(body, useCase, envelope, secrets) };
  body.end();
  return message;
}

const NOT_A_READ = 'This message is none of an electricity read';

function checkMac(envelope: Envelope, covered: Uint8Array, mac: Uint8Array, secrets: SharedSecrets): void {
  const { kind, originator, counter, recipient } = envelope;
  const { device, party } = macParties(envelope);
  const flag = kind === 'command' ? KEY_FLAG.commandMac : KEY_FLAG.responseMac;
  const key = messageKey(secrets(device, party), flag, originator, counter, recipient);
  if (macOf(key, originator, covered).equals(mac)) return;
  throw refuseGbcs(
    'The MAC does not match',
    `a message as it was sent, and the keys of device ${device} and of ${party} that it was made with`,
  );
}

function readBodyHead(from: ByteReader, { kind, counter }: Envelope): void {
  const head = Buffer.alloc(5);
  head[0] = ACCESS[kind];
  head.writeUInt32BE(0x2000_0000 | Number(counter & 0xff_ffffn), 1);
  from.expect(head, `body of a ${kind}, with the counter's low three bytes`);
}
