import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type ErrorCode, type Fault, formatFault, MdrError } from '#core/errors.ts';
import { DEFAULT_MATRIX, ROLES, type Role } from '#core/matrix.ts';
import { formatInstant, parseInstant } from '#core/settlement-day.ts';
import { type AnswerRow, answerRow } from '#services/gateway/answer.ts';
import { answerRequest } from '#services/gateway/ask.ts';
import { openDesk, type Receipt, removeEndedSchedules } from '#services/gateway/desk.ts';
import { DUIS_VERSION, type DuisRequest, readDuisRequest } from '#services/gateway/duis-request.ts';
import { duisResponse } from '#services/gateway/duis-response.ts';
import { readWorld, type World } from '#services/gateway/world.ts';
import { nowMs } from '#services/platform/clock.ts';

export const summary = 'Says what the DCC answers to DUIS Service Requests, and why';

export const help = `Usage: mdr ask [FILE...] --world WORLD [options]
       mdr ask --example-world

Reads DUIS ${DUIS_VERSION} Requests and prints the DUIS Response to each, with the reason in a comment. An accepted
read is answered by the simulated meter; mdr decode reads a SMETS2 meter's GBCSPayload back. FILE may be - for standard
input, which is also read when no FILE is given. Files are answered in the order given: a schedule that one creates is
there for the next.

  --world WORLD     The users, devices, registrations and schedules that the requests meet (YAML)
  --example-world   Print a world to begin with; it answers the DCC's published example requests
  --at INSTANT      When the requests are received, as 2026-03-02T09:00:00Z (default: the world's \`at\`, else now)
  --mhhs            The requests are sent for MHHS (an MDR's always are)
  --role ROLE       The role that the User acts in, for a User with several: ${ROLES.join(', ')}
                    (default: the one that may send the request)
  --json            Print a JSON array of {file, requestId, srv, code, reason, ...} instead of XML
  --help            Print this

Signatures are let stand and not verified: the signer is taken to be the originator.

Exit codes: 0 every request was answered (a refusal is an answer), 2 a file or option is not what it must be,
3 could not run.

Examples:
  mdr ask --example-world > world.yaml
  mdr ask request.xml --world world.yaml
  mdr ask *.xml --world world.yaml --json
  mdr ask request.xml --world world.yaml --at 2026-03-02T09:00:00Z --mhhs
`;

/** Runs `mdr ask`. Returns the exit code; throws MdrError, or what parseArgs throws, for what the user can mend. */
export async function run(argv: string[]): Promise<number> {
  const options = readOptions(argv);
  if (options.exampleWorld) {
    process.stdout.write(await readFile(EXAMPLE_WORLD, 'utf8'));
    return 0;
  }
  const world = readWorld(options.world, await readText(options.world));
  for (const fault of world.warnings) warn(formatFault(fault));
  const receipt = receiptOf(world, options);
  const rows: AnswerRow[] = [];
  const refused: MdrError[] = [];
  const desk = openDesk(world, DEFAULT_MATRIX);
  for (const { id, userEui, deviceId } of removeEndedSchedules(desk, receipt.atMs)) {
    warn(`schedule ${id} of ${userEui} on ${deviceId} is removed: its owner's appointment has ended`);
  }
  for (const file of options.files) {
    const request = await readRequest(file).catch((error: unknown) => {
      if (!(error instanceof MdrError)) throw error;
      refused.push(error);
    });
    if (request === undefined) continue;
    const answer = answerRequest(desk, request, receipt);
    if (options.json) rows.push(answerRow(request, answer));
    else process.stdout.write(duisResponse(request, answer, receipt.atMs, world.codes));
  }
  if (options.json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  if (refused.length > 0) throw refusalOf(refused, options.files.length);
  return 0;
}

const EXAMPLE_WORLD = new URL('../docs/using/examples/world.yaml', import.meta.url);
const STDIN = '-';

type Options = {
  exampleWorld: boolean;
  files: string[];
  world: string;
  atMs?: number;
  mhhs: boolean;
  role?: Role;
  json: boolean;
};

function readOptions(argv: string[]): Options {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      world: { type: 'string' },
      at: { type: 'string' },
      role: { type: 'string' },
      mhhs: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      'example-world': { type: 'boolean', default: false },
    },
  });
  const atMs = values.at === undefined ? undefined : parseInstant(values.at);
  const role = ROLES.find((one) => one === values.role);
  const faults: Fault[] = [];
  const fault = (path: string, value: string | undefined, expected: string) =>
    faults.push({ path, ...(value === undefined ? {} : { value }), expected });
  if (values.at !== undefined && atMs === undefined) fault('--at', values.at, 'an instant as 2026-03-02T09:00:00Z');
  if (values.role !== undefined && role === undefined) fault('--role', values.role, `one of ${ROLES.join(', ')}`);
  const asks = !values['example-world'];
  if (asks && values.world === undefined) fault('--world', undefined, 'a world file; --example-world prints one');
  if (asks && positionals.length === 0 && process.stdin.isTTY) fault('FILE', undefined, 'at least one request');
  if (faults.length > 0) throw new MdrError('USAGE', 'mdr ask cannot be run so', faults);
  return {
    exampleWorld: values['example-world'],
    files: positionals.length === 0 ? [STDIN] : positionals,
    world: values.world ?? '',
    ...(atMs === undefined ? {} : { atMs }),
    mhhs: values.mhhs,
    ...(role === undefined ? {} : { role }),
    json: values.json,
  };
}

function receiptOf(world: World, { atMs: given, mhhs, role }: Options): Receipt {
  const atMs = given ?? world.atMs ?? nowMs();
  if (given === undefined) {
    const source = world.atMs === undefined ? 'now (--at sets another instant)' : "the world's instant";
    warn(`requests are received at ${formatInstant(atMs)}, ${source}`);
  }
  return { atMs, mhhs, ...(role === undefined ? {} : { role }) };
}

async function readText(file: string): Promise<string> {
  try {
    const kind = await stat(file);
    // A device has no end, and a folder no text.
    if (!kind.isFile() && !kind.isFIFO()) throw new MdrError('INPUT_UNREADABLE', `${file} is not a file`);
    return await readFile(file, 'utf8');
  } catch (error) {
    throw error instanceof MdrError ? error : unreadable(file, error);
  }
}

async function readRequest(file: string): Promise<DuisRequest> {
  const chunks = file === STDIN ? process.stdin : createReadStream(file);
  try {
    const request = await readDuisRequest(file === STDIN ? 'standard input' : file, chunks);
    if (request.schemaVersion !== DUIS_VERSION) {
      warn(`${request.file}: schemaVersion ${request.schemaVersion} is read by the rules of ${DUIS_VERSION}`);
    }
    return request;
  } catch (error) {
    throw error instanceof MdrError ? error : unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): MdrError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  return new MdrError('INPUT_UNREADABLE', `${file} cannot be read`, [
    { file, expected: `a file that can be read (${code})` },
  ]);
}

/** Every fault of every file at once; what could be answered has been. */
function refusalOf(errors: readonly MdrError[], files: number): MdrError {
  if (files === 1) return errors[0];
  const codes = new Set(errors.map(({ code }) => code));
  const code: ErrorCode = codes.size === 1 ? errors[0].code : 'XML_REFUSED';
  const faults = errors.flatMap((error) => error.faults);
  return new MdrError(code, `${errors.length} of ${files} requests could not be answered`, faults);
}

function warn(message: string): void {
  process.stderr.write(`mdr ask: ${message}\n`);
}
