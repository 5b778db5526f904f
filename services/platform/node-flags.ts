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

/**
 * And in which environment: glibc's malloc then asks Linux for pages of 2 MB. In pages of 4 KB a look-up in a table of
 * 256 MB took 215 ns, in those 134. Where there is another malloc nobody reads it. The image says the same.
 */
export const SERVICE_ENVIRONMENT = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' } as const;

/** What the user has set goes before. */
export function serviceEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { ...SERVICE_ENVIRONMENT, ...environment };
}
