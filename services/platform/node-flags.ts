/**
 * What Node is started with for a service. `bin/mdr` says why; it, the chart's containers and this list say the same, as a
 * process that has begun cannot take them any more.
 */
export const SERVICE_NODE_FLAGS = [
  '--disable-warning=TimeoutNegativeWarning',
  '--external-memory-accounted-in-global-limit',
  '--single-threaded-gc',
  '--initial-heap-size=256',
] as const;

/** With those of the user behind, in `MDR_NODE_FLAGS`. */
export function serviceNodeFlags(environment: NodeJS.ProcessEnv = process.env): string[] {
  return [...SERVICE_NODE_FLAGS, ...(environment.MDR_NODE_FLAGS?.split(/\s+/).filter((flag) => flag !== '') ?? [])];
}
