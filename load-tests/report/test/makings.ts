import type { Making } from './made-report.ts';

/** The kinds of report that every rendering is tried on. */
export const MAKINGS: Record<string, Making> = {
  'a day that breaks in an outage': { seed: 1, outage: { startHour: 16, endHour: 19 } },
  'a calm day': { seed: 2, calm: true },
  'a sampled week of Great Britain': {
    seed: 3,
    days: 7,
    meters: 30_000_000,
    sampleOneIn: 50,
    outage: { startHour: 30, endHour: 102 },
  },
  'a sample that leaves it open': { seed: 4, sampleOneIn: 20, lateness: 0.6 },
  'a run stopped before its end': { seed: 5, complete: false },
  'a run without a request': { seed: 6, empty: true },
  'a load run that keeps up': { seed: 7, platform: { speed: 96 } },
  'a load run that falls behind and is stopped': {
    seed: 8,
    complete: false,
    platform: { speed: 0, fallsBehind: true },
  },
  'a load run without a request': { seed: 9, empty: true, platform: { speed: 0 } },
};

export const HOSTILE = `</title><script>alert(1)</script>"'&<img src=x onerror=alert(2)>]]>\u0000\u001b[31m\u202e\ud800`;
