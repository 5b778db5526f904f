import type { World } from '#fleet-sim/world.ts';

/** Requests in a period that a User may make of each SRV. [scenario anomaly.thresholdPerMeter] */
export function anomalyThresholds(world: World): Float64Array {
  const { scenario, users } = world;
  const own = scenario.users.reduce((sum, user) => sum + (user.role === 'IS' ? user.share * user.ownMdraShare : 0), 0);
  return Float64Array.from(users, ({ settings: { role, share } }) => {
    const ofFleet = role === 'IS' ? share : role === 'ES' ? share * scenario.fleet.exportShare : share * (1 - own);
    return Math.max(1, Math.ceil(scenario.anomaly.thresholdPerMeter * ofFleet * scenario.fleet.meters));
  });
}
