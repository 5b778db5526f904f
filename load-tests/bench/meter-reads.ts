import { DEFAULT_MATRIX, srvIndex } from '#core/matrix.ts';
import { DAY_MS, readWindow } from '#core/settlement-day.ts';
import { layOutFleet } from '#fleet-sim/fleet.ts';
import { answerRead, meterReadsOf, newMeterAnswer } from '#fleet-sim/meter-answer.ts';
import { type Measurement, measured } from './measure.ts';

const READS = 300_000;
const RUNS = 5;
const TODAY = 20_514;

/** 48-interval reads (4.8.1) that the meter models make a second on one core. */
export async function meterReads(): Promise<Measurement[]> {
  const fleet = layOutFleet({
    seed: 1,
    meters: 30_000_000,
    metersPerCell: 5000,
    exportShare: 0.05,
    networks: [{ name: 'CSP', generation: 'SMETS2', share: 1 }],
  });
  const reads = meterReadsOf(DEFAULT_MATRIX);
  const out = newMeterAnswer(reads);
  const srv = srvIndex(DEFAULT_MATRIX, '4.8.1');
  const { startMs, endMs } = readWindow(TODAY - 1, 'utc');
  const run = () => {
    let rows = 0;
    const startedMs = performance.now();
    for (let k = 0; k < READS; k++) {
      answerRead(reads, fleet, (k * 97) % fleet.meters, srv, startMs, endMs, TODAY * DAY_MS, out);
      rows += out.rows;
    }
    const seconds = (performance.now() - startedMs) / 1000;
    if (rows < READS * 40) throw new Error(`only ${rows} intervals in ${READS} reads`);
    return Math.round(READS / seconds);
  };
  run();
  return [measured('meter-reads-48-intervals', 'reads/s', Array.from({ length: RUNS }, run))];
}
