import fc from 'fast-check';
import type { Reading, ReadVariant } from '../../answer.ts';
import { columnsOf } from '../meter-columns.ts';
import { encodeResponse, type ResponseHead } from '../response-encoder.ts';
import type { SharedSecrets } from '../shared-secrets.ts';
import { USE_CASES } from '../use-case.ts';

export const DEVICE = '00-DB-12-34-56-78-90-A0';
export const SUPPLIER = '90-B3-D5-1F-30-02-00-00';
export const MDRA = '90-B3-D5-1F-30-01-00-00';
export const SRVS_READ = Object.keys(USE_CASES) as ReadVariant[];

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** Who asks, and with which counters. */
export const anyParty = fc.oneof(
  fc.record({ party: fc.constant(SUPPLIER), partyCounter: u64 }),
  fc.record({
    party: fc.constant(MDRA),
    partyCounter: u64,
    unknown: fc.record({ brokerCounter: u64, deviceCounter: u64 }),
  }),
);

/** What a meter answers to one of the seven reads: its error as null, else as many rows as the read may have. */
export const anyAnswer = fc.constantFrom(...SRVS_READ).chain((srv) => {
  const { kind, row, twinRow } = USE_CASES[srv];
  const isTou = row.columns.includes('tou');
  return fc.boolean().chain((isTwin) => {
    const reading: fc.Arbitrary<Reading> = fc
      .record({
        seconds: fc.integer({ min: 0, max: 0xffffffff }),
        activeWh: u32,
        reactiveVarh: u32,
        secondaryWh: u32,
        touWh: fc.tuple(u32, u32),
      })
      .map((values) => ({
        timeMs: 946_684_800_000 + values.seconds * 1000,
        activeWh: values.activeWh,
        ...(row.columns.includes('reactive') ? { reactiveVarh: values.reactiveVarh } : {}),
        ...(isTwin && twinRow !== undefined ? { secondaryWh: values.secondaryWh } : {}),
        ...(isTou ? { touWh: values.touWh } : {}),
      }));
    const rows =
      kind === 'registers' ? reading.map((one) => [one]) : fc.array(reading, { maxLength: kind === 'days' ? 31 : 60 });
    return fc.record({ srv: fc.constant(srv), rows: fc.option(rows, { nil: null, freq: 8 }) });
  });
});

/** The response to it, and what reading it back must give. */
export function respond(
  { srv, rows }: { srv: ReadVariant; rows: readonly Reading[] | null },
  party: Pick<ResponseHead, 'party' | 'partyCounter' | 'unknown'>,
  secrets: SharedSecrets,
): { bytes: Buffer; rows: readonly Reading[] } {
  const head = { useCase: USE_CASES[srv], device: DEVICE, ...party, atMs: rows?.at(0)?.timeMs ?? 0 };
  const bytes = encodeResponse(head, rows === null ? null : columnsOf(rows), secrets);
  return { bytes, rows: (rows ?? []).map(asRead) };
}

/** A meter fills the whole matrix of its tariff. */
function asRead(reading: Reading): Reading {
  if (reading.touWh === undefined) return reading;
  const padded = (values: readonly number[], length: number) => [...values, ...Array(length - values.length).fill(0)];
  const zeros = Array<number>(8).fill(0);
  return {
    ...reading,
    touWh: padded(reading.touWh, 48),
    blockWh: [padded(reading.touWh, 8), zeros, zeros, zeros],
    ...(reading.secondaryWh === undefined ? {} : { secondaryTouWh: padded([reading.secondaryWh], 4) }),
  };
}
