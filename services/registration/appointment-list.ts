import { mpidCodeAt, mpidOf } from '#core/mpid-code.ts';
import { DAY_MAX, formatDay, type SettlementDay } from '#core/settlement-day.ts';
import { type AvroReader, MalformedBinary, writeLong } from '#schemas/avro-binary.ts';

/** Appointments of one MPAN, or of one change: two agents and a Supplier that change every month for 28 years. */
export const APPOINTMENTS_MAX = 1024;
/** In place of an ETD where there is none. */
export const NO_ETD: SettlementDay = DAY_MAX;
/** Symbols of AppointedRole in registration.avsc: the first of core's ROLES. */
export const APPOINTED: readonly string[] = ['IS', 'ES', 'MDR'];
const ES = APPOINTED.indexOf('ES');
/** Of one appointment in Avro: MPID with its length, role, EFD, ETD with its branch. */
const APPOINTMENT_BYTES_MAX = 5 + 1 + 5 + 6;

/**
 * Appointments in columns, in order of role and EFD, of which no two have both the same. One list serves one MPAN after
 * another.
 */
export class AppointmentList {
  count = 0;
  /** Position in APPOINTED. */
  readonly roles = new Uint8Array(APPOINTMENTS_MAX);
  /** MPID codes. */
  readonly mpids = new Int32Array(APPOINTMENTS_MAX);
  readonly efds = new Int32Array(APPOINTMENTS_MAX);
  readonly etds = new Int32Array(APPOINTMENTS_MAX);

  clear(): void {
    this.count = 0;
  }

  /** Where the appointment of this role and EFD stands, or -1 - (where it would). */
  find(role: number, efd: SettlementDay): number {
    let at = this.count;
    while (at > 0 && isBehind(this.roles[at - 1], this.efds[at - 1], role, efd)) at--;
    return at > 0 && this.roles[at - 1] === role && this.efds[at - 1] === efd ? at - 1 : -1 - at;
  }

  /** Takes the appointment in, in the place of the one of the same role and EFD. False where there is no room. */
  put(role: number, mpid: number, efd: SettlementDay, etd: SettlementDay): boolean {
    let at = this.find(role, efd);
    if (at < 0) {
      if (this.count === APPOINTMENTS_MAX) return false;
      at = -1 - at;
      for (let k = this.count++; k > at; k--) this.#copy(k, k - 1);
    }
    this.roles[at] = role;
    this.mpids[at] = mpid;
    this.efds[at] = efd;
    this.etds[at] = etd;
    return true;
  }

  copyFrom(other: AppointmentList): void {
    this.count = other.count;
    for (let k = 0; k < other.count; k++) {
      this.roles[k] = other.roles[k];
      this.mpids[k] = other.mpids[k];
      this.efds[k] = other.efds[k];
      this.etds[k] = other.etds[k];
    }
  }

  equals(other: AppointmentList): boolean {
    if (this.count !== other.count) return false;
    for (let k = 0; k < this.count; k++) {
      if (this.roles[k] !== other.roles[k] || this.mpids[k] !== other.mpids[k]) return false;
      if (this.efds[k] !== other.efds[k] || this.etds[k] !== other.etds[k]) return false;
    }
    return true;
  }

  #copy(to: number, from: number): void {
    this.roles[to] = this.roles[from];
    this.mpids[to] = this.mpids[from];
    this.efds[to] = this.efds[from];
    this.etds[to] = this.etds[from];
  }
}

/** An ETD on or after the next one's EFD: the two contradict each other. Undefined where there is none. */
export function overlapIn(list: AppointmentList): string | undefined {
  for (let k = 0; k + 1 < list.count; k++) {
    if (list.roles[k] !== list.roles[k + 1] || list.etds[k] === NO_ETD || list.etds[k] < list.efds[k + 1]) continue;
    const { role, mpid, next } = named(list, k);
    return `${role}: the ETD ${formatDay(list.etds[k])} of ${mpid} is expected before the EFD ${formatDay(list.efds[k + 1])} of ${next}`;
  }
  return undefined;
}

