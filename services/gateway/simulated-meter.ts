import { GENERATIONS, type Matrix } from '#core/matrix.ts';
import { type Fleet, layOutFleet } from '#fleet-sim/fleet.ts';
import { loadMeter, type Meter, newMeter } from '#fleet-sim/meter.ts';
import {
  answerReadOf,
  type MeterAnswer,
  type MeterReads,
  meterReadsOf,
  newMeterAnswer,
  type Outcome,
  TOU_REGISTERS_MAX,
} from '#fleet-sim/meter-answer.ts';
import { loadHousehold } from '#fleet-sim/profile.ts';
import type { Reading } from './answer.ts';
import type { World } from './world.ts';

/** The meters behind a world's devices: a fleet of as many, in file order, each made to be what its device says. */
export type SimulatedMeters = {
  world: World;
  fleet: Fleet;
  reads: MeterReads;
  meter: Meter;
  answer: MeterAnswer;
};

export function simulateMeters(world: World, matrix: Matrix): SimulatedMeters {
  const reads = meterReadsOf(matrix);
  const fleet = layOutFleet({
    seed: world.seed,
    meters: world.devices.length,
    metersPerCell: Math.max(1, world.devices.length),
    exportShare: 0,
    networks: [{ name: 'world', generation: 'SMETS2', share: 1 }],
  });
  return { world, fleet, reads, meter: newMeter(), answer: newMeterAnswer(reads) };
}

/** Reads the meter of a device row at an instant; `srv` is an index of the matrix, the window inclusive. */
export function readMeter(
  meters: SimulatedMeters,
  row: number,
  srv: number,
  window: { startMs: number; endMs: number },
  atMs: number,
): { outcome: Outcome; rows: Reading[] } {
  const { world, fleet, reads, meter, answer } = meters;
  const device = world.devices[row];
  loadMeter(fleet, row, meter);
  meter.generation = GENERATIONS.indexOf(device.generation);
  meter.exports = device.exportMpan !== undefined;
  meter.installedDay = device.installedDay;
  loadHousehold(fleet.seed, row, meter.home.zone, meter.exports, meter.home);
  answerReadOf(reads, meter, srv, window.startMs, window.endMs, atMs, answer);
  return { outcome: answer.outcome, rows: Array.from({ length: answer.rows }, (_, at) => readingAt(answer, at)) };
}

function readingAt(answer: MeterAnswer, at: number): Reading {
  const tou = at * TOU_REGISTERS_MAX;
  return {
    timeMs: answer.stampsMs[at],
    activeWh: answer.activeWh[at],
    ...(answer.hasReactive ? { reactiveVarh: answer.reactiveVarh[at] } : {}),
    ...(answer.touRegisters > 0 ? { touWh: [...answer.touWh.subarray(tou, tou + answer.touRegisters)] } : {}),
  };
}
