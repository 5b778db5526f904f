/**
 * Random draws as pure functions of what they are for, never of an order: any number of workers, `plan` and the
 * Kafka services draw the same for the same (seed, meter, occasion, purpose).
 */

/** What a draw decides. One number each, so that two draws about one meter never share their bits. */
export const PURPOSE = {
  mdra: 1,
  supplier: 2,
  granularity: 3,
  export: 4,
  reachability: 5,
  spellPhase: 6,
  scheduleTime: 7,
  serviceTime: 8,
  retryJitter: 10,
  reRequestDelay: 11,
  monthlyDay: 12,
  onDemandTime: 13,
  onDemandMeter: 14,
  agentChange: 15,
  firstAttempt: 16,
  cellPick: 17,
  profile: 18,
  identity: 19,
  conduct: 20,
  cellOrder: 21,
  existingRead: 23,
  smiStatus: 24,
  burst: 25,
  dccOnly: 26,
} as const;
export type Purpose = (typeof PURPOSE)[keyof typeof PURPOSE];

/**
 * 32 uniform bits for (seed, subject, occasion, purpose). `subject` is a meter's or cell's index below 2^32,
 * `occasion` tells repeated draws of one subject apart (a day, an attempt).
 */
export function draw32(seed: number, subject: number, occasion: number, purpose: Purpose): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(purpose, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15) ^ subject, 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 13) ^ occasion, 0x297a2d39);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A uniform draw in [0, 1) with 32 bits. */
export function drawUnit(seed: number, subject: number, occasion: number, purpose: Purpose): number {
  return draw32(seed, subject, occasion, purpose) / 4294967296;
}
