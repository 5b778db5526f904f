import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { drawCompliance } from './charts/compliance.ts';
import { PANEL_ROOM, PHONE_ROOM } from './charts/drawing.ts';
import { drawHeatMap, HEAT_STEPS, hoursPerCell } from './charts/heat-map.ts';
import { drawLatency } from './charts/latency.ts';
import { drawLedger } from './charts/ledger-flow.ts';
import { drawNetwork } from './charts/network-panel.ts';
import { queueHigh } from './charts/queues.ts';
import { breachSpan } from './charts/time-axis.ts';
import { cautions, mostBreaches, shareWithin, totalsOf, verdictSentence } from './findings.ts';
import { formatCount, formatDay, formatShare } from './format.ts';
import { foreign, type Markup, markup, NOTHING, trusted } from './markup.ts';
import { platformSection } from './platform-section.ts';
import type { Report, Verdict } from './report.ts';
import { runFacts, settingsInForce } from './run-facts.ts';
import { contents, type Figure, keyFigureList, section, swatch, timed, twice } from './section.ts';
import {
  breachTable,
  latencyTable,
  loadTable,
  measureTable,
  networkTable,
  thresholdTable,
  trtTable,
  userTable,
} from './tables.ts';

const STYLE = ['palette.css', 'layout.css', 'tables.css', 'charts.css', 'media.css'].map(pageFile).join('');
const SCRIPT = pageFile('readout.js');

function pageFile(name: string): string {
  return readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');
}

/**
 * The report as one HTML file that needs nothing else: it opens from disk, fetches nothing (its content security policy
 * forbids it) and is well-formed XML but for the doctype.
 */
export function renderHtml(report: Report): string {
  const policy = `default-src 'none'; style-src '${hashOf(STYLE)}'; script-src '${hashOf(SCRIPT)}'; base-uri 'none'; form-action 'none'`;
  const page = markup`<html lang="en-GB">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="${policy}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<meta name="generator" content="mdr ${report.run.version}"/>
<title>${VERDICT_WORDS[report.verdict]}: ${report.scenario.title}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<a class="skip" href="#verdict">Skip to the verdict</a>
${pageHead(report)}
<main>
${verdictBanner(report)}
${keyFigures(report)}
${contents(report)}
${sections(report)}
</main>
<script>${trusted(SCRIPT)}</script>
</body>
</html>
`;
  return `<!DOCTYPE html>\n${page.markup}`;
}

const VERDICT_WORDS: Record<Verdict, string> = { held: 'Held', broken: 'Broken', undecided: 'Undecided' };
const VERDICT_SIGNS: Record<Verdict, string> = { held: '✓', broken: '✕', undecided: '?' };

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function pageHead({ scenario, run, platform }: Report): Markup {
  const days = scenario.days === 1 ? '1 day' : `${formatCount(scenario.days)} days`;
  return markup`<header>
<p class="kicker">${platform === undefined ? 'mdr plan' : 'mdr load'} · <bdi>${scenario.name}</bdi></p>
<h1>${foreign(scenario.title)}</h1>
<p class="lead">${foreign(scenario.description)}</p>
<p class="meta">${formatCount(scenario.meters)} meters · ${days} from ${formatDay(scenario.firstDay)} · matrix ${foreign(scenario.matrix)} · seed ${String(run.seed)} · times in UTC</p>
</header>`;
}

function verdictBanner(report: Report): Markup {
  const notes = cautions(report).map(
    (note) => markup`<p class="caution"><span aria-hidden="true">▲</span> ${note}</p>`,
  );
  return markup`<section id="verdict" class="verdict ${report.verdict}" aria-labelledby="verdict-word">
<h2 id="verdict-word"><span class="sign" aria-hidden="true">${VERDICT_SIGNS[report.verdict]}</span> ${VERDICT_WORDS[report.verdict]}</h2>
<p>${verdictSentence(report)}</p>
</section>
${notes.length === 0 ? NOTHING : markup`<div class="cautions" role="note">${notes}</div>`}`;
}

function keyFigures(report: Report): Markup {
  const totals = totalsOf(report.trt);
  const [busiest] = [...report.networks].sort(
    (a, b) => b.utilisationPeak - a.utilisationPeak || b.utilisationMean - a.utilisationMean,
  );
  const estimated = report.run.sample === null ? '' : 'estimated';
  const figures: Figure[] = [
    ['Accepted requests', formatCount(totals.requests), estimated],
    ['Answered within TRT', formatShare(shareWithin(totals)), estimated],
    ['Breaches', formatCount(report.ledger.breaches), estimated],
  ];
  if (busiest !== undefined) {
    figures.push(['Highest utilisation of a network', formatShare(busiest.utilisationPeak, 1), busiest.name]);
  }
  return keyFigureList(figures);
}

function sections(report: Report): Markup {
  return markup`${section('thresholds', 'Thresholds', 'The run is judged on these, one by one.', thresholdTable(report))}${platformSection(report)}${complianceSection(report)}${breachSection(report)}${latencySection(report)}${networkSection(report)}${ledgerSection(report)}${userSection(report)}${measureSection(report)}${section('settings', 'Settings in force', '', settingsInForce(report))}${section('run', 'This run', '', runFacts(report))}`;
}

/** The fill of what was in time without data, for chart and legend. */
const HATCH = markup`<svg class="unseen" width="0" height="0" aria-hidden="true"><defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-ground" width="5" height="5"/><rect class="hatch-line" width="2" height="5"/></pattern></defs></svg>`;

