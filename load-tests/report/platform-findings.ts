import { formatCount, formatDelay, formatInstant, formatSeconds, formatShare, formatWallTime } from './format.ts';
import type { PlatformLatencyRow, PlatformReport, Report } from './report.ts';

const DAY_SECONDS = 86_400;

/** A sentence that says what figures of the platform mean, and whether it is good news; null: neither. */
export type PlatformFinding = { isGood: boolean | null; sentence: string };

/** What a reader takes away of how the platform kept up, the most important first. Sentences end with a full stop. */
export function platformFindings({ platform, run }: Report & { platform: PlatformReport }): PlatformFinding[] {
  const findings = [keepingUp(platform, run.complete)];
  const clock = behindTheClock(platform);
  if (clock !== null) findings.push(clock);
  findings.push(...ownTime(platform));
  if (platform.late > 0) findings.push(lateness(platform));
  if (platform.duplicates > 0) {
    const replayed = counted(platform.duplicates, 'replayed record was', 'replayed records were');
    findings.push({ isGood: null, sentence: `${replayed} recognised and dropped: none was answered twice for it.` });
  }
  return findings;
}

function keepingUp({ lag, series, late }: PlatformReport, isComplete: boolean): PlatformFinding {
  if (series.length === 0) return { isGood: null, sentence: 'The run ended before anything was measured.' };
  const ended = isComplete ? 'at the end' : 'when the run was stopped';
  if (lag.endRecords > 0) {
    const left = counted(lag.endRecords, 'record lay behind', 'records lay behind');
    if (lag.slopePerSecond > 0) {
      const pace = formatRate(lag.slopePerSecond);
      return { isGood: false, sentence: `The services fell behind by ${pace}: ${left} ${ended}.` };
    }
    return { isGood: null, sentence: `${left} ${ended}, and it was not getting more.` };
  }
  // Where requests came late to the fleet the services did not keep up, whatever lay in topics at a look.
  const isGood = late === 0 ? true : null;
  const sentence = `${late === 0 ? 'The services kept up: nothing' : 'Nothing'} lay behind ${ended}`;
  if (lag.peakRecords === 0) return { isGood, sentence: `${sentence}, nor at any look before.` };
  const peak = counted(lag.peakRecords, 'record', 'records');
  const before =
    lag.drainSeconds === null ? `; at most ${peak}` : `, ${formatWallTime(lag.drainSeconds)} after a peak of ${peak}`;
  return { isGood, sentence: `${sentence}${before}.` };
}

function formatRate(recordsPerSecond: number): string {
  return recordsPerSecond < 1 ? 'less than a record a second' : `${formatCount(recordsPerSecond)} records a second`;
}

function behindTheClock({ behindSecondsMax, speed }: PlatformReport): PlatformFinding | null {
  if (behindSecondsMax === null) return null;
  const simulated = speed === 1 ? '' : ` (${formatWallTime(behindSecondsMax * speed)} of simulated time)`;
  return {
    isGood: null,
    sentence: `The answers were at most ${formatWallTime(behindSecondsMax)} behind the clock${simulated}.`,
  };
}

const MODE_STARTS = { 'on-demand': 'On demand', scheduled: 'Scheduled' } as const;

function ownTime({ latency, chargedSeconds }: PlatformReport): PlatformFinding[] {
  return (['on-demand', 'scheduled'] as const).flatMap((mode) => {
    const own = latency[mode];
    if (own.count === 0) return [];
    const charged = chargedSeconds[mode];
    const platform = `${ownTimeText(own, 'p50Ms')} in the median and ${ownTimeText(own, 'p95Ms')} at the 95th percentile`;
    const whole = `${formatSeconds(charged.p50)} and ${formatSeconds(charged.p95)}`;
    return {
      isGood: null,
      sentence: `${MODE_STARTS[mode]} the platform took ${platform}; with the network's time, ${whole}.`,
    };
  });
}

/** Where the histogram that percentiles come from ends: of what lies beyond only the maximum is known. */
const OWN_TIME_MS_MAX = 10_000;

/** A percentile of the platform's own time; `over 10 s` where it lies beyond what was kept apart. */
export function ownTimeText(own: PlatformLatencyRow, percentile: 'p50Ms' | 'p95Ms' | 'p99Ms'): string {
  const ms = own[percentile];
  const isBeyond = ms >= OWN_TIME_MS_MAX && own.maxMs > OWN_TIME_MS_MAX;
  return isBeyond ? `over ${formatDelay(OWN_TIME_MS_MAX)}` : formatDelay(ms);
}

function lateness({ late }: PlatformReport): PlatformFinding {
  const requests = counted(late, 'request', 'requests');
  return {
    isGood: false,
    sentence: `${requests} reached the fleet only after the instant at which they were due there.`,
  };
}

function counted(count: number, one: string, more: string): string {
  return `${formatCount(count)} ${count === 1 ? one : more}`;
}

/** Simulated seconds a second that the run went through; null where it is too short to tell. */
export function paceOf({ series }: PlatformReport): number | null {
  const taken = series.filter(({ simulatedMs }) => simulatedMs > 0);
  const [first, last] = [taken[0], taken.at(-1)];
  if (first === undefined || last === undefined || last.atSeconds <= first.atSeconds) return null;
  return (last.simulatedMs - first.simulatedMs) / 1000 / (last.atSeconds - first.atSeconds);
}

/** `96 times real time`, and how long a day takes at that. */
export function speedFigure(platform: PlatformReport): { value: string; note: string } {
  const pace = platform.speed > 0 ? platform.speed : paceOf(platform);
  const how = platform.speed > 0 ? '' : 'as fast as it went';
  if (pace === null || pace <= 0) return { value: 'max', note: how };
  const day = `a day in ${formatWallTime(DAY_SECONDS / pace)}`;
  return {
    value: `${speedText(pace)}\u00a0×`,
    note: how === '' ? day : `${how}: ${day}`,
  };
}

function speedText(pace: number): string {
  return pace < 10 ? String(Number(pace.toPrecision(2))) : formatCount(Number(pace.toPrecision(3)));
}

/** Where the scenario had got to, and what share of its days that is: for a run that was stopped. */
export function reachedText({ platform, series, scenario }: Report): string {
  const reachedMs = platform?.series.at(-1)?.simulatedMs ?? 0;
  if (reachedMs === 0) return 'before its clock started';
  if (reachedMs < series.startMs)
    return `at ${formatInstant(reachedMs)} UTC of the warm-up, before anything is counted`;
  const share = Math.min(1, (reachedMs - series.startMs) / (scenario.days * DAY_SECONDS * 1000));
  return `at ${formatInstant(reachedMs)} UTC, ${formatShare(share, 0)} of the way through the days that are counted`;
}
