import { expect, test } from 'vitest';
import { anomalyThresholds } from '#fleet-sim/anomaly-thresholds.ts';
import { smallWorld, WORLD_USERS } from '#fleet-sim/test/small-world.ts';

test("a User's threshold is by the meters of its portfolio, and never less than one", () => {
  const [one, two, supplier, exporter] = WORLD_USERS;
  const { fleet } = smallWorld().scenario;
  const users = [one, two, { ...supplier, ownMdraShare: 0.5 }, exporter];
  // A quarter of: 60 % and 40 % of the half whose Supplier is not its own MDRA; all meters; those that export.
  const world = smallWorld({ users, fleet: { ...fleet, meters: 10_000, exportShare: 0.1 } });
  expect([...anomalyThresholds(world)]).toEqual([750, 500, 2500, 250]);
  expect([...anomalyThresholds(smallWorld({ fleet: { ...fleet, meters: 1 } }))]).toEqual([1, 1, 1, 1]);
});
