import { type MeterAnswer, TOU_REGISTERS_MAX } from '#fleet-sim/meter-answer.ts';
import type { Reading } from '../answer.ts';

/**
 * Readings by column, as a meter answers them: `rows` rows, oldest first, `touWh` at [row * TOU_REGISTERS_MAX +
 * register]. `secondaryWh` is the second element's, of a twin element meter.
 */
export type MeterColumns = Omit<MeterAnswer, 'outcome'> & { secondaryWh?: Uint32Array };

/** Readings by row, turned into columns; the first says what all of them have. */
export function columnsOf(readings: readonly Reading[]): MeterColumns {
  const first = readings.at(0);
  const touWh = new Uint32Array(readings.length * TOU_REGISTERS_MAX);
  for (const [row, reading] of readings.entries()) touWh.set(reading.touWh ?? [], row * TOU_REGISTERS_MAX);
  const column = (energyOf: (reading: Reading) => number | undefined) =>
    Uint32Array.from(readings, (reading) => energyOf(reading) ?? 0);
  return {
    rows: readings.length,
    stampsMs: Float64Array.from(readings, ({ timeMs }) => timeMs),
    activeWh: column(({ activeWh }) => activeWh),
    hasReactive: first?.reactiveVarh !== undefined,
    reactiveVarh: column(({ reactiveVarh }) => reactiveVarh),
    touRegisters: first?.touWh?.length ?? 0,
    touWh,
    ...(first?.secondaryWh === undefined ? {} : { secondaryWh: column(({ secondaryWh }) => secondaryWh) }),
  };
}
