import type { FaultKind, Findings, Place } from './findings.ts';
import { type Log, placeKey, reportUnreadable } from './log.ts';
import type { Replays } from './replays.ts';

export type DeadLetters = {
  counts: { total: number; byReason: Record<string, number>; byService: Record<string, number> };
  /** `topic/partition/offset` of every record that was set aside. */
  setAside: ReadonlySet<string>;
  /** Makes each of them a fault. */
  report(): void;
};

/** What the services could not use. A record that one service set aside twice counts once. */
export async function readDeadLetters(log: Log, replays: Replays, faults: Findings<FaultKind>): Promise<DeadLetters> {
  const counts = { total: 0, byReason: {} as Record<string, number>, byService: {} as Record<string, number> };
  const letters: { place: Place; says: string }[] = [];
  const seen = new Set<string>();
  const setAside = new Set<string>();
  for (let partition = 0; partition < log.partitions; partition++) {
    await log.read(
      'dead-letters',
      partition,
      ({ value, offset }) => {
        if (value === null) return;
        const place = placeKey(value.topic, value.partition, value.offset);
        if (seen.has(`${value.service} ${place}`)) return replays.add('dead-letters');
        seen.add(`${value.service} ${place}`);
        setAside.add(place);
        counts.total++;
        counts.byReason[value.reason] = (counts.byReason[value.reason] ?? 0) + 1;
        counts.byService[value.service] = (counts.byService[value.service] ?? 0) + 1;
        const says = `${value.service} set offset ${value.offset} of ${value.topic}/${value.partition} aside: ${value.reason}`;
        letters.push({ place: { requestId: null, mode: null, topic: 'dead-letters', partition, offset }, says });
      },
      reportUnreadable(faults, setAside, 'dead-letters', partition),
    );
  }
  return {
    counts,
    setAside,
    report() {
      for (const { place, says } of letters) faults.add('dead-letter', place, () => says);
    },
  };
}
