import { MdrError } from '#core/errors.ts';
import { parseDeviceId } from '#core/identifiers.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { formatInstant } from '#core/settlement-day.ts';
import { SOURCE } from '#schemas/service-request.ts';
import { type HeldRequest, HeldRequests } from '#services/gateway/edge/held-requests.ts';
import { answerQuarantine, type QuarantineAnswer } from '#services/gateway/edge/quarantine-answer.ts';
import { LANE, RequestLane } from '#services/gateway/edge/request-lane.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { endOffsets } from '#services/platform/kafka/partition-reader.ts';
import { takeOverLane } from '#services/platform/own-tail.ts';
import { awaitRun } from '#services/platform/run.ts';
import { RUN_PARTITION } from '#services/platform/run-record.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { COMMON_SETTINGS, describeSettings } from '#services/platform/settings.ts';
import { STREAM_SETTINGS, type StreamArguments, streamArguments, withStream } from './stream-command.ts';

export const summary = 'Lists requests that are held in quarantine, lets them go on or drops them';

export const help = `Usage: mdr quarantine list [--user EUI] [--json]
       mdr quarantine process ID ... [--json]
       mdr quarantine delete ID ... [--json]

An operator's answer for a User to requests that exceed its Anomaly Detection Threshold. ID is the number that list
prints and that the User's alert bears. process: the request goes on to its meter, its clock paused for the time it was
held. delete: it is dropped, and never answered. Users answer for themselves at the gateway (docs/using/gateway.md).
Each answer is waited for until the anomaly check has carried it out, for at most 60 s.

  --user EUI             of one User only
  --json                 print what is held, or what became of each ID, as JSON

${describeSettings(Object.fromEntries(STREAM_SETTINGS.map((name) => [name, COMMON_SETTINGS[name]])))}
Exit codes: 0 done, 1 an answer was not carried out in time, 2 bad input, 3 could not run.

Examples:
  mdr quarantine list
  mdr quarantine process 4711
  mdr quarantine list --user 90-B3-D5-1F-30-01-00-00 --json | jq -r '.[].id' | xargs mdr quarantine delete
`;

/** The anomaly check takes milliseconds; a restart of it some seconds. */
const CARRIED_OUT_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;

type Outcome = { id: string; requestId: string; answer: QuarantineAnswer; carriedOut: boolean };

export async function run([action = '', ...argv]: string[]): Promise<number> {
  if (action !== 'list' && action !== 'process' && action !== 'delete')
    throw new MdrError('USAGE', `There is no mdr quarantine ${action}; there are list, process, delete`);
  const given = await streamArguments(argv, {}, { json: { type: 'boolean' }, user: { type: 'string' } });
  const { settings, positionals, flags } = given;
  if (action === 'list' ? positionals.length > 0 : positionals.length === 0)
    throw new MdrError('USAGE', action === 'list' ? 'list takes no ID' : `${action} takes the IDs that list prints`);
  if (action !== 'list' && flags.user !== undefined) throw new MdrError('USAGE', `${action} takes no --user`);
  return await withStream('quarantine-admin', settings, async (context) => {
    const held = new HeldRequests(() => true);
    await held.follow(context);
    try {
      return action === 'list' ? list(held, given) : await answer(context, held, action, given);
    } finally {
      await held.stop();
    }
  });
}

function list(held: HeldRequests, { flags }: StreamArguments): number {
  const user = flags.user === undefined ? undefined : parseDeviceId(String(flags.user));
  if (flags.user !== undefined && user === undefined)
    throw new MdrError('USAGE', `--user ${flags.user} is no EUI-64 as 90-B3-D5-1F-30-01-00-00`);
  const entries = held.list(user?.replaceAll('-', ''));
  if (flags.json === true) process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
  else
    for (const { id, requestId, srv, heldAtMs } of entries)
      process.stdout.write(`${id}  ${srv}  ${requestId}  held since ${formatInstant(heldAtMs)}\n`);
  return 0;
}

async function answer(
  context: ServiceContext,
  held: HeldRequests,
  action: QuarantineAnswer,
  { positionals, flags }: StreamArguments,
): Promise<number> {
  const asked = [...new Set(positionals)];
  const requests = asked.map((id) => ({ id, request: held.find(id) }));
  const faults = requests.flatMap(({ id, request }) =>
    request === undefined ? [{ path: 'ID', value: id, expected: 'the number of a request that is held' }] : [],
  );
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', 'Nothing is answered', faults);
  const names = new Map(held.list().map(({ id, requestId }) => [id, requestId]));
  await write(context, action, requests as { id: string; request: HeldRequest }[]);
  for (const end = nowMs() + CARRIED_OUT_WITHIN_MS; nowMs() < end; await sleep(LOOK_EVERY_MS))
    if (asked.every((id) => held.find(id) === undefined)) break;
  const outcomes = asked.map(
    (id): Outcome => ({
      id,
      requestId: names.get(id) ?? '',
      answer: action,
      carriedOut: held.find(id) === undefined,
    }),
  );
  if (flags.json === true) process.stdout.write(`${JSON.stringify(outcomes, null, 2)}\n`);
  else for (const outcome of outcomes) process.stdout.write(`${outcomeText(outcome)}\n`);
  return outcomes.every(({ carriedOut }) => carriedOut) ? 0 : 1;
}

/** In the lanes of the requests, which are taken over from whatever operator answered before. */
async function write(
  context: ServiceContext,
  action: QuarantineAnswer,
  requests: readonly { request: HeldRequest }[],
): Promise<void> {
  const { kafka, settings } = context;
  const ends = await endOffsets(kafka, `${settings.prefix}runs`);
  if (ends[RUN_PARTITION] === 0) throw new MdrError('COULD_NOT_RUN', 'There is no run, so no time to answer at');
  const { record, clock, end } = await awaitRun(context);
  const byPartition = Map.groupBy(requests, ({ request }) => partitionOfMpan(request.fields.mpan, settings.partitions));
  for (const [partition, of] of byPartition) {
    const { position } = await takeOverLane(context, LANE, partition, SOURCE.operator, record.startMs - 1);
    const lane = new RequestLane(context, partition, position);
    await Promise.all(of.map(({ request }) => answerQuarantine(lane, request, action, SOURCE.operator, clock)));
  }
  await end();
}

function outcomeText({ id, requestId, answer, carriedOut }: Outcome): string {
  const done = answer === 'process' ? 'goes on' : 'is dropped';
  return `${id}  ${requestId} ${carriedOut ? done : `is held still: ${answer} was sent and not carried out yet`}`;
}
