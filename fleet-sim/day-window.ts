/** A window of the day: ms after midnight UTC, and its length. */
export type DayWindow = { startMs: number; lengthMs: number };

/** Of a text `HH:MM-HH:MM`, as the scenario's schema admits it. */
export function parseWindow(text: string): DayWindow {
  const [start, end] = text.split('-').map((time) => {
    const [hours, minutes] = time.split(':').map(Number);
    return (hours * 60 + minutes) * 60_000;
  });
  return { startMs: start, lengthMs: end - start };
}

/** A whole millisecond within the window, drawn by 32 bits. */
export function timeIn({ startMs, lengthMs }: DayWindow, bits: number): number {
  return startMs + Math.floor((bits / 4294967296) * lengthMs);
}
