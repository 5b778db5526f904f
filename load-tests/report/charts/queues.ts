import { formatCompact } from '../format.ts';
import { type Markup, markup } from '../markup.ts';
import type { NetworkRow } from '../report.ts';
import { line, text } from './drawing.ts';
import { countScale, countTicks, type Scale } from './scale.ts';
import { steps } from './time-axis.ts';

/**
 * Exchanges waiting in a network over time by class, a strip of a panel. Logarithmic with a true zero: on demand waits
 * in tens where scheduled waits in hundred thousands. `high` is shared by all panels so that they compare.
 */
export function drawQueues(
  network: NetworkRow,
  startMs: number,
  high: number,
  x: Scale,
  place: { left: number; right: number; top: number; bottom: number },
): Markup {
  const { left, right, top, bottom } = place;
  const y = countScale(high, bottom, top);
  const grid = countTicks(high).map(
    (count) =>
      markup`${line('grid', left, y(count), right, y(count))}${text('tick-label end', left - 6, y(count) + 4, formatCompact(count))}`,
  );
  const from = x(startMs);
  const bucketWidth = x(startMs + network.bucketSeconds * 1000) - from;
  const path = (name: string, waiting: readonly number[]): Markup =>
    markup`<path class="${name}" d="${steps(waiting, from, bucketWidth, y)}"/>`;
  return markup`${grid}${path('queue-scheduled', network.queueScheduled)}${path('queue-on-demand', network.queueOnDemand)}`;
}

/** Top of the queue scale for these networks: the longest mean queue of a bucket, at least 10. */
export function queueHigh(networks: readonly NetworkRow[]): number {
  let high = 10;
  for (const network of networks) {
    for (const waiting of network.queueOnDemand) high = Math.max(high, waiting);
    for (const waiting of network.queueScheduled) high = Math.max(high, waiting);
  }
  return high * 1.15;
}
