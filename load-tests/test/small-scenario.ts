import { stringify } from 'yaml';
import { buildReport } from '#load-tests/plan/build-report.ts';
import { CellSimulation, type Cutoffs } from '#load-tests/plan/cell-simulation.ts';
import { compileModel } from '#load-tests/plan/model.ts';
import { recordLength, writeRecord } from '#load-tests/plan/records.ts';
import type { PlanResult } from '#load-tests/plan/run.ts';
import { createTally } from '#load-tests/plan/tally.ts';
import type { Report } from '#load-tests/report/report.ts';
import { type LoadedScenario, parseScenario } from '#load-tests/scenario/load.ts';

/** Two agents, a Supplier that is its own MDRA on a fifth of its meters, and an Export Supplier. */
export const SMALL_USERS = [
  { name: 'Agent One', mpid: 'AONE', role: 'MDR', share: 0.6 },
  { name: 'Agent Two', mpid: 'ATWO', role: 'MDR', share: 0.4 },
  { name: 'Supplier One', mpid: 'SONE', role: 'IS', share: 1, ownMdraShare: 0.2 },
  { name: 'Exporter One', mpid: 'EONE', role: 'ES', share: 1 },
];

/** One Settlement Day on 2,000 meters in 9 cells; `settings` replace top-level keys of the scenario file. */
export function smallScenario(settings: Record<string, unknown> = {}): LoadedScenario {
  const document = {
    name: 'small',
    fleet: { meters: 2000, metersPerCell: 250 },
    users: SMALL_USERS,
    ...settings,
  };
  return parseScenario(stringify(document), 'small.yaml');
}

/**
 * Runs all cells, or those that `only` names in their order, here and now and in one pass: what is excess is not found out but given
 * as `cutoffs` of each key of User, SRV and period.
 */
export function simulateInProcess(
  { scenario, matrix }: LoadedScenario,
  { only, cutoffs = new Map() }: { only?: readonly number[]; cutoffs?: Cutoffs } = {},
): PlanResult {
  const model = compileModel(scenario, matrix);
  const cells = only ?? Array.from({ length: model.fleet.cells }, (_, cell) => cell);
  const tally = createTally(model);
  const simulation = new CellSimulation(model, tally, cutoffs, { bucketMs: 1, counts: new Map() });
  const length = recordLength(model);
  const records = new Float64Array(cells.length * length);
  cells.forEach((cell, k) => {
    const network = simulation.run(cell);
    writeRecord(model, cell, network, simulation.counted, records, k * length);
  });
  return {
    model,
    tally,
    records,
    cellsSelected: cells.length,
    complete: true,
    passes: 1,
    settled: true,
    wallSeconds: 0,
    cpuSeconds: 0,
  };
}

/** The report of a run; `sampleOneIn` is what the report says of itself. */
export function reportOf(result: PlanResult, sampleOneIn = 1): Report {
  return buildReport(result, { workers: 1, sampleOneIn, version: '0.0.0', command: 'npx mdr plan small' });
}
