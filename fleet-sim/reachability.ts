import { DAY_MS } from '#core/settlement-day.ts';
import { draw32, drawUnit, PURPOSE } from './draws.ts';

/**
 * How meters drop off the network: a share of them at any instant, each for a spell. Most are gone for weeks (no
 * signal, a fault); the intermittent ones come back within hours, which is what asking again is for.
 */
export type Reachability = {
  /** Share of meters that do not communicate at any instant, 0..1. */
  notCommunicatingShare: number;
  /** Length of a spell in which a meter stays as it is, days. */
  spellDays: number;
  /** Of those that do not communicate, the share that is intermittent, 0..1. */
  intermittentShare: number;
  /** Length of an intermittent meter's spell, hours. */
  intermittentHours: number;
};

const HOUR_MS = 3_600_000;
const LONG = 0;
const SHORT = 1;

/**
 * Whether a meter answers at an instant (ms since 1970-01-01). Time is cut into spells, each meter at its own phase;
 * a spell is silent or not by a draw, so that neighbouring instants agree and the share holds at each.
 */
export function isReachable(seed: number, meter: number, atMs: number, reachability: Reachability): boolean {
  const { notCommunicatingShare, intermittentShare } = reachability;
  const longShare = notCommunicatingShare * (1 - intermittentShare);
  if (drawSpell(seed, meter, atMs, spellMsOf(reachability, LONG), LONG) < longShare) return false;
  const shortShare = notCommunicatingShare * intermittentShare;
  if (shortShare === 0) return true;
  // Of the meters that are not gone for long: so that the two shares add up to what was asked for.
  return drawSpell(seed, meter, atMs, spellMsOf(reachability, SHORT), SHORT) >= shortShare / (1 - longShare);
}

/** When the meter's next spell begins: until then its reachability stays as it is at `atMs`. */
export function nextSpellMs(seed: number, meter: number, atMs: number, reachability: Reachability): number {
  const long = spellEndMs(seed, meter, atMs, spellMsOf(reachability, LONG), LONG);
  if (reachability.notCommunicatingShare * reachability.intermittentShare === 0) return long;
  return Math.min(long, spellEndMs(seed, meter, atMs, spellMsOf(reachability, SHORT), SHORT));
}

type Kind = typeof LONG | typeof SHORT;

function spellMsOf({ spellDays, intermittentHours }: Reachability, kind: Kind): number {
  return kind === LONG ? spellDays * DAY_MS : intermittentHours * HOUR_MS;
}

function drawSpell(seed: number, meter: number, atMs: number, spellMs: number, kind: Kind): number {
  const spell = Math.floor((atMs + phaseMs(seed, meter, spellMs, kind)) / spellMs);
  return drawUnit(seed, meter, spell * 2 + kind, PURPOSE.reachability);
}

function spellEndMs(seed: number, meter: number, atMs: number, spellMs: number, kind: Kind): number {
  const phase = phaseMs(seed, meter, spellMs, kind);
  return (Math.floor((atMs + phase) / spellMs) + 1) * spellMs - phase;
}

function phaseMs(seed: number, meter: number, spellMs: number, kind: Kind): number {
  return Math.floor((draw32(seed, meter, kind, PURPOSE.spellPhase) / 4294967296) * spellMs);
}
