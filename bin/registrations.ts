import { dirname } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { every, nowMs } from '#services/platform/clock.ts';
import { createPool, type Pool } from '#services/platform/pool.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { COMMON_SETTINGS, describeSettings } from '#services/platform/settings.ts';
import { followUsers, type UserRecord } from '#services/platform/user-feed.ts';
import type { Strictness } from '#services/registration/change-parser.ts';
import { openDoor } from '#services/registration/door.ts';
import { companions, type FeedSummary, feedFile, forgetPlace } from '#services/registration/feed-file.ts';
import { knownMpids } from '#services/registration/known-mpids.ts';
import { FEED_SETTINGS } from '#services/registration/main.ts';
import { createOwner, type Owner } from '#services/registration/owner.ts';
import type { Task, TaskResult, WorkerData } from '#services/registration/worker.ts';
import { isServed, STREAM_SETTINGS, type StreamArguments, streamArguments, withStream } from './stream-command.ts';

export const summary = 'Loads registrations from files, in bulk or as changes';

const SETTINGS = {
  'set-aside': {
    type: 'text',
    doc: 'Folder for rows set aside and the place reached; beside each file unless given.',
  },
  ...FEED_SETTINGS,
} as const;
const shared = Object.fromEntries(
  [...STREAM_SETTINGS, 'workers' as const].map((name) => [name, COMMON_SETTINGS[name]]),
);

export const help = `Usage: mdr registrations load FILE... [options]

Takes files of registrations in, one after another, each from its first row to its last: CSV with the columns
mpan,sequence,role,mpid,efd,etd (an appointment a row), or NDJSON ({"mpan", "sequence", "appointments"} a line). A
change whose sequence is not above the last of its MPAN changes nothing. Rows that cannot be used are written to
FILE.set-aside.ndjson, each with its line and the reason; the others are applied. The place that was reached is kept in
FILE.place.json until the end: the same command goes on there. docs/using/registrations.md says more.

Where a registration service runs, it applies the changes; where none does, or it ends, this command does.

  --json     prints the summaries as JSON
  --quiet    no progress on standard error
${describeSettings(SETTINGS)}${describeSettings(shared)}
Exit codes: 0 every row was applied, stale or a duplicate; 1 some were set aside; 2 bad input; 3 could not run.

Examples:
  mdr registrations load registrations.csv
  mdr registrations load monday.ndjson tuesday.ndjson --check-digits warn --json
`;

export async function run([action, ...argv]: string[]): Promise<number> {
  if (action !== 'load') throw new MdrError('USAGE', `There is no mdr registrations ${action ?? ''}; there is load`);
  const given = await streamArguments(argv, SETTINGS, { json: { type: 'boolean' }, quiet: { type: 'boolean' } });
  if (given.positionals.length === 0) throw new MdrError('USAGE', 'Name a file to load');
  // Its group is that of the service: whoever has a partition is its one writer.
  return await withStream('registration', given.settings, (context) => load(context, given));
}

async function load(context: ServiceContext, { settings, positionals, flags }: StreamArguments): Promise<number> {
  const say = (text: string) => flags.quiet !== true && process.stderr.write(`${text}\n`);
  const unknownMpids = settings.own['unknown-mpids'] as Strictness;
  const mpids = await mpidsOf(context, unknownMpids);
  const data: WorkerData = { schemaIds: context.schemaIds, partitions: settings.partitions };
  const pool = createPool<Task, TaskResult>(
    new URL('../services/registration/worker.ts', import.meta.url),
    settings.workers,
    data,
  );
  const door = await openDoor(context);
  const owning = ownWhereNobodyDoes(context, pool, say);
  try {
    await owning.settled;
    const rules = { checkDigits: settings.own['check-digits'] as Strictness, unknownMpids };
    const summaries = await loadFiles(positionals, { door, pool, settings, rules, mpids, say });
    if (flags.json === true) process.stdout.write(`${JSON.stringify(summaries, null, 2)}\n`);
    else for (const one of summaries) process.stdout.write(renderSummary(one));
    return summaries.some(({ setAside }) => setAside > 0) ? 1 : 0;
  } finally {
    await owning.end();
    await door.end();
    await pool.end();
  }
}

/** A member that was killed is one of its group until its session has run out: it is looked for more than once. */
const LOOK_FOR_OWNER_EVERY_MS = 2000;

