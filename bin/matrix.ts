import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { DEFAULT_MATRIX, type MatrixRow, matrixRows } from '#core/matrix.ts';
import { loadMatrix } from '#load-tests/scenario/load.ts';

export const summary = 'Prints who may send which Service Request, and within what time it must be answered';

export const help = `Usage: mdr matrix [NAME|FILE] [--json]

Prints the SR/TRT matrix in force: for every Service Request, generation of meter, mode and service the User roles
that may send it and its Target Response Time. ${DEFAULT_MATRIX.name} unless a name or a JSON file is given.

  --json   rows {srv, name, generation, mode, service, roles, trtSeconds}; trtSeconds null: not available

Examples:
  mdr matrix
  mdr matrix --json | jq '.[] | select(.srv == "4.8.1")'
  mdr matrix my-matrix.json
`;

export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  if (positionals.length > 1) throw new MdrError('USAGE', `one matrix at a time, not ${positionals.join(' and ')}`);
  const { matrix, fault } = loadMatrix(positionals[0] ?? DEFAULT_MATRIX.name, join(process.cwd(), 'matrix.json'));
  if (matrix === undefined) throw new MdrError('INPUT_INVALID', 'The matrix cannot be used', fault);
  const rows = matrixRows(matrix);
  process.stdout.write(values.json ? `${JSON.stringify(rows, null, 2)}\n` : table(rows));
  return 0;
}

const COLUMNS: [string, (row: MatrixRow) => string][] = [
  ['SRV', ({ srv }) => srv],
  ['name', ({ name }) => name],
  ['meter', ({ generation }) => generation],
  ['mode', ({ mode }) => mode],
  ['service', ({ service }) => service],
  ['TRT', ({ trtSeconds }) => (trtSeconds === null ? '-' : `${trtSeconds} s`)],
  ['roles', ({ roles }) => roles.join(' ') || '-'],
];

function table(rows: readonly MatrixRow[]): string {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, of]) => of(row)))];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, k) => cell.padEnd(widths[k]))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
