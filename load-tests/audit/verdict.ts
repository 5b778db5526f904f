import { FACTS } from '#core/access-control.ts';
import { type Matrix, MODES, trtSecondsOf } from '#core/matrix.ts';
import { formatDay } from '#core/settlement-day.ts';
import { deadlineMs } from '#core/trt-clock.ts';
import { type Access, decisionText, isAccepted } from './access.ts';
import type { AnomalyLedger } from './anomaly-ledger.ts';
import type { FaultKind, Findings, WarningKind } from './findings.ts';
import type { PartitionLedger, QuarantineAnswers } from './partition-ledger.ts';
import { ACCESS_CONTROL, ANOMALY, FLEET, NO_GENERATION, type Requests, SEEN } from './requests.ts';
import type { Totals } from './totals.ts';

/** By access control. */
const LET_THROUGH = SEEN.checked | SEEN.delivered | SEEN.held | SEEN.released;
/** A deadline may pass while the answer is on its way: this near to it either verdict is right. */
export const BREACH_TOLERANCE_MS = 1_000;

export type Standards = {
  matrix: Matrix;
  /** Every request received before must be settled. */
  settledBeforeMs: number;
  faults: Findings<FaultKind>;
  warnings: Findings<WarningKind>;
  anomaly: AnomalyLedger;
};

/** Judges every request of a partition, and counts it. */
export function judgePartition(ledger: PartitionLedger, access: Access, standards: Standards, totals: Totals): void {
  const { requests } = ledger;
  for (let index = 0; index < requests.count; index++) {
    settle(ledger, index, standards, totals);
    judgeAccess(requests, index, access, standards);
    judgeBreach(ledger, index, standards, totals);
    judgeRepeated(requests, index, standards.faults);
    judgeQuarantine(requests, index, standards);
  }
  totals.addDropped(ledger.droppedUnseen);
  totals.intervals += ledger.intervals;
}

function settle(
  { requests, quarantineAnswers, repeated }: PartitionLedger,
  index: number,
  standards: Standards,
  totals: Totals,
): void {
  const { settledBeforeMs, faults } = standards;
  const lane = totals.lane(requests.mode[index]);
  lane.received++;
  if (requests.has(index, SEEN.released)) totals.released++;
  if (repeated.has(index)) {
    if (!requests.isAnswered(index) && !requests.has(index, LET_THROUGH)) {
      lane.repeated++;
      return;
    }
    faults.add('answered-twice', requests.place(index), () => 'two gateways accepted it, and it was run twice');
  }
  if (requests.isAnswered(index)) {
    if (requests.source[index] === ACCESS_CONTROL) lane.refused++;
    else lane.answered++;
    totals.addCode(requests.codeOf(index));
    return;
  }
  if (requests.has(index, SEEN.setAside)) {
    lane.setAside++;
    return;
  }
  if (requests.has(index, SEEN.deleted)) {
    lane.deleted++;
    return;
  }
  const said = quarantineAnswers.get(index);
  const dueMs = isHeldStill(requests, index) ? (said?.process ?? said?.delete) : requests.receivedMs[index];
  if (dueMs === undefined) lane.quarantined++;
  else if (dueMs >= settledBeforeMs) lane.open++;
  else {
    lane.lost++;
    faults.add('lost', requests.place(index), () => `no answer; ${lastSeen(requests, index, said)}`);
  }
}

/** Held and not let go; what was dropped stays so. */
function isHeldStill(requests: Requests, index: number): boolean {
  return requests.has(index, SEEN.held) && !requests.has(index, SEEN.released);
}

function lastSeen(requests: Requests, index: number, said: QuarantineAnswers = {}): string {
  if (requests.has(index, SEEN.delivered))
    return `it was last seen at offset ${requests.deliveredAt[index]} of ${deviceLane(requests, index)}`;
  if (requests.has(index, SEEN.dropped))
    return `what was sent to its meter looks like a replay (its source offset is not above the last), so the fleet drops it`;
  if (requests.has(index, SEEN.released)) return 'it was released from quarantine and not sent to its meter';
  if (requests.has(index, SEEN.held))
    return `its User said ${Object.keys(said).join(' and ')}, and it is held in quarantine still`;
  if (requests.has(index, SEEN.checked)) return 'it was last seen in anomaly-checks';
  return 'access control has written nothing about it';
}