/**
 * Days between two appointments on which nobody is the MDRA or the Import Supplier, beside one that the change gives:
 * what was there before is nobody's fault now. A home may stop exporting. Undefined where there are none.
 */
export function gapIn(list: AppointmentList, change: AppointmentList): string | undefined {
  for (let k = 0; k + 1 < list.count; k++) {
    if (list.roles[k] !== list.roles[k + 1] || list.roles[k] === ES) continue;
    if (list.etds[k] === NO_ETD || list.etds[k] + 1 >= list.efds[k + 1]) continue;
    if (change.find(list.roles[k], list.efds[k]) < 0 && change.find(list.roles[k], list.efds[k + 1]) < 0) continue;
    const { role, mpid, next } = named(list, k);
    return `${role}: nobody from ${formatDay(list.etds[k] + 1)} to ${formatDay(list.efds[k + 1] - 1)}, between ${mpid} and ${next}`;
  }
  return undefined;
}

export function appointmentsBytesMax(count: number): number {
  return 10 + count * APPOINTMENT_BYTES_MAX;
}

/** Writes the Avro array of appointments, as registration and registration-change have it. */
export function writeAppointments(buffer: Buffer, at: number, list: AppointmentList): number {
  let to = at;
  if (list.count > 0) to = writeLong(buffer, to, list.count);
  for (let k = 0; k < list.count; k++) {
    to = writeMpid(buffer, to, list.mpids[k]);
    buffer[to++] = list.roles[k] << 1;
    to = writeLong(buffer, to, list.efds[k]);
    if (list.etds[k] === NO_ETD) buffer[to++] = 0;
    else {
      buffer[to++] = 2;
      to = writeLong(buffer, to, list.etds[k]);
    }
  }
  buffer[to++] = 0;
  return to;
}

/** Reads such an array into the list, which is empty before. Returns what is impossible about it. */
export function readAppointments(reader: AvroReader, list: AppointmentList, isEachOnce: boolean): string | undefined {
  for (let block = reader.long(); block !== 0; block = reader.long()) {
    // A negative count is followed by the block's length in bytes.
    if (block < 0) reader.skipLong();
    for (let left = Math.abs(block); left > 0; left--) {
      const mpid = readMpid(reader);
      if (mpid < 0) return 'an MPID is expected to be four capital letters';
      const role = readSymbol(reader, APPOINTED.length);
      const efd = reader.int();
      const etd = readSymbol(reader, 2) === 0 ? NO_ETD : reader.int();
      if (isEachOnce && list.find(role, efd) >= 0)
        return `${APPOINTED[role]}: two appointments with the EFD ${formatDay(efd)}`;
      if (!list.put(role, mpid, efd, etd)) return `more than ${APPOINTMENTS_MAX} appointments`;
    }
  }
  return undefined;
}

export function readSymbol(reader: AvroReader, symbols: number): number {
  const symbol = reader.long();
  if (symbol >= 0 && symbol < symbols) return symbol;
  throw new MalformedBinary(`symbol ${symbol} of an enum or union of ${symbols}`);
}

function isBehind(role: number, efd: number, otherRole: number, otherEfd: number): boolean {
  return role > otherRole || (role === otherRole && efd > otherEfd);
}

function named(list: AppointmentList, k: number): { role: string; mpid: string; next: string } {
  return { role: APPOINTED[list.roles[k]], mpid: mpidOf(list.mpids[k]), next: mpidOf(list.mpids[k + 1]) };
}

const A = 65;

function writeMpid(buffer: Buffer, at: number, code: number): number {
  buffer[at] = 8;
  buffer[at + 4] = A + (code % 26);
  buffer[at + 3] = A + (((code / 26) | 0) % 26);
  buffer[at + 2] = A + (((code / 676) | 0) % 26);
  buffer[at + 1] = A + ((code / 17_576) | 0);
  return at + 5;
}

function readMpid(reader: AvroReader): number {
  const length = reader.length();
  const at = reader.skip(length);
  return length === 4 ? mpidCodeAt(reader.buffer, at) : -1;
}
