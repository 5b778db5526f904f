import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { builtInScenarios, loadScenario, scenarioFile } from '#load-tests/scenario/load.ts';

export const summary = 'Lists the built-in scenarios, or prints one to start from';

export const help = `Usage: mdr scenarios [NAME] [--json]

Without NAME lists the built-in scenarios. With NAME prints that scenario's file, to save and change.

  --json   with NAME the scenario in force, every default filled in; without, the list

Examples:
  mdr scenarios
  mdr scenarios settlement-day > my-scenario.yaml
  mdr scenarios outage-72h --json
`;

export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  if (positionals.length > 1) throw new MdrError('USAGE', `one scenario at a time, not ${positionals.join(' and ')}`);
  const [name] = positionals;
  if (name !== undefined && !builtInScenarios().includes(name)) {
    throw new MdrError('USAGE', `There is no built-in scenario ${name}; there are ${builtInScenarios().join(', ')}`);
  }
  process.stdout.write(name === undefined ? list(values.json) : show(name, values.json));
  return 0;
}

function list(asJson: boolean): string {
  const rows = builtInScenarios().map((name) => {
    const { scenario } = loadScenario(name);
    return { name, title: scenario.title, meters: scenario.fleet.meters, days: scenario.days };
  });
  if (asJson) return `${JSON.stringify(rows, null, 2)}\n`;
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows.map(({ name, title }) => `${name.padEnd(width)}  ${title}\n`).join('');
}

function show(name: string, asJson: boolean): string {
  if (asJson) return `${JSON.stringify(loadScenario(name).scenario, null, 2)}\n`;
  return readFileSync(scenarioFile(name), 'utf8');
}