function complianceSection(report: Report): Markup {
  const legend = markup`<ul class="legend">${swatch('key-within', 'in time, with data')}${swatch('key-without-data', 'in time, E20 or E21 in place of data')}${swatch('key-late', 'late')}${levelLegend(report)}${report.run.complete || report.platform !== undefined ? NOTHING : swatch('key-unsettled', 'not yet known')}${report.trt.some((row) => row.interval !== undefined) ? swatch('key-range', '95 % interval') : NOTHING}</ul>`;
  const lead = markup`Accepted requests by Service Request, generation, mode and service, lowest share first<span class="wide-only">; on the right 90 to 100 % close up</span>.`;
  const chart =
    report.trt.length === 0
      ? markup`<p class="nothing">No request was accepted.</p>`
      : twice((room) => drawCompliance(report, room));
  return section(
    'trt',
    'Target Response Times',
    lead,
    markup`${HATCH}<figure>${legend}${chart}</figure>${trtTable(report)}`,
  );
}

/** Target and minimum, with their figures where both measures have the same. */
function levelLegend({ measures }: Report): Markup {
  if (measures.length === 0) return NOTHING;
  const named = (name: string, levels: readonly number[]): string =>
    new Set(levels).size === 1 ? `${name} ${formatShare(levels[0], 0)}` : name;
  const target = named(
    'target',
    measures.map((row) => row.target),
  );
  const minimum = named(
    'minimum',
    measures.map((row) => row.minimum),
  );
  return markup`${swatch('key-target', target)}${swatch('key-minimum', minimum)}`;
}

function breachSection(report: Report): Markup {
  const steps = HEAT_STEPS.map((least, index) => {
    const next = HEAT_STEPS[index + 1];
    const range =
      next === undefined ? `${formatCount(least)} and more` : `${formatCount(least)} to ${formatCount(next - 1)}`;
    return swatch(`key-heat-${index + 1}`, range);
  });
  const highest = (mostBreaches(report)?.count ?? 0) * hoursPerCell(report, PHONE_ROOM);
  const shown = steps.filter((_, index) => index === 0 || highest >= HEAT_STEPS[index]);
  const span = breachSpan(report);
  const runOut =
    span.demandEndMs < span.endMs
      ? ' In the run-out nothing more is asked: what was asked before still falls due.'
      : '';
  const lead = `By the hour in which the deadline passed, answered or not. An empty cell had no breach.${runOut}`;
  const legend = markup`<ul class="legend">${swatch('key-heat-none', 'none')}${shown}</ul>`;
  return section(
    'breaches',
    'Breaches by hour and network',
    report.ledger.breaches === 0 ? 'No request missed its Target Response Time.' : lead,
    markup`${legend}${timed(
      twice((room) => drawHeatMap(report, room)),
      'Breaches as a table',
      breachTable(report),
    )}`,
  );
}

function latencySection(report: Report): Markup {
  const legend = markup`<ul class="legend">${swatch('key-p50', 'median')}${swatch('key-p95', '95th percentile')}${swatch('key-max', 'longest')}${swatch('key-trt', 'TRTs in range')}</ul>`;
  const minutes = report.series.bucketSeconds / 60;
  const lead = `From receipt to response, for each ${formatCount(minutes)} minutes, on a logarithmic scale. Gaps are times without an answer.`;
  return section(
    'latency',
    'On-demand latency over the run',
    lead,
    markup`${legend}${timed(
      twice((room) => drawLatency(report, room)),
      'Latency as a table',
      latencyTable(report),
    )}`,
  );
}

function networkSection(report: Report): Markup {
  const highest = queueHigh(report.networks);
  const panels = report.networks.map(
    (network, index) =>
      markup`<div class="panel"><h3>${foreign(network.name)}</h3>${timed(
        twice((room) => drawNetwork(report, index, highest, room), PANEL_ROOM),
        'As a table',
        loadTable(report, network),
      )}</div>
`,
  );
  const outage = report.networks.some((network) => network.outages.length > 0)
    ? swatch('key-outage', 'outage')
    : NOTHING;
  const legend = markup`<ul class="legend">${swatch('key-use', 'exchanges in use')}${swatch('key-on-demand', 'waiting on demand')}${swatch('key-scheduled', 'waiting, scheduled')}${outage}</ul>`;
  const lead = 'Exchanges in use and what waits for one. All networks share one queue scale.';
  return section(
    'networks',
    'Networks',
    lead,
    markup`${networkTable(report)}${legend}<div class="panels">${panels}</div>`,
  );
}

function ledgerSection(report: Report): Markup {
  const { ledger } = report;
  const lead = `${formatCount(ledger.received)} received = ${formatCount(ledger.answered)} answered + ${formatCount(
    Object.values(ledger.refused).reduce((sum, count) => sum + count, 0),
  )} refused + ${formatCount(ledger.quarantined)} quarantined + ${formatCount(ledger.open)} open. ${formatCount(ledger.halfHours)} half-hourly intervals were delivered.`;
  const chart = ledger.received === 0 ? NOTHING : markup`<figure>${twice((room) => drawLedger(report, room))}</figure>`;
  return section('requests', 'Where the requests went', lead, chart);
}

function userSection(report: Report): Markup {
  const lead =
    'A first attempt at a data set goes by schedule; on demand only where the schedule failed or cannot serve (MP162 business requirements, 2.6.4). First attempts made on demand are marked ▲.';
  return section('users', 'Users', lead, userTable(report));
}

function measureSection(report: Report): Markup {
  const lead =
    'Responses within TRT over requests received, by calendar month, against target and minimum service level.';
  return section('measures', 'Performance Measures', lead, measureTable(report));
}
