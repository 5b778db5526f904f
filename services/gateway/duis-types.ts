import { parseDeviceId, parseRequestId } from '#core/identifiers.ts';
import { DAY_MS, parseDay, type SettlementDay } from '#core/settlement-day.ts';

/** A simple type of DUIS_Schema_V5.4.xsd: how its text is read, and what to say when it is none. */
export type DuisType<T> = { expected: string; parse(text: string): T | undefined };

/** DUIS `RequestIDType` (an xs:token: surrounding white space does not count). */
export const REQUEST_ID = type('originatorEUI:targetEUI:counter, each EUI as 8 hex pairs joined by -', (text) =>
  parseRequestId(collapse(text)),
);

/** DUIS `EUI`, as the upper-case Device ID. */
export const EUI = type('an EUI-64 as 8 hex pairs joined by -', (text) => parseDeviceId(collapse(text)));

/** xs:dateTime as an instant in ms. One without a zone is read as UTC, the time of all DUIS. */
export const DATE_TIME = type('an xs:dateTime as 2026-03-02T00:30:00Z', parseDateTime);

/** xs:time as ms after midnight UTC. */
export const TIME = type('an xs:time as 00:30:00Z', (text) => {
  const match = TIME_OF_DAY.exec(collapse(text));
  const ms = match === null ? undefined : timeOfDayMs(match);
  return ms === undefined || match === null ? undefined : (ms - zoneOffsetMs(match) + 2 * DAY_MS) % DAY_MS;
});

/** xs:date as a Settlement Day; a zone other than UTC would make it two days and is not taken. */
export const DATE = type('an xs:date as 2026-03-02, in UTC', (text) => parseDate(collapse(text).replace(/Z$/, '')));

/** DUIS `CommandVariant`. */
export const COMMAND_VARIANT = type('a CommandVariant, 1 to 9', (text) => integer(text, 1, 9));

/** DUIS `scheduleID`. */
export const SCHEDULE_ID = type('a schedule id, 0 to 1000000000000', (text) => integer(text, 0, 1_000_000_000_000));

/** DUIS `logPeriodOffset`, in days. */
export const OFFSET_DAYS = type('an offset in days, -400 to 0', (text) => integer(text, -400, 0));

/** DUIS `UPRN`. */
export const UPRN = type('a UPRN of at most 12 digits', (text) =>
  /^\+?0*[1-9]\d{0,11}$/.test(collapse(text)) ? collapse(text) : undefined,
);

/** DUIS `Certificate`: xs:base64Binary. Only its form is checked. */
export const CERTIFICATE = type('base64', (text) => (isBase64(text) ? text : undefined));

/** xs:base64Binary of so many bytes. */
export function bytesOf(length: number): DuisType<Buffer> {
  return type(`base64 of ${length} bytes`, (text) => {
    const bytes = isBase64(text) ? Buffer.from(text, 'base64') : undefined;
    return bytes?.length === length ? bytes : undefined;
  });
}

/** A certificate's serial number as an xs:integer; X.509 has at most 20 octets. */
export const SERIAL_NUMBER = type('a serial number of at most 49 digits', (text) =>
  /^\d{1,49}$/.test(collapse(text)) ? BigInt(collapse(text)) : undefined,
);

export const BOOLEAN = type('true or false', (text) =>
  /^(true|1)$/.test(collapse(text)) ? true : /^(false|0)$/.test(collapse(text)) ? false : undefined,
);

/** xs:decimal, as written. */
export const DECIMAL = type('a decimal as 5.4', (text) =>
  /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(collapse(text)) ? collapse(text) : undefined,
);

/** xs:string restricted by length. */
export function stringOf(lengthMin: number, lengthMax: number): DuisType<string> {
  const length = lengthMin === lengthMax ? `${lengthMin}` : `${lengthMin} to ${lengthMax}`;
  return type(`${length} characters`, (text) =>
    text.length >= lengthMin && text.length <= lengthMax ? text : undefined,
  );
}

/** xs:string restricted to a list: white space counts, as the schema has it. */
export function oneOf<const T extends string>(values: readonly T[]): DuisType<T> {
  return type(`one of ${values.join(', ')}`, (text) => values.find((value) => value === text));
}

function type<T>(expected: string, parse: (text: string) => T | undefined): DuisType<T> {
  return { expected, parse };
}

function collapse(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}

function integer(text: string, min: number, max: number): number | undefined {
  const collapsed = collapse(text);
  if (!/^[+-]?\d{1,20}$/.test(collapsed)) return undefined;
  const value = Number(collapsed);
  return value >= min && value <= max ? value + 0 : undefined;
}

const TIME_OF_DAY = /^(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,12}))?(Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?$/;

function parseDateTime(text: string): number | undefined {
  const [date, time] = collapse(text).split('T', 2);
  const day = parseDate(date);
  const match = TIME_OF_DAY.exec(time ?? '');
  const ms = match === null ? undefined : timeOfDayMs(match);
  return day === undefined || ms === undefined || match === null ? undefined : day * DAY_MS + ms - zoneOffsetMs(match);
}

/** XML Schema has 24:00:00 for the midnight that ends the day. */
function timeOfDayMs([, hh, mm, ss, fraction]: RegExpExecArray): number | undefined {
  const ms = Number(`0.${fraction ?? '0'}`) * 1000;
  const [hours, minutes, seconds] = [Number(hh), Number(mm), Number(ss)];
  const total = hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + Math.floor(ms);
  return hours <= 24 && minutes <= 59 && seconds <= 59 && total <= DAY_MS ? total : undefined;
}

function zoneOffsetMs(match: RegExpExecArray): number {
  const zone = match[5];
  if (zone === undefined || zone === 'Z') return 0;
  const ms = (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))) * 60_000;
  return zone.startsWith('-') ? -ms : ms;
}

/** XML Schema has no year 0. */
function parseDate(text: string): SettlementDay | undefined {
  return text.startsWith('0000') ? undefined : parseDay(text);
}

// White space may stand anywhere in base64; the bits that padding leaves over are 0.
function isBase64(text: string): boolean {
  return BASE64.test(text.replace(/\s+/g, ''));
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;
