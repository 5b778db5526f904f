import { PAGE_ROOM, PHONE_ROOM, type Room } from './charts/drawing.ts';
import { foreign, type Markup, markup, NOTHING } from './markup.ts';
import type { Report } from './report.ts';
import { folded } from './table.ts';

const SECTIONS = [
  ['thresholds', 'Thresholds'],
  ['platform', 'Platform'],
  ['trt', 'Target Response Times'],
  ['breaches', 'Breaches'],
  ['latency', 'Latency'],
  ['networks', 'Networks'],
  ['requests', 'Requests'],
  ['users', 'Users'],
  ['measures', 'Performance Measures'],
  ['settings', 'Settings'],
  ['run', 'Run'],
] as const;

export function contents({ platform }: Report): Markup {
  const shown = SECTIONS.filter(([id]) => id !== 'platform' || platform !== undefined);
  const links = shown.map(([id, name]) => markup`<li><a href="#${id}">${name}</a></li>`);
  return markup`<nav aria-label="Sections"><ul>${links}</ul></nav>`;
}

export function section(
  id: (typeof SECTIONS)[number][0],
  heading: string,
  lead: Markup | string,
  content: Markup,
): Markup {
  return markup`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${heading}</h2>
${lead === '' ? NOTHING : markup`<p class="lead">${lead}</p>`}
${content}
</section>
`;
}

export type Figure = [name: string, value: string, note: string];

export function keyFigureList(figures: readonly Figure[]): Markup {
  const items = figures.map(
    ([name, value, note]) =>
      markup`<div><dt>${name}</dt><dd>${value}${note === '' ? NOTHING : markup` <small>${foreign(note)}</small>`}</dd></div>`,
  );
  return markup`<dl class="key-figures">${items}</dl>`;
}

/** A chart drawn for both rooms that it may be shown in. */
export function twice(draw: (room: Room) => Markup, wide: Room = PAGE_ROOM): Markup {
  return markup`${draw(wide)}${draw(PHONE_ROOM)}`;
}

/** A chart over time with its data by equal stretches, which the page's script also reads the one pointed at from. */
export function timed(chart: Markup, heading: string, data: Markup): Markup {
  return markup`<figure class="timed">${chart}<p class="readout" aria-hidden="true"></p>${folded(heading, data)}</figure>`;
}

export function swatch(name: string, label: string): Markup {
  return markup`<li><svg class="swatch" viewBox="0 0 22 12" width="22" height="12" aria-hidden="true"><g class="${name}"><rect class="fill" width="22" height="12"/><path class="stroke" d="M0 6H22"/><path class="upright" d="M11 0V12"/></g></svg>${label}</li>`;
}
