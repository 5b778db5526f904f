import { readFileSync } from 'node:fs';
import type { User } from '#core/access-control.ts';
import { type Fault, MdrError } from '#core/errors.ts';
import { parseDeviceId } from '#core/identifiers.ts';
import { ROLES, type Role } from '#core/matrix.ts';
import { type Gates, standingOn } from '#core/onboarding.ts';
import { dayOf, formatDay, parseDay, type SettlementDay } from '#core/settlement-day.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import { nowMs } from '#services/platform/clock.ts';
import { latestRuns, presentMsOf } from '#services/platform/run-record.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { COMMON_SETTINGS, describeSettings } from '#services/platform/settings.ts';
import { followUsers, type UserRecord } from '#services/platform/user-feed.ts';
import {
  type AdministeredUser,
  encodeRemoval,
  encodeUsers,
  type UserBatch,
  userFrom,
} from '#services/registration/user-records.ts';
import { STREAM_SETTINGS, type StreamArguments, streamArguments, withStream } from './stream-command.ts';
import { readUserFlags, readUsersFile, USER_FLAGS } from './users-file.ts';

export const summary = 'Lists, adds, suspends, expires and removes Users';

export const help = `Usage: mdr users list [--on DAY] [--json]
       mdr users add FILE | add --name NAME --eui EUI --category CATEGORY --role ROLE=MPID ...
       mdr users suspend USER [--from DAY] | resume USER
       mdr users expire USER --gate GATE [--role ROLE]
       mdr users remove USER

Works on the Users of a stream, which all services follow: what is changed here is in force some moments later. USER is
a name or an EUI-64. add takes a YAML file (users: a list as in a world file of mdr ask, and delivery) or one User by
options; a User of the same EUI-64 is replaced. docs/using/users.md says more.

  --on DAY               who may act on that day [the day of the run's clock; today in UTC where there is no run]
  --from DAY             first day of the suspension [the same]
  --gate GATE            what has lapsed: accession, uept, security, privacy or adt
  --role ROLE            --gate uept only: the role; all of them unless given
  --json                 list as JSON

Of one User (add):
  --name NAME --eui EUI --category CATEGORY
  --role MDR=AGNA        a role and its MPID; as often as needed
  --acceded DAY          accession to the SEC
  --uept MDR=DAY         User Entry Process Testing, by role
  --security DAY --privacy DAY   assessments; as often as needed
  --adt-declared DAY     Anomaly Detection Thresholds declared
  --threshold 4.8.1=1000/86400   requests of an SRV in so many seconds; as often as needed
  --delivery URL         where its responses go; collect: it fetches them [collect]

${describeSettings(Object.fromEntries(STREAM_SETTINGS.map((name) => [name, COMMON_SETTINGS[name]])))}
Exit codes: 0 done, 2 bad input, 3 could not run.

Examples:
  mdr users add users.yaml
  mdr users suspend 'Agent A' --from 2026-04-01
  mdr users expire 'Agent A' --gate security
  mdr users list --json | jq -r '.[].name'
`;

const OPTIONS = {
  json: { type: 'boolean' },
  on: { type: 'string' },
  from: { type: 'string' },
  gate: { type: 'string' },
  role: { type: 'string', multiple: true },
  ...USER_FLAGS,
} as const;

/** Options that say something to an action. */
const ACTIONS: Record<
  string,
  { options: readonly string[]; act(context: ServiceContext, given: StreamArguments): Promise<void> }
> = {
  list: { options: ['json', 'on'], act: list },
  add: { options: ['role', ...Object.keys(USER_FLAGS)], act: add },
  suspend: { options: ['from'], act: suspend },
  resume: { options: [], act: resume },
  expire: { options: ['gate', 'role'], act: expire },
  remove: { options: [], act: remove },
};

export async function run([action = '', ...argv]: string[]): Promise<number> {
  if (!Object.hasOwn(ACTIONS, action))
    throw new MdrError('USAGE', `There is no mdr users ${action}; there are ${Object.keys(ACTIONS).join(', ')}`);
  const given = await streamArguments(argv, {}, OPTIONS);
  const { options, act } = ACTIONS[action];
  for (const [name, value] of Object.entries(given.flags))
    if (value !== undefined && !options.includes(name)) throw new MdrError('USAGE', `${action} takes no --${name}`);
  await withStream('users-admin', given.settings, (context) => act(context, given));
  return 0;
}