function deviceLane(requests: Requests, index: number): string {
  return `device-requests.${MODES[requests.mode[index]]}`;
}

function judgeAccess(requests: Requests, index: number, access: Access, { matrix, faults, warnings }: Standards): void {
  const isAnswered = requests.isAnswered(index);
  const isLetThrough = requests.has(index, LET_THROUGH);
  if (!isAnswered && !isLetThrough) return;
  const isRefused = isAnswered && requests.source[index] === ACCESS_CONTROL;
  if (isRefused && isLetThrough) {
    const says = () => `refused with ${requests.codeOf(index)}, and let through as well`;
    warnings.add('conflicting', requests.place(index), says);
  }
  const { facts, generations, isKnown } = access.due(requests, index);
  if (!isKnown) {
    warnings.add(
      'undecided',
      requests.place(index),
      () => 'compaction has removed what was in force when it was decided',
    );
    return;
  }
  const fact = isRefused ? requests.fact[index] : 0;
  const wrong = wrongDecision(requests, index, fact, isRefused, facts) ?? wrongAnswerer(requests, index, matrix);
  if (isForeign(requests, index, access, faults)) return;
  if (wrong !== undefined) faults.add('wrong-code', requests.place(index), () => wrong);
  else if (!isRefused && !generations.includes(requests.generation[index])) {
    faults.add('wrong-code', requests.place(index), () => 'passed on with another generation than the inventory says');
  }
}

function wrongDecision(
  requests: Requests,
  index: number,
  fact: number,
  isRefused: boolean,
  due: readonly number[],
): string | undefined {
  const code = requests.codeOf(index);
  const said = isRefused ? `refused with ${code}, fact ${fact} (${FACTS[fact]?.fact ?? 'none'})` : 'accepted';
  const isCodeRight = !isRefused || (FACTS[fact]?.code === code && !isAccepted(fact));
  if (isCodeRight && due.includes(fact)) return undefined;
  return `${said}; by the rules ${due.map(decisionText).join(' or ')}`;
}

/** An accepted request is answered by the fleet, or by the platform where no meter is asked. */
function wrongAnswerer(requests: Requests, index: number, matrix: Matrix): string | undefined {
  if (!requests.isAnswered(index) || requests.source[index] === ACCESS_CONTROL || requests.srv[index] < 0)
    return undefined;
  const { target, srv } = matrix.services[requests.srv[index]];
  const code = requests.codeOf(index);
  const source = requests.source[index];
  if (source !== (target === 'dcc' ? ANOMALY : FLEET)) {
    return `${srv} is answered by ${target === 'dcc' ? 'the platform' : 'the fleet'}, and this was by the other`;
  }
  return source === FLEET && !FLEET_CODES.includes(code) ? `the fleet answered ${code}` : undefined;
}

const FLEET_CODES = ['I0', 'E20', 'E21'];

function isForeign(requests: Requests, index: number, access: Access, faults: Findings<FaultKind>): boolean {
  if (!requests.isAnswered(index) || requests.source[index] === ACCESS_CONTROL || requests.codeOf(index) !== 'I0')
    return false;
  const day = access.firstForeignDay(requests, index);
  const isOutside = requests.has(index, SEEN.outside);
  if (day === undefined && !isOutside) return false;
  const says = () =>
    day === undefined
      ? 'I0 with rows outside the window asked for'
      : `I0 though the User was not appointed for Settlement Day ${formatDay(day)}`;
  faults.add('wrong-day', requests.place(index), says);
  return true;
}

