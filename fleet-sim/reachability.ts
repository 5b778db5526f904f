import { draw32, drawUnit, PURPOSE } from './draws.ts';

/** How meters drop off the network: a share of them at any time, each for a spell of days. */
export type Reachability = {
  /** Share of meters that do not communicate at any instant, 0..1. */
  notCommunicatingShare: number;
  /** Length of a spell in which a meter stays as it is, days. */
  spellDays: number;
};

/**
 * Whether a meter answers on a day (days since 1970-01-01). Time is cut into spells, each meter at its own phase;
 * a spell is silent or not by a draw, so that neighbouring days agree and the share holds on every day.
 */
export function isReachable(seed: number, meter: number, day: number, reachability: Reachability): boolean {
  const spell = Math.floor((day + phaseOf(seed, meter, reachability)) / reachability.spellDays);
  return drawUnit(seed, meter, spell, PURPOSE.reachability) >= reachability.notCommunicatingShare;
}

/** First day of the meter's next spell: until then its reachability stays as it is on `day`. */
export function nextSpellDay(seed: number, meter: number, day: number, reachability: Reachability): number {
  const phase = phaseOf(seed, meter, reachability);
  return (Math.floor((day + phase) / reachability.spellDays) + 1) * reachability.spellDays - phase;
}

function phaseOf(seed: number, meter: number, { spellDays }: Reachability): number {
  return draw32(seed, meter, 0, PURPOSE.spellPhase) % spellDays;
}
