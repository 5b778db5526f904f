import { MODES } from '#core/matrix.ts';
import { bucketMsOf, integralMs, Occupancy } from '#fleet-sim/occupancy.ts';
import type { World } from '#fleet-sim/world.ts';
import { expose, exposeHistogram } from '#services/platform/metrics/exposition.ts';
import { LatencyCounts } from '#services/platform/metrics/latency-counts.ts';
import type { NetworkState, PartitionFleet } from './partition-fleet.ts';

/** What a process counts of a network, over all its partitions. */
export type NetworkStatistics = {
  busy: Occupancy;
  queue: readonly [Occupancy, Occupancy];
  /** By mode. */
  latency: readonly [LatencyCounts, LatencyCounts];
};

const HOUR_MS = 3_600_000;

/** Exchanges in use and requests waiting, over the counted days, in the buckets of the report's charts; latencies. */
export function networkStatistics(world: World): NetworkStatistics {
  const bucketMs = bucketMsOf(world.scenario.days);
  const occupancy = () => new Occupancy(bucketMs, bucketsOf(world), world.countedStartMs);
  return {
    busy: occupancy(),
    queue: [occupancy(), occupancy()],
    latency: [new LatencyCounts(), new LatencyCounts()],
  };
}

/** Exposes how the networks stand, and how busy they have been on counted days. */
export function exposeNetworks(
  world: World,
  fleets: ReadonlyMap<number, PartitionFleet>,
  statistics: readonly NetworkStatistics[],
): void {
  const { networks } = world.fleet;
  const byNetwork = (of: (n: number) => number) =>
    networks.map(({ name }, n) => ({ labels: { network: name }, value: of(n) }));
  const offered = offeredSeconds(world, fleets);
  expose('mdr_network_busy_seconds_total', () => byNetwork((n) => busySeconds(world, statistics[n].busy)));
  expose('mdr_network_offered_seconds_total', () => {
    const seconds = offered();
    return byNetwork((n) => seconds[n]);
  });
  expose('mdr_network_exchanges', () => {
    const states = statesOf(world, fleets);
    return networks.flatMap(({ name: network }, n) => [
      { labels: { network, state: 'all' }, value: states[n].cells * world.cells[n].exchangesMax },
      { labels: { network, state: 'available' }, value: states[n].capacity },
      { labels: { network, state: 'busy' }, value: states[n].busy },
    ]);
  });
  expose('mdr_network_waiting_requests', () => {
    const states = statesOf(world, fleets);
    return byNetwork((n) => states[n].queued);
  });
  exposeHistogram('mdr_network_latency_seconds', () =>
    networks.flatMap(({ name: network }, n) =>
      MODES.map((mode, k) => ({ labels: { network, mode }, ...statistics[n].latency[k] })),
    ),
  );
}

function bucketsOf({ scenario: { days } }: World): number {
  return (days * 24 * HOUR_MS) / bucketMsOf(days);
}

function busySeconds(world: World, { edges, steps }: Occupancy): number {
  const integral = integralMs(edges, steps, bucketMsOf(world.scenario.days), bucketsOf(world));
  return integral.reduce((sum, ms) => sum + ms, 0) / 1000;
}

function statesOf(world: World, fleets: ReadonlyMap<number, PartitionFleet>): NetworkState[] {
  const sums = world.fleet.networks.map((): NetworkState => ({ cells: 0, capacity: 0, busy: 0, queued: 0 }));
  for (const fleet of fleets.values()) {
    fleet.networkStates().forEach((state, n) => {
      for (const field of ['cells', 'capacity', 'busy', 'queued'] as const) sums[n][field] += state[field];
    });
  }
  return sums;
}

/** Of the counted days, as far as each partition has come: it goes on when a partition goes. */
function offeredSeconds(world: World, fleets: ReadonlyMap<number, PartitionFleet>): () => Float64Array {
  const sums = new Float64Array(world.fleet.networks.length);
  const reachedMs = new WeakMap<PartitionFleet, number>();
  const originMs = world.originDay * 24 * HOUR_MS;
  const [startMs, endMs] = [originMs + world.countedStartMs, originMs + world.countedEndMs];
  return () => {
    for (const fleet of fleets.values()) {
      const untilMs = Math.min(endMs, Math.max(startMs, fleet.nowMs));
      const fromMs = reachedMs.get(fleet) ?? Math.min(endMs, Math.max(startMs, fleet.beganMs));
      reachedMs.set(fleet, untilMs);
      fleet.networkStates().forEach(({ cells }, n) => {
        sums[n] += (cells * world.cells[n].exchangesMax * (untilMs - fromMs)) / 1000;
      });
    }
    return sums;
  };
}