async function list(context: ServiceContext, { flags, positionals }: StreamArguments): Promise<void> {
  if (positionals.length > 0) throw new MdrError('USAGE', 'list takes no User');
  const { day, says } = flags.on === undefined ? await presentDay(context) : { day: dayFlag('on', flags.on), says: '' };
  const rows = (await knownUsers(context)).map((user) => rowOf(user, day));
  if (flags.json === true) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else {
    process.stdout.write(`Who may act on ${formatDay(day)}${says}:\n`);
    for (const { name, eui, category, roles, standing, delivery } of rows) {
      const held = Object.entries(roles).map(([role, mpids]) => `${role} ${mpids.join(' ')}: ${standing[role]}`);
      process.stdout.write(`${eui}  ${name} (${category}), ${delivery}\n${held.map((one) => `  ${one}\n`).join('')}`);
    }
  }
}

/** The day by which the stream judges its Users: that of its run's clock; today where it has had no run. */
async function presentDay({ kafka, admin, settings }: ServiceContext): Promise<{ day: SettlementDay; says: string }> {
  const run = (await latestRuns(kafka, admin, [settings.prefix])).get(settings.prefix);
  if (run === undefined) return { day: dayOf(nowMs(), 'utc'), says: ', today in UTC, as there is no run' };
  const { scenario } = JSON.parse(run.scenario) as { scenario: Scenario };
  return { day: dayOf(presentMsOf(run, nowMs()), scenario.dayConvention), says: `, by the clock of run ${run.runId}` };
}

function dayFlag(name: string, text: unknown): SettlementDay {
  const day = parseDay(String(text));
  if (day === undefined) throw new MdrError('USAGE', `--${name} ${text} is not a date as 2026-03-02`);
  return day;
}

async function add(context: ServiceContext, { positionals, flags }: StreamArguments): Promise<void> {
  const isByOptions = Object.entries(flags).some(([, value]) => value !== undefined);
  if (isByOptions === positionals.length > 0 || positionals.length > 1)
    throw new MdrError('USAGE', 'add takes a file, or the options of one User');
  const read = isByOptions ? readUserFlags(flags) : readUsersFile(positionals[0], readText(positionals[0]));
  const before = await knownUsers(context);
  const replaced = new Set(read.users.map(({ eui }) => eui));
  const faults = read.users.flatMap(({ roles }, at) =>
    Object.entries(roles).flatMap(([role, mpids]) =>
      mpids.flatMap((mpid, index): Fault[] => {
        const other = before.find((user) => !replaced.has(user.eui) && mpidsOf(user).includes(mpid));
        const path = ['users', at, 'roles', role, index];
        return other === undefined ? [] : [read.faultAt(path, `an MPID that no other User has: ${other.name} has it`)];
      }),
    ),
  );
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', 'The Users cannot be added', faults);
  await write(context, read.users);
  for (const { name, eui } of read.users)
    say(before.some((user) => user.eui === eui) ? `${name} is replaced` : `${name} is added`);
}

async function suspend(context: ServiceContext, { positionals, flags }: StreamArguments): Promise<void> {
  const { day } = flags.from === undefined ? await presentDay(context) : { day: dayFlag('from', flags.from) };
  const user = await userNamed(context, positionals);
  await write(context, [{ ...user, suspended: day }]);
  say(`${user.name} is suspended from ${formatDay(day)} on`);
}

async function resume(context: ServiceContext, { positionals }: StreamArguments): Promise<void> {
  const { suspended: _, ...user } = await userNamed(context, positionals);
  await write(context, [user]);
  say(`${user.name} is not suspended`);
}

async function expire(context: ServiceContext, { positionals, flags }: StreamArguments): Promise<void> {
  if (flags.gate === undefined)
    throw new MdrError('USAGE', `Say by --gate what has lapsed: ${Object.keys(EXPIRED).join(', ')}`);
  const gate = String(flags.gate);
  if (!Object.hasOwn(EXPIRED, gate))
    throw new MdrError('USAGE', `--gate ${gate} is none of ${Object.keys(EXPIRED).join(', ')}`);
  const roles = ((flags.role as string[] | undefined) ?? []) as Role[];
  if (roles.length > 0 && gate !== 'uept')
    throw new MdrError(
      'USAGE',
      `${gate} is of a User as a whole, so it lapses for all of its roles: leave --role out. Only --gate uept is of a role`,
    );
  const unknown = roles.find((role) => !ROLES.includes(role));
  if (unknown !== undefined) throw new MdrError('USAGE', `--role ${unknown} is none of ${ROLES.join(', ')}`);
  const user = await userNamed(context, positionals);
  await write(context, [{ ...user, gates: EXPIRED[gate as keyof typeof EXPIRED](user.gates, roles) }]);
  say(`${user.name}: ${gate} has lapsed`);
}

