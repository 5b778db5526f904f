/** The wall clock, milliseconds since the epoch. */
export function nowMs(): number {
  return Date.now();
}

/** Calls `act` every so many milliseconds until the function returned is called. */
export function every(intervalMs: number, act: () => void): () => void {
  const timer = setInterval(act, intervalMs);
  return () => clearInterval(timer);
}
