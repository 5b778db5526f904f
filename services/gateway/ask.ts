import { type AccessRequest, decideAccess, FACT, FACTS, type Fact, responseCode } from '#core/access-control.ts';
import { explainDecision } from '#core/access-explanation.ts';
import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { GENERATIONS, ROLES, trtSecondsOf } from '#core/matrix.ts';
import { createSchedule, deleteSchedules, executionAfter, readSchedules } from '#core/schedule.ts';
import { formatInstant } from '#core/settlement-day.ts';
import { deadlineMs } from '#core/trt-clock.ts';
import { OUTCOME, type Outcome } from '#fleet-sim/meter-answer.ts';
import { accessRequestOf } from './access-request.ts';
import type { Answer, ReadVariant } from './answer.ts';
import { type Desk, draftSchedule, type Receipt } from './desk.ts';
import type { DuisRequest, ScheduleBody, ScheduleReference } from './duis-request.ts';
import { countersFrom, payloadOf } from './gbcs/answer-payload.ts';
import { readMeter } from './simulated-meter.ts';

/**
 * Answers one request as the DCC would: the CommandVariant (E12) and the target of a DCC-only service (E11) first, then
 * the six steps of access control, then what an accepted request asks for. Who signed is not verified: the signer is
 * taken to be the originator. Counts the request towards the User's anomaly thresholds and keeps its schedules.
 */
export function answerRequest(desk: Desk, request: DuisRequest, receipt: Receipt): Answer {
  const access = accessRequestOf(desk, request, receipt);
  const misfit = checkMisfit(desk, request, access);
  if (misfit !== undefined) return misfit;
  const fact = decideAccess(access, desk.tables);
  const reason = explain(desk, fact, request, access);
  if (fact === FACT.quarantined) {
    desk.quarantined++;
    return { code: responseCode(fact), reason, result: { kind: 'quarantined', eventRef: desk.quarantined } };
  }
  if (fact !== FACT.accepted) return refusal(responseCode(fact), reason);
  const trtSeconds = trtSecondsOfRequest(desk, access);
  const answer = carryOut(desk, request, access, reason);
  return { ...answer, trtSeconds, deadlineMs: deadlineMs(receipt.atMs, trtSeconds, 0) };
}

function checkMisfit(desk: Desk, request: DuisRequest, access: AccessRequest): Answer | undefined {
  const service = desk.matrix.services[access.srv];
  if (service === undefined) return undefined;
  const name = `${service.srv} (${service.name})`;
  if (request.commandVariant !== service.commandVariant) {
    const reason = `${name} takes CommandVariant ${service.commandVariant}, the request has ${request.commandVariant}`;
    return refusal('E12', reason);
  }
  const { target } = request.requestId;
  if (service.target === 'dcc' && target !== DCC_ACCESS_CONTROL_BROKER) {
    return refusal(
      'E11',
      `${name} is the DCC's own to answer: its target is ${DCC_ACCESS_CONTROL_BROKER}, not ${target}`,
    );
  }
  return checkFutureDated(desk, request, access, name);
}

/** MP162 knows on demand and scheduled; a request for later execution is neither (steps 1 and 2 are asked first). */
function checkFutureDated(desk: Desk, { body }: DuisRequest, access: AccessRequest, name: string): Answer | undefined {
  if (!('executionMs' in body) || body.executionMs === undefined) return undefined;
  const fact = decideAccess(access, { ...desk.tables, anomaly: null });
  if (fact !== FACT.accepted && FACTS[fact].step < 3) return undefined;
  const when = formatInstant(body.executionMs);
  return refusal(
    'E2',
    `${name} is asked for at ${when}: ${desk.matrix.name} has it on demand or scheduled, not future dated`,
  );
}

/** Core's sentence, with the identifier that a table row cannot hold where there is no row. */
function explain(desk: Desk, fact: Fact, { requestId, body }: DuisRequest, access: AccessRequest): string {
  const sentence = explainDecision(fact, access, desk.tables);
  if (fact === FACT.userUnknown) return `${sentence}: ${requestId.originator}`;
  if (fact !== FACT.deviceUnknown) return sentence;
  if (body.kind === 'read-inventory') return `${sentence}: ${body.by} ${body.value}`;
  return `${sentence}: ${'deviceId' in body ? body.deviceId : requestId.target}`;
}

function trtSecondsOfRequest({ matrix, tables }: Desk, { srv, mode, service, role, device }: AccessRequest): number {
  const trts = GENERATIONS.map((_, generation) => trtSecondsOf(matrix, srv, generation, mode, service, role));
  return device >= 0 ? trts[tables.devices.generation[device]] : Math.max(...trts);
}