async function remove(context: ServiceContext, { positionals }: StreamArguments): Promise<void> {
  const user = await userNamed(context, positionals);
  await send(context, [encodeRemoval(user.eui, context.settings.partitions, Math.floor(nowMs()))]);
  say(`${user.name} is removed`);
}

/** What is left of a User's gates when one has lapsed. */
const EXPIRED = {
  accession: ({ accededOn: _, ...gates }: Gates): Gates => gates,
  uept: (gates: Gates, roles: readonly Role[]): Gates => ({
    ...gates,
    ueptOn: Object.fromEntries(
      Object.entries(gates.ueptOn).filter(([role]) => roles.length > 0 && !roles.includes(role as Role)),
    ),
  }),
  security: (gates: Gates): Gates => ({
    ...gates,
    securityAssessments: [],
    otherUserEquivalent: withoutKey(gates.otherUserEquivalent, 'security'),
  }),
  privacy: (gates: Gates): Gates => ({
    ...gates,
    privacyAssessments: [],
    otherUserEquivalent: withoutKey(gates.otherUserEquivalent, 'privacy'),
  }),
  adt: ({ adtDeclaredOn: _, ...gates }: Gates): Gates => gates,
};

type Equivalent = NonNullable<Gates['otherUserEquivalent']>;

function withoutKey(equivalent: Equivalent | undefined, key: keyof Equivalent): Equivalent {
  const { [key]: _, ...rest } = equivalent ?? {};
  return rest;
}

async function knownUsers(context: ServiceContext): Promise<AdministeredUser[]> {
  let records: UserRecord[] = [];
  const feed = await followUsers<UserRecord>(context, (found) => {
    records = found;
  });
  await feed.restored;
  await feed.stop();
  return records.map(userFrom).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function userNamed(context: ServiceContext, positionals: readonly string[]): Promise<AdministeredUser> {
  if (positionals.length !== 1) throw new MdrError('USAGE', 'Name one User, by its name or EUI-64');
  const [asked] = positionals;
  const users = await knownUsers(context);
  const eui = parseDeviceId(asked);
  const found = users.filter((user) => user.name === asked || user.eui === eui);
  if (found.length === 1) return found[0];
  const expected =
    found.length === 0
      ? `one of ${users.map(({ name }) => name).join(', ') || 'none, as there are none'}`
      : 'the EUI-64: several have this name';
  throw new MdrError('INPUT_INVALID', 'There is no such User', [{ path: 'user', value: asked, expected }]);
}

async function write(context: ServiceContext, users: readonly AdministeredUser[]): Promise<void> {
  const { schemaIds, settings } = context;
  await send(context, encodeUsers(users, schemaIds.users, settings.partitions, Math.floor(nowMs())));
}

async function send({ outbox }: ServiceContext, batches: readonly UserBatch[]): Promise<void> {
  await Promise.all(batches.map(({ partition, batch, records }) => outbox.send('users', partition, batch, records)));
}

function rowOf(user: AdministeredUser, day: SettlementDay) {
  const { name, eui, category, roles, anomalyThresholds, deliveryUrl } = user;
  const standing = Object.fromEntries(Object.keys(roles).map((role) => [role, standingOf(user, role as Role, day)]));
  return {
    name,
    eui,
    category,
    roles,
    standingOn: formatDay(day),
    standing,
    anomalyThresholds,
    delivery: deliveryUrl ?? 'collect',
  };
}

function standingOf(user: User, role: Role, day: SettlementDay): string {
  const { suspended } = user;
  if (suspended === true || (typeof suspended === 'number' && suspended <= day)) return 'suspended';
  const from = typeof suspended === 'number' ? `, suspended from ${formatDay(suspended)}` : '';
  return `${standingOn(user, role, day) ?? 'may act'}${from}`;
}

function mpidsOf({ roles }: User): string[] {
  return Object.values(roles).flat();
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read: ${(error as Error).message}`);
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
