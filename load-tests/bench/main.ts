import { accessControl } from './access-control.ts';
import { gateway } from './gateway.ts';
import { gbcs } from './gbcs.ts';
import { measureJoin } from './join.ts';
import { runAccessControl } from './join-ours.ts';
import { type Measurement, progress } from './measure.ts';
import { meterReads } from './meter-reads.ts';
import { onDemandLatency } from './on-demand.ts';
import { planGbDay, planLinear } from './plan-day.ts';
import { registrationLoad } from './registration-load.ts';
import { restore } from './restore.ts';
import { gbDay } from './stream-day.ts';
import { xml } from './xml.ts';

/** One entry a claim of docs/performance.md. */
const ENTRIES: Record<string, () => Promise<Measurement[]>> = {
  'plan-gb-day': planGbDay,
  'plan-linear': planLinear,
  'access-control': accessControl,
  'meter-reads': meterReads,
  gbcs,
  gateway,
  join: () => measureJoin(runAccessControl),
  'gb-day': gbDay,
  restore,
  'registration-load': registrationLoad,
  'on-demand': onDemandLatency,
  xml,
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(ENTRIES, name));
if (unknown.length > 0) {
  process.stderr.write(`There is no benchmark ${unknown.join(', ')}; there are ${Object.keys(ENTRIES).join(', ')}\n`);
  process.exit(2);
}
for (const name of names.length > 0 ? names : Object.keys(ENTRIES)) {
  progress(`${name} ...`);
  for (const row of await ENTRIES[name]()) process.stdout.write(`${JSON.stringify(row)}\n`);
}