function judgeBreach(ledger: PartitionLedger, index: number, { matrix, faults }: Standards, totals: Totals): void {
  const { requests, breaches, fleetMs } = ledger;
  const breach = breaches.get(index);
  if (breach !== undefined) totals.breaches++;
  const fault = (says: () => string) => faults.add('breach', requests.place(index), says);
  const isAnswered = requests.isAnswered(index);
  const isAccepted = isAnswered ? requests.source[index] !== ACCESS_CONTROL : requests.has(index, LET_THROUGH);
  const trtSeconds = isAccepted ? trtOf(requests, index, matrix) : -1;
  if (trtSeconds < 0) {
    if (breach !== undefined) fault(() => 'counted as a breach, though it was not accepted and has no TRT');
    return;
  }
  const { receivedMs, quarantinedMs } = requests;
  const dueMs = deadlineMs(receivedMs[index], trtSeconds, quarantinedMs[index]);
  const isHeld = !isAnswered && isHeldStill(requests, index);
  const reachedMs = isAnswered
    ? requests.answeredMs[index] + requests.platformMs[index]
    : isHeld
      ? Number.NEGATIVE_INFINITY
      : fleetMs;
  const beyondMs = reachedMs - dueMs;
  if (isAnswered && beyondMs > 0) totals.late++;
  if (!isAnswered && !isHeld && beyondMs > 0) totals.late++;
  if (breach === undefined) {
    if (beyondMs > BREACH_TOLERANCE_MS)
      fault(() => `${lateText(isAnswered, beyondMs, trtSeconds)}, and not counted as a breach`);
    return;
  }
  if ((isAnswered || isHeld) && beyondMs < -BREACH_TOLERANCE_MS) {
    const stands = isHeld
      ? 'it is held in quarantine'
      : `it was answered ${secondsText(-beyondMs)} before its TRT of ${trtSeconds} s ran out`;
    fault(() => `counted as a breach, though ${stands}`);
  } else if (breach.trtSeconds !== trtSeconds || breach.deadlineMs !== dueMs) {
    const said = `TRT ${breach.trtSeconds} s and deadline ${breach.deadlineMs}`;
    fault(() => `its breach says ${said}, by the rules ${trtSeconds} s and ${dueMs}`);
  }
}

function trtOf(requests: Requests, index: number, matrix: Matrix): number {
  const [srv, generation, role] = [requests.srv[index], requests.generation[index], requests.role[index]];
  if (srv < 0 || generation === NO_GENERATION || role < 0) return -1;
  return trtSecondsOf(matrix, srv, generation, requests.mode[index], requests.service[index], role);
}

function lateText(isAnswered: boolean, beyondMs: number, trtSeconds: number): string {
  const by = `${secondsText(beyondMs)} after its TRT of ${trtSeconds} s ran out`;
  return isAnswered ? `answered ${by}` : `not answered ${by}`;
}

function secondsText(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Two requests with one RequestID, of which the earlier is named here and the later is looked at. */
function judgeRepeated(requests: Requests, index: number, faults: Findings<FaultKind>): void {
  if (!requests.isAnswered(index)) return;
  let earlier = requests.sameId[index];
  while (earlier >= 0 && !requests.isAnswered(earlier)) earlier = requests.sameId[earlier];
  if (earlier < 0) return;
  const answered = (one: number) => {
    const { topic, offset } = requests.place(one);
    return `${requests.codeOf(one)} to offset ${offset} of ${topic}`;
  };
  faults.add('answered-twice', requests.place(index), () => `answered ${answered(earlier)} and ${answered(index)}`);
}

function judgeQuarantine(requests: Requests, index: number, { anomaly, faults }: Standards): void {
  const isHeld = requests.has(index, SEEN.held);
  const isPassed =
    requests.has(index, SEEN.delivered) || (requests.isAnswered(index) && requests.source[index] !== ACCESS_CONTROL);
  if (requests.mode[index] === ON_DEMAND && (isHeld || isPassed || requests.has(index, SEEN.checked))) {
    anomaly.add(requests, index, isHeld ? 'held' : isPassed ? 'passed' : 'unsettled');
  }
  if (isHeld && isPassed && !requests.has(index, SEEN.released)) {
    faults.add(
      'anomaly',
      requests.place(index),
      () => 'held in quarantine and carried out without having been released',
    );
  }
}

const ON_DEMAND = MODES.indexOf('on-demand');
