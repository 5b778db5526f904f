import { type Markup, markup } from '../markup.ts';
import type { NetworkRow } from '../report.ts';
import { line, text } from './drawing.ts';
import { linearScale, type Scale } from './scale.ts';
import { steps } from './time-axis.ts';

/** Share of a network's exchanges in use over time: a strip between `top` and `bottom` of a panel. */
export function drawUtilisation(
  network: NetworkRow,
  startMs: number,
  x: Scale,
  place: { left: number; right: number; top: number; bottom: number },
): Markup {
  const { left, right, top, bottom } = place;
  const y = linearScale(0, 1, bottom, top);
  const grid = [0, 0.5, 1].map(
    (share) =>
      markup`${line('grid', left, y(share), right, y(share))}${text('tick-label end', left - 6, y(share) + 4, `${share * 100}\u00a0%`)}`,
  );
  const from = x(startMs);
  const bucketWidth = x(startMs + network.bucketSeconds * 1000) - from;
  const level = steps(network.utilisation, from, bucketWidth, (share) => y(Math.min(1, share)));
  const area = level === '' ? '' : `${level}V${bottom}H${Math.round(from * 10) / 10}Z`;
  return markup`${grid}<path class="utilisation-area" d="${area}"/><path class="utilisation" d="${level}"/>`;
}
