import { KIND_ESME, KIND_OTHER, SMI_STATUSES } from '#core/access-control.ts';
import { GENERATIONS, REGISTERS, ROLES } from '#core/matrix.ts';
import { mpidCodeAt, mpidCodeOf, mpidOf } from '#core/mpid-code.ts';
import { APPOINTED_ROLES, type AppointedRole, type Appointment, resolveAppointments } from '#core/registration.ts';
import { DAY_MAX } from '#core/settlement-day.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { deviceFlags, type MpanTable, packTenure, TENURE_WORDS } from './mpan-table.ts';

/** Why a record changes nothing: what its dead letter says. */
export type Refusal = { reason: 'UNDECODABLE' | 'IMPOSSIBLE_VALUE' | 'OVERSIZED'; detail: string };

/** Two agents and a Supplier that change every month for 100 years. */
export const APPOINTMENTS_MAX = 4096;

/**
 * Puts the appointments of one MPAN into the table: `registration` values from `at` to `end`, behind the schema id.
 * `mpan` is that of the record's key. Changes nothing where it returns a refusal.
 */
export function applyRegistration(
  table: MpanTable,
  mpan: number,
  value: Buffer,
  at: number,
  end: number,
): Refusal | undefined {
  try {
    reader.open(value, at, end);
    const refusal = readRegistration(mpan);
    if (refusal !== undefined) return refusal;
    table.setTenures(mpan, packed, packTenures());
    return undefined;
  } catch (error) {
    return undecodable(error);
  }
}

/** The same for `metering-point` values: the device behind one MPAN. */
export function applyMeteringPoint(
  table: MpanTable,
  mpan: number,
  value: Buffer,
  at: number,
  end: number,
): Refusal | undefined {
  try {
    reader.open(value, at, end);
    const refusal = readMeteringPoint(mpan);
    if (refusal !== undefined) return refusal;
    table.setDevice(mpan, device);
    return undefined;
  } catch (error) {
    return undecodable(error);
  }
}

const reader = new AvroReader();
const device = { first: 0, second: 0, flags: 0 };

// The appointments of the record being read, one after another as registered.
const mpidCodes = new Int32Array(APPOINTMENTS_MAX);
const roles = new Uint8Array(APPOINTMENTS_MAX);
const efds = new Int32Array(APPOINTMENTS_MAX);
const untils = new Float64Array(APPOINTMENTS_MAX);
const packed = new Int32Array(APPOINTMENTS_MAX * TENURE_WORDS);
let appointments = 0;

/** Symbols of the schema's AppointedRole, which are the first of ROLES in their order. */
const ROLE_SYMBOLS: readonly string[] = ['IS', 'ES', 'MDR'];
if (ROLE_SYMBOLS.some((role, at) => ROLES[at] !== role) || ROLE_SYMBOLS.length !== APPOINTED_ROLES.length)
  throw new Error('the appointed roles of the schema are not the first of ROLES');

function readRegistration(mpan: number): Refusal | undefined {
  const refusal = readMpan(mpan);
  if (refusal !== undefined) return refusal;
  reader.skipLong();
  appointments = 0;
  for (let block = reader.long(); block !== 0; block = reader.long()) {
    // A negative count is followed by the block's length in bytes.
    if (block < 0) reader.skipLong();
    for (let left = Math.abs(block); left > 0; left--) {
      if (appointments === APPOINTMENTS_MAX)
        return { reason: 'OVERSIZED', detail: `more than ${APPOINTMENTS_MAX} appointments of one MPAN` };
      const bad = readAppointment(appointments);
      if (bad !== undefined) return bad;
      appointments++;
    }
  }
  return readEnd();
}

function readAppointment(k: number): Refusal | undefined {
  const length = reader.length();
  const mpidAt = reader.skip(length);
  const code = length === 4 ? mpidCodeAt(reader.buffer, mpidAt) : -1;
  if (code < 0) {
    const mpid = reader.buffer.toString('utf8', mpidAt, mpidAt + Math.min(length, 20));
    return impossible(`MPID of appointment ${k + 1} is ${JSON.stringify(mpid)}, expected four capital letters`);
  }
  mpidCodes[k] = code;
  roles[k] = readSymbol(ROLE_SYMBOLS.length);
  efds[k] = reader.int();
  untils[k] = readSymbol(2) === 0 ? DAY_MAX : reader.int() + 1;
  return undefined;
}

function readMeteringPoint(mpan: number): Refusal | undefined {
  const refusal = readMpan(mpan);
  if (refusal !== undefined) return refusal;
  reader.skipLong();
  const register = readSymbol(REGISTERS.length);
  const eui = reader.skip(8);
  device.first = reader.buffer.readInt32BE(eui);
  device.second = reader.buffer.readInt32BE(eui + 4);
  const kind = readSymbol(2) === 0 ? KIND_ESME : KIND_OTHER;
  const generation = readSymbol(GENERATIONS.length + 1);
  if (generation === GENERATIONS.length)
    return impossible(`generation is UNKNOWN, expected ${GENERATIONS.join(' or ')}: a device has one`);
  device.flags = deviceFlags(register, kind, generation, readSymbol(SMI_STATUSES.length));
  return readEnd();
}

function readMpan(mpan: number): Refusal | undefined {
  const found = reader.long();
  return found === mpan ? undefined : impossible(`mpan is ${found}, expected ${mpan} as in the key`);
}

function readSymbol(symbols: number): number {
  const symbol = reader.long();
  if (symbol >= 0 && symbol < symbols) return symbol;
  throw new MalformedBinary(`symbol ${symbol} of an enum or union of ${symbols}`);
}

function readEnd(): Refusal | undefined {
  const left = reader.end - reader.at;
  return left === 0 ? undefined : { reason: 'UNDECODABLE', detail: `${left} bytes behind the last field` };
}

// Nearly every MPAN has one appointment a role: nobody's tenure ends another's then. All others are core's to resolve.
function packTenures(): number {
  let rolesSeen = 0;
  for (let k = 0; k < appointments; k++) {
    const bit = 1 << roles[k];
    if ((rolesSeen & bit) !== 0) return packResolved();
    rolesSeen |= bit;
  }
  let count = 0;
  for (let k = 0; k < appointments; k++) {
    if (untils[k] > efds[k]) packTenure(packed, count++, mpidCodes[k], roles[k], efds[k], untils[k]);
  }
  return count;
}

function packResolved(): number {
  const asRegistered: Appointment[] = [];
  for (let k = 0; k < appointments; k++) {
    const etd = untils[k] === DAY_MAX ? {} : { etd: untils[k] - 1 };
    const role = ROLES[roles[k]] as AppointedRole;
    asRegistered.push({ mpid: mpidOf(mpidCodes[k]), role, efd: efds[k], ...etd });
  }
  const { tenures } = resolveAppointments(asRegistered);
  tenures.forEach(({ mpid, role, from, until }, k) => {
    packTenure(packed, k, mpidCodeOf(mpid), ROLES.indexOf(role), from, until);
  });
  return tenures.length;
}

function undecodable(error: unknown): Refusal {
  if (!(error instanceof MalformedBinary)) throw error;
  return { reason: 'UNDECODABLE', detail: error.message };
}

function impossible(detail: string): Refusal {
  return { reason: 'IMPOSSIBLE_VALUE', detail };
}
