/** A metering point's number: 13 digits, the last one a check digit. Exact in a double. */
export type Mpan = number;

/** An EUI-64 as `00-DB-12-34-56-78-90-A0`: upper case, the form that tables are keyed by. */
export type DeviceId = string;

/** `originator:target:counter` of a DUIS request. */
export type RequestId = { originator: DeviceId; target: DeviceId; counter: bigint };

/** Target of every request that the DCC itself answers (5.1, 5.2, 5.3, 8.2). */
export const DCC_ACCESS_CONTROL_BROKER: DeviceId = '90-B3-D5-1F-30-00-00-02';

/** Check digit of an MPAN's first 12 digits: weighted sum mod 11 mod 10. */
export function mpanCheckDigit(first12: number): number {
  return (mpanWeight(first12) % 11) % 10;
}

/** The weighted sum of an MPAN's first 12 digits; those of digits in different places add up. */
export function mpanWeight(first12: number): number {
  const high = Math.floor(first12 / 1e6);
  return weighHigh(high) + weighLow(first12 - high * 1e6);
}

/** Undefined unless the text is 13 digits of which the first is not 0; the check digit may be wrong. */
export function parseMpan(text: string): Mpan | undefined {
  return /^[1-9]\d{12}$/.test(text) ? Number(text) : undefined;
}

export function hasValidCheckDigit(mpan: Mpan): boolean {
  const first12 = Math.floor(mpan / 10);
  return mpan - first12 * 10 === mpanCheckDigit(first12);
}

/** The MPAN that begins with these 12 digits. */
export function mpanFrom(first12: number): Mpan {
  return first12 * 10 + mpanCheckDigit(first12);
}

/** The first two digits; 10 to 23 are the licence areas of Great Britain. */
export function distributorOf(mpan: Mpan): number {
  return Math.floor(mpan / 1e11);
}

/** The canonical form of an EUI-64 written in either case; undefined where it is none. */
export function parseDeviceId(text: string): DeviceId | undefined {
  return /^[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){7}$/.test(text) ? text.toUpperCase() : undefined;
}

/** A Market Participant Identifier: four upper-case letters. */
export function parseMpid(text: string): string | undefined {
  return /^[A-Z]{4}$/.test(text) ? text : undefined;
}

const COUNTER_MAX = 2n ** 64n - 1n;

/** DUIS `RequestIDType`: two EUI-64s and an unsigned 64-bit counter without leading zeros. */
export function parseRequestId(text: string): RequestId | undefined {
  const parts = text.split(':');
  if (parts.length !== 3 || !/^(0|[1-9]\d{0,19})$/.test(parts[2])) return undefined;
  const originator = parseDeviceId(parts[0]);
  const target = parseDeviceId(parts[1]);
  const counter = BigInt(parts[2]);
  if (originator === undefined || target === undefined || counter > COUNTER_MAX) return undefined;
  return { originator, target, counter };
}

export function formatRequestId(id: RequestId): string {
  return `${id.originator}:${id.target}:${id.counter}`;
}

/** A response swaps originator and target and keeps the counter. */
export function responseIdOf(id: RequestId): RequestId {
  return { originator: id.target, target: id.originator, counter: id.counter };
}

// Two halves of six digits stay within 32 bits, where integer division is cheap: the fleet makes 30 million of these.
function weighHigh(six: number): number {
  return (
    3 * ((six / 100_000) | 0) +
    5 * (((six / 10_000) | 0) % 10) +
    7 * (((six / 1_000) | 0) % 10) +
    13 * (((six / 100) | 0) % 10) +
    17 * (((six / 10) | 0) % 10) +
    19 * (six % 10)
  );
}

function weighLow(six: number): number {
  return (
    23 * ((six / 100_000) | 0) +
    29 * (((six / 10_000) | 0) % 10) +
    31 * (((six / 1_000) | 0) % 10) +
    37 * (((six / 100) | 0) % 10) +
    41 * (((six / 10) | 0) % 10) +
    43 * (six % 10)
  );
}
