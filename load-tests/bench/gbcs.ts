import { createCipheriv, createSecretKey, hash } from 'node:crypto';
import { DEFAULT_MATRIX, srvIndex } from '#core/matrix.ts';
import { DAY_MS, readWindow } from '#core/settlement-day.ts';
import { layOutFleet } from '#fleet-sim/fleet.ts';
import { deviceIdOf } from '#fleet-sim/meter.ts';
import { answerRead, meterReadsOf, newMeterAnswer } from '#fleet-sim/meter-answer.ts';
import type { MeterColumns } from '#services/gateway/gbcs/meter-columns.ts';
import { encodeResponse } from '#services/gateway/gbcs/response-encoder.ts';
import { USE_CASES } from '#services/gateway/gbcs/use-case.ts';
import { SECRETS_MAX, seedSecrets } from '#services/gateway/pki/seed-secrets.ts';
import { type Measurement, measured } from './measure.ts';

const SEED = 1;
const RESPONSES = 20_000;
/** Twice as many secrets as devices are kept: of each with the broker and with the User. */
const DEVICES = 10_000;
const FIRST_READS = 5_000;
const RUNS = 5;
const TODAY = 20_514;
const MDRA = '90-B3-D5-1F-30-01-00-00';

/**
 * ECS22b responses of 48 rows to an MDR User, encrypted and authenticated, that one core encodes in a CPU-second: from
 * devices whose shared secrets are kept, and from devices that are met for the first time. Beside it the bare
 * cryptography that each of them needs: two key derivations, one encryption and one MAC of as many bytes.
 */
export async function gbcs(): Promise<Measurement[]> {
  const columns = readColumns();
  const devices = Array.from({ length: DEVICES }, (_, meter) => deviceIdOf(meter));
  if (2 * DEVICES > SECRETS_MAX) throw new Error(`${DEVICES} devices have more secrets than are kept`);
  const kept = seedSecrets(SEED);
  for (const device of devices) encode(device, 0, columns, kept);
  const known = () => perCpuSecond(RESPONSES, (k) => encode(devices[k % DEVICES], k, columns, kept));
  const bare = () => perCpuSecond(RESPONSES, bareCryptography);
  known();
  bare();
  // By turns, so that what else the machine does falls on both.
  const runs = Array.from({ length: RUNS }, () => [known(), bare()]);
  const first = Array.from({ length: RUNS }, () => {
    const secrets = seedSecrets(SEED);
    return perCpuSecond(FIRST_READS, (k) => encode(devices[k], k, columns, secrets));
  });
  const bareValues = runs.map(([, value]) => value).sort((a, b) => a - b);
  const baseline = { name: 'two key derivations, one encryption, one MAC', value: bareValues[RUNS >> 1] };
  const target = '5,000 a second a core';
  return [
    measured(
      'gbcs-48-rows',
      'responses/CPU-s',
      runs.map(([value]) => value),
      { baseline, target },
    ),
    measured('gbcs-48-rows-first-read-of-device', 'responses/CPU-s', first),
  ];
}

function readColumns(): MeterColumns {
  const networks = [{ name: 'CSP', generation: 'SMETS2' as const, share: 1 }];
  const fleet = layOutFleet({ seed: SEED, meters: 5000, metersPerCell: 5000, exportShare: 0, networks });
  const reads = meterReadsOf(DEFAULT_MATRIX);
  const out = newMeterAnswer(reads);
  const { startMs, endMs } = readWindow(TODAY - 1, 'utc');
  answerRead(reads, fleet, 7, srvIndex(DEFAULT_MATRIX, '4.8.1'), startMs, endMs, TODAY * DAY_MS, out);
  if (out.rows !== 48) throw new Error(`${out.rows} rows, not 48`);
  return out;
}

const BYTES = 568;

function encode(device: string, k: number, columns: MeterColumns, secrets: ReturnType<typeof seedSecrets>): void {
  const counter = BigInt(k);
  const unknown = { brokerCounter: counter, deviceCounter: counter };
  const head = { useCase: USE_CASES['4.8.1'], device, party: MDRA, partyCounter: counter, unknown, atMs: 0 };
  const { length } = encodeResponse(head, columns, secrets);
  if (length !== BYTES) throw new Error(`a response of ${length} bytes, not ${BYTES}`);
}

const derivation = Buffer.alloc(69);
const nonce = Buffer.alloc(12);
const data = Buffer.alloc(402);
const covered = Buffer.alloc(545);

function bareCryptography(k: number): void {
  derivation.writeUInt32BE(k);
  for (const [aad, plain] of [
    [nonce, data],
    [covered, undefined],
  ] as const) {
    const key = createSecretKey(hash('sha256', derivation, 'buffer').subarray(0, 16));
    const cipher = createCipheriv('aes-128-gcm', key, nonce, { authTagLength: 12 });
    cipher.setAAD(aad);
    if (plain !== undefined) cipher.update(plain);
    cipher.final();
    cipher.getAuthTag();
  }
}

function perCpuSecond(count: number, act: (k: number) => void): number {
  const before = process.threadCpuUsage();
  for (let k = 0; k < count; k++) act(k);
  const { user, system } = process.threadCpuUsage(before);
  return Math.round(count / ((user + system) / 1e6));
}
