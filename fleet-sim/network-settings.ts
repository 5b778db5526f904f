import { GENERATIONS, type Matrix, MODES, ROLES, SERVICES, trtSecondsOf } from '#core/matrix.ts';
import { rowOf } from '#core/trt-row.ts';
import { type CellSettings, LANE, type RetryPolicy } from '#fleet-sim/cell.ts';
import { drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import type { NetworkSettings, RetrySettings, Scenario } from '#fleet-sim/scenario.ts';
import { type ServiceTime, serviceTimeTable } from '#fleet-sim/service-time.ts';
import type { World } from '#fleet-sim/world.ts';

export function cellSettings(network: NetworkSettings, scenario: Scenario, matrix: Matrix): CellSettings {
  // Equal times share a table: the fewer there are, the more of them stay in the processor's cache.
  const tables = new Map<string, Int32Array>();
  const tableOf = (time: ServiceTime): Int32Array => {
    const key = JSON.stringify(time);
    const table = tables.get(key) ?? serviceTimeTable(time);
    tables.set(key, table);
    return table;
  };
  const ofSrv = matrix.services.map(({ srv }) => tableOf(network.serviceTimes[srv] ?? network.serviceTime));
  const ofOther = scenario.existing.other.map(({ serviceTime }) => tableOf(serviceTime));
  const retry: [RetryPolicy, RetryPolicy] = [
    retryPolicy(network.retries.scheduled),
    retryPolicy(network.retries.onDemand),
  ];
  if (LANE.scheduled !== 0) throw new Error('retry policies stand in the order of the lanes');
  return {
    exchangesMax: network.exchangesPerCell,
    startsPerSecondMax: network.startsPerSecondPerCell ?? Number.POSITIVE_INFINITY,
    serviceTimes: [...ofSrv, ...ofOther],
    noAnswerMs: Math.round(network.noAnswerSeconds * 1000),
    attemptFailureShare: network.attemptFailureShare,
    reachability: {
      notCommunicatingShare: scenario.fleet.notCommunicatingShare,
      spellDays: scenario.fleet.spellDays,
      intermittentShare: scenario.fleet.intermittentShare,
      intermittentHours: scenario.fleet.intermittentHours,
    },
    retry,
    outages: [],
  };
}

/** The outages that one cell goes through: of those on its network, the ones whose share of cells it falls in. */
export function outagesOfCell(world: World, network: number, cell: number): CellSettings['outages'] {
  const { outages } = world.scenario;
  const name = world.scenario.networks[network].name;
  const hit = outages.flatMap((outage, index) => {
    if (outage.network !== name) return [];
    // Occasion 0 picks the cells of a sample: they must not be the ones that are out.
    if (drawUnit(world.scenario.seed, cell, 1 + index, PURPOSE.cellPick) >= outage.cellsShare) return [];
    const startMs = world.countedStartMs + Math.round(outage.startHour * 3_600_000);
    const endMs = startMs + Math.round(outage.hours * 3_600_000);
    return [{ startMs, endMs, recoveryMs: Math.round(outage.recoveryMinutes * 60_000) }];
  });
  return hit.sort((a, b) => a.startMs - b.startMs);
}

/** TRT in ms by row of the network's generation, -1 where not available to anyone. */
export function trtMsOf({ generation }: NetworkSettings, matrix: Matrix, rows: number): Float64Array {
  const trtMs = new Float64Array(rows).fill(-1);
  const g = GENERATIONS.indexOf(generation);
  for (let srv = 0; srv < matrix.services.length; srv++) {
    for (let mode = 0; mode < MODES.length; mode++) {
      for (let service = 0; service < SERVICES.length; service++) {
        // One TRT a combination: the matrix differs between roles only in who is eligible.
        const seconds = ROLES.map((_, role) => trtSecondsOf(matrix, srv, g, mode, service, role));
        trtMs[rowOf(srv, mode, service)] = Math.max(...seconds) < 0 ? -1 : Math.max(...seconds) * 1000;
      }
    }
  }
  return trtMs;
}

function retryPolicy(settings: RetrySettings): RetryPolicy {
  return {
    attemptsMax: settings.attemptsMax,
    backoffMs: Math.round(settings.backoffSeconds * 1000),
    factor: settings.factor,
    giveUpMs: Math.round(settings.giveUpSeconds * 1000),
  };
}
