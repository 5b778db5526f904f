import { SMI_STATUSES } from '#core/access-control.ts';
import { mpanFrom } from '#core/identifiers.ts';
import { GENERATIONS, MODES, ROLES, SRVS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { APPOINTED_ROLES, type Appointment } from '#core/registration.ts';
import { DAY_MS, HALF_HOUR_MS } from '#core/settlement-day.ts';
import type { UserRecord } from '#services/platform/access/users.ts';
import type { Draw } from '#services/platform/test/record-streams.ts';

export const TODAY = 20_514;

export type Point = {
  mpan: number;
  register: 'IMPORT' | 'EXPORT';
  device: Buffer;
  kind: 'ESME' | 'OTHER';
  generation: string;
  status: string;
};

export type RandomWorld = {
  users: UserRecord[];
  /** All of one partition. */
  mpans: number[];
  points: Map<number, Point>;
  registrations: Map<number, Appointment[]>;
};

const MPIDS = ['AAAA', 'BBBB', 'CCCC', 'DDDD', 'EEEE', 'FFFF'];

/** A small world in which every fact of access control comes about now and then. */
export function randomWorld(draw: Draw, partition: number, partitions: number): RandomWorld {
  const mpans: number[] = [];
  for (let k = 1; mpans.length < 25; k++) {
    const mpan = mpanFrom(100_000_000_000 + draw.below(9e5) * 1e6 + k);
    if (partitionOfMpan(mpan, partitions) === partition && !mpans.includes(mpan)) mpans.push(mpan);
  }
  const users = MPIDS.map((mpid, k) => randomUser(draw, k, mpid));
  const points = new Map<number, Point>();
  const registrations = new Map<number, Appointment[]>();
  for (const mpan of mpans) {
    if (draw.chance(0.9)) points.set(mpan, randomPoint(draw, mpan));
    if (draw.chance(0.9)) registrations.set(mpan, randomAppointments(draw));
  }
  return { users, mpans, points, registrations };
}

/** A ServiceRequest for avsc. Its position is for the caller to give. */
export function randomRequest(draw: Draw, world: RandomWorld, mode: number) {
  const mpan = draw.chance(0.97) ? draw.oneOf(world.mpans) : world.mpans[0];
  const point = world.points.get(mpan);
  const originator = draw.chance(0.97) ? euiOf(draw.below(world.users.length)) : euiOf(99);
  const receivedMs = TODAY * DAY_MS + draw.below(2 * DAY_MS) - DAY_MS;
  const windowStartMs = receivedMs - draw.below(6 * 48) * HALF_HOUR_MS + draw.below(3);
  const symbols = [...SRVS.map((srv) => `SRV_${srv.replaceAll('.', '_')}`), 'UNKNOWN'];
  const srv = draw.chance(0.5) ? 'SRV_4_8_1' : draw.oneOf(symbols);
  return {
    kind: 'REQUEST',
    source: draw.below(5),
    position: 0,
    mpan,
    originator,
    device: point !== undefined && draw.chance(0.97) ? point.device : euiOf(77),
    counter: draw.below(2 ** 31) * 2 ** 21 * (draw.chance(0.5) ? 1 : -1),
    role: draw.chance(0.7) ? draw.oneOf(['MDR', 'IS', 'ES']) : draw.oneOf([...ROLES, 'UNKNOWN']),
    signer: draw.chance(0.9) ? null : draw.chance(0.6) ? originator : euiOf(draw.below(world.users.length)),
    srv,
    scheduledSrv: srv === 'SRV_5_1' ? draw.oneOf(symbols) : 'UNKNOWN',
    mode: mode === MODES.indexOf('scheduled') ? 'SCHEDULED' : 'ON_DEMAND',
    service: draw.chance(0.8) ? 'MHHS' : 'EXISTING',
    receivedMs,
    windowStartMs,
    windowEndMs: windowStartMs + draw.below(3 * 48) * HALF_HOUR_MS - draw.below(2) * DAY_MS,
    dueWallMs: 1000 + draw.below(100) / 7,
  };
}

export function euiOf(k: number): Buffer {
  return Buffer.from([0x90, 0xb3, 0xd5, 0x1f, 0x30, 0, 0xff - k, k]);
}

function randomUser(draw: Draw, k: number, mpid: string): UserRecord {
  const roles = draw.chance(0.8) ? ['MDR', 'IS', 'ES'] : [draw.oneOf(ROLES)];
  const day = () => TODAY - 400 + draw.below(450);
  const mostly = (early: number) => (draw.chance(0.85) ? early : day());
  return {
    eui: euiOf(k),
    name: `User ${mpid}`,
    category: draw.oneOf(['Large Supplier', 'MDR Party', 'Other SEC Party']),
    roles: roles.map((role) => ({ role, mpids: [mpid] })),
    suspendedFrom: draw.chance(0.15) ? day() : null,
    accededOn: draw.chance(0.95) ? mostly(1) : null,
    ueptOn: roles.map((role) => ({ role, day: mostly(2) })),
    securityAssessments: [mostly(TODAY - 100)],
    privacyAssessments: [mostly(TODAY - 90)],
    equivalentSecurityOn: draw.chance(0.1) ? day() : null,
    equivalentPrivacyOn: draw.chance(0.1) ? day() : null,
    adtDeclaredOn: draw.chance(0.95) ? mostly(3) : null,
    anomalyThresholds: [],
  };
}

function randomPoint(draw: Draw, mpan: number): Point {
  return {
    mpan,
    register: draw.chance(0.7) ? 'IMPORT' : 'EXPORT',
    device: Buffer.from([0, 0xdb, 0x12, draw.below(256), draw.below(256), draw.below(256), draw.below(256), 1]),
    kind: draw.chance(0.95) ? 'ESME' : 'OTHER',
    generation: draw.oneOf(GENERATIONS),
    status: draw.chance(0.9) ? 'Commissioned' : draw.oneOf(SMI_STATUSES),
  };
}

function randomAppointments(draw: Draw): Appointment[] {
  return Array.from({ length: draw.below(7) }, () => {
    const efd = TODAY - draw.below(12);
    return {
      mpid: draw.oneOf([...MPIDS, 'ZZZZ']),
      role: draw.oneOf(APPOINTED_ROLES),
      efd,
      ...(draw.chance(0.2) ? { etd: efd - 1 + draw.below(10) } : {}),
    };
  });
}
