import { type AccessRequest, type AccessTables, decideAccess, FACT, type User } from '#core/access-control.ts';
import { buildDeviceTable, buildUserTable } from '#core/access-tables.ts';
import { DEFAULT_MATRIX, MODES, ROLES, SERVICES, srvIndex } from '#core/matrix.ts';
import { buildRegistrationTable } from '#core/registration.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import { layOutFleet } from '#fleet-sim/fleet.ts';
import { deviceIdOf, importMpanOf } from '#fleet-sim/meter.ts';
import { type Measurement, measured, progress } from './measure.ts';

const DECISIONS = 5_000_000;
const RUNS = 5;
const TODAY = 20_514;
const AGENTS = 20;
/** Every so many MPANs have had a change of agent: one of its requests is for a day that is the other's. */
const CHANGED_ONE_IN = 20;

/**
 * Decisions a second on one core, 5 % refused: on a cell's 5,000 meters as `mdr plan` does, and on 1 million MPANs in
 * the order of the table and in random order, which waits for memory.
 */
export async function accessControl(): Promise<Measurement[]> {
  const cell = decide(5_000, false);
  progress('  5,000 meters done');
  const inOrder = decide(1_000_000, false);
  const random = decide(1_000_000, true);
  const target = 'at least 5e6 decisions/s';
  return [
    measured('access-control-5000-meters', 'decisions/s', cell, { target }),
    measured('access-control-1m-meters-in-order', 'decisions/s', inOrder, { target }),
    measured('access-control-1m-meters-random', 'decisions/s', random, {
      baseline: { name: 'the same in table order', value: inOrder[0] },
    }),
  ];
}

function decide(meters: number, isRandom: boolean): number[] {
  const tables = makeTables(meters);
  const order = Int32Array.from({ length: meters }, (_, k) =>
    isRandom ? draw32(7, k, 0, PURPOSE.onDemandMeter) % meters : k,
  );
  const request: AccessRequest = {
    user: 0,
    role: ROLES.indexOf('MDR'),
    certificate: 0,
    srv: srvIndex(DEFAULT_MATRIX, '4.8.1'),
    scheduledSrv: -1,
    mode: MODES.indexOf('scheduled'),
    service: SERVICES.indexOf('mhhs'),
    device: 0,
    firstDay: TODAY - 1,
    lastDay: TODAY - 1,
    atMs: TODAY * DAY_MS,
  };
  const run = () => {
    let accepted = 0;
    const startedMs = performance.now();
    for (let k = 0, at = 0; k < DECISIONS; k++) {
      const meter = order[at];
      if (++at === meters) at = 0;
      request.device = meter;
      request.user = meter % AGENTS;
      request.certificate = request.user;
      if (decideAccess(request, tables) === FACT.accepted) accepted++;
    }
    const perSecond = DECISIONS / ((performance.now() - startedMs) / 1000);
    const refusedShare = 1 - accepted / DECISIONS;
    if (Math.abs(refusedShare - 1 / CHANGED_ONE_IN) > 0.01) throw new Error(`${refusedShare} refused`);
    return Math.round(perSecond);
  };
  run();
  return Array.from({ length: RUNS }, run);
}

function makeTables(meters: number): AccessTables {
  const fleet = layOutFleet({
    seed: 1,
    meters,
    metersPerCell: meters,
    exportShare: 0,
    networks: [{ name: 'CSP', generation: 'SMETS2', share: 1 }],
  });
  const mpidOf = (agent: number) => `AG${String.fromCharCode(65 + Math.floor(agent / 26), 65 + (agent % 26))}`;
  const { table } = buildRegistrationTable(
    Array.from({ length: meters }, (_, meter) => {
      const agent = meter % AGENTS;
      const mpan = importMpanOf(fleet, meter);
      const changes = Math.floor(meter / AGENTS) % CHANGED_ONE_IN === 0;
      const next = { mpid: mpidOf((agent + 1) % AGENTS), role: 'MDR' as const, efd: TODAY - 1 };
      const appointments = [
        { mpid: mpidOf(agent), role: 'MDR' as const, efd: TODAY - 1000 },
        ...(changes ? [next] : []),
      ];
      return { mpan, appointments };
    }),
  );
  const users = Array.from(
    { length: AGENTS },
    (_, agent): User => ({
      name: mpidOf(agent),
      eui: `90-B3-D5-1F-30-00-10-${agent.toString(16).toUpperCase().padStart(2, '0')}`,
      category: 'MDR Party',
      roles: { MDR: [mpidOf(agent)] },
      gates: {
        accededOn: 0,
        ueptOn: { MDR: 0 },
        securityAssessments: [TODAY - 100],
        privacyAssessments: [TODAY - 100],
        adtDeclaredOn: 0,
      },
      anomalyThresholds: [],
    }),
  );
  const devices = Array.from({ length: meters }, (_, meter) => ({
    id: deviceIdOf(meter),
    esme: true,
    generation: 'SMETS2' as const,
    status: 'Commissioned' as const,
    importMpan: importMpanOf(fleet, meter),
  }));
  return {
    matrix: DEFAULT_MATRIX,
    convention: 'utc',
    users: buildUserTable(users, table),
    devices: buildDeviceTable(devices, table),
    registrations: table,
    anomaly: null,
  };
}