/** Applies changes here as long as no registration service does, be it from the start or because it ended. */
function ownWhereNobodyDoes(context: ServiceContext, pool: Pool<Task, TaskResult>, say: (text: string) => void) {
  let owner: Owner | undefined;
  const look = async () => {
    if (owner !== undefined || (await isServed(context, 'registration'))) return;
    say('no registration service runs: the changes are applied by this command');
    owner = createOwner({ context, pool });
    await owner.start();
  };
  let looking = look();
  const end = every(LOOK_FOR_OWNER_EVERY_MS, () => {
    looking = looking.then(look);
    looking.catch(context.fail);
  });
  return {
    settled: looking,
    async end() {
      end();
      await looking.catch(() => {});
      await owner?.leave(async () => {});
    },
  };
}

async function mpidsOf(context: ServiceContext, unknownMpids: Strictness): Promise<() => SharedArrayBuffer> {
  let known = 0;
  let mpids = knownMpids([]);
  const users = await followUsers<UserRecord>(context, (records) => {
    known = records.length;
    mpids = knownMpids(records);
  });
  await users.restored;
  await users.stop();
  if (known === 0 && unknownMpids === 'refuse')
    throw new MdrError('INPUT_INVALID', 'No User is known, so no row could be applied', [
      { path: 'users', expected: 'Users with their MPIDs: see mdr users --help, or give --unknown-mpids warn' },
    ]);
  return () => mpids;
}

type LoadOptions = {
  door: Awaited<ReturnType<typeof openDoor>>;
  pool: Pool<Task, TaskResult>;
  settings: StreamArguments['settings'];
  rules: { checkDigits: Strictness; unknownMpids: Strictness };
  mpids(): SharedArrayBuffer;
  say(text: string): void;
};

async function loadFiles(files: readonly string[], options: LoadOptions): Promise<FeedSummary[]> {
  const { door, pool, settings, rules, mpids, say } = options;
  let isStopping = false;
  const stop = () => {
    isStopping = true;
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const summaries: FeedSummary[] = [];
  for (const file of files) {
    const folder = (settings.own['set-aside'] as string | undefined) ?? dirname(file);
    const progress = createFileProgress(file, say);
    try {
      const result = await feedFile(file, {
        door,
        pool,
        workers: settings.workers,
        rules,
        mpids,
        folder,
        onProgress: progress.show,
        isStopping: () => isStopping,
      });
      if (result === undefined)
        throw new MdrError(
          'COULD_NOT_RUN',
          `${file} was applied up to the place in ${companions(file, folder).place} and no further; the same command goes on there`,
        );
      summaries.push(result);
      await forgetPlace(file, folder);
    } finally {
      progress.end();
    }
  }
  return summaries;
}

const SHOW_EVERY_MS = 5000;

/** A line every five seconds: how far it is, or that nothing moves. */
function createFileProgress(file: string, say: (text: string) => void) {
  const startedMs = nowMs();
  let latest = { rows: 0, line: 0, share: 0 };
  let rowsBefore: number | undefined;
  let rowsShown = -1;
  const end = every(SHOW_EVERY_MS, () => {
    const { rows, line, share } = latest;
    if (rows === rowsShown) return say(`${file}: waiting at line ${line} for what was sent to be applied`);
    rowsShown = rows;
    const perSecond = Math.round((rows - (rowsBefore ?? 0)) / ((nowMs() - startedMs) / 1000));
    say(`${file}: ${rows} rows, ${Math.floor(share * 100)} %, ${perSecond} rows a second`);
  });
  return {
    show({ rows, lines, resumedBehindLine }: FeedSummary, bytesDone: number, bytes: number) {
      if (rowsBefore === undefined) {
        rowsBefore = resumedBehindLine === undefined ? 0 : rows;
        if (resumedBehindLine !== undefined) say(`${file}: goes on behind line ${resumedBehindLine}`);
      }
      latest = { rows, line: lines, share: bytes === 0 ? 1 : bytesDone / bytes };
    },
    end,
  };
}

function renderSummary(summary: FeedSummary): string {
  const { file, rows, changes, applied, stale, duplicate, setAside, setAsideFile, warnings, seconds } = summary;
  const lines = [
    `${file}: ${rows} rows, ${changes} changes in ${seconds.toFixed(1)} s`,
    `  ${applied} applied, ${stale} stale, ${duplicate} duplicate`,
    ...(setAside > 0 ? [`  ${setAside} set aside, see ${setAsideFile}`] : []),
    ...(warnings.checkDigits > 0 ? [`  ${warnings.checkDigits} with a wrong check digit`] : []),
    ...(warnings.unknownMpids > 0 ? [`  ${warnings.unknownMpids} with an MPID that no User has`] : []),
  ];
  return `${lines.join('\n')}\n`;
}
