import { type DeviceId, type Mpan, mpanWeight } from '#core/identifiers.ts';
import { GENERATIONS } from '#core/matrix.ts';
import { endHash, startHash } from '#core/partition.ts';
import { dayFrom, type SettlementDay } from '#core/settlement-day.ts';
import { draw32, drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import { cellOfMeter, type Fleet, networkOfMeter } from '#fleet-sim/fleet.ts';
import { type Household, loadHousehold, newHousehold } from '#fleet-sim/profile.ts';

/**
 * Who a meter is, from (fleet, index) alone and back. Nothing is stored: 30 million identities cost no memory.
 *
 *     MPAN       DD SSSSSSSS FF C   distributor 10..23 (drawn), 2 * meter + register, two free digits, check digit
 *     Device ID  02-4D-44-52-MM-MM-MM-MM   02: locally administered, so no maker's; then "MDR"; the meter's index
 *
 * The free digits are the first, from 00 up, with which Kafka's partitioner gives hash % HASH_CLASSES = cell %
 * HASH_CLASSES: both MPANs of a meter and all meters of a cell lie in one partition of any topic whose partitions
 * divide HASH_CLASSES. Where none of the hundred does (0.16 %), the next distributor's are tried, 10 after 23. Trying
 * takes 0.2 of the 0.3 us that an MPAN takes (user CPU on an EPYC, 2 M meters of 30 M).
 */
const SERIAL_STRIDE = 100;
/** A power of two. */
export const HASH_CLASSES = 16;
/** Both serials of a meter must fit the ten digits. */
export const METERS_MAX = 10 ** 10 / SERIAL_STRIDE / 2;

/** Positions in core's REGISTERS. */
export const REGISTER = { import: 0, export: 1 } as const;
export type RegisterIndex = (typeof REGISTER)[keyof typeof REGISTER];

/** A meter as {@link loadMeter} makes it: who it is and how its home uses energy. */
export type Meter = {
  index: number;
  /** Index in GENERATIONS. */
  generation: number;
  exports: boolean;
  /** Its first day; it records from 00:00 UTC on, with every register at 0. */
  installedDay: SettlementDay;
  home: Household;
};

export function newMeter(): Meter {
  return { index: 0, generation: 0, exports: false, installedDay: 0, home: newHousehold() };
}

/** Makes meter `index` of the fleet into `into`, without allocating. */
export function loadMeter(fleet: Fleet, index: number, into: Meter): void {
  into.index = index;
  into.generation = generationOfMeter(fleet, index);
  into.exports = hasExport(fleet, index);
  into.installedDay = installedDayOfMeter(fleet, index);
  const zone = ZONE_OF_AREA[distributorOfMeter(fleet, index) - DISTRIBUTOR_MIN];
  loadHousehold(fleet.seed, index, zone, into.exports, into.home);
}

/** Index in GENERATIONS: the generation of the network that reaches the meter. */
export function generationOfMeter(fleet: Fleet, meter: number): number {
  return GENERATIONS.indexOf(fleet.networks[networkOfMeter(fleet, meter)].generation);
}

/** Whether the home exports: drawn at `fleet.exportShare`. */
export function hasExport(fleet: Fleet, meter: number): boolean {
  return drawUnit(fleet.seed, meter, 0, PURPOSE.export) < fleet.exportShare;
}

export function importMpanOf(fleet: Fleet, meter: number): Mpan {
  return mpanOf(fleet, meter, REGISTER.import);
}

/** Undefined where the home does not export. */
export function exportMpanOf(fleet: Fleet, meter: number): Mpan | undefined {
  return hasExport(fleet, meter) ? mpanOf(fleet, meter, REGISTER.export) : undefined;
}

/** The meter and the register that an MPAN stands for; undefined where it is not exactly one of this fleet's. */
export function meterOfMpan(fleet: Fleet, mpan: Mpan): { meter: number; register: RegisterIndex } | undefined {
  const slot = Math.floor((Math.floor(mpan / 10) % SERIALS) / SERIAL_STRIDE);
  const meter = Math.floor(slot / 2);
  const register: RegisterIndex = slot % 2 === 0 ? REGISTER.import : REGISTER.export;
  if (meter >= fleet.meters || (register === REGISTER.export && !hasExport(fleet, meter))) return undefined;
  return mpanOf(fleet, meter, register) === mpan ? { meter, register } : undefined;
}

export function deviceIdOf(meter: number): DeviceId {
  const hex = meter.toString(16).toUpperCase().padStart(8, '0');
  return `${DEVICE_PREFIX}-${hex.slice(0, 2)}-${hex.slice(2, 4)}-${hex.slice(4, 6)}-${hex.slice(6, 8)}`;
}

/** Undefined where the Device ID (canonical text) is not one of this fleet's. */
export function meterOfDeviceId(fleet: Fleet, id: DeviceId): number | undefined {
  if (!DEVICE_ID.test(id)) return undefined;
  const meter = Number.parseInt(id.slice(DEVICE_PREFIX.length).replaceAll('-', ''), 16);
  return meter < fleet.meters ? meter : undefined;
}

/** Drawn evenly over the years in which meters of the generation were fitted (assumption). */
export function installedDayOfMeter(fleet: Fleet, meter: number): SettlementDay {
  const { first, days } = INSTALLATION[generationOfMeter(fleet, meter)];
  return first + Math.floor(drawUnit(fleet.seed, meter, OCCASION.installed, PURPOSE.identity) * days);
}

const SERIALS = 10 ** 10;
const DEVICE_PREFIX = '02-4D-44-52';
const DEVICE_ID = /^02-4D-44-52(-[0-9A-F]{2}){4}$/;
const OCCASION = { distributor: 0, installed: 1 } as const;

/** Distributor ids 10 to 23 are the licence areas, each in a zone: 0 south, 1 middle, 2 north. */
const DISTRIBUTOR_MIN = 10;
const ZONE_OF_AREA = [0, 1, 0, 1, 1, 2, 1, 2, 2, 0, 0, 0, 0, 1] as const;

/** SMETS1 meters were fitted from 2013 to 2019, SMETS2 meters from 2017 to 2025; in the order of GENERATIONS. */
const INSTALLATION = GENERATIONS.map((generation) => {
  const first = dayFrom(generation === 'SMETS1' ? 2013 : 2017, 1, 1);
  return { first, days: dayFrom(generation === 'SMETS1' ? 2020 : 2026, 1, 1) - first };
});

/** Every area is equally likely (assumption): networks are named by the scenario and say nothing of their areas. */
function distributorOfMeter(fleet: Fleet, meter: number): number {
  const bits = draw32(fleet.seed, meter, OCCASION.distributor, PURPOSE.identity);
  return DISTRIBUTOR_MIN + Math.floor((bits / 2 ** 32) * ZONE_OF_AREA.length);
}

function mpanOf(fleet: Fleet, meter: number, register: RegisterIndex): Mpan {
  const hashClass = cellOfMeter(fleet, meter) % HASH_CLASSES;
  const serial = (2 * meter + register) * SERIAL_STRIDE;
  const drawn = distributorOfMeter(fleet, meter) - DISTRIBUTOR_MIN;
  for (let k = 0; k < ZONE_OF_AREA.length; k++) {
    const distributor = DISTRIBUTOR_MIN + ((drawn + k) % ZONE_OF_AREA.length);
    const mpan = mpanOfClass(distributor * SERIALS + serial, hashClass);
    if (mpan !== NO_MPAN) return mpan;
  }
  throw new Error(`no MPAN of hash class ${hashClass} for meter ${meter}`);
}

const NO_MPAN = 0;
/** The check digit by the weighted sum of the other digits mod 11 and the free digits: a third faster than computed. */
const CHECK_DIGITS = Uint8Array.from({ length: 11 * SERIAL_STRIDE }, (_, place) => {
  const free = place % SERIAL_STRIDE;
  return ((Math.floor(place / SERIAL_STRIDE) + mpanWeight(free)) % 11) % 10;
});

/** The first MPAN of the class among those that begin with `first12`, whose last two digits are free; or NO_MPAN. */
function mpanOfClass(first12: number, hashClass: number): Mpan {
  const first8 = (first12 / 10_000) | 0;
  const four = (first12 - first8 * 10_000) | 0;
  const start = startHash(first8);
  const checkDigits = (mpanWeight(first12) % 11) * SERIAL_STRIDE;
  for (let free = 0; free < SERIAL_STRIDE; free++) {
    const checkDigit = CHECK_DIGITS[checkDigits + free];
    if ((endHash(start, four + free, checkDigit) & (HASH_CLASSES - 1)) === hashClass) {
      return (first12 + free) * 10 + checkDigit;
    }
  }
  return NO_MPAN;
}
