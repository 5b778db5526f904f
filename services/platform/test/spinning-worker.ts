/** A task that keeps its thread busy for so many milliseconds. */
export default function spin(ms: number): void {
  for (const untilMs = performance.now() + ms; performance.now() < untilMs; );
}
