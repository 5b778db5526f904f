import { drawPlatform } from './charts/platform.ts';
import { sumOf } from './findings.ts';
import { formatCount, formatWallTime } from './format.ts';
import { type Markup, markup, NOTHING } from './markup.ts';
import { ownTimeText, type PlatformFinding, platformFindings, speedFigure } from './platform-findings.ts';
import { platformTimeTable, serviceTable, wallTable } from './platform-tables.ts';
import type { PlatformReport, Report } from './report.ts';
import { type Figure, keyFigureList, section, swatch, timed, twice } from './section.ts';

/** How the platform kept up; nothing in a plan's report. */
export function platformSection({ platform, ...report }: Report): Markup {
  if (platform === undefined) return NOTHING;
  const lead =
    'The scenario went through the services on Kafka. The times here are wall time, whatever the speed of the clock.';
  const findings = platformFindings({ ...report, platform }).map(findingLine);
  return section(
    'platform',
    'The platform',
    lead,
    markup`<ul class="found">${findings}</ul>
${keyFigureList(figuresOf(platform))}
${ratesPart(platform)}
<h3>The platform's own time</h3>
<p class="note">${timeNote(platform)} A TRT is charged the network's time and the platform's.</p>
${platformTimeTable(platform)}
<h3>What the services used</h3>
<p class="note">${costNote(platform)}</p>
${serviceTable(platform)}`,
  );
}

function findingLine({ isGood, sentence }: PlatformFinding): Markup {
  const sign = isGood === null ? '·' : isGood ? '✓' : '▲';
  const name = isGood === null ? 'plain' : isGood ? 'good' : 'bad';
  return markup`<li class="${name}"><span class="sign" aria-hidden="true">${sign}</span> ${sentence}</li>`;
}

function figuresOf(platform: PlatformReport): Figure[] {
  const { offered, achieved, lag, latency, behindSecondsMax, late, duplicates } = platform;
  const speed = speedFigure(platform);
  const onTheirWay = offered.requests - achieved.requests;
  const rest = onTheirWay > 0 ? `; ${formatCount(onTheirWay)} without an answer at the end` : '';
  const ownTime = (mode: 'on-demand' | 'scheduled'): [string, string] => {
    const own = latency[mode];
    return own.count === 0
      ? ['none', 'no answer on counted days']
      : [ownTimeText(own, 'p95Ms'), `p95; median ${ownTimeText(own, 'p50Ms')}, p99 ${ownTimeText(own, 'p99Ms')}`];
  };
  const figures: Figure[] = [
    ['Requests offered', perSecond(offered.perSecond), `${formatCount(offered.requests)} requests, warm-up included`],
    ['Requests achieved', perSecond(achieved.perSecond), `${formatCount(achieved.requests)} requests${rest}`],
    ['Speed of the clock', speed.value, speed.note],
    ["Platform's time, on demand", ...ownTime('on-demand')],
    ["Platform's time, scheduled", ...ownTime('scheduled')],
    ['Records not taken, at most', formatCount(lag.peakRecords), lagNote(lag)],
    ['Requests late at the fleet', formatCount(late), `${formatCount(duplicates)} replayed records dropped`],
  ];
  if (behindSecondsMax !== null) {
    const note = platform.speed === 1 ? '' : `${formatWallTime(behindSecondsMax * platform.speed)} of simulated time`;
    figures.splice(5, 0, ['Behind the clock, at most', formatWallTime(behindSecondsMax), note]);
  }
  return figures;
}

function perSecond(rate: number): string {
  return `${formatCount(rate)}\u00a0/s`;
}

function lagNote({ peakRecords, slopePerSecond, drainSeconds }: PlatformReport['lag']): string {
  if (peakRecords === 0) return 'at no look was any left';
  const slope = Math.abs(slopePerSecond) < 0.5 ? '0' : formatCount(slopePerSecond).replace('-', '−');
  const trend = `trend ${slopePerSecond >= 0.5 ? '+' : ''}${slope} a second`;
  return drainSeconds === null ? `not drained; ${trend}` : `drained in ${formatWallTime(drainSeconds)}; ${trend}`;
}

function ratesPart(platform: PlatformReport): Markup {
  if ((platform.series.at(-1)?.atSeconds ?? 0) <= 0) return NOTHING;
  const legend = markup`<ul class="legend">${swatch('key-offered', 'offered: made by schedules and Users')}${swatch('key-achieved', 'achieved: answered or refused')}${swatch('key-lag', 'in topics, not taken by a service')}</ul>`;
  const chart = twice((room) => drawPlatform(platform, room));
  return markup`<h3>Offered, achieved and lag</h3>
${legend}${timed(chart, 'Rates and lag as a table', wallTable(platform))}`;
}

/** Without a pace there is no instant at which an answer is due: what is measured then ends at the fleet. */
function timeNote({ speed }: PlatformReport): string {
  return speed > 0
    ? 'From the instant at which a request was due until its answer was sent, less what network and quarantine took of it.'
    : 'As fast as it goes: from when a request was made until the fleet had it, so it grows with all that was made at once.';
}

function costNote({ services, achieved }: PlatformReport): string {
  const cpuSeconds = sumOf(services.map((row) => row.cpuSeconds));
  const cost =
    cpuSeconds > 0
      ? ` That is ${formatCount(achieved.requests / cpuSeconds)} requests a second of processor time.`
      : '';
  return `From the start of the clock to the end of the run; Kafka and mdr load itself are not in it.${cost}`;
}