function carryOut(desk: Desk, request: DuisRequest, access: AccessRequest, reason: string): Answer {
  const { body } = request;
  switch (body.kind) {
    case 'registers':
      return read(desk, request, access, { startMs: access.atMs, endMs: access.atMs }, reason);
    case 'window':
      return read(desk, request, access, body, reason);
    case 'create-schedule':
      return create(desk, body, access, reason);
    case 'read-schedule':
    case 'delete-schedule':
      return readOrDelete(desk, body, access, reason);
    case 'read-inventory':
      return { code: 'I0', reason, result: { kind: 'inventory', device: desk.world.devices[access.device] } };
  }
}

const OUTCOME_SENTENCES: Readonly<Record<Outcome, string>> = {
  [OUTCOME.complete]: '',
  [OUTCOME.partial]: '. The meter keeps a part of the window only',
  [OUTCOME.empty]: '. The meter keeps nothing of the window',
  [OUTCOME.noExportRegister]: '. The meter has no export register and answers with an error',
  [OUTCOME.notSupported]: '. The meter does not support the read and answers with an error',
  [OUTCOME.notInstalled]: '. But the meter is not installed yet',
};

function read(
  desk: Desk,
  { srv, requestId }: DuisRequest,
  { device, srv: srvRow, role, atMs }: AccessRequest,
  window: { startMs: number; endMs: number },
  accepted: string,
): Answer {
  const { outcome, rows } = readMeter(desk.meters, device, srvRow, window, atMs);
  const reason = accepted + OUTCOME_SENTENCES[outcome];
  if (outcome === OUTCOME.notInstalled) return refusal('E20', reason);
  const success = outcome !== OUTCOME.noExportRegister && outcome !== OUTCOME.notSupported;
  const { generation, id } = desk.world.devices[device];
  const readings = { srv: srv as ReadVariant, generation, success, rows };
  if (generation === 'SMETS1') return { code: 'I0', reason, result: { kind: 'readings', readings } };
  const head = { device: id, role: ROLES[role], atMs };
  const gbcsPayload = payloadOf(requestId, head, readings, desk.secrets, () =>
    countersFrom(atMs, desk.brokerCommands++),
  );
  return { code: 'I0', reason, result: { kind: 'readings', readings: { ...readings, gbcsPayload } } };
}

function create(desk: Desk, body: ScheduleBody, access: AccessRequest, reason: string): Answer {
  const { user, role, service, atMs } = access;
  const owner = desk.world.users[user];
  const schedule = draftSchedule(desk, body, { eui: owner.eui, role: ROLES[role], service });
  if (executionAfter(schedule, atMs) === undefined) {
    const never = `the schedule has no execution after ${formatInstant(atMs)}: its last day is past`;
    return refusal(desk.world.codes.scheduleNeverRuns, never);
  }
  if (!createSchedule(desk.schedules, schedule)) {
    const limit = `User ${owner.name} has 99 schedules for device ${body.deviceId}, the most that it may have`;
    return refusal(desk.world.codes.scheduleLimit, limit);
  }
  desk.nextScheduleId++;
  return { code: 'I0', reason, result: { kind: 'schedule-created', id: schedule.id } };
}

function readOrDelete(
  desk: Desk,
  body: { kind: 'read-schedule' | 'delete-schedule' } & ScheduleReference,
  { user }: AccessRequest,
  reason: string,
): Answer {
  const { eui, name } = desk.world.users[user];
  const selector = 'deviceId' in body ? { deviceId: body.deviceId } : { id: body.scheduleId };
  const deletes = body.kind === 'delete-schedule';
  const found = (deletes ? deleteSchedules : readSchedules)(desk.schedules, eui, selector);
  if (found.length === 0) {
    const which = 'deviceId' in body ? `for device ${body.deviceId}` : `of id ${body.scheduleId}`;
    const { readUnknownSchedule, deleteUnknownSchedule } = desk.world.codes;
    return refusal(deletes ? deleteUnknownSchedule : readUnknownSchedule, `User ${name} has no schedule ${which}`);
  }
  return deletes
    ? { code: 'I0', reason, result: { kind: 'schedules-deleted', ids: found.map(({ id }) => id) } }
    : { code: 'I0', reason, result: { kind: 'schedules', schedules: found } };
}

function refusal(code: string, reason: string): Answer {
  return { code, reason, result: { kind: 'refused' } };
}
