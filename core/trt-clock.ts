/**
 * The clock of one request. Starts when the DCC receives it (on demand) or when its scheduled execution time arrives,
 * ends when the DCC sends the response to the User; time in quarantine does not count.
 */
export type TrtClock = {
  startedMs: number;
  trtSeconds: number;
  /** Of quarantines that are over. */
  quarantinedMs: number;
  /** Set while the request is held. */
  heldSinceMs?: number;
  /** Set once the response is sent. */
  endedMs?: number;
};

/** The last instant at which an answer is within the TRT. */
export function deadlineMs(receivedMs: number, trtSeconds: number, quarantinedMs: number): number {
  return receivedMs + trtSeconds * 1000 + quarantinedMs;
}

/** Whether the deadline has passed at an instant: that of the answer, or now while there is none. */
export function isBreach(receivedMs: number, trtSeconds: number, quarantinedMs: number, atMs: number): boolean {
  return atMs > deadlineMs(receivedMs, trtSeconds, quarantinedMs);
}

export function startClock(startedMs: number, trtSeconds: number): TrtClock {
  return { startedMs, trtSeconds, quarantinedMs: 0 };
}

/** The request is held in quarantine from now on. */
export function holdClock(clock: TrtClock, atMs: number): void {
  if (clock.heldSinceMs !== undefined || clock.endedMs !== undefined) throw new Error('only a running clock is held');
  clock.heldSinceMs = atMs;
}

/** Its User said *process*: the clock runs on. */
export function releaseClock(clock: TrtClock, atMs: number): void {
  if (clock.heldSinceMs === undefined) throw new Error('only a held clock is released');
  clock.quarantinedMs += atMs - clock.heldSinceMs;
  delete clock.heldSinceMs;
}

/** The response is sent to the User. */
export function endClock(clock: TrtClock, atMs: number): void {
  if (clock.heldSinceMs !== undefined || clock.endedMs !== undefined) throw new Error('only a running clock ends');
  clock.endedMs = atMs;
}

/** How the request stands at an instant: a breach from the moment its deadline passes, answered later or not. */
export function standsAt(clock: TrtClock, atMs: number): 'open' | 'held' | 'within' | 'breach' {
  const { startedMs, trtSeconds, quarantinedMs, heldSinceMs, endedMs } = clock;
  const decidedMs = Math.min(atMs, heldSinceMs ?? atMs, endedMs ?? atMs);
  if (isBreach(startedMs, trtSeconds, quarantinedMs, decidedMs)) return 'breach';
  if (endedMs !== undefined && endedMs <= atMs) return 'within';
  return heldSinceMs !== undefined && heldSinceMs <= atMs ? 'held' : 'open';
}
