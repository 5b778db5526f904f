import { REQUEST_KIND, SERVICE_REQUEST_BYTES_MAX, writeServiceRequest } from '#schemas/service-request.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { SimClock } from '#services/platform/sim-clock.ts';
import type { HeldRequest } from './held-requests.ts';
import type { RequestLane } from './request-lane.ts';

/** What a User, or an operator for it, answers to a request that is held. */
export const QUARANTINE_ANSWERS = ['process', 'delete'] as const;
export type QuarantineAnswer = (typeof QUARANTINE_ANSWERS)[number];

export function isQuarantineAnswer(text: string): text is QuarantineAnswer {
  return (QUARANTINE_ANSWERS as readonly string[]).includes(text);
}

/**
 * Puts the answer into the lane of the request: with the broker when this resolves. The anomaly check carries it out,
 * and sets aside what comes a second time.
 */
export async function answerQuarantine(
  lane: RequestLane,
  { fields, originator, device }: HeldRequest,
  answer: QuarantineAnswer,
  source: number,
  clock: SimClock,
): Promise<void> {
  const wallMs = nowMs();
  const answered = {
    ...fields,
    kind: answer === 'process' ? REQUEST_KIND.release : REQUEST_KIND.delete,
    source,
    receivedMs: Math.floor(clock.isPaced ? clock.now() : wallMs),
    dueWallMs: wallMs,
  };
  await lane.write(fields.mpan, (position) => {
    const value = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);
    return value.subarray(0, writeServiceRequest(value, 0, { ...answered, position }, originator, device));
  });
}
