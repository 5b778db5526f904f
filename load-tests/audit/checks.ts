import type { FaultKind, Findings } from './findings.ts';
import { type Log, placeKey, reportUnreadable } from './log.ts';
import type { Replays } from './replays.ts';

/** What access control sent to the anomaly check from one partition of requests. One entry a request. */
export type Checks = {
  requestOffset: number[];
  writtenMs: number[];
  /** Position in GENERATIONS, -1 unknown. */
  generation: number[];
  /** Offsets of requests whose check stands in dead-letters. */
  setAside: Set<number>;
};

/**
 * Reads anomaly-checks whole: it is keyed by User, so a partition of it holds requests of every partition. What is kept
 * of each on-demand request is three numbers.
 */
export async function readChecks(
  log: Log,
  faults: Findings<FaultKind>,
  setAside: ReadonlySet<string>,
  replays: Replays,
  generationOf: (symbol: string) => number,
): Promise<Checks[]> {
  const checks: Checks[] = Array.from({ length: log.partitions }, () => ({
    requestOffset: [],
    writtenMs: [],
    generation: [],
    setAside: new Set(),
  }));
  for (let partition = 0; partition < log.partitions; partition++) {
    const seen = new Array<number>(log.partitions).fill(-1);
    await log.read(
      'anomaly-checks',
      partition,
      ({ value, offset, writtenMs }) => {
        if (value === null) return;
        const { request, sourcePartition, sourceOffset, requestOffset } = value;
        if (sourceOffset <= seen[sourcePartition]) {
          replays.add('anomaly-checks');
          return;
        }
        seen[sourcePartition] = sourceOffset;
        const of = checks[sourcePartition];
        if (of === undefined || request.kind !== 'REQUEST') return;
        of.requestOffset.push(requestOffset);
        of.writtenMs.push(writtenMs);
        of.generation.push(generationOf(value.generation));
        if (setAside.has(placeKey('anomaly-checks', partition, offset))) of.setAside.add(requestOffset);
      },
      reportUnreadable(faults, setAside, 'anomaly-checks', partition),
    );
  }
  return checks;
}
