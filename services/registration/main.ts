import { mkdirSync } from 'node:fs';
import { MdrError } from '#core/errors.ts';
import { matrixJson } from '#core/matrix.ts';
import { compileWorld } from '#fleet-sim/world.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { expose, exposeValue } from '#services/platform/metrics/exposition.ts';
import { createPool } from '#services/platform/pool.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { followUsers, type UserRecord } from '#services/platform/user-feed.ts';
import { STRICTNESS, type Strictness } from './change-parser.ts';
import { openDoor } from './door.ts';
import { watchDropFolder } from './drop-folder.ts';
import { createFleetFill } from './fleet-fill.ts';
import { applyInventoryFile, type FileResult } from './inventory-file.ts';
import { knownMpids } from './known-mpids.ts';
import { createOwner } from './owner.ts';
import { createPostedChanges } from './posted-changes.ts';
import type { Task, TaskResult, WorkerData } from './worker.ts';

/** Settings of whoever takes changes in. */
export const FEED_SETTINGS = {
  'check-digits': {
    type: 'choice',
    default: 'refuse',
    choices: STRICTNESS,
    doc: 'A wrong check digit of an MPAN. refuse: its change is set aside. warn: it is counted and applied.',
  },
  'unknown-mpids': {
    type: 'choice',
    default: 'refuse',
    choices: STRICTNESS,
    doc: 'An MPID that no User has. refuse: its change is set aside. warn: it is counted and applied.',
  },
} as const;

export const registration: Service = {
  name: 'registration',
  summary: 'loads registrations, inventory, Users and schedules into their topics, and applies changes',
  settings: {
    load: {
      type: 'choice',
      default: 'fleet',
      choices: ['fleet', 'nothing'],
      doc: 'fleet: what the simulated fleet of the run has, once a run. nothing: the topics stay as they are, and no run is waited for.',
    },
    drop: {
      type: 'text',
      doc: 'Folder that is watched for files of changes (.csv, .ndjson); each goes to its done or failed with a summary.',
    },
    'inventory-file': {
      type: 'text',
      doc: 'Metering points to put into the inventory, one JSON object a line: {"mpan", "device", "register", "generation", "status"}.',
    },
    ...FEED_SETTINGS,
  },
  start,
};

const ANSWERS_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 20;

async function start(context: ServiceContext): Promise<RunningService> {
  const { settings, outbox, schemaIds } = context;
  const { own } = settings;
  const run = own.load === 'fleet' ? await awaitRun(context) : undefined;
  const data: WorkerData = {
    schemaIds,
    partitions: settings.partitions,
    ...(run === undefined ? {} : { fleet: { scenario: run.scenario, matrix: matrixJson(run.matrix) } }),
  };
  const pool = createPool<Task, TaskResult>(new URL('./worker.ts', import.meta.url), settings.workers, data);
  const fill = run === undefined ? undefined : createFleetFill(context, compileWorld(run.scenario, run.matrix), pool);
  const owner = createOwner({
    context,
    pool,
    ...(run === undefined || fill === undefined ? {} : { fleet: { runId: run.record.runId, fill: fill.fill } }),
  });
  let mpids = knownMpids([]);
  const users = await followUsers<UserRecord>(context, (records) => {
    mpids = knownMpids(records);
  });
  const door = await openDoor(context);
  const rules = { checkDigits: own['check-digits'] as Strictness, unknownMpids: own['unknown-mpids'] as Strictness };
  const posts = createPostedChanges({ context, door, pool, rules, mpids: () => mpids });
  await owner.start();
  await users.restored;
  const drop =
    own.drop === undefined
      ? undefined
      : watchDropFolder(made(own.drop as string), context, {
          door,
          pool,
          workers: settings.workers,
          rules,
          mpids: () => mpids,
        });
  let inventory: FileResult | undefined;
  if (own['inventory-file'] !== undefined)
    inventory = await applyInventoryFile(own['inventory-file'] as string, context);
  expose('mdr_registration_changes_total', () =>
    Object.entries(owner.counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
  );
  exposeValue('mdr_registration_waiting_changes', () => posts.waiting);
  exposeValue('mdr_registration_mpans', () => owner.mpans);
  exposeValue('mdr_registration_table_bytes', () => owner.tableBytes);
  return {
    notReadyBecause: owner.notReadyBecause,
    routes: { 'POST /registrations': posts.route },
    status: () => ({
      ...owner.status(),
      ...(fill === undefined ? {} : { meteringPoints: fill.meteringPoints, schedules: fill.schedules }),
      ...(drop === undefined ? {} : { drop: { ...drop.files, current: drop.current } }),
      ...(inventory === undefined ? {} : { inventory }),
    }),
    async drain() {
      posts.close();
      await drop?.stop();
      // Who waits for an answer gets it while there is somebody who decides.
      for (const endMs = nowMs() + ANSWERS_WITHIN_MS; posts.open > 0 && nowMs() < endMs; ) await sleep(LOOK_EVERY_MS);
      await owner.leave(async () => {
        await Promise.all([door.end(), users.stop(), outbox.idle(), run?.end()]);
        await pool.end();
      });
    },
  };

  function made(folder: string): string {
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      throw new MdrError('INPUT_UNREADABLE', `${folder} cannot be watched: ${(error as Error).message}`);
    }
    return folder;
  }
}
