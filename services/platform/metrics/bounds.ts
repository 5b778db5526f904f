import { GENERATIONS, MODES, SERVICES, SRVS } from '#core/matrix.ts';
import { PARTITIONS_ALLOWED, TOPICS } from '#schemas/topics.ts';

/** Upper edges of latencies, seconds: the Target Response Times there are (16, 30, 5,600, 86,400), and what lies between. */
export const LATENCY_EDGES_SECONDS = [
  0.1, 0.5, 1, 2, 5, 10, 16, 30, 60, 300, 900, 1800, 3600, 5600, 7200, 14_400, 28_800, 43_200, 64_800, 79_200, 86_400,
] as const;
/** Open requests are counted by how soon their deadline comes, simulated seconds. */
export const DUE_EDGES_SECONDS = [1, 5, 16, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400] as const;
/** How a request ended: the code it was answered with by the network or the platform, or a refusal. */
export const REQUEST_RESULTS = ['I0', 'E20', 'E21', 'other', 'refused'] as const;

/** Networks of a scenario, and Users of one: what its schema allows. */
export const NETWORKS_MAX = 20;
export const USERS_MAX = 200;
/** Distinct Target Response Times of a matrix: today's has four. */
export const TRTS_MAX = 8;
/** Codes that a setting of the gateway names, and no source. */
export const SETTABLE_CODES_MAX = 8;
/** Partitions of a topic at most. */
export const PARTITIONS_MAX = Math.max(...PARTITIONS_ALLOWED);

/** What a Target Response Time depends on. */
export const SERIES = {
  srv: [...SRVS, 'unknown'],
  mode: MODES,
  trt_service: SERVICES,
  generation: [...GENERATIONS, 'unknown'],
} as const;
/** Series of one matrix, as far as any request can be of them. */
export const OF_THE_MATRIX = {
  count: 128,
  because: 'those that the matrix has a TRT for',
};
/** The label by which series of topics are told apart. */
export const TOPIC = { topic: Object.keys(TOPICS) } as const;
